//! Signatures with private keys, for `becket sign` and tests.
//!
//! Invariants: keys are PKCS#8 PEM (an Ed25519 key may be a bare seed); the key never shows in an error.
//! Deliberately absent: RSA with SHA-1, which ring verifies and does not sign.

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};

use crate::error::SignError;
use crate::keys::key_bytes;
use crate::scheme::{Class, Digest};

/// An RSA signature with PKCS#1 v1.5 or PSS padding.
pub(crate) fn rsa_sign(
    class: Class,
    digest: Digest,
    private_key_text: &str,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let padding: &dyn signature::RsaEncoding = match (class, digest) {
        (Class::RsaPss, Digest::Sha256) => &signature::RSA_PSS_SHA256,
        (Class::RsaPss, Digest::Sha384) => &signature::RSA_PSS_SHA384,
        (Class::RsaPss, Digest::Sha512) => &signature::RSA_PSS_SHA512,
        (Class::RsaPkcs1, Digest::Sha256) => &signature::RSA_PKCS1_SHA256,
        (Class::RsaPkcs1, Digest::Sha384) => &signature::RSA_PKCS1_SHA384,
        (Class::RsaPkcs1, Digest::Sha512) => &signature::RSA_PKCS1_SHA512,
        _ => return Err(SignError::Unsupported { class: "RSA with an obsolete hash" }),
    };
    let bytes = key_bytes(private_key_text).map_err(|message| SignError::PrivateKey { message })?;
    let pair = RsaKeyPair::from_pkcs8(&bytes).map_err(|_| {
        unusable("it is no RSA key of 2048 to 4096 bits: give PKCS#8 PEM (`BEGIN PRIVATE KEY`)")
    })?;
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signed)
        .map_err(|_| unusable("signing with it failed"))?;
    Ok(signed)
}

/// An ECDSA signature.
pub(crate) fn ecdsa(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    private_key_text: &str,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let bytes = key_bytes(private_key_text).map_err(|message| SignError::PrivateKey { message })?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &bytes, &random).map_err(|_| {
        unusable("it is no key of the scheme's curve: give PKCS#8 PEM (`BEGIN PRIVATE KEY`)")
    })?;
    let signed = pair.sign(&random, message).map_err(|_| unusable("signing with it failed"))?;
    Ok(signed.as_ref().to_vec())
}

/// An Ed25519 signature; the key is PKCS#8 PEM or a seed of 32 bytes in hex or base64.
pub(crate) fn ed25519(private_key_text: &str, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let bytes = key_bytes(private_key_text).map_err(|message| SignError::PrivateKey { message })?;
    let pair = match bytes.len() {
        32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
        _ => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes),
    };
    let pair = pair.map_err(|_| {
        unusable("it is no Ed25519 key: give a seed of 32 bytes in hex or base64, or PKCS#8 PEM")
    })?;
    Ok(pair.sign(message).as_ref().to_vec())
}

fn unusable(message: &str) -> SignError {
    SignError::PrivateKey { message: message.to_owned() }
}
