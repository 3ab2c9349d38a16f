//! Conditions on requests, what must hold besides the signature, and what signing adds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::template::{Expr, OneOrMany, Place, Template};

/// A condition on a request; every part that is given must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is looked at; a place that is absent counts as absent, not as empty.
    pub at: Place,
    /// The text, or one of the texts, it must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<OneOrMany<String>>,
    /// The text, or one of the texts, it must begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<OneOrMany<String>>,
    /// The named credential it must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals_credential: Option<String>,
    /// Whether it must be there (true) or must not (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Whether it must have at least one byte (false) or none (true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
    /// Which characters it may consist of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<Charset>,
}

impl Condition {
    pub(super) fn means_empty_body(&self) -> bool {
        self.empty == Some(true) && self.at.variables().eq([&Expr::Body])
    }
}

/// Sets of characters for [`Condition::charset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    /// 1 to 256 letters, digits, `-`, `_`, `.`, `=`, `+`, `/`: no text that could be a signed message.
    Token,
    /// Digits only.
    Digits,
    /// 1 to 64 hexadecimal digits in lower case.
    Hex,
}

/// Something that must hold besides the signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What is looked at.
    pub at: Place,
    /// What it must equal, compared without regard to case when both are hexadecimal texts.
    pub equals: Template,
    /// When this is demanded; always, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
}

/// What signing adds to a request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    /// When this scheme is chosen for signing, looked at before anything is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// Query parameters that are appended to the URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_query: BTreeMap<String, Template>,
    /// Headers that are added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, Template>,
}
