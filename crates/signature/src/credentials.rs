//! What the operator gives a verifier: secrets, public keys and named values.
//!
//! Invariants: `Debug` shows counts and names, never values; memory is wiped on drop. Deliberately absent:
//! where the values come from (files, environment, store), which is the binary's business.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

/// The secrets and keys of one source. Several secrets mean rotation: each is tried.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Shared secrets, tokens or `user:password` pairs; a trailing line end is ignored.
    pub secrets: Vec<String>,
    /// Public keys as PEM, SPKI DER in base64 or hex, the raw key in hex or base64, or a JWK.
    pub public_keys: Vec<String>,
    /// Values by the names that the entry gives them (`verify_token`, `webhook_id`), and its parameters.
    pub named: BTreeMap<String, String>,
}

impl Credentials {
    /// Credentials that consist of shared secrets only.
    pub fn from_secrets<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self::new(secrets.into_iter().map(Into::into).collect(), Vec::new(), BTreeMap::new())
    }

    /// Credentials that consist of public keys only.
    pub fn from_public_keys<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self::new(Vec::new(), keys.into_iter().map(Into::into).collect(), BTreeMap::new())
    }

    /// Credentials of all three kinds.
    pub fn new(
        secrets: Vec<String>,
        public_keys: Vec<String>,
        named: BTreeMap<String, String>,
    ) -> Self {
        Self { secrets, public_keys, named }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.secrets.zeroize();
        self.public_keys.zeroize();
        for value in self.named.values_mut() {
            value.zeroize();
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("secrets", &self.secrets.len())
            .field("public_keys", &self.public_keys.len())
            .field("named", &self.named.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What a source may set differently from its provider's entry.
#[derive(Debug, Clone, Default)]
pub struct VerifierOptions {
    /// The full public URL at which the sender delivers, byte for byte as registered there. Used for `{url}`;
    /// the request's own query is appended. Absent: the URL of each request is taken.
    pub public_url: Option<String>,
    /// How old a signed timestamp may be, in seconds, instead of the entry's own value.
    pub max_age_s: Option<u64>,
    /// How far ahead a signed timestamp may be, in seconds, instead of the entry's own value.
    pub max_future_s: Option<u64>,
    /// How many requests a minute the source takes, for providers that ask; absent: not limited.
    pub rate_per_minute: Option<u64>,
}
