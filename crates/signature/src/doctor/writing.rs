//! Signatures that are right and written otherwise: another encoding, prefix, hash function or header.

use super::Trials;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::scheme::{Class, Digest, Encoding, Scheme};
use crate::template::{OneOrMany, Place};

const ENCODINGS: [(Encoding, &str); 4] = [
    (Encoding::Hex, "hexadecimal"),
    (Encoding::Base64, "base64"),
    (Encoding::Base64url, "URL-safe base64"),
    (Encoding::Base64Hex, "base64 of hexadecimal"),
];

const DIGESTS: [(Digest, &str, &str); 5] = [
    (Digest::Sha256, "SHA-256", "sha256="),
    (Digest::Sha1, "SHA-1", "sha1="),
    (Digest::Sha512, "SHA-512", "sha512="),
    (Digest::Sha384, "SHA-384", "sha384="),
    (Digest::Md5, "MD5", "md5="),
];

/// Headers looked at for a signature.
const HEADERS_MAX: usize = 60;

impl Trials<'_> {
    pub(super) fn encoding(&self) -> Option<Finding> {
        for keep_prefix in [true, false] {
            for (encoding, name) in ENCODINGS {
                let passes = self.passes_with_schemes(|scheme| {
                    let sends_secret = matches!(scheme.class, Class::Token | Class::Basic);
                    if let Some(spec) = scheme.signature.as_mut().filter(|_| !sends_secret) {
                        spec.encoding = encoding;
                        if !keep_prefix {
                            spec.prefix = String::new();
                        }
                    }
                });
                if passes {
                    return Some(self.written(encoding, name, keep_prefix));
                }
            }
        }
        None
    }

    fn written(&self, encoding: Encoding, name: &str, keep_prefix: bool) -> Finding {
        let spec = self.verifier.entry.schemes.iter().find_map(|scheme| scheme.signature.as_ref());
        let wanted = spec.and_then(|spec| {
            ENCODINGS.iter().find(|(known, _)| *known == spec.encoding).map(|(_, name)| *name)
        });
        let prefix = spec.map(|spec| spec.prefix.clone()).unwrap_or_default();
        let provider = &self.verifier.entry.name;
        let same = spec.is_some_and(|spec| spec.encoding == encoding);
        let sentence = match (keep_prefix, same) {
            (false, true) => {
                format!("The signature is right, but it came without its prefix `{prefix}`.")
            }
            (false, false) => format!(
                "The signature is right, but it is written in {name} and without its prefix `{prefix}`, where {provider} has {}.",
                wanted.unwrap_or("another encoding")
            ),
            (true, _) => format!(
                "The signature is right, but it is written in {name}, where {provider} has {}.",
                wanted.unwrap_or("another encoding")
            ),
        };
        finding(
            LikelyCause::WrongEncoding,
            sentence,
            "The sender writes signatures differently from this provider's entry: choose another provider or adapt an own entry.",
        )
    }

    pub(super) fn algorithm(&self) -> Option<Finding> {
        let (_, name) = DIGESTS
            .into_iter()
            .flat_map(|(digest, name, prefix)| [(digest, name, None), (digest, name, Some(prefix))])
            .find(|(digest, _, prefix)| {
                self.passes_with_schemes(|scheme| with_digest(scheme, *digest, *prefix))
            })
            .map(|(digest, name, _)| (digest, name))?;
        let wanted = self.verifier.entry.schemes.iter().find_map(|scheme| scheme.digest);
        let wanted = DIGESTS.iter().find(|(known, _, _)| Some(*known) == wanted);
        Some(finding(
            LikelyCause::WrongAlgorithm,
            format!(
                "The signature is right, but it is made with {name}, where {} has {}.",
                self.verifier.entry.name,
                wanted.map_or("another hash function", |(_, name, _)| name)
            ),
            "Choose the hash function that is wanted at the sender, or the provider that really sends.",
        ))
    }

    /// The signature is in another header: one with which the request passes.
    pub(super) fn other_header(&self) -> Option<Finding> {
        for name in self.request.headers.keys().take(HEADERS_MAX) {
            let Ok(place) = Place::parse(&format!("header:{name}")) else {
                continue;
            };
            let moved = |scheme: &mut Scheme| {
                if let Some(spec) = &mut scheme.signature {
                    spec.at = OneOrMany::one(place.clone());
                }
            };
            if self.passes_with_schemes(moved) {
                return Some(finding(
                    LikelyCause::WrongHeader,
                    format!(
                        "The signature is right, but it came in {name} instead of {}.",
                        self.verifier.places().join(" or ")
                    ),
                    "The sender uses another header than this provider's entry: choose another provider or adapt an own entry.",
                ));
            }
            let weaker = DIGESTS.into_iter().find(|(digest, _, prefix)| {
                let begins = self.request.headers[name].as_bytes().starts_with(prefix.as_bytes());
                begins
                    && self.passes_with_schemes(|scheme| {
                        moved(scheme);
                        with_digest(scheme, *digest, Some(prefix));
                    })
            });
            if let Some((_, digest, _)) = weaker {
                return Some(finding(
                    LikelyCause::WrongAlgorithm,
                    format!(
                        "There is no signature at {}; the one in {name} is right, but it is made with {digest}.",
                        self.verifier.places().join(" or ")
                    ),
                    "The sender, or a proxy, leaves the stronger signature out: choose the stronger hash function at the sender.",
                ));
            }
        }
        None
    }

    /// A header that is called like a signature.
    pub(super) fn named_like_one(&self) -> Option<Finding> {
        let looks = |name: &str| {
            ["signature", "hmac", "webhook-sig"].iter().any(|part| name.contains(part))
        };
        let name = self.request.headers.keys().find(|name| looks(name.as_str()))?;
        Some(finding(
            LikelyCause::WrongHeader,
            format!(
                "There is no signature at {}, but there is a header {name}.",
                self.verifier.places().join(" or ")
            ),
            "Probably the request is from another provider than this source is for.",
        ))
    }
}

fn with_digest(scheme: &mut Scheme, digest: Digest, prefix: Option<&str>) {
    if scheme.digest.is_none() {
        return;
    }
    scheme.digest = Some(digest);
    if let (Some(prefix), Some(spec)) = (prefix, &mut scheme.signature)
        && !spec.prefix.is_empty()
    {
        prefix.clone_into(&mut spec.prefix);
    }
}
