//! One face for ring's hashes and for MD5, which ring does not have.
//!
//! Invariants: results live on the stack; comparing them is the business of `verifier`. Next: `md5`.

use ring::{digest, hmac};

use crate::md5::{Md5Context, Md5Key};
use crate::scheme::Digest;

/// The longest hash, SHA-512.
const HASH_BYTES_MAX: usize = 64;

/// A finished hash or HMAC.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; HASH_BYTES_MAX],
    length: usize,
}

impl Tag {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; HASH_BYTES_MAX];
        let length = from.len().min(HASH_BYTES_MAX);
        bytes[..length].copy_from_slice(&from[..length]);
        Tag { bytes, length }
    }
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A key for HMAC with any of the hashes.
pub(crate) enum MacKey {
    Ring(hmac::Key),
    Md5(Md5Key),
}

impl MacKey {
    pub fn new(digest: Digest, secret: &[u8]) -> Self {
        let algorithm = match digest {
            Digest::Md5 => return MacKey::Md5(Md5Key::new(secret)),
            Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => hmac::HMAC_SHA256,
            Digest::Sha384 => hmac::HMAC_SHA384,
            Digest::Sha512 => hmac::HMAC_SHA512,
        };
        MacKey::Ring(hmac::Key::new(algorithm, secret))
    }
}

/// A hash or HMAC in the making, fed piece by piece so that bodies are not copied.
pub(crate) enum Hasher {
    Mac(hmac::Context),
    Hash(digest::Context),
    Md5(Md5Context),
}

impl Hasher {
    pub fn keyed(key: &MacKey) -> Self {
        match key {
            MacKey::Ring(key) => Hasher::Mac(hmac::Context::with_key(key)),
            MacKey::Md5(key) => Hasher::Md5(Md5Context::hmac(key)),
        }
    }

    pub fn plain(digest: Digest) -> Self {
        let algorithm = match digest {
            Digest::Md5 => return Hasher::Md5(Md5Context::hash()),
            Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha384 => &digest::SHA384,
            Digest::Sha512 => &digest::SHA512,
        };
        Hasher::Hash(digest::Context::new(algorithm))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Mac(context) => context.update(bytes),
            Hasher::Hash(context) => context.update(bytes),
            Hasher::Md5(context) => context.update(bytes),
        }
    }

    pub fn finish(self) -> Tag {
        match self {
            Hasher::Mac(context) => Tag::new(context.sign().as_ref()),
            Hasher::Hash(context) => Tag::new(context.finish().as_ref()),
            Hasher::Md5(context) => Tag::new(&context.finish()),
        }
    }
}

/// The hash of one run of bytes.
pub(crate) fn hash(digest: Digest, bytes: &[u8]) -> Tag {
    let mut hasher = Hasher::plain(digest);
    hasher.update(bytes);
    hasher.finish()
}
