//! Applying an entry to requests.
//!
//! Invariants: [`Verifier::verify`] is pure; every given secret is compared with every signature that came,
//! without an early end, on decoded bytes, in constant time; a signature that is present and wrong never
//! lets a weaker scheme decide; the timestamp is judged after the signature, so that "stale" means that the
//! sender knew the secret; a key that would have to be fetched and was not refuses.
//! Deliberately absent: clocks, networks, a provider's name.
//! Next: `preparing` makes the keys ready, `candidates` finds signatures, `judging` compares them; `scope`
//! evaluates templates; `handshake`, `sign` and `explain` share the preparation.

use std::borrow::Cow;
use std::sync::Arc;

use crate::candidates::{Layout, Texts, signature_texts};
use crate::credentials::{Credentials, VerifierOptions};
use crate::entry::{Entry, FactSpec};
use crate::error::EntryError;
use crate::fetched::{self, FetchedKeys, KeyRequest};
use crate::hashing::MacKey;
use crate::judging::match_keys;
use crate::jwt::{self, Token};
use crate::keys::{self, Key};
use crate::preparing::{Prepared, check_public_keys, prepare};
use crate::request::{Acknowledgement, Facts, RequestView};
use crate::scheme::{Class, Requirement, Scheme};
use crate::scope::{Absent, Scope, is_form};
use crate::template::Expr;
use crate::timestamp;
use crate::url_text;
use crate::verdict::{Genuine, Refusal, Verdict};

/// An entry with its keys, ready to judge requests. Cheap to share behind an `Arc`, made once per source.
pub struct Verifier {
    pub(crate) entry: Arc<Entry>,
    pub(crate) credentials: Credentials,
    pub(crate) public_url: Option<String>,
    pub(crate) schemes: Vec<Prepared>,
    rate_per_minute: Option<u64>,
    /// Facts or the acknowledgement read fields of the signature or claims of a token.
    facts_read_signature: bool,
}

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
        check_public_keys(&entry, &schemes)?;
        let any_keys = schemes.iter().any(|prepared| !prepared.keys.is_empty());
        for (prepared, scheme) in schemes.iter_mut().zip(&entry.schemes) {
            prepared.unused = any_keys
                && prepared.keys.is_empty()
                && scheme.class != Class::None
                && scheme.public_key.fetch.is_none();
        }
        Ok(Verifier {
            facts_read_signature: entry.facts_read_signature(),
            entry,
            credentials: credentials.clone(),
            public_url: options.public_url.clone(),
            schemes,
            rate_per_minute: options.rate_per_minute,
        })
    }

    /// The entry, with its parameters written into it.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Judges a request at this time (unix seconds), with the keys that are configured or built in.
    pub fn verify(&self, request: &RequestView<'_>, now_s: i64) -> Verdict {
        self.verify_with(request, now_s, None)
    }

    /// Judges a request with keys that were fetched for it: see [`Verifier::key_request`].
    pub fn verify_with(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
        fetched: Option<&FetchedKeys>,
    ) -> Verdict {
        match self.decide(request, now_s, fetched) {
            Ok(genuine) => Verdict::Genuine(genuine),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// What must be fetched before this request can be judged. `None` when the configured or built-in keys
    /// suffice, or when the request is refused whatever the key is. Errors name a place for the key that is
    /// not the provider's.
    pub fn key_request(&self, request: &RequestView<'_>) -> Result<Option<KeyRequest>, Refusal> {
        if !self.schemes.iter().any(|prepared| prepared.fetches) {
            return Ok(None);
        }
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let Ok((index, texts)) = self.choose(request, &url) else {
            return Ok(None);
        };
        let scheme = &self.entry.schemes[index];
        match (&scheme.public_key.fetch, self.schemes[index].fetches) {
            (Some(spec), true) => {
                let scope = self.scope(request, &url, scheme, &texts);
                fetched::key_request(spec, &scope).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What the request says about its event. Reads the body only if the entry says that it is there. Meant
    /// for requests that were found genuine.
    pub fn facts(&self, request: &RequestView<'_>) -> Facts {
        let deciding = self.deciding_scheme(request);
        self.with_described(request, |scope| {
            let first = |fact: &Option<FactSpec>, only_signed: Option<&Scheme>| {
                let mut places = fact.as_ref()?.at.iter();
                places.find_map(|place| {
                    let counts = only_signed.is_none_or(|scheme| scheme.signs(place));
                    let text = counts.then(|| scope.text(place)).flatten()?;
                    (!text.is_empty()).then(|| text.into_owned())
                })
            };
            Facts {
                event_type: first(&self.entry.event_type, None),
                delivery_id: first(&self.entry.delivery_id, deciding),
            }
        })
    }

    /// The scheme that decides, if the delivery id may be in several places of which it signs some: those
    /// count then. Whoever resends a genuine request can fill the others, and make another event of it.
    fn deciding_scheme(&self, request: &RequestView<'_>) -> Option<&Scheme> {
        let places = self.entry.delivery_id.as_ref().filter(|fact| fact.at.len() > 1)?;
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let (index, _) = self.choose(request, &url).ok()?;
        let scheme = self.entry.schemes.get(index)?;
        places.at.iter().any(|place| scheme.signs(place)).then_some(scheme)
    }

    /// The answer that the entry demands for this request once it is accepted. `None` when any answer will
    /// do, or when the request lacks what the answer would repeat.
    pub fn acknowledgement(&self, request: &RequestView<'_>) -> Option<Acknowledgement> {
        let ack = self.entry.ack.as_ref()?;
        self.with_described(request, |scope| {
            let body = scope.render(&ack.body).ok()?.into_owned();
            let mut headers = Vec::with_capacity(ack.headers.len() + 1);
            if !body.is_empty() {
                headers.push(("content-type".to_owned(), ack.content_type.clone()));
            }
            for (name, template) in &ack.headers {
                let value = scope.text(template)?;
                // An echoed value must not be able to write further headers.
                http::HeaderValue::from_str(&value).ok()?;
                headers.push((name.clone(), value.into_owned()));
            }
            Some(Acknowledgement { status: ack.status, headers, body })
        })
    }

    /// Evaluates something against a request, with fields and claims if the entry's facts need them.
    fn with_described<R>(
        &self,
        request: &RequestView<'_>,
        call: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let scope = self.base_scope(request, &url);
        if !self.facts_read_signature {
            return call(&scope);
        }
        let Ok((index, texts)) = self.choose(request, &url) else {
            return call(&scope);
        };
        let scheme = &self.entry.schemes[index];
        let claims = self.first_claims(scheme, &texts);
        let scope = self.scope(request, &url, scheme, &texts);
        call(&Scope { claims: claims.as_deref(), ..scope })
    }

    fn decide(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
        fetched: Option<&FetchedKeys>,
    ) -> Result<Genuine, Refusal> {
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let (index, texts) = self.choose(request, &url)?;
        let scheme = &self.entry.schemes[index];
        let prepared = &self.schemes[index];
        let scope = self.scope(request, &url, scheme, &texts);
        if scheme.class == Class::Jwt {
            return self.decide_token(&scope, scheme, prepared, &texts, now_s, fetched);
        }
        let stamp = timestamp_text(&scope, scheme);
        let stamp = if prepared.signs_stamp { Ok(stamp?) } else { stamp };
        let scope = Scope { timestamp: stamp.as_ref().ok().and_then(Option::as_deref), ..scope };
        let layout = scheme.signature.as_ref().map(|spec| self.layout(scheme, spec));
        let secret_index = match layout {
            None => None,
            Some(layout) if prepared.fetches => {
                let keys = fetched_keys(&scope, scheme, None, fetched)?;
                match_keys(&scope, scheme, &keys, layout, &texts)?;
                None
            }
            Some(layout) => {
                let index = match_keys(&scope, scheme, &prepared.keys, layout, &texts)?;
                prepared.givens.get(index).copied()
            }
        };
        for rule in &scheme.require {
            require(&scope, rule)?;
        }
        // A time inside the body is only missed once the body is known to be the sender's.
        let timestamp_s = judge_time(scheme, prepared, stamp?.as_deref(), now_s)?;
        Ok(Genuine { secret_index, scheme: Arc::clone(&prepared.name), timestamp_s })
    }

    /// The same for a token, whose claims only exist once it is genuine.
    fn decide_token(
        &self,
        scope: &Scope<'_>,
        scheme: &Scheme,
        prepared: &Prepared,
        texts: &Texts<'_>,
        now_s: i64,
        fetched: Option<&FetchedKeys>,
    ) -> Result<Genuine, Refusal> {
        let (Some(signature), Some(spec)) = (&scheme.signature, &scheme.jwt) else {
            return Err(Refusal::UnsupportedSignature);
        };
        let mut wanted = 0;
        let mut written = Vec::new();
        for text in texts.iter().flatten() {
            self.layout(scheme, signature)
                .for_each(text, &mut wanted, |text| written.push(text.to_owned()));
        }
        // One token alone counts, the same as for facts: others could carry other claims.
        let Some(token) = written.iter().find_map(|text| Token::parse(text)) else {
            return Err(if wanted == 0 {
                Refusal::UnsupportedSignature
            } else {
                Refusal::MalformedSignature
            });
        };
        let token = &token;
        let made;
        let keys: &[Key] = if prepared.fetches {
            made = fetched_keys(scope, scheme, token.key_id(), fetched)?;
            &made
        } else {
            &prepared.keys
        };
        if keys.is_empty() {
            return Err(Refusal::MissingCredential);
        }
        if !token.algorithm().is_some_and(|name| spec.algorithms.contains(&name)) {
            return Err(Refusal::UnsupportedSignature);
        }
        let message = match spec.detached {
            None => None,
            Some(_) => Some(scope.render(&scheme.message).map_err(refusal_of)?),
        };
        let mut found = None;
        for (index, key) in keys.iter().enumerate() {
            let fits =
                matches!(key, Key::Jwt(key) if key.verifies(token, spec, message.as_deref()));
            if fits && found.is_none() {
                found = Some(index);
            }
        }
        let index = found.ok_or(Refusal::SignatureMismatch)?;
        let scope = Scope { claims: Some(token.claims()), ..*scope };
        for rule in &scheme.require {
            require(&scope, rule)?;
        }
        if message.is_none() {
            jwt::judge_times(token.claims(), now_s)?;
        }
        let stamp = timestamp_text(&scope, scheme)?;
        let timestamp_s = judge_time(scheme, prepared, stamp.as_deref(), now_s)?;
        Ok(Genuine {
            secret_index: prepared.givens.get(index).copied().filter(|_| !prepared.fetches),
            scheme: Arc::clone(&prepared.name),
            timestamp_s,
        })
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
            let texts = signature_texts(&self.base_scope(request, url), scheme)?;
            let present = scheme.class == Class::None || texts.iter().any(Option::is_some);
            let unsigned_kind =
                self.schemes[index].forms_only && !request.body.is_empty() && !is_form(request);
            let holds = |condition| self.scope(request, url, scheme, &texts).holds(condition);
            if unsigned_kind || !scheme.when.iter().all(holds) {
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

    /// What every template of the entry may read of this request.
    pub(crate) fn base_scope<'a>(&'a self, request: &RequestView<'a>, url: &'a str) -> Scope<'a> {
        Scope {
            payload: self.entry.payload.as_deref(),
            rate_per_minute: self.rate_per_minute,
            ..Scope::new(*request, url, &self.credentials.named)
        }
    }

    /// The same with what a scheme adds.
    pub(crate) fn scope<'a>(
        &'a self,
        request: &RequestView<'a>,
        url: &'a str,
        scheme: &'a Scheme,
        texts: &'a Texts<'a>,
    ) -> Scope<'a> {
        let first = texts.iter().flatten().next();
        Scope {
            signature: first
                .zip(scheme.signature.as_ref())
                .map(|(text, spec)| (text.as_ref(), spec)),
            is_token: scheme.class == Class::Jwt,
            build: scheme.build.as_ref(),
            hmac: self.challenge_key(),
            ..self.base_scope(request, url)
        }
    }

    fn layout<'a>(&'a self, scheme: &Scheme, spec: &'a crate::scheme::SignatureSpec) -> Layout<'a> {
        Layout { spec, class: scheme.class, named: &self.credentials.named }
    }

    /// The claims of the first token among the signatures, genuine or not.
    fn first_claims(&self, scheme: &Scheme, texts: &Texts<'_>) -> Option<Vec<u8>> {
        let spec = scheme.signature.as_ref().filter(|_| scheme.class == Class::Jwt)?;
        let mut claims = None;
        for text in texts.iter().flatten() {
            self.layout(scheme, spec).for_each(text, &mut 0, |text| {
                if claims.is_none() {
                    claims = Token::parse(text).map(|token| token.claims().to_vec());
                }
            });
        }
        claims
    }

    /// The key with which handshakes are answered: the first secret in the first HMAC scheme.
    pub(crate) fn challenge_key(&self) -> Option<&MacKey> {
        self.schemes.iter().flat_map(|prepared| prepared.keys.first()).find_map(|key| match key {
            Key::Hmac(key) => Some(key),
            _ => None,
        })
    }
}

impl Entry {
    fn facts_read_signature(&self) -> bool {
        let facts = [&self.event_type, &self.delivery_id];
        let places = facts.into_iter().flatten().flat_map(|fact| fact.at.iter());
        let payload = self.payload.iter().flat_map(|places| places.iter());
        let ack = self.ack.iter().flat_map(|ack| ack.headers.values().chain([&ack.body]));
        places
            .chain(payload)
            .map(std::ops::Deref::deref)
            .chain(ack)
            .flat_map(|template| template.variables())
            .any(|variable| matches!(variable, Expr::Field(_) | Expr::Claim(_)))
    }
}

/// The keys that were fetched for this request, ready for use.
fn fetched_keys(
    scope: &Scope<'_>,
    scheme: &Scheme,
    token_key_id: Option<&str>,
    fetched: Option<&FetchedKeys>,
) -> Result<Vec<Key>, Refusal> {
    let Some(spec) = &scheme.public_key.fetch else {
        return Err(Refusal::MissingCredential);
    };
    // Says whether the request may name its key there at all, before any key is looked at.
    let wanted = fetched::key_request(spec, scope)?;
    let fetched = fetched.filter(|keys| keys.answers(&wanted)).ok_or(Refusal::KeyUnavailable)?;
    let named = match &spec.key_id {
        Some(place) => Some(scope.text(place).ok_or(Refusal::MissingPart)?),
        None => token_key_id.map(Cow::Borrowed),
    };
    let keys: Vec<Key> = fetched
        .keys(named.as_deref(), scheme)
        .iter()
        .filter_map(|text| keys::prepare_public(text, scheme).ok())
        .collect();
    if keys.is_empty() { Err(Refusal::UnknownKey) } else { Ok(keys) }
}

fn require(scope: &Scope<'_>, rule: &Requirement) -> Result<(), Refusal> {
    if !rule.when.iter().all(|condition| scope.holds(condition)) {
        return Ok(());
    }
    let found = scope.render(&rule.at).map_err(refusal_of)?;
    let wanted = scope.render(&rule.equals).map_err(refusal_of)?;
    if same_text(&found, &wanted) {
        return Ok(());
    }
    let of_claim = rule.at.variables().any(|variable| matches!(variable, Expr::Claim(_)));
    Err(if of_claim && !rule.equals.covers_body() {
        Refusal::ClaimMismatch
    } else {
        Refusal::BodyMismatch
    })
}

fn judge_time(
    scheme: &Scheme,
    prepared: &Prepared,
    stamp: Option<&str>,
    now_s: i64,
) -> Result<Option<i64>, Refusal> {
    let (Some(spec), Some(text)) = (&scheme.timestamp, stamp) else {
        return Ok(None);
    };
    let sent = timestamp::parse(text, spec.unit).ok_or(Refusal::MalformedTimestamp)?;
    timestamp::judge(sent, now_s, prepared.max_age, prepared.max_future)?;
    Ok(Some(sent))
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
        Absent::Missing(Expr::Claim(_)) => Refusal::ClaimMismatch,
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
