//! Numbers, and how values of different types compare: JavaScript's rules, because the language is
//! known from there, except that whole numbers of up to 64 bits are compared exactly.

use std::cmp::Ordering;
use std::fmt;

use crate::json::Json;

/// A text longer than this is no number; it bounds what turning texts into numbers may cost.
const MAX_NUMBER_BYTES: usize = 64;

/// A number: whole ones are exact, `Large` are those beyond `i64`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Large(u64),
    Float(f64),
}

impl Number {
    pub(crate) fn of(number: &serde_json::Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Self::Int(value),
            (None, Some(value)) => Self::Large(value),
            // A JSON number always has one of the three forms.
            (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(crate) fn unsigned(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Large(value), Self::Int)
    }

    /// What JavaScript makes of a text that is used as a number; `None` is its "not a number".
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        if text.len() > MAX_NUMBER_BYTES {
            return None;
        }
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if text.is_empty() {
            return Some(Self::Int(0));
        }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case(prefix));
            if digits.is_some() {
                return radix_number(&text[2..], radix);
            }
        }
        match text {
            "Infinity" | "+Infinity" => return Some(Self::Float(f64::INFINITY)),
            "-Infinity" => return Some(Self::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        // Rust would take `inf` and `nan` as well.
        let allowed = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        if !text.bytes().all(allowed) {
            return None;
        }
        (text.parse().map(Self::Int))
            .or_else(|_| text.parse().map(Self::Large))
            .or_else(|_| text.parse().map(Self::Float))
            .ok()
    }

    fn as_float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Large(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    pub(crate) fn is_equal(self, other: Self) -> bool {
        self.order(other) == Some(Ordering::Equal)
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (Self::Large(left), Self::Large(right)) => Some(left.cmp(&right)),
            (Self::Int(_), Self::Large(_)) => Some(Ordering::Less),
            (Self::Large(_), Self::Int(_)) => Some(Ordering::Greater),
            (left, right) => left.as_float().partial_cmp(&right.as_float()),
        }
    }

    /// The same form and bits for numbers that are equal, whole ones exactly.
    pub(crate) fn canonical(self) -> (u8, u64) {
        // Every whole float below this is an `i64`.
        const WHOLE: f64 = 9.0e18;
        match self {
            Self::Int(value) => (0, value as u64),
            Self::Large(value) => (1, value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < WHOLE => {
                (0, (value as i64) as u64)
            }
            Self::Float(value) => (2, value.to_bits()),
        }
    }
}

fn radix_number(digits: &str, radix: u32) -> Option<Number> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in digits.chars() {
        value = value.mul_add(f64::from(radix), f64::from(digit.to_digit(radix)?));
    }
    Some(match u64::from_str_radix(digits, radix) {
        Ok(exact) => Number::unsigned(exact),
        Err(_) => Number::Float(value),
    })
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(formatter),
            Self::Large(value) => value.fmt(formatter),
            Self::Float(value) => match serde_json::Number::from_f64(*value) {
                Some(number) => number.fmt(formatter),
                None => value.fmt(formatter),
            },
        }
    }
}

/// The number that a simple value stands for.
fn numeric(value: &Json<'_>) -> Option<Number> {
    match value {
        Json::Bool(value) => Some(Number::Int(i64::from(*value))),
        Json::Number(number) => Some(*number),
        Json::Text(text) => Number::from_text(text),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    }
}

/// Whether two simple values are equal as JavaScript's `==` has it: `1` and `"1"` are, `true` and
/// `"true"` are not, and null only equals null. Lists and objects never are.
pub(crate) fn loosely_equal(left: &Json<'_>, right: &Json<'_>) -> bool {
    match (left, right) {
        (Json::Null, Json::Null) => true,
        (Json::Text(left), Json::Text(right)) => left == right,
        _ => match (numeric(left), numeric(right)) {
            (Some(left), Some(right)) => left.is_equal(right),
            _ => false,
        },
    }
}

/// The order of two values: texts by their UTF-16 units, otherwise as numbers. `None` if one of them
/// is neither text nor number, or no number where one is needed.
pub(crate) fn order(left: &Json<'_>, right: &Json<'_>) -> Option<Ordering> {
    match (left, right) {
        (Json::Text(left), Json::Text(right)) => {
            Some(left.encode_utf16().cmp(right.encode_utf16()))
        }
        (Json::Text(_) | Json::Number(_), Json::Text(_) | Json::Number(_)) => {
            numeric(left)?.order(numeric(right)?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers_as_in_javascript() {
        let table = [
            ("", Some(0.0)),
            (" 12\n", Some(12.0)),
            ("-1.5e3", Some(-1500.0)),
            ("+.5", Some(0.5)),
            ("5.", Some(5.0)),
            ("0x1F", Some(31.0)),
            ("0b101", Some(5.0)),
            ("-0x1F", None),
            ("0x", None),
            ("Infinity", Some(f64::INFINITY)),
            ("inf", None),
            ("NaN", None),
            ("1_000", None),
            ("1,5", None),
            ("e5", None),
            (".", None),
            ("12px", None),
            ("9223372036854775808", Some(9_223_372_036_854_775_808.0)),
        ];
        for (text, expected) in table {
            assert_eq!(Number::from_text(text).map(Number::as_float), expected, "{text:?}");
        }
    }

    #[test]
    fn whole_numbers_are_exact() {
        let one = Number::from_text("9007199254740993").unwrap();
        assert!(!one.is_equal(Number::Int(9_007_199_254_740_992)));
        assert!(one.is_equal(Number::Int(9_007_199_254_740_993)));
        assert_eq!(Number::Large(u64::MAX).order(Number::Int(-1)), Some(Ordering::Greater));
        assert!(Number::Float(1.0).is_equal(Number::Int(1)));
    }
}
