//! Public keys that know what they are, for tokens: the key's kind decides which algorithms it serves.
//!
//! Invariants: the kind comes from the key itself (its algorithm identifier, or `kty` and `crv` of a JWK),
//! never from the token; error texts never show the key. Next: `der` and `certificate` for the ASN.1.

use crate::certificate::Certificate;
use crate::der;
use crate::encoding::base64_any;
use crate::keys::{PublicKey, key_bytes};

/// A public key of a known kind.
pub(crate) enum TypedKey {
    Rsa(PublicKey),
    /// An uncompressed point of 65 bytes.
    P256(Vec<u8>),
    /// An uncompressed point of 97 bytes.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

impl TypedKey {
    /// Reads PEM (a certificate's too), SPKI DER in base64 or hex, a JWK, or a raw key whose length tells
    /// its kind.
    pub(crate) fn parse(text: &str) -> Result<TypedKey, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.starts_with('{') {
            return TypedKey::jwk(text);
        }
        if let Some(certificate) = Certificate::first_of_pem(text) {
            let certificate = certificate.ok_or("its certificate cannot be read: copy it whole")?;
            return TypedKey::spki(&certificate.spki).ok_or_else(|| {
                "its certificate holds no RSA, P-256, P-384 or Ed25519 key".to_owned()
            });
        }
        let bytes = key_bytes(text)?;
        let key = match (bytes.len(), bytes.first()) {
            (32, _) => Some(TypedKey::Ed25519(bytes)),
            (65, Some(4)) => Some(TypedKey::P256(bytes)),
            (97, Some(4)) => Some(TypedKey::P384(bytes)),
            _ if der::is_pkcs1(&bytes) => Some(TypedKey::Rsa(PublicKey::Bytes(bytes))),
            _ => TypedKey::spki(&bytes),
        };
        key.ok_or_else(|| {
            "it is no RSA, P-256, P-384 or Ed25519 public key as PEM, SPKI DER in base64 or hex, or JWK"
                .to_owned()
        })
    }

    /// The key inside a SubjectPublicKeyInfo.
    fn spki(spki: &[u8]) -> Option<TypedKey> {
        let algorithm = der::spki_algorithm(spki)?;
        let key = der::spki_key(spki)?;
        match (algorithm, key.len()) {
            (der::SpkiAlgorithm::Rsa, _) if der::is_pkcs1(&key) => {
                Some(TypedKey::Rsa(PublicKey::Bytes(key)))
            }
            (der::SpkiAlgorithm::P256, 65) => Some(TypedKey::P256(key)),
            (der::SpkiAlgorithm::P384, 97) => Some(TypedKey::P384(key)),
            (der::SpkiAlgorithm::Ed25519, 32) => Some(TypedKey::Ed25519(key)),
            _ => None,
        }
    }

    fn jwk(text: &str) -> Result<TypedKey, String> {
        let jwk: serde_json::Value = serde_json::from_str(text)
            .map_err(|_| "it looks like a JWK and is no JSON".to_owned())?;
        let text_of = |name: &str| jwk.get(name).and_then(serde_json::Value::as_str);
        let member = |name: &str| {
            text_of(name)
                .and_then(|value| base64_any(value.as_bytes()))
                .ok_or_else(|| format!("its JWK lacks `{name}`"))
        };
        let point = || Ok::<_, String>([vec![4], member("x")?, member("y")?].concat());
        let wrong = |length: usize, bytes: Vec<u8>| {
            if bytes.len() == length {
                Ok(bytes)
            } else {
                Err("the key in its JWK has the wrong length".to_owned())
            }
        };
        match (text_of("kty"), text_of("crv")) {
            (Some("RSA"), _) => {
                Ok(TypedKey::Rsa(PublicKey::RsaNumbers { n: member("n")?, e: member("e")? }))
            }
            (Some("EC"), Some("P-256")) => wrong(65, point()?).map(TypedKey::P256),
            (Some("EC"), Some("P-384")) => wrong(97, point()?).map(TypedKey::P384),
            (Some("OKP"), Some("Ed25519")) => wrong(32, member("x")?).map(TypedKey::Ed25519),
            _ => Err("its JWK is no RSA, P-256, P-384 or Ed25519 public key".to_owned()),
        }
    }

    /// The kind in words, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            TypedKey::Rsa(_) => "an RSA",
            TypedKey::P256(_) => "a P-256",
            TypedKey::P384(_) => "a P-384",
            TypedKey::Ed25519(_) => "an Ed25519",
        }
    }
}
