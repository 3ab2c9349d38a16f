//! Seals what is kept again under the newest master key, while the store is in use.
//!
//! Invariants: a secret is replaced only if it is still what was read, so that a change made
//! meanwhile wins; the loop can be broken off and begun again at any time, and does nothing where
//! nothing is left to do.
//!
//! Deliberately absent: the keys (the caller seals), and forgetting the old one, which has to wait
//! until no backup needs it.

use std::collections::HashSet;

use crate::{EnvelopeAt, Result, Store, StoreError};

/// How many secrets are read at a time.
const SLICE: usize = 200;
/// How often in a row nothing but secrets that are changed by others may be met.
const ROUNDS_WITHOUT_PROGRESS_MAX: usize = 16;

/// Seals every secret that is not sealed with the key of `version` again; how many.
///
/// `reseal` gets what a secret is sealed for (see [`crate::vault::place`]) and its envelope, and
/// answers with a new envelope whose first byte is `version`.
///
/// # Errors
/// What `reseal` or the store says. What was replaced before stays replaced.
pub async fn rewrap(
    store: &dyn Store,
    version: u8,
    mut reseal: impl FnMut(&str, &[u8]) -> Result<Vec<u8>> + Send,
) -> Result<u64> {
    let mut rewrapped = 0_u64;
    let mut fruitless = 0_usize;
    loop {
        let envelopes = store.envelope_list(version, SLICE).await?;
        if envelopes.is_empty() {
            return Ok(rewrapped);
        }
        let before = rewrapped;
        let mut seen: HashSet<EnvelopeAt> = HashSet::new();
        for envelope in envelopes {
            if !seen.insert(envelope.at) {
                continue;
            }
            let new = reseal(&envelope.place, &envelope.bytes)?;
            if new.first() != Some(&version) {
                return Err(StoreError::Sealed {
                    detail: format!("{} was not sealed with key version {version}", envelope.place),
                });
            }
            // Not replaced: somebody has changed it since, and it is looked at again if need be.
            rewrapped += u64::from(store.envelope_replace(envelope.at, envelope.bytes, new).await?);
        }
        fruitless = if rewrapped == before { fruitless + 1 } else { 0 };
        if fruitless >= ROUNDS_WITHOUT_PROGRESS_MAX {
            return Err(StoreError::Busy { waiting: seen.len() });
        }
    }
}
