//! Where the signature is and how it is written.

use serde::{Deserialize, Serialize};

use crate::template::{OneOrMany, Place};

/// Where the signature is and how it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// The places, all of which are read: `header:`, `query:`, `json:`, `form:` or `part:` and a name, or `body`.
    pub at: OneOrMany<Place>,
    /// In what the text is wrapped; undone first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap: Option<Wrap>,
    /// How one text holds several signatures or other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSpec>,
    /// What stands before the encoded signature; texts without it are no signatures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How an ECDSA signature is laid out.
    #[serde(default)]
    pub form: EcdsaForm,
}

/// What a signature's text may be wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrap {
    /// Written with `%2F` and the like.
    UrlEncoded,
    /// A JSON object in base64; its members are the fields.
    Base64Json,
}

/// How a signature text is taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// What separates the items, or several such texts; the whole text is one item when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<OneOrMany<String>>,
    /// What separates an item's key from its value, or its columns from each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// The keys whose values are signatures; all of them are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<OneOrMany<String>>,
    /// The named credential whose value is the wanted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_credential: Option<String>,
    /// The names of the first items, which are fields; the items after them are signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<String>,
    /// The names of the columns of each item; `wanted` names those that are signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64, with or without padding.
    Base64,
    /// The URL-safe alphabet, with or without padding.
    Base64url,
    /// Base64 of the hexadecimal text.
    Base64Hex,
    /// As it is (tokens).
    Plain,
}

/// The layout of an ECDSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EcdsaForm {
    /// ASN.1 DER.
    #[default]
    Der,
    /// Two numbers, each as long as the curve's.
    Raw,
}
