//! What an entry must satisfy beyond its grammar, so that mistakes show when it is read and not at night.

use crate::entry::{Entry, HandshakeRule};
use crate::error::EntryError;
use crate::scheme::{Charset, Class, Digest, Scheme};
use crate::template::{Expr, Function};
use crate::verifier::PLACES_MAX;

impl Entry {
    /// Checks what spans fields; part of [`Entry::from_toml`] and of making a verifier.
    pub fn check(&self) -> Result<(), EntryError> {
        self.problem().map_or(Ok(()), |message| {
            Err(EntryError::Inconsistent { slug: self.slug.clone(), message })
        })
    }

    fn problem(&self) -> Option<String> {
        let letters = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        if self.slug.is_empty() || self.slug.len() > 64 || !self.slug.bytes().all(letters) {
            return Some("`slug` must be 1 to 64 of a-z, 0-9, `_` and `-`".to_owned());
        }
        if !matches!(self.failure_status, 400 | 401 | 403 | 404) {
            return Some("`failure_status` must be 400, 401, 403 or 404".to_owned());
        }
        if let Some(ack) = &self.ack
            && !(200..300).contains(&ack.status)
        {
            return Some("`ack.status` must be 200 to 299".to_owned());
        }
        if self.schemes.is_empty() {
            return Some(
                "there is no `[[scheme]]`: write one, with `class = \"none\"` to verify nothing"
                    .to_owned(),
            );
        }
        self.schemes
            .iter()
            .find_map(|scheme| {
                scheme_problem(scheme)
                    .map(|problem| format!("scheme `{}`: {problem}", scheme.label()))
            })
            .or_else(|| {
                self.handshakes.iter().find_map(|rule| {
                    handshake_problem(rule)
                        .map(|problem| format!("handshake `{}`: {problem}", rule.name))
                })
            })
    }
}

fn scheme_problem(scheme: &Scheme) -> Option<String> {
    let needs_digest =
        matches!(scheme.class, Class::Hmac | Class::Hash | Class::RsaPkcs1 | Class::RsaPss);
    if needs_digest && scheme.digest.is_none() {
        return Some("`digest` is missing: sha1, sha256, sha384 or sha512".to_owned());
    }
    if !needs_digest && scheme.digest.is_some() {
        return Some(format!("`digest` has no meaning for {}", scheme.class.name()));
    }
    if scheme.class == Class::RsaPss && scheme.digest == Some(Digest::Sha1) {
        return Some("rsa-pss with sha1 is not supported".to_owned());
    }
    if scheme.class == Class::Hash && !scheme.message.uses(&Expr::Secret) {
        return Some("a hash proves nothing unless `message` contains {secret}".to_owned());
    }
    let Some(signature) = &scheme.signature else {
        return (scheme.class != Class::None)
            .then(|| "`signature` is missing: say where it is with `at`".to_owned());
    };
    if scheme.class == Class::None {
        return Some("`signature` has no meaning for none".to_owned());
    }
    if signature.at.len() > PLACES_MAX {
        return Some(format!("`signature.at` has more than {PLACES_MAX} places"));
    }
    if let Some(split) = &signature.split {
        if split.pair.is_some() != split.wanted.is_some() {
            return Some("`split.pair` and `split.wanted` belong together".to_owned());
        }
        let empty = |text: &Option<String>| text.as_deref() == Some("");
        if empty(&split.items) || empty(&split.pair) {
            return Some("a separator of `split` is empty".to_owned());
        }
    }
    let reads_fields = |expr: &Expr| matches!(expr, Expr::Field(_));
    let fields = scheme.message.variables().any(reads_fields)
        || scheme.timestamp.as_ref().is_some_and(|spec| spec.at.variables().any(reads_fields));
    if fields && signature.split.as_ref().is_none_or(|split| split.pair.is_none()) {
        return Some("`field:` needs `signature.split` with `pair`".to_owned());
    }
    if scheme.message.uses(&Expr::Timestamp) && scheme.timestamp.is_none() {
        return Some("`message` contains {ts} and there is no `timestamp`".to_owned());
    }
    timestamp_problem(scheme)
}

/// A timestamp that the signature does not cover could be renewed by anybody.
fn timestamp_problem(scheme: &Scheme) -> Option<String> {
    let spec = scheme.timestamp.as_ref()?;
    if matches!(scheme.class, Class::Token | Class::Basic) {
        return Some(format!(
            "`timestamp` has no meaning for {}: nothing signs it",
            scheme.class.name()
        ));
    }
    let signed = scheme.message.uses(&Expr::Timestamp) || scheme.signs(&spec.at);
    (!signed).then(|| {
        "`timestamp` is not part of `message`, so that anybody could renew it: add {ts}".to_owned()
    })
}

fn handshake_problem(rule: &HandshakeRule) -> Option<String> {
    if rule.when.is_empty() {
        return Some("`when` is empty, so that every request would be answered".to_owned());
    }
    if !(200..300).contains(&rule.respond.status) {
        return Some("`respond.status` must be 200 to 299".to_owned());
    }
    if rule.verify_first {
        return None;
    }
    // Answering with a keyed hash of whatever is sent would sign forgeries for anybody.
    let templates = std::iter::once(&rule.respond.body).chain(rule.respond.headers.values());
    for part in templates.flat_map(|template| template.parts()) {
        let Expr::Call(Function::HmacHex | Function::HmacBase64, arguments) = part else {
            continue;
        };
        let bounded = arguments.iter().all(|argument| {
            matches!(argument, Expr::Literal(_) | Expr::Credential(_))
                || rule.when.iter().any(|condition| {
                    matches!(condition.charset, Some(Charset::Token | Charset::Digits))
                        && condition.at.single() == Some(argument)
                })
        });
        if !bounded {
            return Some(
                "it answers with a keyed hash without `verify_first`: bound the hashed text with a `charset` condition, or anybody could have messages signed"
                    .to_owned(),
            );
        }
    }
    None
}
