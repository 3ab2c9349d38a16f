//! Placeholders of sample files: ids and times that are fresh in every request and agree within one.
//!
//! `{{KIND ARGUMENTS NAME}}` stands in a text. The same kind, length and name give the same value within a
//! request, so that an order has one id wherever it is named; another request has another. A text that is
//! nothing but one placeholder of a number becomes a number.
//!
//! | placeholder | value |
//! | --- | --- |
//! | `{{delivery_id}}` | the delivery id, as the file's `delivery_id` makes it or the caller gave it |
//! | `{{delivery_number}}` | the same as a number |
//! | `{{unix}}`, `{{unix_ms}}` | the time as a number, `{{unix-3600}}` an hour earlier |
//! | `{{rfc3339}}`, `{{rfc3339_ms}}`, `{{date}}`, `{{utc}}` | the time as a text, with `+` and `-` seconds as well |
//! | `{{uuid NAME}}`, `{{hex N NAME}}`, `{{base62 N NAME}}`, `{{upper N NAME}}`, `{{digits N NAME}}` | random texts |
//! | `{{braced NAME}}` | the `{{uuid NAME}}` in braces |
//! | `{{number N NAME}}` | a random number of N digits |
//! | `{{fragment NAME}}` | a part that several events share |

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};
use serde_json::Value;

/// What makes the ids of one request: the same seed makes the same ids.
pub type Seed = [u8; 32];

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const HEX: &[u8] = b"0123456789abcdef";
const DIGITS: &[u8] = b"0123456789";
/// Longer texts are no ids.
const LENGTH_MAX: usize = 256;
/// Larger whole numbers lose digits in programs that take every number for a float.
const NUMBER_DIGITS_MAX: usize = 15;
/// Fragments may hold fragments, so deep and no deeper.
const DEPTH_MAX: u32 = 4;

/// Fills placeholders for one request.
pub(super) struct Filler<'a> {
    pub seed: Seed,
    pub at_s: i64,
    pub delivery_id: String,
    pub fragments: &'a BTreeMap<String, Value>,
}

impl Filler<'_> {
    /// A text with its placeholders filled.
    pub fn text(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inner, behind) =
                after.split_once("}}").ok_or_else(|| format!("`{{{{{after}` has no end"))?;
            filled.push_str(before);
            match self.placeholder(inner)? {
                Value::String(text) => filled.push_str(&text),
                Value::Object(_) | Value::Array(_) => {
                    return Err(format!("`{{{{{inner}}}}}` cannot stand inside a text"));
                }
                other => filled.push_str(&other.to_string()),
            }
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A document with the placeholders of all its texts filled.
    pub fn value(&self, value: &Value) -> Result<Value, String> {
        self.value_at(value, 0)
    }

    /// A field of a form, which may hold JSON.
    pub fn form_text(&self, text: &str) -> Result<String, String> {
        match serde_json::from_str::<Value>(text) {
            Ok(document @ (Value::Object(_) | Value::Array(_))) => {
                self.value(&document).map(|document| document.to_string())
            }
            _ => self.text(text),
        }
    }

    fn value_at(&self, value: &Value, depth: u32) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match alone(text) {
                Some(inner) => match inner.strip_prefix("fragment ") {
                    Some(name) if depth < DEPTH_MAX => {
                        self.value_at(self.fragment(name.trim())?, depth + 1)?
                    }
                    Some(name) => return Err(format!("the fragment `{name}` holds itself")),
                    None => self.placeholder(inner)?,
                },
                None => Value::String(self.text(text)?),
            },
            Value::Array(items) => Value::Array(
                items.iter().map(|item| self.value_at(item, depth)).collect::<Result<_, _>>()?,
            ),
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| Ok((self.text(name)?, self.value_at(member, depth)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other.clone(),
        })
    }

    fn fragment(&self, name: &str) -> Result<&Value, String> {
        self.fragments.get(name).ok_or_else(|| format!("there is no fragment `{name}`"))
    }

    fn placeholder(&self, inner: &str) -> Result<Value, String> {
        let mut words = inner.split_whitespace();
        let word = words.next().unwrap_or_default();
        let (kind, shift_s) = shifted(word)?;
        let at_s = self.at_s.saturating_add(shift_s);
        let value = match kind {
            "delivery_id" => Value::from(self.delivery_id.as_str()),
            "delivery_number" => self
                .delivery_id
                .parse::<u64>()
                .map_or_else(|_| Value::from(self.delivery_id.as_str()), Value::from),
            "unix" => Value::from(at_s),
            "unix_ms" => Value::from(at_s.saturating_mul(1_000)),
            "rfc3339" | "rfc3339_ms" | "date" | "utc" => Value::from(moment(kind, at_s)?),
            "uuid" => Value::from(self.uuid(words.next().unwrap_or_default())),
            "braced" => Value::from(format!("{{{}}}", self.uuid(words.next().unwrap_or_default()))),
            "hex" | "base62" | "upper" | "digits" | "number" => {
                let length = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                let name = words.next().unwrap_or_default();
                self.random(kind, length, name).ok_or_else(|| {
                    format!("`{{{{{inner}}}}}` needs a length of at most {LENGTH_MAX}")
                })?
            }
            _ => return Err(format!("`{{{{{inner}}}}}` is no placeholder")),
        };
        match words.next() {
            Some(more) => Err(format!("`{more}` in `{{{{{inner}}}}}` means nothing")),
            None => Ok(value),
        }
    }

    fn random(&self, kind: &str, length: usize, name: &str) -> Option<Value> {
        if length == 0 || length > LENGTH_MAX {
            return None;
        }
        let (alphabet, label) = match kind {
            "hex" => (HEX, kind),
            "base62" => (BASE62, kind),
            "upper" => (UPPER, kind),
            // The same id, once as a text and once as a number.
            _ => (DIGITS, "digits"),
        };
        let bytes = self.bytes(label, length, name);
        let mut text: String = bytes
            .iter()
            .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
            .collect();
        if alphabet == DIGITS && text.starts_with('0') {
            text.replace_range(..1, "7");
        }
        if kind != "number" {
            return Some(Value::from(text));
        }
        (length <= NUMBER_DIGITS_MAX).then(|| text.parse::<u64>().ok().map(Value::from)).flatten()
    }

    fn uuid(&self, name: &str) -> String {
        let mut bytes = self.bytes("uuid", 16, name);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex::encode(bytes);
        format!(
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        )
    }

    /// As many bytes as wanted, made from the seed and what they are for.
    fn bytes(&self, kind: &str, length: usize, name: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 32);
        let mut block = 0u32;
        while bytes.len() < length {
            let mut context = Context::new(&SHA256);
            context.update(&self.seed);
            context.update(format!("{block} {kind} {length} {name}").as_bytes());
            bytes.extend_from_slice(context.finish().as_ref());
            block += 1;
        }
        bytes.truncate(length);
        bytes
    }
}

/// The inside of a text that is nothing but one placeholder.
fn alone(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner)
}

/// A kind and the seconds that are added to the time.
fn shifted(word: &str) -> Result<(&str, i64), String> {
    match word.find(['+', '-']) {
        None => Ok((word, 0)),
        Some(position) => {
            let (kind, shift) = word.split_at(position);
            let shift = shift.parse().map_err(|_| format!("`{shift}` is no number of seconds"))?;
            Ok((kind, shift))
        }
    }
}

fn moment(kind: &str, at_s: i64) -> Result<String, String> {
    let moment = jiff::Timestamp::from_second(at_s)
        .map_err(|_| format!("{at_s} is no time that can be written"))?;
    Ok(match kind {
        "rfc3339" => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "rfc3339_ms" => moment.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
        "date" => moment.strftime("%Y-%m-%d").to_string(),
        _ => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filler(fragments: &BTreeMap<String, Value>, seed: u8) -> Filler<'_> {
        Filler { seed: [seed; 32], at_s: 1_767_225_600, delivery_id: "123".to_owned(), fragments }
    }

    #[test]
    fn ids_agree_within_a_request_and_differ_between_requests() {
        let none = BTreeMap::new();
        let value =
            json!({ "a": "x_{{hex 8 order}}", "b": ["{{hex 8 order}}"], "c": "{{hex 8 other}}" });
        let one = filler(&none, 1).value(&value).expect("fills");
        assert_eq!(one["a"].as_str(), one["b"][0].as_str().map(|id| format!("x_{id}")).as_deref());
        assert_ne!(one["b"][0], one["c"]);
        assert_eq!(one, filler(&none, 1).value(&value).expect("fills"));
        assert_ne!(one, filler(&none, 2).value(&value).expect("fills"));
    }

    #[test]
    fn numbers_times_and_fragments_keep_their_kind() {
        let fragments =
            BTreeMap::from([("user".to_owned(), json!({ "id": "{{number 7 user}}", "n": 1.5 }))]);
        let filler = filler(&fragments, 3);
        let value = json!({
            "t": "{{unix-60}}", "ms": "{{unix_ms}}", "at": "{{rfc3339}}", "user": "{{fragment user}}",
            "text": "{{digits 7 user}}", "n": "{{delivery_number}}", "u": "{{uuid a}}", "text2": "at {{unix}}",
        });
        let filled = filler.value(&value).expect("fills");
        assert_eq!(filled["t"], json!(1_767_225_540));
        assert_eq!(filled["ms"], json!(1_767_225_600_000i64));
        assert_eq!(filled["at"], json!("2026-01-01T00:00:00Z"));
        assert_eq!(filled["n"], json!(123));
        assert_eq!(filled["text2"], json!("at 1767225600"));
        let id = filled["user"]["id"].as_u64().expect("a number");
        assert_eq!(filled["text"], json!(id.to_string()));
        assert_eq!(filled["u"].as_str().map(str::len), Some(36));
        for wrong in
            ["{{nonsense}}", "{{hex}}", "{{unix+x}}", "{{uuid a b}}", "{{fragment x}}", "{{unix"]
        {
            assert!(filler.value(&json!(wrong)).is_err(), "{wrong}");
        }
    }
}
