//! Makes a value of the event fit a column, or says in words why it cannot.
//!
//! Invariant: no sentence repeats the value; it may be somebody's secret.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::column::{ColumnType, Found};
use crate::moment;

/// A value that fits its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Bytes(Bytes),
}

/// What was found, for a column of this kind. The error ends the sentence "column `x` ...".
pub(crate) fn convert(found: Found<'_>, kind: ColumnType) -> Result<Cell, String> {
    if found == Found::Missing {
        return Ok(Cell::Null);
    }
    let cell = match kind {
        ColumnType::Text | ColumnType::Other => text(&found).map(Cell::Text),
        ColumnType::Integer => integer(&found).map(Cell::Integer),
        ColumnType::Float => float(&found).map(Cell::Float),
        ColumnType::Numeric => numeric(&found).map(Cell::Text),
        ColumnType::Boolean => boolean(&found).map(Cell::Boolean),
        ColumnType::Json => json(&found).map(Cell::Text),
        ColumnType::Timestamp => timestamp(&found).map(|moment| Cell::Text(moment::text(moment))),
        ColumnType::Date => day(&found).map(|day| Cell::Text(day.to_string())),
        ColumnType::Uuid => uuid(&found).map(Cell::Text),
        ColumnType::Bytes => bytes(&found).map(Cell::Bytes),
    };
    cell.ok_or_else(|| format!("takes {}, and {} is none", kind.words(), describe(&found)))
}

fn describe(found: &Found<'_>) -> &'static str {
    match found {
        Found::Missing => "nothing",
        Found::Text(_) => "the event's text",
        Found::Integer(_) | Found::Json(Value::Number(_)) => "the event's number",
        Found::Moment(_) => "a moment",
        Found::Json(Value::String(_)) => "the event's text",
        Found::Json(Value::Bool(_)) => "the event's truth value",
        Found::Json(Value::Array(_)) => "the event's list",
        Found::Json(Value::Object(_)) => "the event's object",
        Found::Json(Value::Null) => "null",
        Found::Body(..) => "the body",
    }
}

/// The plain text of a value that is one word: a text, a number or a truth value.
fn word<'a>(found: &'a Found<'_>) -> Option<Cow<'a, str>> {
    match found {
        Found::Text(text) => Some(Cow::Borrowed(text.as_ref())),
        Found::Integer(number) => Some(Cow::Owned(number.to_string())),
        Found::Json(Value::String(text)) => Some(Cow::Borrowed(text)),
        Found::Json(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
        Found::Json(Value::Bool(value)) => {
            Some(Cow::Borrowed(if *value { "true" } else { "false" }))
        }
        Found::Body(body, _) => std::str::from_utf8(body).ok().map(Cow::Borrowed),
        Found::Missing | Found::Moment(_) | Found::Json(_) => None,
    }
}

fn text(found: &Found<'_>) -> Option<String> {
    match found {
        Found::Moment(at_ms) => moment::from_ms(*at_ms).map(moment::text),
        Found::Json(value @ (Value::Array(_) | Value::Object(_))) => Some(value.to_string()),
        other => word(other).map(Cow::into_owned),
    }
}

fn integer(found: &Found<'_>) -> Option<i64> {
    // Exactly the floats below are whole numbers that a 64-bit integer holds.
    let whole = |number: f64| {
        (number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0)
            .then_some(number as i64)
    };
    match found {
        Found::Integer(number) => Some(*number),
        Found::Moment(at_ms) => Some(*at_ms),
        Found::Json(Value::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().filter(|_| number.is_f64()).and_then(whole))
        }
        Found::Json(Value::Bool(_)) => None,
        other => word(other)?.trim().parse().ok(),
    }
}

fn float(found: &Found<'_>) -> Option<f64> {
    match found {
        Found::Integer(number) => Some(*number as f64),
        Found::Moment(at_ms) => Some(*at_ms as f64 / 1_000.0),
        Found::Json(Value::Number(number)) => number.as_f64(),
        Found::Json(Value::Bool(_)) => None,
        other => word(other)?.trim().parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

/// The number as it was written, so that nothing is rounded on the way.
fn numeric(found: &Found<'_>) -> Option<String> {
    let text = match found {
        Found::Moment(at_ms) => return Some(at_ms.to_string()),
        Found::Json(Value::Bool(_)) => return None,
        other => word(other)?,
    };
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !exponent.is_empty()
        && digits(exponent);
    fits.then(|| text.to_owned())
}

fn boolean(found: &Found<'_>) -> Option<bool> {
    if let Found::Json(Value::Bool(value)) = found {
        return Some(*value);
    }
    match word(found)?.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

fn json(found: &Found<'_>) -> Option<String> {
    match found {
        Found::Json(value) => Some(value.to_string()),
        Found::Integer(number) => Some(number.to_string()),
        Found::Moment(at_ms) => {
            Some(Value::String(moment::text(moment::from_ms(*at_ms)?)).to_string())
        }
        Found::Text(text) => Some(Value::String(text.clone().into_owned()).to_string()),
        Found::Body(body, true) => std::str::from_utf8(body).ok().map(str::to_owned),
        Found::Body(_, false) | Found::Missing => None,
    }
}

fn timestamp(found: &Found<'_>) -> Option<jiff::Timestamp> {
    match found {
        Found::Moment(at_ms) => moment::from_ms(*at_ms),
        Found::Integer(number) => moment::from_integer(*number),
        Found::Json(Value::Number(number)) => match number.as_i64() {
            Some(number) => moment::from_integer(number),
            None => moment::from_float(number.as_f64()?),
        },
        Found::Text(text) => moment::moment(text),
        Found::Json(Value::String(text)) => moment::moment(text),
        _ => None,
    }
}

fn day(found: &Found<'_>) -> Option<jiff::civil::Date> {
    match found {
        Found::Text(text) => moment::day(text),
        Found::Json(Value::String(text)) => moment::day(text),
        other => timestamp(other).map(moment::day_of),
    }
}

/// A UUID in lower case with its hyphens; braces and missing hyphens are forgiven.
fn uuid(found: &Found<'_>) -> Option<String> {
    let word = word(found)?;
    let text = word.trim();
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: String = match bare.len() {
        32 => bare.to_ascii_lowercase(),
        36 => {
            let parts: Vec<&str> = bare.split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            if lengths != [8, 4, 4, 4, 12] {
                return None;
            }
            parts.concat().to_ascii_lowercase()
        }
        _ => return None,
    };
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| {
        let part = |from: usize, to: usize| &digits[from..to];
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    })
}

fn bytes(found: &Found<'_>) -> Option<Bytes> {
    match found {
        Found::Body(body, _) => Some((*body).clone()),
        other => text(other).map(Bytes::from),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bytes::Bytes;
    use serde_json::json;

    use super::{Cell, convert};
    use crate::column::{ColumnType, Found};

    #[test]
    fn json_values_fit_or_do_not() {
        use ColumnType::{
            Boolean, Bytes as Raw, Date, Float, Integer, Json, Numeric, Text, Timestamp, Uuid,
        };
        let some = |text: &str| Some(Cell::Text(text.to_owned()));
        let cases = [
            (json!("x"), Text, some("x")),
            (json!(7), Text, some("7")),
            (json!({"a": [1]}), Text, some(r#"{"a":[1]}"#)),
            (json!(7), Integer, Some(Cell::Integer(7))),
            (json!(7.0), Integer, Some(Cell::Integer(7))),
            (json!(7.5), Integer, None),
            (json!(1e300), Integer, None),
            (json!(u64::MAX), Integer, None),
            (json!("-12"), Integer, Some(Cell::Integer(-12))),
            (json!("12 apples"), Integer, None),
            (json!(true), Integer, None),
            (json!([1]), Integer, None),
            (json!(7), Float, Some(Cell::Float(7.0))),
            (json!("1.5"), Float, Some(Cell::Float(1.5))),
            (json!("inf"), Float, None),
            (json!("19.990000000000000000001"), Numeric, some("19.990000000000000000001")),
            (json!(0.1), Numeric, some("0.1")),
            (json!("1e-7"), Numeric, some("1e-7")),
            (json!("12e"), Numeric, None),
            (json!("-."), Numeric, None),
            (json!("NaN"), Numeric, None),
            (json!(true), Boolean, Some(Cell::Boolean(true))),
            (json!("off"), Boolean, Some(Cell::Boolean(false))),
            (json!(1), Boolean, Some(Cell::Boolean(true))),
            (json!(2), Boolean, None),
            (json!("x"), Json, some("\"x\"")),
            (json!([1, null]), Json, some("[1,null]")),
            (json!(1_767_225_600), Timestamp, some("2026-01-01T00:00:00.000000Z")),
            (json!(1_767_225_600_500_i64), Timestamp, some("2026-01-01T00:00:00.500000Z")),
            (json!("2026-01-01T01:00:00+01:00"), Timestamp, some("2026-01-01T00:00:00.000000Z")),
            (json!("2026-01-01"), Timestamp, None),
            (json!(true), Timestamp, None),
            (json!("2026-01-01"), Date, some("2026-01-01")),
            (json!(1_767_225_600), Date, some("2026-01-01")),
            (json!("01/02/2026"), Date, None),
            (
                json!("{0190F0C2-7D6B-7C3A-8F00-0123456789AB}"),
                Uuid,
                some("0190f0c2-7d6b-7c3a-8f00-0123456789ab"),
            ),
            (
                json!("0190f0c27d6b7c3a8f000123456789ab"),
                Uuid,
                some("0190f0c2-7d6b-7c3a-8f00-0123456789ab"),
            ),
            (json!("0190f0c2-7d6b-7c3a-8f000-123456789ab"), Uuid, None),
            (json!("zebra"), Uuid, None),
            (json!("ä"), Raw, Some(Cell::Bytes(Bytes::from_static("ä".as_bytes())))),
        ];
        for (value, kind, expected) in cases {
            let cell = convert(Found::Json(&value), kind);
            assert_eq!(cell.as_ref().ok(), expected.as_ref(), "{value} as {kind}: {cell:?}");
            if let Err(problem) = cell {
                let shown = value.as_str().unwrap_or("no text at all");
                assert!(!problem.contains(shown), "{problem} shows {value}");
            }
        }
    }

    #[test]
    fn other_values_fit_or_do_not() {
        let body = Bytes::from_static(b"\xff\x00");
        let json_body = Bytes::from_static(b"{ \"a\": 1.10 }");
        let raw = |body: &Bytes| Some(Cell::Bytes(body.clone()));
        let text = |text: &str| Some(Cell::Text(text.to_owned()));
        let cases = [
            (Found::Missing, ColumnType::Json, Some(Cell::Null)),
            (Found::Body(&body, false), ColumnType::Bytes, raw(&body)),
            (Found::Body(&body, false), ColumnType::Text, None),
            (Found::Body(&body, false), ColumnType::Json, None),
            (Found::Body(&json_body, true), ColumnType::Json, text("{ \"a\": 1.10 }")),
            (Found::Moment(1_500), ColumnType::Timestamp, text("1970-01-01T00:00:01.500000Z")),
            (Found::Moment(1_500), ColumnType::Integer, Some(Cell::Integer(1_500))),
            (Found::Moment(1_500), ColumnType::Uuid, None),
            (Found::Integer(3), ColumnType::Text, text("3")),
            (Found::Text(Cow::Borrowed("12")), ColumnType::Integer, Some(Cell::Integer(12))),
        ];
        for (found, kind, expected) in cases {
            assert_eq!(convert(found.clone(), kind).ok(), expected, "{found:?} as {kind}");
        }
    }
}
