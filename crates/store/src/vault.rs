//! Seals secrets for storage: XChaCha20-Poly1305 under a versioned master key.
//!
//! An envelope is `version (1 byte) ‖ nonce (24 bytes) ‖ ciphertext and tag`. What the secret
//! belongs to is authenticated with it, so an envelope copied to another row does not open.
//! Nonces come from the caller, who has the random numbers.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::StoreError;

const NONCE_BYTES: usize = 24;

/// What secrets are sealed for; an envelope opens nowhere else.
pub mod place {
    use becket_model::{ApplicationId, EndpointId};

    use crate::DocumentName;

    /// A signing secret of an endpoint.
    #[must_use]
    pub fn endpoint_secret(endpoint: EndpointId) -> String {
        format!("endpoint/{endpoint}/secret")
    }

    /// The headers of an endpoint.
    #[must_use]
    pub fn endpoint_headers(endpoint: EndpointId) -> String {
        format!("endpoint/{endpoint}/headers")
    }

    /// The credentials of a source.
    #[must_use]
    pub fn application_credentials(application: ApplicationId) -> String {
        format!("application/{application}/credentials")
    }

    /// The sealed part of a document.
    #[must_use]
    pub fn document(name: &DocumentName) -> String {
        format!("document/{}/{}", name.kind.as_str(), name.name)
    }
}

/// The master keys of an installation: the last one seals, all of them open.
#[derive(Clone)]
pub struct Vault {
    keys: Vec<(u8, Zeroizing<[u8; 32]>)>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<u8> = self.keys.iter().map(|(version, _)| *version).collect();
        formatter.debug_struct("Vault").field("versions", &versions).finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault with one key, version 1.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { keys: vec![(1, Zeroizing::new(key))] }
    }

    /// Adds a newer key, which seals from now on.
    pub fn add_key(&mut self, version: u8, key: [u8; 32]) {
        self.keys.push((version, Zeroizing::new(key)));
    }

    /// A vault with several keys, each with its version; the last one seals.
    #[must_use]
    pub fn with_keys(keys: Vec<(u8, [u8; 32])>) -> Self {
        Self {
            keys: keys.into_iter().map(|(version, key)| (version, Zeroizing::new(key))).collect(),
        }
    }

    /// The same with only the key that seals.
    #[must_use]
    pub fn newest_only(&self) -> Self {
        Self { keys: self.keys.last().cloned().into_iter().collect() }
    }

    /// The keys with their versions, to be written to the file they are kept in.
    #[must_use]
    pub fn expose_keys(&self) -> &[(u8, Zeroizing<[u8; 32]>)] {
        &self.keys
    }

    /// The fingerprint of each key, in the order of the keys.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<[u8; 8]> {
        self.keys.iter().map(|(_, key)| fingerprint(key.as_slice())).collect()
    }

    /// The version of the key that seals, which is the first byte of every new envelope.
    #[must_use]
    pub fn sealing_version(&self) -> u8 {
        self.keys.last().map_or(0, |(version, _)| *version)
    }

    /// A fingerprint of the sealing key: tells keys apart without telling them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        fingerprint(self.keys.last().map_or(&[][..], |(_, key)| key.as_slice()))
    }

    /// Seals a secret that belongs to `place` (such as `endpoint/ep_…/secret`).
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if the vault has no key.
    pub fn seal(
        &self,
        place: &str,
        secret: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, StoreError> {
        let sealed_error = |detail: &str| StoreError::Sealed { detail: detail.to_owned() };
        let (version, key) = self.keys.last().ok_or_else(|| sealed_error("there is no key"))?;
        let cipher = XChaCha20Poly1305::new(key.as_slice().into());
        let aad = associated(*version, place);
        let sealed = cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret, aad: &aad })
            .map_err(|_| sealed_error("the secret is too long"))?;
        let mut envelope = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        envelope.push(*version);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(envelope)
    }

    /// Opens an envelope that belongs to `place`.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if the key is missing, or the envelope was changed or moved.
    pub fn open(&self, place: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let sealed_error = |detail: String| StoreError::Sealed { detail };
        let (version, rest) =
            envelope
                .split_first()
                .filter(|(_, rest)| rest.len() > NONCE_BYTES)
                .ok_or_else(|| sealed_error(format!("the secret of {place} is cut short")))?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == version).ok_or_else(|| {
            sealed_error(format!("the secret of {place} was sealed with key version {version}"))
        })?;
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        let aad = associated(*version, place);
        XChaCha20Poly1305::new(key.as_slice().into())
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| sealed_error(format!("the key does not fit the secret of {place}")))
    }
}

fn fingerprint(key: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new_with_prefix(b"becket master key");
    hash.update(key);
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    short
}

fn associated(version: u8, place: &str) -> Vec<u8> {
    let mut aad = vec![version];
    aad.extend_from_slice(place.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_what_it_sealed_where_it_belongs() {
        let vault = Vault::new([7; 32]);
        let envelope = vault.seal("endpoint/a", b"whsec_x", [1; 24]).unwrap();
        assert!(!envelope.windows(7).any(|window| window == b"whsec_x"));
        assert_eq!(vault.open("endpoint/a", &envelope).unwrap().as_slice(), b"whsec_x");
        assert!(vault.open("endpoint/b", &envelope).is_err());
        assert!(Vault::new([8; 32]).open("endpoint/a", &envelope).is_err());
        for cut in 0..envelope.len() {
            assert!(vault.open("endpoint/a", &envelope[..cut]).is_err());
        }
        let mut changed = envelope.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(vault.open("endpoint/a", &changed).is_err());
    }

    #[test]
    fn older_keys_still_open() {
        let mut vault = Vault::new([7; 32]);
        let old = vault.seal("p", b"old", [1; 24]).unwrap();
        vault.add_key(2, [9; 32]);
        let new = vault.seal("p", b"new", [2; 24]).unwrap();
        assert_eq!((old[0], new[0]), (1, 2));
        assert_eq!(vault.open("p", &old).unwrap().as_slice(), b"old");
        assert_eq!(vault.open("p", &new).unwrap().as_slice(), b"new");
        assert!(Vault::new([7; 32]).open("p", &new).is_err());
        assert_eq!(vault.sealing_version(), 2);
        assert_eq!(vault.fingerprints()[1], vault.fingerprint());
        let newest = vault.newest_only();
        assert_eq!(newest.fingerprint(), vault.fingerprint());
        assert!(newest.open("p", &new).is_ok() && newest.open("p", &old).is_err());
    }
}
