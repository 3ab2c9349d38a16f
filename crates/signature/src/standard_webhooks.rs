//! Signing what Becket sends, after the Standard Webhooks specification 1.0.0.
//!
//! Invariants: keys never appear in `Debug` or `Display`; a key is prepared once, signing then costs one
//! hash per key. Verification of this scheme is an ordinary entry of the catalogue, not code here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, signature};
use zeroize::Zeroizing;

use crate::encoding::base64_any;

/// An endpoint's signing key: symmetric (`whsec_`) or Ed25519 (`whsk_`).
#[derive(Clone)]
pub struct SigningKey {
    bytes: Zeroizing<Vec<u8>>,
    prepared: Prepared,
}

#[derive(Clone)]
enum Prepared {
    Symmetric(hmac::Key),
    Ed25519(std::sync::Arc<signature::Ed25519KeyPair>),
}

/// Why a text is no signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Neither of the known prefixes.
    #[error("a signing key begins with `whsec_` or `whsk_`")]
    Prefix,
    /// Not base64 after the prefix.
    #[error("the signing key is not base64 after its prefix: copy it again, whole")]
    Base64,
    /// Too short or too long.
    #[error(
        "the signing key has the wrong length: 24 to 64 bytes for `whsec_`, 32 or 64 for `whsk_`"
    )]
    Length,
    /// The public half does not belong to the private one.
    #[error("the signing key's halves do not belong together: copy it again, whole")]
    KeyPair,
}

impl SigningKey {
    /// Reads `whsec_` or `whsk_` and base64.
    pub fn parse(text: &str) -> Result<SigningKey, SigningKeyError> {
        let text = text.trim();
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let bytes = base64_any(encoded.as_bytes()).ok_or(SigningKeyError::Base64)?;
            if !(24..=64).contains(&bytes.len()) {
                return Err(SigningKeyError::Length);
            }
            return Ok(Self::symmetric(bytes));
        }
        let encoded = text.strip_prefix("whsk_").ok_or(SigningKeyError::Prefix)?;
        let bytes = Zeroizing::new(base64_any(encoded.as_bytes()).ok_or(SigningKeyError::Base64)?);
        let pair = match bytes.len() {
            32 => signature::Ed25519KeyPair::from_seed_unchecked(&bytes),
            64 => signature::Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
            _ => return Err(SigningKeyError::Length),
        };
        let pair = pair.map_err(|_| SigningKeyError::KeyPair)?;
        Ok(SigningKey { bytes, prepared: Prepared::Ed25519(std::sync::Arc::new(pair)) })
    }

    /// A new symmetric key from 24 or more random bytes of the caller's.
    pub fn generate(random: [u8; 32]) -> SigningKey {
        Self::symmetric(random.to_vec())
    }

    fn symmetric(bytes: Vec<u8>) -> SigningKey {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        SigningKey { bytes: Zeroizing::new(bytes), prepared: Prepared::Symmetric(key) }
    }

    /// The key's full text, for the one who owns it. Never log it.
    pub fn expose(&self) -> String {
        format!("{}{}", self.prefix(), STANDARD.encode(&*self.bytes))
    }

    fn prefix(&self) -> &'static str {
        match self.prepared {
            Prepared::Symmetric(_) => "whsec_",
            Prepared::Ed25519(_) => "whsk_",
        }
    }

    fn append_signature(&self, id: &str, timestamp: &str, body: &[u8], header: &mut String) {
        if !header.is_empty() {
            header.push(' ');
        }
        match &self.prepared {
            Prepared::Symmetric(key) => {
                let mut context = hmac::Context::with_key(key);
                for piece in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                    context.update(piece);
                }
                header.push_str("v1,");
                STANDARD.encode_string(context.sign(), header);
            }
            Prepared::Ed25519(pair) => {
                let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
                header.push_str("v1a,");
                STANDARD.encode_string(pair.sign(&message), header);
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({self})")
    }
}

impl fmt::Display for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}…", self.prefix())
    }
}

/// The value of `webhook-signature`: one signature per key, separated by spaces. The id must not contain a
/// full stop (Becket's ids do not), or the signed text would be ambiguous.
pub fn sign_headers(keys: &[SigningKey], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let mut header = String::with_capacity(keys.len() * 48);
    for key in keys {
        key.append_signature(id, &timestamp, body, &mut header);
    }
    header
}
