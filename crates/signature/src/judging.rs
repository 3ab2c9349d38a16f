//! Comparing keys with signatures.
//!
//! Invariants: every key is compared with every signature in every form of the URL, without an early end, on
//! decoded bytes, in constant time; the message is hashed piece by piece, so that the body is not copied.

use std::borrow::Cow;

use subtle::ConstantTimeEq;

use crate::candidates::{Counts, Layout, Texts};
use crate::hashing::{Hasher, MacKey, Tag, hash};
use crate::keys::{Key, PublicKey};
use crate::scheme::{Digest, Scheme, UrlVariant};
use crate::scope::Scope;
use crate::template::Template;
use crate::url_text;
use crate::verdict::Refusal;
use crate::verifier::refusal_of;

const URL_EXACT: [UrlVariant; 1] = [UrlVariant::Exact];

/// The first key that fits any of the signatures.
pub(crate) fn match_keys(
    scope: &Scope<'_>,
    scheme: &Scheme,
    keys: &[Key],
    layout: Layout<'_>,
    texts: &Texts<'_>,
) -> Result<usize, Refusal> {
    if keys.is_empty() {
        return Err(Refusal::MissingCredential);
    }
    let split = layout.spec.split.as_ref();
    if let Some(name) = split.and_then(|split| split.wanted_credential.as_ref())
        && !layout.named.contains_key(name)
    {
        return Err(Refusal::MissingCredential);
    }
    let variants: &[UrlVariant] =
        if scheme.url_variants.is_empty() { &URL_EXACT } else { &scheme.url_variants };
    let mut counts = Counts::default();
    let mut matched = None;
    for variant in variants {
        let url = url_text::variant(scope.url, *variant);
        let scope = Scope { url: &url, ..*scope };
        for (index, key) in keys.iter().enumerate() {
            let judge = Judge::new(&scope, scheme, key)?;
            let mut fits = false;
            counts = Counts::default();
            for text in texts.iter().flatten() {
                layout.for_each_decoded(text, &mut counts, |candidate| {
                    fits |= judge.fits(candidate);
                });
            }
            if fits && matched.is_none() {
                matched = Some(index);
            }
        }
    }
    matched.ok_or(counts.refusal())
}

/// One key with the message as that key sees it.
enum Judge<'k> {
    Tag(Tag),
    Token(&'k Tag),
    Public(&'k PublicKey, &'k Scheme, Cow<'k, [u8]>),
}

impl<'k> Judge<'k> {
    fn new(scope: &Scope<'k>, scheme: &'k Scheme, key: &'k Key) -> Result<Self, Refusal> {
        Ok(match key {
            Key::Hmac(key) => Judge::Tag(hmac_tag(scope, &scheme.message, key)?),
            Key::TokenHash(hash) => Judge::Token(hash),
            Key::Bytes(secret) => {
                let scope = Scope { secret: Some(secret), ..*scope };
                Judge::Tag(plain_hash(&scope, scheme)?)
            }
            Key::Public(key) => {
                let message = scope.render(&scheme.message).map_err(refusal_of)?;
                Judge::Public(key, scheme, message)
            }
            // Tokens carry their own message and never come here.
            Key::Jwt(_) => return Err(Refusal::UnsupportedSignature),
        })
    }

    fn fits(&self, candidate: &[u8]) -> bool {
        match self {
            Judge::Tag(tag) => tag.as_ref().ct_eq(candidate).into(),
            Judge::Token(wanted) => {
                let given = hash(Digest::Sha256, candidate);
                wanted.as_ref().ct_eq(given.as_ref()).into()
            }
            Judge::Public(key, scheme, message) => key.verify(scheme, message, candidate),
        }
    }
}

/// The HMAC of a message.
pub(crate) fn hmac_tag(
    scope: &Scope<'_>,
    message: &Template,
    key: &MacKey,
) -> Result<Tag, Refusal> {
    fed(Hasher::keyed(key), scope, message)
}

/// The hash of a message that contains the secret.
pub(crate) fn plain_hash(scope: &Scope<'_>, scheme: &Scheme) -> Result<Tag, Refusal> {
    fed(Hasher::plain(scheme.digest.unwrap_or(Digest::Sha256)), scope, &scheme.message)
}

fn fed(mut hasher: Hasher, scope: &Scope<'_>, message: &Template) -> Result<Tag, Refusal> {
    for part in message.parts() {
        hasher.update(&scope.value(part).map_err(refusal_of)?);
    }
    Ok(hasher.finish())
}
