//! Secrets for tests: new ones that fit an entry, and the public half of a private key.
//!
//! Key pairs of ECDSA are drawn by the library that makes them; every other secret is made of the caller's bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use becket_signature::{
    Class, CredentialKind, Credentials, Entry, KeyStep, Scheme, Verifier, VerifierOptions,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING};
use ring::signature::{
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};

use super::TriggerError;

/// What stands before an Ed25519 key in its SubjectPublicKeyInfo.
const ED25519_SPKI: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before a P-256 point in its SubjectPublicKeyInfo (RFC 5480).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The same for P-384.
const P384_SPKI: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// A secret for tests.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// What signs: a shared secret, or a private key.
    pub secret: String,
    /// What the handler verifies with, when that is another thing: a public key in base64 (DER), and in
    /// hexadecimal where people give it so.
    pub public_keys: Vec<String>,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewSecret").field("public_keys", &self.public_keys.len()).finish()
    }
}

/// Makes a secret of the form that an entry's first scheme takes, of 32 random bytes.
pub fn new_secret(
    entry: &std::sync::Arc<Entry>,
    random: [u8; 32],
) -> Result<NewSecret, TriggerError> {
    let Some(scheme) = entry.schemes.first().filter(|scheme| scheme.class != Class::None) else {
        return Err(TriggerError::Secret(format!(
            "{} signs nothing: it needs no secret",
            entry.name
        )));
    };
    match kind_of(scheme) {
        Class::Ed25519 => {
            let secret = hex::encode(random);
            let pair = Ed25519KeyPair::from_seed_unchecked(&random).map_err(|_| not_made(entry))?;
            let public = pair.public_key().as_ref();
            let wrapped = STANDARD.encode([ED25519_SPKI, public].concat());
            Ok(NewSecret { secret, public_keys: vec![hex::encode(public), wrapped] })
        }
        Class::EcdsaP256 => {
            let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
            let made = made.map_err(|_| not_made(entry))?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &SystemRandom::new());
            let pair = pair.map_err(|_| not_made(entry))?;
            let wrapped = STANDARD.encode([P256_SPKI, pair.public_key().as_ref()].concat());
            Ok(NewSecret { secret: STANDARD.encode(made.as_ref()), public_keys: vec![wrapped] })
        }
        Class::EcdsaP384 | Class::RsaPkcs1 | Class::RsaPss => {
            Err(TriggerError::Secret(openssl(entry)))
        }
        _ => shared(entry, scheme, random),
    }
}

fn not_made(entry: &Entry) -> TriggerError {
    TriggerError::Secret(format!("no key for {} could be made", entry.name))
}

fn openssl(entry: &Entry) -> String {
    let how = match entry.schemes.first().map(kind_of) {
        Some(Class::EcdsaP384) => "EC -pkeyopt ec_paramgen_curve:P-384",
        _ => "RSA -pkeyopt rsa_keygen_bits:2048",
    };
    format!(
        "{} signs with a key of this kind: openssl genpkey -algorithm {how} -out test.pem; give it with \
         --private-key @test.pem, and the handler what `openssl pkey -in test.pem -pubout` prints",
        entry.name
    )
}

/// The first form that the entry takes.
fn shared(
    entry: &std::sync::Arc<Entry>,
    scheme: &Scheme,
    random: [u8; 32],
) -> Result<NewSecret, TriggerError> {
    let labelled =
        |prefix: &str| entry.credentials().iter().any(|spec| spec.label.contains(prefix));
    let strips = |prefix: &str| {
        let steps = scheme
            .key
            .transform
            .iter()
            .chain(scheme.key.when.iter().flat_map(|when| &when.transform));
        let mut steps = steps.chain(scheme.key.any.iter().flatten());
        steps.any(|step| matches!(step, KeyStep::StripPrefix(text) if text == prefix))
            || scheme.key.when.iter().any(|when| when.prefix == prefix)
    };
    let whole = hex::encode(random);
    let coded = STANDARD.encode(random);
    let mut forms = Vec::new();
    if labelled("whsec_") || strips("whsec_") {
        forms.push(format!("whsec_{coded}"));
    }
    if scheme.class == Class::Basic {
        forms.push(format!("becket:{whole}"));
    }
    forms.extend([whole, coded]);
    let named = entry
        .credentials()
        .iter()
        .filter(|spec| spec.kind == CredentialKind::Named)
        .map(|spec| (spec.name.clone(), "x".to_owned()))
        .collect::<std::collections::BTreeMap<_, _>>();
    let fits = |secret: &String| {
        let credentials = Credentials::new(vec![secret.clone()], Vec::new(), named.clone());
        Verifier::new(std::sync::Arc::clone(entry), &credentials, &VerifierOptions::default())
            .is_ok()
    };
    let secret = forms.into_iter().find(fits).ok_or_else(|| not_made(entry))?;
    Ok(NewSecret { secret, public_keys: Vec::new() })
}

/// The public half of a private key for one of the entry's schemes, in a form that a verifier takes. `None`
/// when the text is no private key of that kind, such as a shared secret.
pub fn public_key_of(entry: &Entry, private: &str) -> Option<String> {
    entry.schemes.iter().find_map(|scheme| match kind_of(scheme) {
        Class::Ed25519 => ed25519(private),
        Class::EcdsaP256 => ecdsa(private, &ECDSA_P256_SHA256_ASN1_SIGNING, P256_SPKI),
        Class::EcdsaP384 => ecdsa(private, &ECDSA_P384_SHA384_ASN1_SIGNING, P384_SPKI),
        Class::RsaPkcs1 | Class::RsaPss => rsa(private),
        _ => None,
    })
}

/// The class of the keys: that of the scheme, or for tokens that of their first algorithm.
fn kind_of(scheme: &Scheme) -> Class {
    let algorithm = scheme.jwt.as_ref().and_then(|spec| spec.algorithms.first());
    match algorithm.map(|name| name.name()) {
        None => scheme.class,
        Some("EdDSA") => Class::Ed25519,
        Some("ES256") => Class::EcdsaP256,
        Some("ES384") => Class::EcdsaP384,
        Some(name) if name.starts_with("HS") => Class::Hmac,
        Some(_) => Class::RsaPkcs1,
    }
}

/// The bytes of PEM, hexadecimal or base64.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let inner = match text.split_once("-----BEGIN ") {
        Some((_, after)) => {
            after.split_once("-----")?.1.split_once("-----END ")?.0.replace("\\n", "")
        }
        None => text.to_owned(),
    };
    let inner: String = inner.chars().filter(|character| !character.is_whitespace()).collect();
    let is_hex =
        inner.len().is_multiple_of(2) && inner.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { hex::decode(inner).ok() } else { STANDARD.decode(inner).ok() }
}

fn ed25519(private: &str) -> Option<String> {
    let bytes = bytes_of(private.trim().strip_prefix("whsk_").unwrap_or(private))?;
    let pair = match bytes.len() {
        32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
        64 => Ed25519KeyPair::from_seed_unchecked(&bytes[..32]),
        _ => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes),
    };
    Some(hex::encode(pair.ok()?.public_key().as_ref()))
}

fn ecdsa(private: &str, algorithm: &'static EcdsaSigningAlgorithm, spki: &[u8]) -> Option<String> {
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, &bytes_of(private)?, &SystemRandom::new()).ok()?;
    Some(STANDARD.encode([spki, pair.public_key().as_ref()].concat()))
}

fn rsa(private: &str) -> Option<String> {
    let pair = RsaKeyPair::from_pkcs8(&bytes_of(private)?).ok()?;
    let numbers = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (number(&numbers.n), number(&numbers.e));
    Some(format!("{{\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"{e}\"}}"))
}
