//! Compact JWS tokens: reading, verifying, judging their times, and signing.
//!
//! Invariants: the entry pins the algorithms, and a key's kind decides which of them it may serve, so that a
//! public key never becomes an HMAC secret; `none` does not exist here; `crit` is refused except for the
//! unencoded payload of RFC 7797 where the entry says so. Deliberately absent: encrypted tokens, and keys
//! named by the token itself (`jwk`, `jku`, `x5u`, `x5c` are never looked at). Next: `typed_key`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::encoding::SIGNATURE_BYTES_MAX;
use crate::error::SignError;
use crate::keys::PublicKey;
use crate::rsa_signing;
use crate::scheme::{Class, Digest};
use crate::timestamp;
use crate::typed_key::TypedKey;
use crate::verdict::Refusal;

/// The longest header that is read, in characters.
const HEADER_MAX: usize = 8192;

/// How far `exp` and `nbf` may be missed, in seconds.
const LEEWAY_S: i64 = 60;

/// What a token must be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    /// The algorithms that are accepted; no other is.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Where the payload is, when the token does not carry it; the scheme's `message` is it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<Detached>,
}

/// How a payload outside the token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detached {
    /// In base64url, as RFC 7515, appendix F, has it.
    Base64url,
    /// As it is, with `b64: false` in the header (RFC 7797); tokens without it are read as `base64url`.
    Raw,
}

/// Signature algorithms of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl JwtAlgorithm {
    /// Every algorithm, for documentation and checks.
    pub const ALL: [JwtAlgorithm; 12] = [
        JwtAlgorithm::HS256,
        JwtAlgorithm::HS384,
        JwtAlgorithm::HS512,
        JwtAlgorithm::RS256,
        JwtAlgorithm::RS384,
        JwtAlgorithm::RS512,
        JwtAlgorithm::PS256,
        JwtAlgorithm::PS384,
        JwtAlgorithm::PS512,
        JwtAlgorithm::ES256,
        JwtAlgorithm::ES384,
        JwtAlgorithm::EdDSA,
    ];

    /// The name as in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            JwtAlgorithm::HS256 => "HS256",
            JwtAlgorithm::HS384 => "HS384",
            JwtAlgorithm::HS512 => "HS512",
            JwtAlgorithm::RS256 => "RS256",
            JwtAlgorithm::RS384 => "RS384",
            JwtAlgorithm::RS512 => "RS512",
            JwtAlgorithm::PS256 => "PS256",
            JwtAlgorithm::PS384 => "PS384",
            JwtAlgorithm::PS512 => "PS512",
            JwtAlgorithm::ES256 => "ES256",
            JwtAlgorithm::ES384 => "ES384",
            JwtAlgorithm::EdDSA => "EdDSA",
        }
    }

    /// Whether the key is a shared secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, JwtAlgorithm::HS256 | JwtAlgorithm::HS384 | JwtAlgorithm::HS512)
    }

    fn digest(self) -> Digest {
        match self {
            JwtAlgorithm::HS384
            | JwtAlgorithm::RS384
            | JwtAlgorithm::PS384
            | JwtAlgorithm::ES384 => Digest::Sha384,
            JwtAlgorithm::HS512 | JwtAlgorithm::RS512 | JwtAlgorithm::PS512 => Digest::Sha512,
            _ => Digest::Sha256,
        }
    }
}

impl JwtSpec {
    /// What contradicts itself, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let names: Vec<&str> = JwtAlgorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        self.algorithms
            .is_empty()
            .then(|| format!("`jwt.algorithms` is empty: name some of {}", names.join(", ")))
    }
}

/// A token that has been taken apart; nothing about it is proven yet.
pub(crate) struct Token<'t> {
    algorithm: Option<JwtAlgorithm>,
    key_id: Option<String>,
    /// The header as JSON text.
    header: Vec<u8>,
    /// Header, dot and payload as they stand, in base64url; the payload is empty when it is detached.
    signed: &'t str,
    claims: Vec<u8>,
    signature: Vec<u8>,
    /// The payload is signed as it is.
    unencoded: bool,
    /// The payload is elsewhere.
    detached: bool,
}

/// The members of a header that are looked at. A name that comes twice is an error of serde's.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Vec<String>>,
    #[serde(default)]
    b64: Option<bool>,
}

impl<'t> Token<'t> {
    /// Takes a compact token apart; `None` when it is none, or demands what is not understood here.
    pub(crate) fn parse(text: &'t str) -> Option<Token<'t>> {
        let (header, rest) = text.split_once('.')?;
        let (payload, signature) = rest.split_once('.')?;
        if header.len() > HEADER_MAX || signature.len() > SIGNATURE_BYTES_MAX * 2 {
            return None;
        }
        let header_json = URL_SAFE_NO_PAD.decode(header).ok()?;
        let read: Header = object(&header_json)?;
        let unencoded = match (read.crit, read.b64) {
            (None, None | Some(true)) => false,
            (Some(names), Some(false)) if names == ["b64"] => true,
            _ => return None,
        };
        // A payload that is carried unencoded could hold anything, dots included; nobody sends that.
        if unencoded && !payload.is_empty() {
            return None;
        }
        Some(Token {
            algorithm: JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == read.alg),
            key_id: read.kid,
            header: header_json,
            signed: &text[..header.len() + 1 + payload.len()],
            claims: URL_SAFE_NO_PAD.decode(payload).ok()?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok().filter(|bytes| !bytes.is_empty())?,
            unencoded,
            detached: payload.is_empty(),
        })
    }

    /// The algorithm of the header; `None` when it is `none` or unknown.
    pub(crate) fn algorithm(&self) -> Option<JwtAlgorithm> {
        self.algorithm
    }

    /// The key's id in the header.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// A member of the header as text, such as `kid` or a time of sending.
    pub(crate) fn header_member(&self, name: &str) -> Option<String> {
        let header: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&self.header).ok()?;
        match header.get(name)? {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The payload's bytes: the claims as JSON text. Empty when the payload is detached.
    pub(crate) fn claims(&self) -> &[u8] {
        &self.claims
    }

    /// What the signature is over; `None` when the token is not of the kind that the entry wants.
    fn signed_text(&self, spec: &JwtSpec, message: Option<&[u8]>) -> Option<Cow<'t, [u8]>> {
        match (spec.detached, message) {
            (None, _) if self.detached || self.unencoded => None,
            (None, _) => Some(Cow::Borrowed(self.signed.as_bytes())),
            (Some(kind), Some(message)) => {
                if !self.detached || (self.unencoded && kind != Detached::Raw) {
                    return None;
                }
                let mut text = self.signed.as_bytes().to_vec();
                if self.unencoded {
                    text.extend_from_slice(message);
                } else {
                    text.extend_from_slice(URL_SAFE_NO_PAD.encode(message).as_bytes());
                }
                Some(Cow::Owned(text))
            }
            (Some(_), None) => None,
        }
    }
}

/// A key for tokens, bound to the algorithms of its kind.
pub(crate) enum JwtKey {
    Secret(Zeroizing<Vec<u8>>),
    Public(TypedKey),
}

impl JwtKey {
    /// A shared secret for the HMAC algorithms. Whoever pastes a public key here would let everybody sign
    /// who knows it, so that PEM and keys in JSON are refused.
    pub(crate) fn secret(bytes: &[u8]) -> Result<JwtKey, String> {
        let text = bytes.trim_ascii_start();
        if text.starts_with(b"-----BEGIN") || text.starts_with(b"{") {
            return Err(
                "it is a key in PEM or JSON form, not a shared secret: give it as the public key"
                    .to_owned(),
            );
        }
        Ok(JwtKey::Secret(Zeroizing::new(bytes.to_vec())))
    }

    /// A public key in any of the usual forms; its kind decides which algorithms it serves.
    pub(crate) fn public(text: &str, spec: &JwtSpec) -> Result<JwtKey, String> {
        let key = TypedKey::parse(text)?;
        if spec.algorithms.iter().any(|algorithm| serves(&key, *algorithm)) {
            Ok(JwtKey::Public(key))
        } else {
            let names: Vec<&str> =
                spec.algorithms.iter().map(|algorithm| algorithm.name()).collect();
            Err(format!(
                "it is {} key, and the provider signs with {}",
                key.kind(),
                names.join(", ")
            ))
        }
    }

    /// Whether the token's signature is this key's. `message` is the payload outside the token, if the entry
    /// says that it is there.
    pub(crate) fn verifies(
        &self,
        token: &Token<'_>,
        spec: &JwtSpec,
        message: Option<&[u8]>,
    ) -> bool {
        let Some(algorithm) = token.algorithm.filter(|wanted| spec.algorithms.contains(wanted))
        else {
            return false;
        };
        let Some(text) = token.signed_text(spec, message) else {
            return false;
        };
        match self {
            JwtKey::Secret(secret) if algorithm.is_symmetric() => {
                let key = hmac::Key::new(hmac_of(algorithm), secret);
                hmac::verify(&key, &text, &token.signature).is_ok()
            }
            JwtKey::Public(key) if serves(key, algorithm) => {
                verify_public(key, algorithm, &text, &token.signature)
            }
            _ => false,
        }
    }
}

/// The key's id in the header of a compact token; `None` when there is none, or it is no token.
pub fn token_key_id(text: &str) -> Option<String> {
    Token::parse(text)?.key_id
}

/// The claims of a compact token, as JSON text, if this public key (a JWK, PEM or DER) made its signature
/// with one of these algorithms; `None` otherwise. Times, issuer and audience are the caller's to judge.
pub fn token_claims(text: &str, key: &str, algorithms: &[JwtAlgorithm]) -> Option<Vec<u8>> {
    let token = Token::parse(text)?;
    let spec = JwtSpec { algorithms: algorithms.to_vec(), detached: None };
    let key = JwtKey::public(key, &spec).ok()?;
    key.verifies(&token, &spec, None).then_some(token.claims)
}

fn hmac_of(algorithm: JwtAlgorithm) -> hmac::Algorithm {
    match algorithm.digest() {
        Digest::Sha384 => hmac::HMAC_SHA384,
        Digest::Sha512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

/// Whether a key is of the kind that an algorithm needs.
fn serves(key: &TypedKey, algorithm: JwtAlgorithm) -> bool {
    match algorithm {
        JwtAlgorithm::HS256 | JwtAlgorithm::HS384 | JwtAlgorithm::HS512 => false,
        JwtAlgorithm::ES256 => matches!(key, TypedKey::P256(_)),
        JwtAlgorithm::ES384 => matches!(key, TypedKey::P384(_)),
        JwtAlgorithm::EdDSA => matches!(key, TypedKey::Ed25519(_)),
        _ => matches!(key, TypedKey::Rsa(_)),
    }
}

fn verify_public(key: &TypedKey, algorithm: JwtAlgorithm, text: &[u8], given: &[u8]) -> bool {
    use JwtAlgorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    let outcome = match (key, algorithm) {
        (TypedKey::Rsa(key), _) => {
            let parameters = match algorithm {
                RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                PS256 => &signature::RSA_PSS_2048_8192_SHA256,
                PS384 => &signature::RSA_PSS_2048_8192_SHA384,
                PS512 => &signature::RSA_PSS_2048_8192_SHA512,
                _ => return false,
            };
            match key {
                PublicKey::Bytes(der) => {
                    signature::UnparsedPublicKey::new(parameters, der).verify(text, given)
                }
                PublicKey::RsaNumbers { n, e } => {
                    signature::RsaPublicKeyComponents { n, e }.verify(parameters, text, given)
                }
            }
        }
        (TypedKey::P256(point), _) => {
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(text, given)
        }
        (TypedKey::P384(point), _) => {
            signature::UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                .verify(text, given)
        }
        (TypedKey::Ed25519(key), _) => {
            signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(text, given)
        }
    };
    outcome.is_ok()
}

/// The times that a token may carry. Fractions of seconds exist in the wild.
#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    exp: Option<serde_json::Value>,
    #[serde(default)]
    nbf: Option<serde_json::Value>,
}

/// Judges `exp` and `nbf` with a minute of leeway; claims without them pass, and so does a token whose
/// payload is elsewhere.
pub(crate) fn judge_times(claims: &[u8], now_s: i64) -> Result<(), Refusal> {
    if claims.is_empty() {
        return Ok(());
    }
    let times: Times = object(claims).ok_or(Refusal::MalformedTimestamp)?;
    let seconds = |value: Option<serde_json::Value>| match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => whole_seconds(&value).map(Some).ok_or(Refusal::MalformedTimestamp),
    };
    if let Some(exp) = seconds(times.exp)?
        && now_s.saturating_sub(LEEWAY_S) >= exp
    {
        return Err(Refusal::Stale);
    }
    match seconds(times.nbf)? {
        Some(nbf) if now_s.saturating_add(LEEWAY_S) < nbf => Err(Refusal::FromFuture),
        _ => Ok(()),
    }
}

/// Reads a JSON object. By itself serde would take a list for a struct as well.
fn object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(json).ok())?
}

fn whole_seconds(value: &serde_json::Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let text = value.as_number()?.to_string();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    timestamp::parse(whole, crate::scheme::TimestampUnit::S)
}

/// Signs claims (a JSON text) with the entry's first algorithm. The secret is the bytes of a shared secret
/// for the HMAC algorithms, and PKCS#8 PEM for the others. With a detached payload the claims are that payload.
pub(crate) fn sign(
    spec: &JwtSpec,
    secret_bytes: &[u8],
    secret_text: &str,
    claims_json: &str,
    key_id: Option<&str>,
) -> Result<String, SignError> {
    let algorithm = *spec.algorithms.first().ok_or(SignError::Unsupported { class: "jwt" })?;
    let mut header = serde_json::Map::new();
    header.insert("alg".to_owned(), algorithm.name().into());
    header.insert("typ".to_owned(), "JWT".into());
    if let Some(key_id) = key_id {
        header.insert("kid".to_owned(), key_id.into());
    }
    let unencoded = spec.detached == Some(Detached::Raw);
    if unencoded {
        header.insert("b64".to_owned(), false.into());
        header.insert("crit".to_owned(), serde_json::json!(["b64"]));
    }
    let header = URL_SAFE_NO_PAD.encode(serde_json::Value::Object(header).to_string());
    let payload = URL_SAFE_NO_PAD.encode(claims_json);
    let mut text = format!("{header}.").into_bytes();
    text.extend_from_slice(if unencoded { claims_json.as_bytes() } else { payload.as_bytes() });
    let signature = signature_over(&text, algorithm, secret_bytes, secret_text)?;
    let carried = if spec.detached.is_some() { "" } else { payload.as_str() };
    Ok(format!("{header}.{carried}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn signature_over(
    text: &[u8],
    algorithm: JwtAlgorithm,
    secret_bytes: &[u8],
    secret_text: &str,
) -> Result<Vec<u8>, SignError> {
    use JwtAlgorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512};
    match algorithm {
        HS256 | HS384 | HS512 => {
            let key = hmac::Key::new(hmac_of(algorithm), secret_bytes);
            Ok(hmac::sign(&key, text).as_ref().to_vec())
        }
        ES256 => rsa_signing::ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, secret_text, text),
        ES384 => rsa_signing::ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, secret_text, text),
        EdDSA => rsa_signing::ed25519(secret_text, text),
        PS256 | PS384 | PS512 => {
            rsa_signing::rsa_sign(Class::RsaPss, algorithm.digest(), secret_text, text)
        }
        _ => rsa_signing::rsa_sign(Class::RsaPkcs1, algorithm.digest(), secret_text, text),
    }
}

#[cfg(test)]
mod tests;
