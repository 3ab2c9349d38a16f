//! From what the operator pastes to keys that can verify.
//!
//! Invariants: done once per verifier; error texts say what form is expected and never show the value.
//! Public keys are recognised by their form: PEM, JWK, hex, base64. Next: `der` for the ASN.1 inside.

use ring::{digest, hmac, signature};
use zeroize::Zeroizing;

use crate::der;
use crate::encoding::base64_any;
use crate::scheme::{Class, Digest, EcdsaForm, KeySpec, KeyStep, Scheme};

/// A key that is ready for use.
pub(crate) enum Key {
    Hmac(hmac::Key),
    /// The secret's bytes, for messages that contain it.
    Bytes(Zeroizing<Vec<u8>>),
    /// The SHA-256 of a token, so that comparing takes the same time for every length.
    TokenHash(digest::Digest),
    Public(PublicKey),
}

/// A public key in the form that ring takes.
pub(crate) enum PublicKey {
    /// 32 bytes (Ed25519), an uncompressed point (P-256) or PKCS#1 DER (RSA).
    Bytes(Vec<u8>),
    /// Modulus and exponent of an RSA key.
    RsaNumbers { n: Vec<u8>, e: Vec<u8> },
}

impl Digest {
    /// The HMAC of this hash.
    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => hmac::HMAC_SHA256,
            Digest::Sha384 => hmac::HMAC_SHA384,
            Digest::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// The plain hash.
    pub(crate) fn plain(self) -> &'static digest::Algorithm {
        match self {
            Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha384 => &digest::SHA384,
            Digest::Sha512 => &digest::SHA512,
        }
    }
}

/// Turns a secret into the key's bytes.
pub(crate) fn transform(secret: &str, spec: &KeySpec) -> Result<Zeroizing<Vec<u8>>, String> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err("it is empty".to_owned());
    }
    let steps = spec
        .when
        .iter()
        .find(|rule| secret.starts_with(&rule.prefix))
        .map_or(&spec.transform, |rule| &rule.transform);
    let mut bytes = Zeroizing::new(secret.as_bytes().to_vec());
    for step in steps {
        let next = match step {
            KeyStep::Trim => bytes.trim_ascii().to_vec(),
            KeyStep::StripPrefix(prefix) => bytes
                .strip_prefix(prefix.as_bytes())
                .unwrap_or(&bytes)
                .to_vec(),
            KeyStep::Base64 => base64_any(&bytes)
                .ok_or("it is not base64, which this provider's secrets are: copy it again, whole")?,
            KeyStep::Hex => hex::decode(&*bytes).map_err(|_| {
                "it is not hexadecimal, which this provider's secrets are: copy it again, whole"
            })?,
            KeyStep::Sha1 => digest::digest(Digest::Sha1.plain(), &bytes).as_ref().to_vec(),
            KeyStep::Sha256 => digest::digest(Digest::Sha256.plain(), &bytes)
                .as_ref()
                .to_vec(),
        };
        bytes = Zeroizing::new(next);
    }
    if bytes.is_empty() {
        return Err("nothing is left of it after removing its prefix".to_owned());
    }
    Ok(bytes)
}

/// Prepares a shared secret for a scheme.
pub(crate) fn prepare_secret(secret: &str, scheme: &Scheme) -> Result<Key, String> {
    let bytes = transform(secret, &scheme.key)?;
    Ok(match scheme.class {
        Class::Hmac => {
            Key::Hmac(hmac::Key::new(scheme.digest.unwrap_or(Digest::Sha256).hmac(), &bytes))
        }
        Class::Token | Class::Basic => Key::TokenHash(digest::digest(&digest::SHA256, &bytes)),
        _ => Key::Bytes(bytes),
    })
}

/// Reads a public key for a scheme.
pub(crate) fn prepare_public(text: &str, scheme: &Scheme) -> Result<Key, String> {
    let mut text = text.trim();
    for step in &scheme.key.transform {
        if let KeyStep::StripPrefix(prefix) = step {
            text = text.strip_prefix(prefix.as_str()).unwrap_or(text);
        }
    }
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.starts_with('{') {
        return jwk(text, scheme.class).map(Key::Public);
    }
    let bytes = key_bytes(text)?;
    let key = match scheme.class {
        Class::Ed25519 => match bytes.len() {
            32 => bytes,
            _ => exactly(der::spki_key(&bytes), 32, "an Ed25519 key")?,
        },
        Class::EcdsaP256 => match bytes.as_slice() {
            [4, ..] if bytes.len() == 65 => bytes,
            [2 | 3, ..] if bytes.len() == 33 => {
                return Err(
                    "it is a compressed point: give the key as PEM or as an uncompressed point"
                        .to_owned(),
                );
            }
            _ => exactly(der::spki_key(&bytes), 65, "a P-256 key")?,
        },
        _ => match der::spki_key(&bytes) {
            Some(inner) => inner,
            None if der::is_pkcs1(&bytes) => bytes,
            None => return Err("it is no RSA public key in PEM or DER form".to_owned()),
        },
    };
    Ok(Key::Public(PublicKey::Bytes(key)))
}

fn exactly(key: Option<Vec<u8>>, length: usize, what: &str) -> Result<Vec<u8>, String> {
    key.filter(|key| key.len() == length).ok_or_else(|| {
        format!("it is not {what} as PEM, SPKI DER in base64 or hex, the raw key, or JWK")
    })
}

/// The bytes of PEM, hex or base64.
pub(crate) fn key_bytes(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    if let Some(position) = text.find("-----BEGIN ") {
        let after = &text[position + 11..];
        let (label, rest) = after.split_once("-----").ok_or("its PEM header has no end")?;
        if label.contains("CERTIFICATE") {
            return Err("it is a certificate: extract the public key first".to_owned());
        }
        let (inner, _) =
            rest.split_once("-----END ").ok_or("its PEM has no END line: copy it whole")?;
        // Environment variables often carry PEM with the two characters `\n` instead of line ends.
        return base64_any(inner.replace("\\n", "\n").as_bytes())
            .ok_or_else(|| "its PEM is not base64 inside".to_owned());
    }
    if text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hex::decode(text).map_err(|_| "it is not hexadecimal".to_owned());
    }
    base64_any(text.as_bytes()).ok_or_else(|| "it is neither PEM, hex nor base64".to_owned())
}

fn jwk(text: &str, class: Class) -> Result<PublicKey, String> {
    let jwk: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "it looks like a JWK and is no JSON".to_owned())?;
    let member = |name: &str| {
        jwk.get(name)
            .and_then(serde_json::Value::as_str)
            .and_then(|value| base64_any(value.as_bytes()))
            .ok_or_else(|| format!("its JWK lacks `{name}`"))
    };
    let is =
        |name: &str, wanted: &str| jwk.get(name).and_then(|value| value.as_str()) == Some(wanted);
    match class {
        Class::Ed25519 if is("kty", "OKP") && is("crv", "Ed25519") => {
            exactly(Some(member("x")?), 32, "an Ed25519 key").map(PublicKey::Bytes)
        }
        Class::EcdsaP256 if is("kty", "EC") && is("crv", "P-256") => {
            let point = [vec![4], member("x")?, member("y")?].concat();
            exactly(Some(point), 65, "a P-256 key").map(PublicKey::Bytes)
        }
        Class::RsaPkcs1 | Class::RsaPss if is("kty", "RSA") => {
            Ok(PublicKey::RsaNumbers { n: member("n")?, e: member("e")? })
        }
        _ => Err(format!("its JWK holds no key for {}", class.name())),
    }
}

impl PublicKey {
    /// Whether the signature is this key's over the message.
    pub(crate) fn verify(&self, scheme: &Scheme, message: &[u8], given: &[u8]) -> bool {
        let form = scheme.signature.as_ref().map(|spec| spec.form);
        let digest = scheme.digest.unwrap_or(Digest::Sha256);
        let outcome = match (self, scheme.class) {
            (PublicKey::Bytes(key), Class::Ed25519) => {
                signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(message, given)
            }
            (PublicKey::Bytes(key), Class::EcdsaP256) => {
                let algorithm = match form {
                    Some(EcdsaForm::Raw) => &signature::ECDSA_P256_SHA256_FIXED,
                    _ => &signature::ECDSA_P256_SHA256_ASN1,
                };
                signature::UnparsedPublicKey::new(algorithm, key).verify(message, given)
            }
            (PublicKey::Bytes(key), Class::RsaPkcs1 | Class::RsaPss) => {
                signature::UnparsedPublicKey::new(rsa(scheme.class, digest), key)
                    .verify(message, given)
            }
            (PublicKey::RsaNumbers { n, e }, Class::RsaPkcs1 | Class::RsaPss) => {
                signature::RsaPublicKeyComponents { n, e }.verify(
                    rsa(scheme.class, digest),
                    message,
                    given,
                )
            }
            _ => return false,
        };
        outcome.is_ok()
    }
}

fn rsa(class: Class, digest: Digest) -> &'static signature::RsaParameters {
    match (class, digest) {
        // PSS with SHA-1 is refused when the entry is checked.
        (Class::RsaPss, Digest::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        (Class::RsaPss, Digest::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        (Class::RsaPss, _) => &signature::RSA_PSS_2048_8192_SHA256,
        (_, Digest::Sha1) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (_, Digest::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (_, Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (_, Digest::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}
