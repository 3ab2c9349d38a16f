//! Requests that a handler has to refuse: changed after signing, or signed long ago.
//!
//! Invariant: where the keys that verify are known, what is spoilt is refused by our own verification; what the
//! provider's signature does not cover is said instead of pretended.

use becket_signature::{Class, Expr, Place, Tolerance, Verifier};
use serde_json::Value;

use super::TriggerError;
use super::request::{Order, Prepared};

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tamper {
    /// The body was changed after it was signed.
    Body,
    /// The signature is another one.
    Signature,
    /// It was signed longer ago than the provider's libraries allow.
    Timestamp,
}

/// So much older than allowed that no clock that is a little off saves it.
const MARGIN_S: i64 = 86_400;
/// Changes of a body that are tried, one after the other.
const TRIES_MAX: usize = 256;

/// A time of sending that is too old for every scheme of the entry.
pub(super) fn old_time(order: &Order<'_>) -> Result<i64, TriggerError> {
    let schemes = &order.verifier.entry().schemes;
    let limits =
        schemes.iter().filter_map(|scheme| scheme.timestamp.as_ref()).filter_map(|time| match time
            .max_age_s
        {
            Tolerance::Seconds(seconds) => i64::try_from(seconds).ok(),
            Tolerance::Unchecked => None,
        });
    // The end of a token is judged whatever the entry says.
    let tokens = schemes.iter().any(|scheme| scheme.class == Class::Jwt).then_some(0);
    let limit = limits.max().or(tokens);
    let limit = limit.ok_or(TriggerError::Tamper("this provider signs no time that is checked"))?;
    Ok(order.at_s.saturating_sub(limit).saturating_sub(MARGIN_S))
}

/// Makes a genuine request one that has to be refused.
pub(super) fn spoil(
    order: &Order<'_>,
    prepared: Prepared,
    tamper: Tamper,
) -> Result<Prepared, TriggerError> {
    let (candidates, nothing): (Vec<Prepared>, _) = match tamper {
        Tamper::Timestamp => {
            (vec![prepared], "this provider's signature has no time that is checked")
        }
        Tamper::Signature => {
            (other_signatures(order.verifier, &prepared), "this provider signs nothing")
        }
        Tamper::Body => (
            other_bodies(order.verifier, &prepared),
            "this provider's signature does not cover the body",
        ),
    };
    for candidate in candidates {
        let candidate = candidate.described(order.verifier, order.at_s)?;
        if candidate.verdict != Some("genuine") {
            return Ok(candidate);
        }
    }
    Err(TriggerError::Tamper(nothing))
}

fn other_signatures(verifier: &Verifier, prepared: &Prepared) -> Vec<Prepared> {
    let mut candidates = Vec::new();
    let specs = verifier.entry().schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
    for place in specs.flat_map(|spec| spec.at.iter()).filter_map(Place::single) {
        match place {
            Expr::Header(name) => {
                let at = prepared.headers.iter().position(|(known, _)| known == name.as_str());
                let Some(at) = at else { continue };
                for text in others(&prepared.headers[at].1) {
                    let mut candidate = prepared.clone();
                    candidate.headers[at].1 = text;
                    candidates.push(candidate);
                }
            }
            Expr::Query(name) => {
                let Ok(url) = url::Url::parse(&prepared.url) else { continue };
                for (at, (known, value)) in url.query_pairs().enumerate() {
                    if known != name.as_str() {
                        continue;
                    }
                    for text in others(&value) {
                        let mut changed = url.clone();
                        let mut pairs = changed.query_pairs_mut();
                        pairs.clear();
                        for (index, (name, value)) in url.query_pairs().enumerate() {
                            pairs.append_pair(&name, if index == at { &text } else { &value });
                        }
                        drop(pairs);
                        candidates.push(Prepared { url: changed.into(), ..prepared.clone() });
                    }
                }
            }
            Expr::Body => {
                let text = String::from_utf8_lossy(&prepared.body);
                candidates.extend(
                    others(&text)
                        .into_iter()
                        .map(|text| Prepared { body: text.into_bytes(), ..prepared.clone() }),
                );
            }
            Expr::Json(path) => {
                let Ok(document) = serde_json::from_slice::<Value>(&prepared.body) else {
                    continue;
                };
                let wanted = path.segments();
                for leaf in leaves(&document).into_iter().filter(|leaf| is_at(leaf, wanted)) {
                    let text = document.pointer(&pointer(&leaf)).and_then(Value::as_str);
                    for other in others(text.unwrap_or_default()) {
                        let mut changed = document.clone();
                        if let Some(place) = changed.pointer_mut(&pointer(&leaf)) {
                            *place = Value::from(other);
                        }
                        let body = changed.to_string().into_bytes();
                        candidates.push(Prepared { body, ..prepared.clone() });
                    }
                }
            }
            Expr::Form(name) => {
                let fields = fields(&prepared.body);
                for (at, (known, value)) in fields.iter().enumerate() {
                    if known != name.as_str() {
                        continue;
                    }
                    for other in others(value) {
                        let mut changed = fields.clone();
                        changed[at].1 = other;
                        candidates.push(Prepared { body: form(&changed), ..prepared.clone() });
                    }
                }
            }
            _ => {}
        }
    }
    candidates
}

/// The text with one character exchanged, in the middle of its longest run of letters and digits first: there
/// signatures are, and no padding that decoding forgives.
fn others(text: &str) -> Vec<String> {
    let mut best = 0..0;
    let mut start = None;
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        match (byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if at - from > best.len() {
                    best = from..at;
                }
                start = None;
            }
            _ => {}
        }
    }
    let middle = best.start + best.len() / 2;
    let exchanged = [middle, best.start + best.len() / 4].into_iter().filter_map(|at| {
        let old = text.as_bytes().get(at).copied()?;
        let new = if old == b'1' { '0' } else { '1' };
        let mut other = text.to_owned();
        other.replace_range(at..=at, new.encode_utf8(&mut [0; 4]));
        Some(other)
    });
    exchanged.collect()
}

fn other_bodies(verifier: &Verifier, prepared: &Prepared) -> Vec<Prepared> {
    let with = |body: Vec<u8>| Prepared { body, ..prepared.clone() };
    if let Ok(document) = serde_json::from_slice::<Value>(&prepared.body) {
        let own = beside_signatures(verifier);
        return leaves(&document)
            .into_iter()
            .filter(|leaf| !own.iter().any(|path| is_below(leaf, path)))
            .take(TRIES_MAX)
            .filter_map(|leaf| {
                let mut changed = document.clone();
                let place = changed.pointer_mut(&pointer(&leaf))?;
                *place = another(place);
                Some(with(changed.to_string().into_bytes()))
            })
            .collect();
    }
    let is_form = prepared
        .headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.contains("x-www-form-urlencoded"));
    if is_form {
        let fields = fields(&prepared.body);
        return (0..fields.len().min(TRIES_MAX))
            .map(|at| {
                let mut changed = fields.clone();
                changed[at].1.push('1');
                with(form(&changed))
            })
            .collect();
    }
    let mut body = prepared.body.clone();
    if body.is_empty() {
        body.push(b'1');
    } else {
        let middle = body.len() / 2;
        body[middle] ^= 1;
    }
    vec![with(body)]
}

/// Another value of the same kind.
fn another(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(format!("{text}1")),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole.saturating_add(1)),
            None => Value::from(1),
        },
        Value::Bool(truth) => Value::from(!truth),
        _ => Value::from("1"),
    }
}

/// The objects of the body in which signatures are: what stands beside one belongs to it, not to the event.
fn beside_signatures(verifier: &Verifier) -> Vec<Vec<String>> {
    let schemes = &verifier.entry().schemes;
    let places = schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
    let paths = places.flat_map(|spec| spec.at.iter()).filter_map(|place| match place.single() {
        Some(Expr::Json(path)) => Some(path.segments()),
        _ => None,
    });
    // A signature at the top of the document stands beside everything: only itself is left out.
    paths
        .map(|path| match path {
            [single] => vec![single.clone()],
            [parents @ .., _] => parents.to_vec(),
            [] => Vec::new(),
        })
        .collect()
}

fn step_fits(step: &str, wanted: &str) -> bool {
    step == wanted || wanted == "*" && step == "0"
}

fn is_below(leaf: &[String], path: &[String]) -> bool {
    leaf.len() >= path.len() && leaf.iter().zip(path).all(|(step, wanted)| step_fits(step, wanted))
}

fn is_at(leaf: &[String], path: &[String]) -> bool {
    leaf.len() == path.len() && is_below(leaf, path)
}

/// The ways to all single values of a document, in its order.
fn leaves(document: &Value) -> Vec<Vec<String>> {
    fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        let mut into = |step: String, value: &Value| {
            path.push(step);
            collect(value, path, found);
            path.pop();
        };
        match value {
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(at, item)| into(at.to_string(), item));
            }
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, member)| into(name.clone(), member));
            }
            _ => found.push(path.clone()),
        }
    }
    let mut found = Vec::new();
    collect(document, &mut Vec::new(), &mut found);
    found
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

fn fields(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn form(fields: &[(String, String)]) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_changed_where_it_counts() {
        let other = others("t=1767225600,v1=abcdef0123456789abcdef0123456789");
        assert!(other[0].starts_with("t=1767225600,v1="), "{other:?}");
        assert_ne!(other[0], "t=1767225600,v1=abcdef0123456789abcdef0123456789");
        assert!(others("").is_empty());
    }

    #[test]
    fn leaves_are_found_with_their_ways() {
        let document = serde_json::json!({ "a": { "b/c": [1, { "d": null }] }, "e": {} });
        let ways: Vec<String> = leaves(&document).iter().map(|leaf| pointer(leaf)).collect();
        assert_eq!(ways, ["/a/b~1c/0", "/a/b~1c/1/d", "/e"]);
        assert!(ways.iter().all(|way| document.pointer(way).is_some()));
    }
}
