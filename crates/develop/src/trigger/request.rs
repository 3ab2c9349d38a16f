//! From a sample to a request that can be sent: fill, change, sign, spoil.
//!
//! Invariants: what is printed again after a change is signed after it; the signer's headers win over the
//! sample's, the caller's over both. A body that is not changed and came from the caller is sent byte for byte.

use becket_signature::{Expr, RequestView, SignRequest, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::TriggerError;
use super::fill::{Filler, Seed};
use super::samples::{Body, Sample};
use super::shape::Change;
use super::tamper::{self, Tamper};

const FORM: &str = "application/x-www-form-urlencoded";

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Signs; its entry says how.
    pub verifier: &'a Verifier,
    /// What the event looks like.
    pub sample: &'a Sample,
    /// Changes of the body, in their order.
    pub changes: &'a [Change],
    /// Headers of the caller; they replace others of the name.
    pub headers: &'a [(String, String)],
    /// The delivery id; a fresh one if absent.
    pub delivery_id: Option<&'a str>,
    /// Where it goes, with its query.
    pub url: &'a str,
    /// What is to be wrong with it.
    pub tamper: Option<Tamper>,
    /// The time of sending in unix seconds.
    pub at_s: i64,
}

/// A request that can be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The method.
    pub method: String,
    /// Where it goes; some schemes sign in the query.
    pub url: String,
    /// Names and values, the content type included.
    pub headers: Vec<(String, String)>,
    /// The exact body.
    pub body: Vec<u8>,
    /// The event type that a receiver finds.
    pub event_type: Option<String>,
    /// The delivery id that a receiver finds.
    pub delivery_id: Option<String>,
    /// What verification says about it at the time of sending: `genuine`, or the code of a refusal.
    /// `None` when the keys that verify are not known here.
    pub verdict: Option<&'static str>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Prepared")
            .field("method", &self.method)
            .field("event_type", &self.event_type)
            .field("verdict", &self.verdict)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// The headers as a map.
    pub fn header_map(&self) -> Result<HeaderMap, TriggerError> {
        header_map(&self.headers)
    }

    /// Calls with the request as a receiver sees it.
    pub(super) fn with_view<R>(
        &self,
        call: impl FnOnce(&RequestView<'_>) -> R,
    ) -> Result<R, TriggerError> {
        let headers = self.header_map()?;
        Ok(call(&RequestView {
            method: &self.method,
            url: &self.url,
            headers: &headers,
            body: &self.body,
        }))
    }

    /// Fills in what a receiver finds.
    pub(super) fn described(
        mut self,
        verifier: &Verifier,
        at_s: i64,
    ) -> Result<Self, TriggerError> {
        let (facts, code) =
            self.with_view(|view| (verifier.facts(view), verifier.verify(view, at_s).code()))?;
        self.event_type = facts.event_type;
        self.delivery_id = facts.delivery_id;
        self.verdict = (!UNKNOWN.contains(&code)).then_some(code);
        Ok(self)
    }
}

/// Verdicts that only say that the verifying key is not here.
const UNKNOWN: [&str; 3] = ["missing_credential", "key_unavailable", "unknown_key"];

/// Makes a request. `seed` makes its ids: another one for each request.
pub fn prepare(order: &Order<'_>, seed: Seed) -> Result<Prepared, TriggerError> {
    let sign_at_s = match order.tamper {
        Some(Tamper::Timestamp) => tamper::old_time(order)?,
        _ => order.at_s,
    };
    let unsigned = shaped(order, seed, sign_at_s)?;
    let prepared = signed(order, &unsigned, sign_at_s)?.described(order.verifier, order.at_s)?;
    match order.tamper {
        None => Ok(prepared),
        Some(tamper) => tamper::spoil(order, prepared, tamper),
    }
}

/// A request before it is signed.
pub(super) struct Unsigned {
    pub method: String,
    pub url: String,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub event_type: Option<String>,
    pub delivery_id: String,
}

fn shaped(order: &Order<'_>, seed: Seed, at_s: i64) -> Result<Unsigned, TriggerError> {
    let sample = order.sample;
    let mut filler =
        Filler { seed, at_s, delivery_id: String::new(), fragments: &sample.fragments };
    let wrong = |message| TriggerError::Sample { sample: sample.name.clone(), message };
    filler.delivery_id = match order.delivery_id {
        Some(given) => given.to_owned(),
        None => filler.text(&sample.delivery_id).map_err(wrong)?,
    };
    let (content_type, body) = body_of(order, &filler)?;
    let url = match &sample.query {
        None => order.url.to_owned(),
        Some(query) => {
            let separator = if order.url.contains('?') { '&' } else { '?' };
            format!("{}{separator}{}", order.url, filler.text(query).map_err(wrong)?)
        }
    };
    let headers = sample
        .headers
        .iter()
        .map(|(name, value)| Ok((name.to_lowercase(), filler.text(value).map_err(wrong)?)))
        .collect::<Result<_, TriggerError>>()?;
    Ok(Unsigned {
        method: sample.method.clone(),
        url,
        content_type,
        headers,
        body,
        event_type: sample.event_type.clone(),
        delivery_id: filler.delivery_id,
    })
}

fn body_of(order: &Order<'_>, filler: &Filler<'_>) -> Result<(String, Vec<u8>), TriggerError> {
    let sample = order.sample;
    let wrong = |message| TriggerError::Sample { sample: sample.name.clone(), message };
    match &sample.body {
        Body::Json { document, pretty, end } => {
            let mut document = filler.value(document).map_err(wrong)?;
            if sample.is_plain {
                freshen(order.verifier, &mut document, &filler.delivery_id);
            }
            for change in order.changes {
                change.apply(&mut document)?;
            }
            let printed = if *pretty {
                serde_json::to_string_pretty(&document)
            } else {
                serde_json::to_string(&document)
            };
            let printed = printed.map_err(|error| wrong(error.to_string()))?;
            Ok(("application/json".to_owned(), format!("{printed}{end}").into_bytes()))
        }
        Body::Form(fields) => {
            let mut fields = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), filler.form_text(value)?)))
                .collect::<Result<Vec<_>, String>>()
                .map_err(wrong)?;
            for change in order.changes {
                change.apply_form(&mut fields)?;
            }
            Ok((FORM.to_owned(), encoded(&fields)))
        }
        Body::Raw { bytes, content_type } if order.changes.is_empty() => {
            Ok((content_type.clone(), bytes.clone()))
        }
        Body::Raw { bytes, content_type } => {
            let bytes = changed(bytes, content_type, order.changes)?;
            Ok((content_type.clone(), bytes))
        }
    }
}

/// Changes a body of the caller's own, which has to be a form or JSON.
fn changed(bytes: &[u8], kind: &str, changes: &[Change]) -> Result<Vec<u8>, TriggerError> {
    if kind.starts_with(FORM) {
        let mut fields: Vec<(String, String)> =
            url::form_urlencoded::parse(bytes).into_owned().collect();
        for change in changes {
            change.apply_form(&mut fields)?;
        }
        return Ok(encoded(&fields));
    }
    let mut document: Value = serde_json::from_slice(bytes).map_err(|_| TriggerError::Change {
        path: "body".to_owned(),
        message: "it is neither JSON nor a form".to_owned(),
    })?;
    for change in changes {
        change.apply(&mut document)?;
    }
    Ok(document.to_string().into_bytes())
}

fn encoded(fields: &[(String, String)]) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish().into_bytes()
}

/// Writes the delivery id into a sample of an entry, which has none of the placeholders: where the entry finds
/// the id in the body, a text there becomes the fresh one.
fn freshen(verifier: &Verifier, document: &mut Value, delivery_id: &str) {
    let entry = verifier.entry();
    let types = entry.event_type.iter().flat_map(|fact| fact.at.iter());
    let types: Vec<&Expr> = types.flat_map(|place| place.variables()).collect();
    for place in entry.delivery_id.iter().flat_map(|fact| fact.at.iter()) {
        let mut renewed = false;
        for variable in place.variables().filter(|variable| !types.contains(variable)) {
            if let Expr::Json(path) = variable
                && let Some(value) = value_at(document, path.segments())
            {
                renewed |= renew(value, delivery_id);
            }
        }
        if renewed {
            return;
        }
    }
}

fn value_at<'v>(document: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    let mut here = document;
    for step in path {
        here = match here {
            Value::Array(items) => {
                let index = if step == "*" { 0 } else { step.parse::<usize>().ok()? };
                items.get_mut(index)?
            }
            Value::Object(members) => members.get_mut(step)?,
            _ => return None,
        };
    }
    Some(here)
}

/// Makes another id of a text or a number; anything else is no id.
fn renew(value: &mut Value, delivery_id: &str) -> bool {
    match value {
        Value::String(text) => *text = like(text, delivery_id),
        Value::Number(number) => {
            let digits = number.to_string().len().clamp(1, 15);
            let text: String = digits_of(delivery_id).chars().take(digits).collect();
            match text.parse::<u64>() {
                Ok(fresh) => *number = fresh.into(),
                Err(_) => return false,
            }
        }
        _ => return false,
    }
    true
}

/// An id of the sample's beginning (`evt_`, `wh-`) with a fresh end.
fn like(sample: &str, delivery_id: &str) -> String {
    let plain: String = delivery_id.chars().filter(|character| *character != '-').collect();
    match sample.rfind(['_', '-', '/']) {
        _ if sample.len() == delivery_id.len() => delivery_id.to_owned(),
        Some(end) => format!("{}{plain}", &sample[..=end]),
        None => plain,
    }
}

fn digits_of(delivery_id: &str) -> String {
    let digit =
        |character: char| character.to_digit(16).map(|digit| char::from(b'1' + (digit % 9) as u8));
    delivery_id.chars().filter_map(digit).collect()
}

/// Signs, and puts the headers together.
pub(super) fn signed(
    order: &Order<'_>,
    unsigned: &Unsigned,
    at_s: i64,
) -> Result<Prepared, TriggerError> {
    let signed = order.verifier.sign(
        &SignRequest {
            method: &unsigned.method,
            url: &unsigned.url,
            body: &unsigned.body,
            content_type: &unsigned.content_type,
            event_type: unsigned.event_type.as_deref(),
            delivery_id: Some(&unsigned.delivery_id),
        },
        at_s,
    )?;
    Ok(Prepared {
        method: unsigned.method.clone(),
        url: signed.url,
        headers: together(signed.headers, unsigned, order.headers),
        body: signed.body,
        event_type: None,
        delivery_id: None,
        verdict: None,
    })
}

/// The signer's headers, then the sample's where the signer has none, with the caller's in place of both.
pub(super) fn together(
    mut headers: Vec<(String, String)>,
    unsigned: &Unsigned,
    own: &[(String, String)],
) -> Vec<(String, String)> {
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(known, _)| known == name);
    for (name, value) in &unsigned.headers {
        if !has(&headers, name) {
            headers.push((name.clone(), value.clone()));
        }
    }
    headers.retain(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    headers.extend(own.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
    headers
}

pub(super) fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, TriggerError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong =
            |message| TriggerError::Header { name: name.escape_debug().to_string(), message };
        let known = HeaderName::try_from(name.as_str()).map_err(|_| wrong("it is no name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| wrong("its value has characters that no header may have"))?;
        map.append(known, value);
    }
    Ok(map)
}
