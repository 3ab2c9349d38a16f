//! From what the operator pastes to keys that can verify.
//!
//! Invariants: done once per verifier; error texts say what form is expected and never show the value.
//! Public keys are recognised by their form: PEM, JWK, hex, base64. Next: `der` for the ASN.1 inside.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::signature::{self, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::der;
use crate::encoding::base64_any;
use crate::hashing::{MacKey, Tag, hash};
use crate::jwt::JwtKey;
use crate::scheme::{Class, Digest, EcdsaForm, KeySpec, KeyStep, Scheme};

/// A key that is ready for use.
pub(crate) enum Key {
    Hmac(MacKey),
    /// The secret's bytes, for messages that contain it.
    Bytes(Zeroizing<Vec<u8>>),
    /// The SHA-256 of a token, so that comparing takes the same time for every length.
    TokenHash(Tag),
    Public(PublicKey),
    Jwt(JwtKey),
}

/// A public key in the form that ring takes.
pub(crate) enum PublicKey {
    /// 32 bytes (Ed25519), an uncompressed point (P-256, P-384) or PKCS#1 DER (RSA).
    Bytes(Vec<u8>),
    /// Modulus and exponent of an RSA key.
    RsaNumbers { n: Vec<u8>, e: Vec<u8> },
}

/// Turns a secret into the key's bytes; the first that the entry's steps allow.
pub(crate) fn transform(secret: &str, spec: &KeySpec) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut all = transform_all(secret, spec)?;
    Ok(all.swap_remove(0))
}

/// Every key that a secret stands for: one, unless the entry names several chains of steps. Never empty.
fn transform_all(secret: &str, spec: &KeySpec) -> Result<Vec<Zeroizing<Vec<u8>>>, String> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err("it is empty".to_owned());
    }
    if spec.any.is_empty() {
        let rule = spec.when.iter().find(|rule| secret.starts_with(&rule.prefix));
        let steps = rule.map_or(&spec.transform, |rule| &rule.transform);
        return Ok(vec![apply_steps(secret, steps)?]);
    }
    let outcomes: Vec<_> = spec.any.iter().map(|steps| apply_steps(secret, steps)).collect();
    let problem = outcomes.iter().find_map(|outcome| outcome.as_ref().err().cloned());
    let keys: Vec<_> = outcomes.into_iter().filter_map(Result::ok).collect();
    if keys.is_empty() { Err(problem.unwrap_or_default()) } else { Ok(keys) }
}

fn apply_steps(secret: &str, steps: &[KeyStep]) -> Result<Zeroizing<Vec<u8>>, String> {
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
            KeyStep::Append(text) => [&bytes[..], text.as_bytes()].concat(),
            KeyStep::Prepend(text) => [text.as_bytes(), &bytes[..]].concat(),
            KeyStep::Lower => bytes.to_ascii_lowercase(),
            KeyStep::Nfkd => icu_normalizer::DecomposingNormalizerBorrowed::new_nfkd()
                .normalize(&String::from_utf8_lossy(&bytes))
                .into_owned()
                .into_bytes(),
            KeyStep::Md5 => hash(Digest::Md5, &bytes).as_ref().to_vec(),
            KeyStep::Sha1 => hash(Digest::Sha1, &bytes).as_ref().to_vec(),
            KeyStep::Sha256 => hash(Digest::Sha256, &bytes).as_ref().to_vec(),
            KeyStep::Sha512 => hash(Digest::Sha512, &bytes).as_ref().to_vec(),
        };
        bytes = Zeroizing::new(next);
    }
    if bytes.is_empty() {
        return Err("nothing is left of it after removing its prefix".to_owned());
    }
    Ok(bytes)
}

/// Prepares a shared secret for a scheme: one key, or several where the entry names several chains of steps.
pub(crate) fn prepare_secret(secret: &str, scheme: &Scheme) -> Result<Vec<Key>, String> {
    let digest = scheme.digest.unwrap_or(Digest::Sha256);
    transform_all(secret, &scheme.key)?
        .into_iter()
        .map(|bytes| {
            Ok(match scheme.class {
                Class::Hmac => Key::Hmac(MacKey::new(digest, &bytes)),
                Class::Jwt => Key::Jwt(JwtKey::secret(&bytes)?),
                Class::Token | Class::Basic => Key::TokenHash(hash(Digest::Sha256, &bytes)),
                _ => Key::Bytes(bytes),
            })
        })
        .collect()
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
    if let Some(spec) = &scheme.jwt {
        return JwtKey::public(text, spec).map(Key::Jwt);
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
        Class::EcdsaP256 => point(bytes, 65, "a P-256 key")?,
        Class::EcdsaP384 => point(bytes, 97, "a P-384 key")?,
        _ => match der::spki_key(&bytes) {
            Some(inner) => inner,
            None if der::is_pkcs1(&bytes) => bytes,
            None => return Err("it is no RSA public key in PEM or DER form".to_owned()),
        },
    };
    Ok(Key::Public(PublicKey::Bytes(key)))
}

/// An uncompressed point, alone or in its wrapping.
fn point(bytes: Vec<u8>, length: usize, what: &str) -> Result<Vec<u8>, String> {
    match bytes.first() {
        Some(4) if bytes.len() == length => Ok(bytes),
        Some(2 | 3) if bytes.len() == length / 2 + 1 => {
            Err("it is a compressed point: give the key as PEM or as an uncompressed point"
                .to_owned())
        }
        _ => exactly(der::spki_key(&bytes), length, what),
    }
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
        Class::EcdsaP384 if is("kty", "EC") && is("crv", "P-384") => {
            let point = [vec![4], member("x")?, member("y")?].concat();
            exactly(Some(point), 97, "a P-384 key").map(PublicKey::Bytes)
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
        let form = scheme.signature.as_ref().map(|spec| spec.form).unwrap_or_default();
        let digest = scheme.digest.unwrap_or(match scheme.class {
            Class::EcdsaP384 => Digest::Sha384,
            _ => Digest::Sha256,
        });
        let outcome = match (self, scheme.class) {
            (PublicKey::Bytes(key), Class::Ed25519) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, given)
            }
            (PublicKey::Bytes(key), Class::EcdsaP256 | Class::EcdsaP384) => {
                match ecdsa(scheme.class, digest, form) {
                    Some(algorithm) => {
                        UnparsedPublicKey::new(algorithm, key).verify(message, given)
                    }
                    None => return sha1_over_p256(key, form, message, given),
                }
            }
            (PublicKey::Bytes(key), Class::RsaPkcs1 | Class::RsaPss) => {
                UnparsedPublicKey::new(rsa(scheme.class, digest), key).verify(message, given)
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

/// What ring verifies; `None` for SHA-1, which it does not have for these curves.
fn ecdsa(
    class: Class,
    digest: Digest,
    form: EcdsaForm,
) -> Option<&'static signature::EcdsaVerificationAlgorithm> {
    Some(match (class, digest, form) {
        (Class::EcdsaP256, Digest::Sha256, EcdsaForm::Der) => &signature::ECDSA_P256_SHA256_ASN1,
        (Class::EcdsaP256, Digest::Sha256, EcdsaForm::Raw) => &signature::ECDSA_P256_SHA256_FIXED,
        (Class::EcdsaP384, Digest::Sha384, EcdsaForm::Der) => &signature::ECDSA_P384_SHA384_ASN1,
        (Class::EcdsaP384, Digest::Sha384, EcdsaForm::Raw) => &signature::ECDSA_P384_SHA384_FIXED,
        (Class::EcdsaP384, Digest::Sha256, EcdsaForm::Der) => &signature::ECDSA_P384_SHA256_ASN1,
        _ => return None,
    })
}

/// Obsolete, and still what one large marketplace signs with.
fn sha1_over_p256(key: &[u8], form: EcdsaForm, message: &[u8], given: &[u8]) -> bool {
    use p256::ecdsa::{Signature, VerifyingKey};
    let signature = match form {
        EcdsaForm::Der => Signature::from_der(given),
        EcdsaForm::Raw => Signature::from_slice(given),
    };
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(key), signature) else {
        return false;
    };
    key.verify_prehash(hash(Digest::Sha1, message).as_ref(), &signature).is_ok()
}

fn rsa(class: Class, digest: Digest) -> &'static signature::RsaParameters {
    match (class, digest) {
        // PSS with SHA-1, and anything with MD5, is refused when the entry is checked.
        (Class::RsaPss, Digest::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        (Class::RsaPss, Digest::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        (Class::RsaPss, _) => &signature::RSA_PSS_2048_8192_SHA256,
        (_, Digest::Sha1) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (_, Digest::Sha256 | Digest::Md5) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (_, Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (_, Digest::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}
