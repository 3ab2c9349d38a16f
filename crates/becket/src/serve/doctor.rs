//! Why a kept request was refused, with what the whole gateway knows: the other sources of the same
//! owner, the secrets that a source had before, and the catalogue.
//!
//! Invariants: another owner's sources are never looked at; secrets that were replaced are kept in
//! memory only, few of them; nothing here runs while a request is received.

use std::collections::HashMap;

use becket_ingress::Kept;
use becket_model::{ApplicationKey, EventRecord};
use becket_signature::{Catalogue, CredentialSpec, Credentials, Doctor, Entry, Explanation};

use super::gateway::{Current, Gateway};
use crate::config;

/// What is said of a source that only observes.
pub(super) const OBSERVES: &str = "it only observes: requests that cannot be verified are accepted and delivered, marked as unverified";

/// What is said of a source that cannot be used begins with this.
pub(crate) const UNUSABLE: &str = "it receives nothing";

/// What is said of a source without a credential that only this customer's requests have, where the
/// provider signs for all its customers with one key.
pub(crate) fn unpinned(entry: &Entry, source: &config::Source) -> Vec<String> {
    let missing = entry.pins().filter(|pin| !source.credentials.contains_key(&pin.name));
    let says = |pin: &CredentialSpec| {
        format!(
            "`{}` is not set: the provider signs for other customers with the same key, and their events pass as genuine",
            pin.name
        )
    };
    missing.map(says).collect()
}

/// Credentials kept per source after they were replaced.
const FORMER_MAX: usize = 4;

/// Credentials that a source had, and until when, in milliseconds since 1970.
pub(super) type Former = HashMap<ApplicationKey, Vec<(i64, Credentials)>>;

/// Notes the credentials of sources that have others from now on.
pub(super) fn remember(former: &mut Former, old: &Current, new: &Current, now_ms: i64) {
    for (key, before) in &old.sources {
        let credentials = before.rules.credentials_for_verifier();
        let after = new.sources.get(key).map(|after| after.rules.credentials_for_verifier());
        let same = after.is_some_and(|after| {
            after.secrets == credentials.secrets
                && after.public_keys == credentials.public_keys
                && after.named == credentials.named
        });
        if same {
            continue;
        }
        let kept = former.entry(*key).or_default();
        kept.insert(0, (now_ms, credentials));
        kept.truncate(FORMER_MAX);
    }
}

/// Explains a kept request; `None` if its source is no longer configured.
pub(super) fn explain(
    gateway: &Gateway,
    source: ApplicationKey,
    record: &EventRecord,
    received_at_ms: i64,
) -> Option<Explanation> {
    let table = gateway.table.load();
    let own = table.by_key(source)?;
    let kept = Kept::read(own, record)?;
    let mut doctor = Doctor::new(&own.verifier);
    for other in table.all() {
        if other.owner == own.owner && other.key != own.key {
            doctor = doctor.other(&other.uid, &other.verifier);
        }
    }
    let former = gateway.former.lock().get(&source).cloned().unwrap_or_default();
    for (until_ms, credentials) in &former {
        doctor = doctor.former(credentials, until_ms.div_euclid(1_000));
    }
    let doctor = doctor.catalogue(Catalogue::builtin());
    Some(doctor.explain(&kept.view(), received_at_ms.div_euclid(1_000)))
}
