//! Chosen values in a given order, as Adyen, Paymob and Praxis sign them.
//!
//! Invariant: with an escape, different values never make the same text.

use serde::{Deserialize, Serialize};

use crate::scope::{Absent, Scope};
use crate::template::Place;

/// Values joined in a given order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldsJoin {
    /// The values: places, templates or `'texts'`.
    pub fields: Vec<Place>,
    /// What stands between two values.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub separator: String,
    /// How separators inside values are written.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub escape: Escape,
    /// What happens to a value that is absent or `null`.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub missing: MissingField,
}

/// How separators inside values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// As they are.
    #[default]
    None,
    /// With a backslash before each backslash and each separator.
    Backslash,
}

/// What happens to a value that is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingField {
    /// It counts as an empty text.
    #[default]
    Empty,
    /// It is left out with its separator.
    Skip,
    /// The request is refused.
    Refuse,
}

impl FieldsJoin {
    pub(super) fn problem(&self) -> Option<String> {
        if self.fields.is_empty() {
            return Some("`fields` is empty: name at least one value".to_owned());
        }
        (self.escape == Escape::Backslash && self.separator.len() != 1)
            .then(|| "`escape = \"backslash\"` needs a `separator` of one character".to_owned())
    }

    pub(super) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
        let mut joined = Vec::new();
        let mut first = true;
        for field in &self.fields {
            let value = match (scope.render(field), self.missing) {
                (Err(Absent::Missing(_)), MissingField::Empty) => None,
                (Err(Absent::Missing(_)), MissingField::Skip) => continue,
                (value, _) => Some(value?),
            };
            if !std::mem::take(&mut first) {
                joined.extend_from_slice(self.separator.as_bytes());
            }
            for byte in value.as_deref().unwrap_or_default() {
                let special = *byte == b'\\' || self.separator.as_bytes() == [*byte];
                if self.escape == Escape::Backslash && special {
                    joined.push(b'\\');
                }
                joined.push(*byte);
            }
        }
        Ok(joined)
    }
}
