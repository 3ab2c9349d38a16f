//! Signed texts that no template can say: joined fields, sorted pairs, listed headers, JSON printed again.
//!
//! Invariants: a builder reads the request through the same scope as templates and never parses more than
//! its source; numbers keep the text they came with unless the style prints them again; what the source
//! does not hold is reported as absent, never replaced. Deliberately absent: any provider's name in code.
//! Where to go next: one file a kind; `scan` and `rewrite` for JSON text.

mod canonical_headers;
mod fields_join;
mod json;
mod number;
mod php_serialize;
mod rewrite;
mod scan;
mod sorted_kv;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use canonical_headers::{CanonicalHeaders, HeaderNameText};
pub use fields_join::{Escape, FieldsJoin, MissingField};
pub use json::JsonBuild;
pub use php_serialize::PhpSerialize;
pub use rewrite::{JsonStyle, PhpFlag};
pub use sorted_kv::{EmptyValue, Nested, Numbers, PairEncoding, SortOrder, SortedKv};

use crate::json_path::JsonPath;
use crate::scope::{Absent, Scope, content_type};
use crate::template::Expr;
use crate::url_text;

/// How many pairs one request may hold; more is nothing that anybody signs pair by pair.
const PAIRS_MAX: usize = 10_000;

/// How `{built}` is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BuildSpec {
    /// Chosen values in a given order.
    FieldsJoin(FieldsJoin),
    /// The pairs of a form, a query or a JSON object, sorted.
    SortedKv(SortedKv),
    /// Headers that the entry or the request lists.
    CanonicalHeaders(CanonicalHeaders),
    /// A JSON value printed again in another program's style.
    Json(JsonBuild),
    /// Form fields as PHP's `serialize` writes an array of them.
    PhpSerialize(PhpSerialize),
    /// A JSON value exactly as it stands in the body, strings with their quotes.
    Raw(Raw),
    /// Several of these, one behind another.
    Sequence(Sequence),
}

/// A JSON value exactly as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// `json:PATH`.
    pub from: Origin,
}

/// Several built texts in one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// What stands between two parts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub separator: String,
    /// What stands in front when anything is left.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lead: String,
    /// The parts in order; those that come out empty, or whose source is not there, are left out.
    pub parts: Vec<BuildSpec>,
}

fn build<'a>(spec: &'a BuildSpec, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
    match spec {
        BuildSpec::FieldsJoin(spec) => spec.build(scope),
        BuildSpec::SortedKv(spec) => spec.build(scope),
        BuildSpec::CanonicalHeaders(spec) => spec.build(scope),
        BuildSpec::Json(spec) => spec.build(scope),
        BuildSpec::PhpSerialize(spec) => spec.build(scope),
        BuildSpec::Raw(spec) => spec.from.json(scope, |raw| Some(raw.as_bytes().to_vec())),
        BuildSpec::Sequence(spec) => {
            let mut whole = Vec::new();
            for part in &spec.parts {
                let text = match build(part, scope) {
                    Err(Absent::Missing(_)) => continue,
                    other => other?,
                };
                if text.is_empty() {
                    continue;
                }
                let before = if whole.is_empty() { &spec.lead } else { &spec.separator };
                whole.extend_from_slice(before.as_bytes());
                whole.extend_from_slice(&text);
            }
            Ok(whole)
        }
    }
}

/// For serde: what need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl BuildSpec {
    /// Makes the text; what is absent is named.
    pub(crate) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Cow<'a, [u8]>, Absent<'a>> {
        build(self, scope).map(Cow::Owned)
    }

    /// What contradicts itself, if anything; the text says what to write instead.
    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            BuildSpec::FieldsJoin(spec) => spec.problem(),
            BuildSpec::SortedKv(spec) => match &spec.from.kind {
                OriginKind::Body => Some(
                    "`from` of sorted_kv must be \"form\", \"query\", \"json\" or \"json:PATH\""
                        .to_owned(),
                ),
                _ => None,
            },
            BuildSpec::CanonicalHeaders(spec) => spec.problem(),
            BuildSpec::Json(JsonBuild { from, .. }) | BuildSpec::Raw(Raw { from }) => (!from
                .is_json())
            .then(|| "`from` must be \"body\", \"json\" or \"json:PATH\"".to_owned()),
            BuildSpec::PhpSerialize(spec) => (spec.from.kind != OriginKind::Form)
                .then(|| "`from` of php_serialize must be \"form\"".to_owned()),
            BuildSpec::Sequence(spec) => {
                if spec.parts.is_empty() || spec.parts.len() > 8 {
                    return Some("`parts` of a sequence must be one to eight".to_owned());
                }
                spec.parts.iter().find_map(|part| match part {
                    BuildSpec::Sequence(_) => {
                        Some("a sequence cannot be inside another".to_owned())
                    }
                    part => part.problem(),
                })
            }
        }
    }

    /// Whether the text changes with every change of the body that means anything.
    pub(crate) fn covers_body(&self) -> bool {
        match self {
            BuildSpec::FieldsJoin(spec) => spec.fields.iter().any(|field| field.covers_body()),
            BuildSpec::SortedKv(SortedKv { from, .. })
            | BuildSpec::Json(JsonBuild { from, .. })
            | BuildSpec::PhpSerialize(PhpSerialize { from, .. })
            | BuildSpec::Raw(Raw { from }) => from.is_whole_body(),
            BuildSpec::CanonicalHeaders(_) => false,
            BuildSpec::Sequence(spec) => spec.parts.iter().any(BuildSpec::covers_body),
        }
    }

    /// Whether what this variable reads is part of the text.
    pub(crate) fn covers(&self, variable: &Expr) -> bool {
        match self {
            BuildSpec::FieldsJoin(spec) => spec.fields.iter().any(|field| field.uses(variable)),
            BuildSpec::SortedKv(SortedKv { from, exclude, .. })
            | BuildSpec::Json(JsonBuild { from, exclude, .. })
            | BuildSpec::PhpSerialize(PhpSerialize { from, exclude }) => {
                from.covers(variable, exclude)
            }
            BuildSpec::Raw(Raw { from }) => from.covers(variable, &[]),
            BuildSpec::CanonicalHeaders(spec) => spec.covers(variable),
            BuildSpec::Sequence(spec) => spec.parts.iter().any(|part| part.covers(variable)),
        }
    }

    /// Every variable that is read, for checks such as whether `field:` makes sense.
    pub(crate) fn variables(&self) -> Vec<&Expr> {
        match self {
            BuildSpec::FieldsJoin(spec) => {
                spec.fields.iter().flat_map(|field| field.variables()).collect()
            }
            BuildSpec::SortedKv(SortedKv { from, .. })
            | BuildSpec::Json(JsonBuild { from, .. })
            | BuildSpec::PhpSerialize(PhpSerialize { from, .. })
            | BuildSpec::Raw(Raw { from }) => vec![&from.shown],
            BuildSpec::CanonicalHeaders(spec) => {
                spec.names_at.iter().flat_map(|place| place.variables()).collect()
            }
            BuildSpec::Sequence(spec) => spec.parts.iter().flat_map(BuildSpec::variables).collect(),
        }
    }
}

/// Where a builder reads: `body`, `form`, `query`, `json` (the whole payload) or `json:PATH`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    text: String,
    kind: OriginKind,
    /// What is named when there is nothing.
    shown: Expr,
}

#[derive(Debug, Clone, PartialEq)]
enum OriginKind {
    /// The raw body, which must be JSON.
    Body,
    Form,
    Query,
    /// The payload, or a value in it.
    Json(Option<JsonPath>),
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (kind, shown) = match text.as_str() {
            "body" => (OriginKind::Body, Expr::Body),
            "form" => (OriginKind::Form, Expr::SortedForm),
            "query" => (OriginKind::Query, Expr::Url),
            "json" => (OriginKind::Json(None), Expr::Body),
            _ => match text.strip_prefix("json:") {
                Some(path) => {
                    let path = JsonPath::parse(path)?;
                    (OriginKind::Json(Some(path.clone())), Expr::Json(path))
                }
                None => {
                    return Err(format!(
                        "`{text}` is no source: use body, form, query, json or json:PATH"
                    ));
                }
            },
        };
        Ok(Origin { text, kind, shown })
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.text
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Origin {
    fn is_json(&self) -> bool {
        matches!(self.kind, OriginKind::Body | OriginKind::Json(_))
    }

    /// Whether the whole body (but for left-out members) is read.
    fn is_whole_body(&self) -> bool {
        matches!(self.kind, OriginKind::Body | OriginKind::Form | OriginKind::Json(None))
    }

    fn covers(&self, variable: &Expr, exclude: &[String]) -> bool {
        let kept = |name: &str| !exclude.iter().any(|excluded| excluded == name);
        match (&self.kind, variable) {
            (OriginKind::Form, Expr::Form(name)) | (OriginKind::Query, Expr::Query(name)) => {
                kept(name)
            }
            (OriginKind::Body | OriginKind::Json(None), Expr::Json(path)) => {
                path.segments().first().is_some_and(|first| kept(first))
            }
            (OriginKind::Json(Some(root)), Expr::Json(path)) => {
                let (root, path) = (root.segments(), path.segments());
                path.starts_with(root) && path.get(root.len()).is_none_or(|next| kept(next))
            }
            _ => false,
        }
    }

    /// Gives the raw JSON text to a function, whose `None` means that it is of no use.
    fn json<'a, T>(
        &'a self,
        scope: &Scope<'a>,
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Absent<'a>> {
        let document = match &self.kind {
            OriginKind::Body => Some(Cow::Borrowed(scope.request.body)),
            OriginKind::Json(_) => payload(scope),
            OriginKind::Form | OriginKind::Query => None,
        };
        document
            .as_deref()
            .and_then(|document| std::str::from_utf8(document).ok())
            .and_then(|text| match &self.kind {
                OriginKind::Json(Some(path)) => scan::find(text, path.segments()),
                _ => scan::find(text, &[]),
            })
            .and_then(make)
            .ok_or(Absent::Missing(&self.shown))
    }

    /// The pairs of a form or query, decoded, in the order in which they came.
    fn pairs<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<(String, String)>, Absent<'a>> {
        let text = match self.kind {
            OriginKind::Form => form_body(scope).ok_or(Absent::Missing(&self.shown))?,
            OriginKind::Query => url_text::query(scope.request.url).unwrap_or_default().as_bytes(),
            OriginKind::Body | OriginKind::Json(_) => return Err(Absent::Missing(&self.shown)),
        };
        let pairs: Vec<_> =
            url::form_urlencoded::parse(text).into_owned().take(PAIRS_MAX + 1).collect();
        if pairs.len() > PAIRS_MAX {
            return Err(Absent::Missing(&self.shown));
        }
        Ok(pairs)
    }
}

/// The JSON document that `json:` reads.
fn payload<'a>(scope: &Scope<'a>) -> Option<Cow<'a, [u8]>> {
    scope.payload()
}

/// The body if it says that it is a form.
fn form_body<'a>(scope: &Scope<'a>) -> Option<&'a [u8]> {
    let kind = content_type(&scope.request)?;
    (kind == "application/x-www-form-urlencoded").then_some(scope.request.body)
}

#[cfg(test)]
mod tests;
