//! Form fields as PHP's `serialize` writes them, which is what Paddle Classic signs.
//!
//! Invariants: every value is a string, as in `$_POST`; a field that came twice counts with its last value;
//! fields are in the order of PHP 8's `ksort`. Names with brackets, which PHP would nest, are refused.

use std::cmp::Ordering;
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::Origin;
use super::scan::Members;
use crate::scope::{Absent, Scope};

/// Form fields as a serialised PHP array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhpSerialize {
    /// `form`.
    pub from: Origin,
    /// Fields that are left out, such as the signature itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl PhpSerialize {
    pub(super) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
        let mut fields = Members::default();
        for (name, value) in self.from.pairs(scope)? {
            if name.contains('[') {
                return Err(Absent::Missing(&self.from.shown));
            }
            // PHP's names of variables have no dots and no spaces.
            fields.insert(name.replace(['.', ' '], "_").into(), value);
        }
        let mut fields = fields.list;
        fields.retain(|(name, _)| !self.exclude.iter().any(|excluded| *excluded == *name));
        fields.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        let mut text = Vec::new();
        // Writing to a vector cannot fail.
        let _ = write!(text, "a:{}:{{", fields.len());
        for (name, value) in fields {
            let _ = match integer_key(&name) {
                Some(number) => write!(text, "i:{number};"),
                None => write!(text, "s:{}:\"{name}\";", name.len()),
            };
            let _ = write!(text, "s:{}:\"{value}\";", value.len());
        }
        text.push(b'}');
        Ok(text)
    }
}

/// A key that PHP keeps as an integer.
fn integer_key(key: &str) -> Option<i64> {
    let number: i64 = key.parse().ok()?;
    (number.to_string() == key).then_some(number)
}

/// Integers by value; a number and a text, or two texts, as texts.
fn compare_keys(a: &str, b: &str) -> Ordering {
    match (integer_key(a), integer_key(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}
