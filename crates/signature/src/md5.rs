//! MD5 and HMAC-MD5, for the few senders that still use them.
//!
//! Invariant: nothing of ours relies on MD5; an entry has to name it. HMAC-MD5 has no known forgery, a plain
//! MD5 with the secret inside is what its sender chose.

use ::md5::{Digest, Md5};
use hmac::{Hmac, Mac};

/// A key for HMAC-MD5.
pub(crate) struct Md5Key(Hmac<Md5>);

impl Md5Key {
    pub fn new(secret: &[u8]) -> Self {
        // The error is the trait's, for other constructions.
        Md5Key(Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"))
    }
}

/// A hash in the making, keyed or not.
pub(crate) enum Md5Context {
    Hash(Md5),
    Hmac(Box<Hmac<Md5>>),
}

impl Md5Context {
    pub fn hash() -> Self {
        Md5Context::Hash(Md5::new())
    }

    pub fn hmac(key: &Md5Key) -> Self {
        Md5Context::Hmac(Box::new(key.0.clone()))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Md5Context::Hash(context) => Digest::update(context, bytes),
            Md5Context::Hmac(context) => Mac::update(&mut **context, bytes),
        }
    }

    pub fn finish(self) -> [u8; 16] {
        match self {
            Md5Context::Hash(context) => context.finalize().into(),
            Md5Context::Hmac(context) => context.finalize().into_bytes().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_1321_and_rfc_2202() {
        for (text, hash) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ] {
            let mut context = Md5Context::hash();
            context.update(text.as_bytes());
            assert_eq!(hex::encode(context.finish()), hash);
        }
        for (key, text, tag) in [
            (vec![0x0b; 16], b"Hi There".to_vec(), "9294727a3638bb1c13f48ef8158bfc9d"),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "750c783e6ab0b503eaa86e310a5db738",
            ),
            (vec![0xaa; 16], vec![0xdd; 50], "56be34521d144c88dbb8c733f0e8b3f6"),
            (
                vec![0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
        ] {
            let mut context = Md5Context::hmac(&Md5Key::new(&key));
            let (first, rest) = text.split_at(3);
            context.update(first);
            context.update(rest);
            assert_eq!(hex::encode(context.finish()), tag);
        }
    }
}
