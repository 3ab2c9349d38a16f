//! Judging entries by files: vectors, samples, and what is said about their proof (feature `vectors`).
//!
//! A vector is a request with the verdict that it must get; `catalogue/vectors/<slug>.json` is a list of them.
//! Invariants: nothing here reads files or a clock; problems are values, in words for whoever writes an entry.
//! Next: `docs/catalogue.md`, which explains how vectors are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use crate::credentials::{Credentials, VerifierOptions};
use crate::entry::{Entry, Proof, Sample, Status};
use crate::fetched::FetchedKeys;
use crate::request::{HandshakeAnswer, RequestView};
use crate::scheme::Scheme;
use crate::template::Expr;
use crate::verdict::{Refusal, Verdict};
use crate::verifier::Verifier;

/// A request and the verdict that it must get.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// What is special about it.
    pub name: String,
    /// An entry of its own (TOML), instead of the one that the file is about.
    pub entry: Option<String>,
    /// The configured secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The configured public keys.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// The named credentials.
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    /// The method.
    pub method: String,
    /// The URL of the request.
    pub url: String,
    /// The configured public URL.
    pub public_url: Option<String>,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body in base64.
    pub body_base64: String,
    /// The time of the verification, in unix seconds.
    pub verify_at: i64,
    /// What a fetch for keys is answered with.
    pub fetched: Option<Fetched>,
    /// `genuine` or `refused`.
    pub expect: Expect,
    /// The code of the refusal.
    pub refusal: Option<Refusal>,
    /// Which key must fit, counted from 0.
    pub secret_index: Option<usize>,
    /// What must be read from the event.
    pub facts: Option<ExpectedFacts>,
    /// The answer of the handshake. Absent: not looked at; null: no answer.
    #[serde(default, deserialize_with = "present")]
    pub handshake: Option<Option<ExpectedAnswer>>,
    /// The answer that must be given once the event is accepted.
    pub ack: Option<ExpectedAnswer>,
    /// Who made it and who judged it.
    pub origin: String,
}

/// The two kinds of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// The request is genuine.
    Genuine,
    /// The request is refused.
    Refused,
}

/// Answers that the network would give.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetched {
    /// The body of the answer to a fetch for keys.
    pub keys: String,
}

/// What must be read from an event; what is null must not be there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFacts {
    /// The event type.
    #[serde(default, deserialize_with = "said")]
    pub event_type: Option<Option<String>>,
    /// The delivery id.
    #[serde(default, deserialize_with = "said")]
    pub delivery_id: Option<Option<String>>,
}

/// The answer of a handshake.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// Headers that must be in the answer; others may be there too.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The value that must be handed over.
    #[serde(default)]
    pub captured: Option<String>,
    /// The URL that must be visited.
    #[serde(default)]
    pub visit: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<ExpectedAnswer>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl Vector {
    /// The headers as a request has them.
    pub fn header_map(&self) -> Result<HeaderMap, String> {
        self.headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName =
                    name.parse().map_err(|_| format!("`{name}` is no header name"))?;
                let value = HeaderValue::from_bytes(value.as_bytes())
                    .map_err(|_| format!("the value of {name} cannot be sent"))?;
                Ok((name, value))
            })
            .collect()
    }

    /// The body's bytes.
    pub fn body(&self) -> Result<Vec<u8>, String> {
        STANDARD.decode(&self.body_base64).map_err(|error| format!("body_base64: {error}"))
    }

    /// The verifier that the vector is about.
    pub fn verifier(&self, entry: &Arc<Entry>) -> Result<Verifier, String> {
        let entry = match &self.entry {
            Some(text) => Arc::new(Entry::from_toml(text).map_err(|error| error.to_string())?),
            None => Arc::clone(entry),
        };
        let credentials = Credentials::new(
            self.secrets.clone(),
            self.public_keys.clone(),
            self.credentials.clone(),
        );
        let options =
            VerifierOptions { public_url: self.public_url.clone(), ..VerifierOptions::default() };
        Verifier::new(entry, &credentials, &options).map_err(|error| error.to_string())
    }

    /// The keys that were fetched for it, if the vector has the answer and the entry asks.
    pub fn fetched_keys(
        &self,
        verifier: &Verifier,
        request: &RequestView<'_>,
    ) -> Result<Option<FetchedKeys>, String> {
        let (Some(fetched), Ok(Some(wanted))) = (&self.fetched, verifier.key_request(request))
        else {
            return Ok(None);
        };
        FetchedKeys::parse(&wanted, fetched.keys.as_bytes(), self.verify_at)
            .map(Some)
            .map_err(|error| format!("the fetched keys: {error}"))
    }

    /// Runs it; the error says what was otherwise.
    pub fn run(&self, entry: &Arc<Entry>) -> Result<(), String> {
        let verifier = self.verifier(entry)?;
        let (headers, body) = (self.header_map()?, self.body()?);
        let request =
            RequestView { method: &self.method, url: &self.url, headers: &headers, body: &body };
        let (fetched, keys_problem) = match self.fetched_keys(&verifier, &request) {
            Ok(fetched) => (fetched, None),
            Err(problem) => (None, Some(problem)),
        };
        let verdict = verifier.verify_with(&request, self.verify_at, fetched.as_ref());
        let expected = match (self.expect, self.refusal) {
            (Expect::Genuine, _) => "genuine",
            (Expect::Refused, Some(refusal)) => refusal.code(),
            (Expect::Refused, None) => return Err("no refusal is named".to_owned()),
        };
        if verdict.code() != expected {
            let why =
                keys_problem.unwrap_or_else(|| verifier.explain(&request, self.verify_at).sentence);
            return Err(format!("{} instead of {expected} ({why})", verdict.code()));
        }
        if let (Some(index), Verdict::Genuine(genuine)) = (self.secret_index, &verdict)
            && genuine.secret_index != Some(index)
        {
            return Err(format!("key {:?} instead of {index}", genuine.secret_index));
        }
        self.compare_facts(&verifier, &request)?;
        if fetched.is_none() {
            let explanation = verifier.explain(&request, self.verify_at);
            if explanation.verdict != verdict
                || explanation.sentence.is_empty()
                || explanation.likely_cause.is_some() == verdict.is_genuine()
            {
                return Err(format!("the explanation does not fit: {explanation:?}"));
            }
        }
        if let Some(wanted) = &self.ack {
            let found = verifier.acknowledgement(&request).map(|ack| ExpectedAnswer {
                status: ack.status,
                body: String::from_utf8_lossy(&ack.body).into_owned(),
                headers: named_in(&ack.headers, Some(wanted)),
                captured: None,
                visit: None,
            });
            if found.as_ref() != Some(wanted) {
                return Err(format!("the acknowledgement is {found:?} instead of {wanted:?}"));
            }
        }
        let answer = verifier.handshake_with(&request, self.verify_at, fetched.as_ref());
        match &self.handshake {
            None => Ok(()),
            Some(wanted) => compare_answers(answer.as_ref(), wanted.as_ref()),
        }
    }

    fn compare_facts(&self, verifier: &Verifier, request: &RequestView<'_>) -> Result<(), String> {
        let Some(wanted) = &self.facts else {
            return Ok(());
        };
        let found = verifier.facts(request);
        for (name, wanted, found) in [
            ("event_type", &wanted.event_type, &found.event_type),
            ("delivery_id", &wanted.delivery_id, &found.delivery_id),
        ] {
            if let Some(wanted) = wanted
                && wanted != found
            {
                return Err(format!("{name} is {found:?} instead of {wanted:?}"));
            }
        }
        Ok(())
    }
}

fn compare_answers(
    answer: Option<&HandshakeAnswer>,
    wanted: Option<&ExpectedAnswer>,
) -> Result<(), String> {
    let found = answer.map(|answer| ExpectedAnswer {
        status: answer.status,
        body: String::from_utf8_lossy(&answer.body).into_owned(),
        headers: named_in(&answer.headers, wanted),
        captured: answer.captured.as_ref().map(|captured| captured.value.clone()),
        visit: answer.visit.clone(),
    });
    if found.as_ref() == wanted {
        Ok(())
    } else {
        Err(format!("the handshake's answer is {found:?} instead of {wanted:?}"))
    }
}

/// The headers that the expected answer names.
fn named_in(
    headers: &[(String, String)],
    wanted: Option<&ExpectedAnswer>,
) -> BTreeMap<String, String> {
    let is_wanted = |name: &str| wanted.is_some_and(|wanted| wanted.headers.contains_key(name));
    headers.iter().filter(|(name, _)| is_wanted(name)).cloned().collect()
}

impl Sample {
    /// Compares the event type that is found with the one that is said.
    pub fn run(&self, entry: &Arc<Entry>) -> Result<(), String> {
        let verifier =
            Verifier::new(Arc::clone(entry), &Credentials::default(), &VerifierOptions::default())
                .map_err(|error| error.to_string())?;
        let headers = self.header_map(entry)?;
        let url = self.url("https://hooks.example.com/in/src");
        let request = RequestView {
            method: &self.method,
            url: &url,
            headers: &headers,
            body: &self.body_bytes(),
        };
        let found = verifier.facts(&request).event_type;
        let places = entry.event_type.iter().flat_map(|fact| fact.at.iter());
        let mut variables = places.flat_map(|place| place.variables());
        // What is part of the signature's own text cannot be in a sample.
        let beside = variables.any(|variable| matches!(variable, Expr::Claim(_) | Expr::Field(_)));
        if found == self.event_type || (found.is_none() && beside) {
            return Ok(());
        }
        Err(format!("the sample's event type is {found:?} instead of {:?}", self.event_type))
    }
}

/// Whether the entry says enough about its proof, given how other entries are found by their slugs.
pub fn check_proof(
    entry: &Entry,
    other: impl FnOnce(&str) -> Option<Arc<Entry>>,
) -> Result<(), String> {
    match (entry.status, entry.proof) {
        (Status::Proven, None) => {
            Err("it is proven and does not say by what: give `proof`".to_owned())
        }
        (Status::Proven, Some(Proof::Shared)) => {
            let like = entry.like.as_deref().unwrap_or_default();
            let other = other(like).ok_or_else(|| format!("`like` names no entry: {like}"))?;
            if other.status != Status::Proven
                || !matches!(other.proof, Some(Proof::Sdk | Proof::Document))
            {
                return Err(format!("`like` names {like}, which no SDK or document proves"));
            }
            let shapes: Vec<String> = other.schemes.iter().map(shape).collect();
            match entry.schemes.iter().map(shape).find(|shape| !shapes.contains(shape)) {
                None => Ok(()),
                Some(shape) => Err(format!(
                    "`like` names {like}, which has no scheme of this shape: {shape} (it has {})",
                    shapes.join("; ")
                )),
            }
        }
        _ => Ok(()),
    }
}

/// What two schemes that are proven by the same software have in common: names of headers may differ.
fn shape(scheme: &Scheme) -> String {
    let parts = scheme.message.parts().iter().map(|part| match part {
        Expr::Header(_) => "{header}".to_owned(),
        Expr::Query(_) => "{query}".to_owned(),
        Expr::Field(_) => "{field}".to_owned(),
        Expr::Credential(_) => "{credential}".to_owned(),
        Expr::Json(_) => "{json}".to_owned(),
        Expr::Literal(text) => text.clone(),
        other => format!("{{{other}}}"),
    });
    let message: String = parts.collect();
    let encoding = scheme.signature.as_ref().map(|spec| spec.encoding);
    format!("{} {:?} {encoding:?} {message}", scheme.class.name(), scheme.digest)
}
