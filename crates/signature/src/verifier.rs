//! Applying an entry to requests.
//!
//! Invariants: [`Verifier::verify`] is pure; every given secret is compared with every signature that came,
//! without an early end, on decoded bytes, in constant time; a signature that is present and wrong never
//! lets a weaker scheme decide; the timestamp is judged after the signature, so that "stale" means that the
//! sender knew the secret. Deliberately absent: clocks, networks, a provider's name.
//! Next: `scope` evaluates templates, `handshake`, `sign` and `explain` share the preparation made here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use crate::credentials::{Credentials, VerifierOptions};
use crate::encoding::{self, SIGNATURE_BYTES_MAX};
use crate::entry::Entry;
use crate::error::EntryError;
use crate::keys::{self, Key};
use crate::request::{Facts, RequestView};
use crate::scheme::{Class, Scheme, SignatureSpec, Tolerance, UrlVariant};
use crate::scope::{self, Absent, Scope};
use crate::template::{Expr, Template};
use crate::timestamp;
use crate::url_text;
use crate::verdict::{Genuine, Refusal, Verdict};

/// At most this many places may hold signatures, and at most this many signatures are looked at in each.
pub(crate) const PLACES_MAX: usize = 8;
const CANDIDATES_MAX: usize = 64;

/// An entry with its keys, ready to judge requests. Cheap to share behind an `Arc`, made once per source.
pub struct Verifier {
    pub(crate) entry: Arc<Entry>,
    pub(crate) credentials: Credentials,
    pub(crate) public_url: Option<String>,
    pub(crate) schemes: Vec<Prepared>,
}

/// What is prepared of one scheme; its index is that of the entry's list.
pub(crate) struct Prepared {
    pub name: Arc<str>,
    pub keys: Vec<Key>,
    pub max_age: Tolerance,
    pub max_future: Tolerance,
    /// The timestamp's text is spliced into the message, so that it must be there first.
    pub signs_stamp: bool,
    /// The operator gave keys for other schemes of this entry and none for this one.
    pub unused: bool,
}

/// The signature texts of one request.
pub(crate) type Texts<'a> = [Option<Cow<'a, str>>; PLACES_MAX];

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Verifier")
            .field("provider", &self.entry.slug)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Prepares every key once. Named credentials that are parameters of the entry are written into it
    /// first. Missing secrets are no error here: requests are then refused with `missing_credential`.
    pub fn new(
        entry: Arc<Entry>,
        credentials: &Credentials,
        options: &VerifierOptions,
    ) -> Result<Verifier, EntryError> {
        let entry = entry.with_parameters_from(&credentials.named)?;
        entry.check()?;
        let mut schemes = entry
            .schemes
            .iter()
            .map(|scheme| prepare(&entry, scheme, credentials, options))
            .collect::<Result<Vec<_>, _>>()?;
        let any_keys = schemes.iter().any(|prepared| !prepared.keys.is_empty());
        for (prepared, scheme) in schemes.iter_mut().zip(&entry.schemes) {
            prepared.unused = any_keys && prepared.keys.is_empty() && scheme.class != Class::None;
        }
        Ok(Verifier {
            entry,
            credentials: credentials.clone(),
            public_url: options.public_url.clone(),
            schemes,
        })
    }

    /// The entry, with its parameters written into it.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Judges a request at this time (unix seconds).
    pub fn verify(&self, request: &RequestView<'_>, now_s: i64) -> Verdict {
        match self.decide(request, now_s) {
            Ok(genuine) => Verdict::Genuine(genuine),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// What the request says about its event. Reads the body only if the entry says that it is there.
    pub fn facts(&self, request: &RequestView<'_>) -> Facts {
        let scope = Scope::new(*request, request.url, &self.credentials.named);
        let first = |fact: &Option<crate::entry::FactSpec>| {
            fact.as_ref()?.at.iter().find_map(|place| {
                let text = scope.text(place)?;
                (!text.is_empty()).then(|| text.into_owned())
            })
        };
        Facts {
            event_type: first(&self.entry.event_type),
            delivery_id: first(&self.entry.delivery_id),
        }
    }

    fn decide(&self, request: &RequestView<'_>, now_s: i64) -> Result<Genuine, Refusal> {
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let (index, texts) = self.choose(request, &url)?;
        let scheme = &self.entry.schemes[index];
        let prepared = &self.schemes[index];
        let scope = self.scope(request, &url, scheme, &texts);
        let stamp = timestamp_text(&scope, scheme);
        let stamp = if prepared.signs_stamp { Ok(stamp?) } else { stamp };
        let scope = Scope { timestamp: stamp.as_ref().ok().and_then(Option::as_deref), ..scope };
        let secret_index = match_keys(&scope, scheme, prepared, &texts)?;
        for rule in &scheme.require {
            let found = scope.render(&rule.at).map_err(refusal_of)?;
            let wanted = scope.render(&rule.equals).map_err(refusal_of)?;
            if !same_text(&found, &wanted) {
                return Err(Refusal::BodyMismatch);
            }
        }
        // A time inside the body is only missed once the body is known to be the sender's.
        let timestamp_s = match (&scheme.timestamp, stamp?) {
            (Some(spec), Some(text)) => {
                let sent = timestamp::parse(&text, spec.unit).ok_or(Refusal::MalformedTimestamp)?;
                timestamp::judge(sent, now_s, prepared.max_age, prepared.max_future)?;
                Some(sent)
            }
            _ => None,
        };
        Ok(Genuine { secret_index, scheme: Arc::clone(&prepared.name), timestamp_s })
    }

    /// The first scheme that applies and whose signature is present.
    pub(crate) fn choose<'a>(
        &'a self,
        request: &RequestView<'a>,
        url: &'a str,
    ) -> Result<(usize, Texts<'a>), Refusal> {
        let mut applies = false;
        let mut signed_otherwise = false;
        for (index, scheme) in self.entry.schemes.iter().enumerate() {
            if self.schemes[index].unused {
                continue;
            }
            let scope = Scope::new(*request, url, &self.credentials.named);
            let texts = signature_texts(&scope, scheme)?;
            let present = scheme.class == Class::None || texts.iter().any(Option::is_some);
            if !scheme.when.iter().all(|condition| scope.holds(condition)) {
                signed_otherwise |= present;
                continue;
            }
            if present {
                return Ok((index, texts));
            }
            applies = true;
        }
        Err(if signed_otherwise && !applies {
            Refusal::UnsupportedBody
        } else {
            Refusal::MissingSignature
        })
    }

    pub(crate) fn scope<'a>(
        &'a self,
        request: &RequestView<'a>,
        url: &'a str,
        scheme: &'a Scheme,
        texts: &'a Texts<'a>,
    ) -> Scope<'a> {
        let split = scheme.signature.as_ref().and_then(|spec| spec.split.as_ref());
        let first = texts.iter().flatten().next();
        Scope {
            signature: first.zip(split).map(|(text, split)| (text.as_ref(), split)),
            hmac: self.challenge_key(),
            ..Scope::new(*request, url, &self.credentials.named)
        }
    }

    /// The key with which handshakes are answered: the first secret in the first HMAC scheme.
    pub(crate) fn challenge_key(&self) -> Option<&hmac::Key> {
        self.schemes.iter().flat_map(|prepared| prepared.keys.first()).find_map(|key| match key {
            Key::Hmac(key) => Some(key),
            _ => None,
        })
    }
}

fn prepare(
    entry: &Entry,
    scheme: &Scheme,
    credentials: &Credentials,
    options: &VerifierOptions,
) -> Result<Prepared, EntryError> {
    let unusable = |what: String, message: String| EntryError::Credential {
        slug: entry.slug.clone(),
        message: format!("{what}: {message}"),
    };
    let mut prepared_keys = Vec::new();
    if scheme.class.is_asymmetric() {
        let keys = credentials.public_keys.iter();
        for (index, text) in keys.chain(&scheme.public_key.builtin).enumerate() {
            prepared_keys.push(
                keys::prepare_public(text, scheme)
                    .map_err(|message| unusable(format!("public key {}", index + 1), message))?,
            );
        }
    } else if scheme.class != Class::None {
        for (index, text) in credentials.secrets.iter().enumerate() {
            prepared_keys.push(
                keys::prepare_secret(text, scheme)
                    .map_err(|message| unusable(format!("secret {}", index + 1), message))?,
            );
        }
        if let Some(composed) = composed_secret(scheme, &credentials.named) {
            prepared_keys.push(
                keys::prepare_secret(&composed, scheme)
                    .map_err(|message| unusable("the named credentials".to_owned(), message))?,
            );
        }
    }
    let (age, future) =
        scheme.timestamp.as_ref().map_or((Tolerance::Unchecked, Tolerance::Unchecked), |spec| {
            (spec.max_age_s, spec.max_future_s)
        });
    Ok(Prepared {
        name: Arc::from(scheme.label()),
        keys: prepared_keys,
        max_age: options.max_age_s.map_or(age, Tolerance::Seconds),
        max_future: options.max_future_s.map_or(future, Tolerance::Seconds),
        signs_stamp: scheme.message.uses(&Expr::Timestamp),
        unused: false,
    })
}

/// A secret that is put together from named credentials; `None` when one of them is not given.
pub(crate) fn composed_secret(scheme: &Scheme, named: &BTreeMap<String, String>) -> Option<String> {
    let template: &Template = scheme.credential.as_ref()?;
    let headers = http::HeaderMap::new();
    let request = RequestView { method: "", url: "", headers: &headers, body: &[] };
    Scope::new(request, "", named).text(template).map(Cow::into_owned)
}

/// What stands at the places of the signature. An empty text counts as absent.
pub(crate) fn signature_texts<'a>(
    scope: &Scope<'a>,
    scheme: &'a Scheme,
) -> Result<Texts<'a>, Refusal> {
    let mut texts: Texts<'a> = Default::default();
    let Some(spec) = &scheme.signature else {
        return Ok(texts);
    };
    for (slot, place) in texts.iter_mut().zip(spec.at.iter()) {
        let bytes = match scope.render(place) {
            Ok(bytes) => bytes,
            Err(Absent::Missing(_)) => continue,
            Err(Absent::Repeated(_)) => return Err(Refusal::RepeatedHeader),
        };
        let text = match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        let text = text.ok_or(Refusal::MalformedSignature)?;
        if !text.trim().is_empty() {
            *slot = Some(text);
        }
    }
    Ok(texts)
}

/// The timestamp's text as it came; `Ok(None)` when the scheme has none.
pub(crate) fn timestamp_text<'a>(
    scope: &Scope<'a>,
    scheme: &'a Scheme,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(spec) = &scheme.timestamp else {
        return Ok(None);
    };
    match scope.render(&spec.at) {
        Ok(Cow::Borrowed(bytes)) => std::str::from_utf8(bytes)
            .map(|text| Some(Cow::Borrowed(text)))
            .map_err(|_| Refusal::MalformedTimestamp),
        Ok(Cow::Owned(bytes)) => String::from_utf8(bytes)
            .map(|text| Some(Cow::Owned(text)))
            .map_err(|_| Refusal::MalformedTimestamp),
        Err(Absent::Missing(_)) => Err(Refusal::MissingTimestamp),
        Err(Absent::Repeated(_)) => Err(Refusal::RepeatedHeader),
    }
}

pub(crate) fn refusal_of(absent: Absent<'_>) -> Refusal {
    match absent {
        Absent::Repeated(_) => Refusal::RepeatedHeader,
        Absent::Missing(Expr::Timestamp) => Refusal::MissingTimestamp,
        Absent::Missing(Expr::Credential(_)) => Refusal::MissingCredential,
        Absent::Missing(_) => Refusal::MissingPart,
    }
}

/// Compares texts of which at least one is not secret; hexadecimal ones without regard to case.
fn same_text(found: &[u8], wanted: &[u8]) -> bool {
    let hexadecimal = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    if hexadecimal(found) && hexadecimal(wanted) {
        found.eq_ignore_ascii_case(wanted)
    } else {
        found == wanted
    }
}

const URL_EXACT: [UrlVariant; 1] = [UrlVariant::Exact];

/// Compares every key with every signature in every form of the URL; the first key that fits is named.
fn match_keys(
    scope: &Scope<'_>,
    scheme: &Scheme,
    prepared: &Prepared,
    texts: &Texts<'_>,
) -> Result<Option<usize>, Refusal> {
    let Some(spec) = &scheme.signature else {
        return Ok(None);
    };
    if prepared.keys.is_empty() {
        return Err(Refusal::MissingCredential);
    }
    let variants: &[UrlVariant] =
        if scheme.url_variants.is_empty() { &URL_EXACT } else { &scheme.url_variants };
    let mut counts = Counts::default();
    let mut matched = None;
    for variant in variants {
        let url = url_text::variant(scope.url, *variant);
        let scope = Scope { url: &url, ..*scope };
        for (index, key) in prepared.keys.iter().enumerate() {
            let judge = Judge::new(&scope, scheme, key)?;
            let mut fits = false;
            counts = Counts::default();
            for text in texts.iter().flatten() {
                for_each_candidate(text, spec, scheme.class, &mut counts, |candidate| {
                    fits |= judge.fits(candidate);
                });
            }
            if fits && matched.is_none() {
                matched = Some(index);
            }
        }
    }
    if matched.is_some() {
        return Ok(matched);
    }
    Err(counts.refusal())
}

/// How far the candidates of one request got.
#[derive(Default, Clone, Copy)]
pub(crate) struct Counts {
    pub wanted: usize,
    pub decoded: usize,
}

impl Counts {
    pub(crate) fn refusal(self) -> Refusal {
        if self.wanted == 0 {
            Refusal::UnsupportedSignature
        } else if self.decoded == 0 {
            Refusal::MalformedSignature
        } else {
            Refusal::SignatureMismatch
        }
    }
}

/// Calls for each signature in a text, decoded.
pub(crate) fn for_each_candidate(
    text: &str,
    spec: &SignatureSpec,
    class: Class,
    counts: &mut Counts,
    mut call: impl FnMut(&[u8]),
) {
    let split = spec.split.as_ref();
    for item in scope::items(text, split).take(CANDIDATES_MAX) {
        let value = match split
            .and_then(|split| Some((split.pair.as_deref()?, split.wanted.as_deref()?)))
        {
            Some((pair, wanted)) => match item.split_once(pair) {
                Some((key, value)) if wanted.iter().any(|name| name == key.trim()) => value.trim(),
                _ => continue,
            },
            None => item,
        };
        let Some(encoded) = strip_prefix(value, &spec.prefix, class) else {
            continue;
        };
        counts.wanted += 1;
        let mut buffer = [0; SIGNATURE_BYTES_MAX];
        if let Some(bytes) = encoding::decode(encoded.as_bytes(), spec.encoding, &mut buffer) {
            counts.decoded += 1;
            call(bytes);
        }
    }
}

/// Prefixes are compared exactly, except the scheme word of HTTP authentication.
fn strip_prefix<'a>(value: &'a str, prefix: &str, class: Class) -> Option<&'a str> {
    if class == Class::Basic {
        let (head, rest) = value.split_at_checked(prefix.len())?;
        return head.eq_ignore_ascii_case(prefix).then(|| rest.trim());
    }
    value.strip_prefix(prefix)
}

/// One key with the message as that key sees it.
enum Judge<'k> {
    Tag(hmac::Tag),
    Hash(digest::Digest),
    Token(&'k digest::Digest),
    Public(&'k keys::PublicKey, &'k Scheme, Cow<'k, [u8]>),
}

impl<'k> Judge<'k> {
    fn new(scope: &Scope<'k>, scheme: &'k Scheme, key: &'k Key) -> Result<Self, Refusal> {
        Ok(match key {
            Key::Hmac(key) => Judge::Tag(hmac_tag(scope, &scheme.message, key)?),
            Key::TokenHash(hash) => Judge::Token(hash),
            Key::Bytes(secret) => {
                let scope = Scope { secret: Some(secret), ..*scope };
                Judge::Hash(plain_hash(&scope, scheme)?)
            }
            Key::Public(key) => {
                let message = scope.render(&scheme.message).map_err(refusal_of)?;
                Judge::Public(key, scheme, message)
            }
        })
    }

    fn fits(&self, candidate: &[u8]) -> bool {
        match self {
            Judge::Tag(tag) => tag.as_ref().ct_eq(candidate).into(),
            Judge::Hash(hash) => hash.as_ref().ct_eq(candidate).into(),
            Judge::Token(wanted) => {
                let given = digest::digest(&digest::SHA256, candidate);
                wanted.as_ref().ct_eq(given.as_ref()).into()
            }
            Judge::Public(key, scheme, message) => key.verify(scheme, message, candidate),
        }
    }
}

/// The HMAC of a message, fed piece by piece so that the body is not copied.
pub(crate) fn hmac_tag(
    scope: &Scope<'_>,
    message: &Template,
    key: &hmac::Key,
) -> Result<hmac::Tag, Refusal> {
    let mut context = hmac::Context::with_key(key);
    for part in message.parts() {
        context.update(&scope.value(part).map_err(refusal_of)?);
    }
    Ok(context.sign())
}

/// The hash of a message that contains the secret.
pub(crate) fn plain_hash(scope: &Scope<'_>, scheme: &Scheme) -> Result<digest::Digest, Refusal> {
    let algorithm = scheme.digest.unwrap_or(crate::scheme::Digest::Sha256).plain();
    let mut context = digest::Context::new(algorithm);
    for part in scheme.message.parts() {
        context.update(&scope.value(part).map_err(refusal_of)?);
    }
    Ok(context.finish())
}
