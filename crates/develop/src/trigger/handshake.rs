//! Challenges: the requests by which providers find out whether a URL is the handler's, and the right answers.
//!
//! Made from the entry's handshake rules: what a rule wants to see is put into a request, what it does not want
//! is left out, and the answer that is expected is the one that the rule itself gives. A sample of the
//! provider's file makes the request look like the provider's where the rule alone would be too bare.

use std::collections::BTreeMap;

use becket_signature::{Charset, Condition, Expr, HandshakeAnswer, HandshakeRule, Place};
use serde_json::{Map, Value};

use super::fill::{Filler, Seed};
use super::request::{Order, Prepared, Unsigned, signed, together};
use super::samples::{self, Body};
use super::{Change, TriggerError};

/// A handshake and what it must be answered with.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// The handshake's name in the entry.
    pub name: String,
    /// The request.
    pub request: Prepared,
    /// The right answer.
    pub expected: HandshakeAnswer,
}

/// Makes the first handshake of the provider that can be made, or the one of this name. `named` are the named
/// credentials, some of which a challenge repeats; the order's sample is not used.
pub fn challenge(
    order: &Order<'_>,
    named: &BTreeMap<String, String>,
    wanted: Option<&str>,
    seed: Seed,
) -> Result<Challenge, TriggerError> {
    let entry = order.verifier.entry();
    let none = |message: String| TriggerError::Handshake(message);
    if entry.handshakes.is_empty() {
        return Err(none(format!("{} has none: its first request is an event", entry.name)));
    }
    let rules = entry.handshakes.iter().filter(|rule| wanted.is_none_or(|name| rule.name == name));
    let mut problem = None;
    for rule in rules {
        match of_rule(order, named, rule, seed) {
            Ok(challenge) => return Ok(challenge),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| {
        let names: Vec<&str> = entry.handshakes.iter().map(|rule| rule.name.as_str()).collect();
        none(format!("{} has: {}", entry.name, names.join(", ")))
    }))
}

fn of_rule(
    order: &Order<'_>,
    named: &BTreeMap<String, String>,
    rule: &HandshakeRule,
    seed: Seed,
) -> Result<Challenge, TriggerError> {
    if rule.visit.is_some() {
        return Err(TriggerError::Handshake(format!(
            "`{}` makes the handler visit a page of the provider, which would be a real one",
            rule.name
        )));
    }
    let fragments = BTreeMap::new();
    let mut filler =
        Filler { seed, at_s: order.at_s, delivery_id: String::new(), fragments: &fragments };
    let wrong = |message| TriggerError::Handshake(format!("`{}`: {message}", rule.name));
    filler.delivery_id = filler.text("{{uuid delivery}}").map_err(wrong)?;
    let mut making = Making::new(order, rule, &filler)?;
    for condition in &rule.when {
        making.fulfil(condition, named, &filler).map_err(wrong)?;
    }
    making.fill_answer(rule, &filler).map_err(wrong)?;
    let unsigned = making.finish(order, filler.delivery_id.clone())?;
    let request = if rule.verify_first || !unsigned.body.is_empty() {
        signed(order, &unsigned, order.at_s).or_else(|error| {
            if rule.verify_first { Err(error) } else { Ok(bare(order, &unsigned)) }
        })?
    } else {
        bare(order, &unsigned)
    };
    // A signature may be what the rule does not want to see.
    let request = match answer(order, &request)? {
        Some(_) => request,
        None => bare(order, &unsigned),
    };
    let expected = answer(order, &request)?.filter(|answer| answer.name == rule.name);
    let expected =
        expected.ok_or_else(|| wrong("it takes a request that cannot be made here".to_owned()))?;
    let request = request.described(order.verifier, order.at_s)?;
    Ok(Challenge { name: rule.name.clone(), request, expected })
}

fn answer(order: &Order<'_>, request: &Prepared) -> Result<Option<HandshakeAnswer>, TriggerError> {
    request.with_view(|view| order.verifier.handshake(view, order.at_s))
}

/// A request without a signature.
fn bare(order: &Order<'_>, unsigned: &Unsigned) -> Prepared {
    let kind = (!unsigned.content_type.is_empty())
        .then(|| ("content-type".to_owned(), unsigned.content_type.clone()));
    Prepared {
        method: unsigned.method.clone(),
        url: unsigned.url.clone(),
        headers: together(kind.into_iter().collect(), unsigned, order.headers),
        body: unsigned.body.clone(),
        event_type: None,
        delivery_id: None,
        verdict: None,
    }
}

/// A challenge in the making.
struct Making {
    method: String,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    document: Option<Value>,
}

impl Making {
    fn new(
        order: &Order<'_>,
        rule: &HandshakeRule,
        filler: &Filler<'_>,
    ) -> Result<Self, TriggerError> {
        let slug = order.verifier.entry().slug();
        let mut making = Self {
            method: "POST".to_owned(),
            headers: Vec::new(),
            query: Vec::new(),
            document: None,
        };
        let Some(sample) = samples::handshake(slug, &rule.name)? else { return Ok(making) };
        let wrong =
            |message| TriggerError::Sample { sample: format!("{slug} {}", rule.name), message };
        making.method.clone_from(&sample.method);
        for (name, value) in &sample.headers {
            making.headers.push((name.to_lowercase(), filler.text(value).map_err(wrong)?));
        }
        if let Body::Json { document, .. } = &sample.body {
            making.document = Some(filler.value(document).map_err(wrong)?);
        }
        Ok(making)
    }

    /// Makes a condition hold that is about the method, a header, the query or the document.
    fn fulfil(
        &mut self,
        condition: &Condition,
        named: &BTreeMap<String, String>,
        filler: &Filler<'_>,
    ) -> Result<(), String> {
        let Some(place) = condition.at.single() else { return Ok(()) };
        let Some(text) = wanted(condition, named, filler)? else { return Ok(()) };
        self.put(place, text);
        Ok(())
    }

    /// What the answer repeats has to be there.
    fn fill_answer(&mut self, rule: &HandshakeRule, filler: &Filler<'_>) -> Result<(), String> {
        let headers = rule.respond.headers.values();
        for variable in headers.chain([&rule.respond.body]).flat_map(|text| text.variables()) {
            if matches!(variable, Expr::Json(_) | Expr::Header(_) | Expr::Query(_)) {
                self.put(variable, token(Charset::Token, filler)?);
            }
        }
        if let Some(capture) = &rule.capture
            && let Some(place) = Place::single(&capture.from)
        {
            self.put(place, token(Charset::Token, filler)?);
        }
        Ok(())
    }

    /// Writes a text at a place where nothing is yet.
    fn put(&mut self, place: &Expr, text: String) {
        match place {
            Expr::Method => self.method = text,
            Expr::Header(name) if !self.headers.iter().any(|(known, _)| known == name.as_str()) => {
                self.headers.push((name.as_str().to_owned(), text));
            }
            Expr::Query(name) if !self.query.iter().any(|(known, _)| *known == **name) => {
                self.query.push((name.to_string(), text));
            }
            Expr::Json(path) => {
                let value = text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
                put_json(self.document.get_or_insert(Value::Null), path.segments(), value);
            }
            _ => {}
        }
    }

    fn finish(mut self, order: &Order<'_>, delivery_id: String) -> Result<Unsigned, TriggerError> {
        let mut url = order.url.to_owned();
        if !self.query.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.query);
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}{}", query.finish());
        }
        if let Some(document) = &mut self.document {
            for change in order.changes {
                Change::apply(change, document)?;
            }
        }
        let kind = if self.document.is_some() { "application/json" } else { "" };
        Ok(Unsigned {
            method: self.method,
            url,
            content_type: kind.to_owned(),
            headers: self.headers,
            body: self
                .document
                .map(|document| document.to_string().into_bytes())
                .unwrap_or_default(),
            event_type: None,
            delivery_id,
        })
    }
}

/// The text that a condition wants to see. `None` when it wants to see none.
fn wanted(
    condition: &Condition,
    named: &BTreeMap<String, String>,
    filler: &Filler<'_>,
) -> Result<Option<String>, String> {
    if condition.present == Some(false) || condition.empty == Some(true) {
        return Ok(None);
    }
    if let Some(name) = &condition.equals_credential {
        let value = named.get(name).ok_or_else(|| format!("it repeats the credential `{name}`"))?;
        return Ok(Some(value.clone()));
    }
    let texts = condition.equals.iter().chain(&condition.starts_with);
    if let Some(text) = texts.filter_map(|texts| texts.first()).next() {
        return Ok(Some(text.clone()));
    }
    token(condition.charset.unwrap_or(Charset::Token), filler).map(Some)
}

fn token(charset: Charset, filler: &Filler<'_>) -> Result<String, String> {
    filler.text(match charset {
        Charset::Token => "{{base62 32 challenge}}",
        Charset::Digits => "{{digits 10 challenge}}",
        Charset::Hex => "{{hex 32 challenge}}",
    })
}

/// Writes a value where none is, and makes objects and lists on the way.
fn put_json(document: &mut Value, path: &[String], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        if document.is_null() {
            *document = value;
        }
        return;
    };
    if step == "*" || step == "0" {
        if document.is_null() {
            *document = Value::Array(vec![Value::Null]);
        }
        if let Value::Array(items) = document
            && let Some(first) = items.first_mut()
        {
            put_json(first, rest, value);
        }
        return;
    }
    if document.is_null() {
        *document = Value::Object(Map::new());
    }
    if let Value::Object(members) = document {
        put_json(members.entry(step.as_str()).or_insert(Value::Null), rest, value);
    }
}
