//! Columns: what fills one, and what kind of value it holds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use becket_egress::action::template::{Fields, Path, Template};
use bytes::Bytes;
use http::HeaderName;
use serde_json::Value;

/// What fills a column, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSettings {
    /// `event.id`, `header.NAME`, `query.NAME`, `body`, `body.a.b[0]`, or a text with `{{...}}`.
    pub from: String,
    /// The kind of value; the real column's own if absent.
    pub kind: Option<ColumnType>,
}

/// The kind of value that a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text; values of JSON that are no text are written as JSON.
    Text,
    /// A whole number of at most 64 bits.
    Integer,
    /// A number with a point, of 64 bits.
    Float,
    /// A number of any precision.
    Numeric,
    /// True or false.
    Boolean,
    /// A JSON value.
    Json,
    /// A moment.
    Timestamp,
    /// A day.
    Date,
    /// A UUID.
    Uuid,
    /// Bytes.
    Bytes,
    /// Something else, which the database makes from a text.
    Other,
}

impl ColumnType {
    /// The names that a configuration may use, with what they stand for.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("float", Self::Float),
        ("numeric", Self::Numeric),
        ("boolean", Self::Boolean),
        ("json", Self::Json),
        ("timestamp", Self::Timestamp),
        ("date", Self::Date),
        ("uuid", Self::Uuid),
        ("bytes", Self::Bytes),
    ];

    /// What it is called in sentences.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Float | Self::Numeric => "a number",
            Self::Boolean => "a truth value",
            Self::Json => "JSON",
            Self::Timestamp => "a moment",
            Self::Date => "a day",
            Self::Uuid => "a UUID",
            Self::Bytes => "bytes",
            Self::Other => "a type of the database's own",
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let plain = match lower.as_str() {
            "bigint" | "int" | "int8" | "int4" | "smallint" => "integer",
            "double" | "double precision" | "real" => "float",
            "decimal" => "numeric",
            "bool" => "boolean",
            "jsonb" => "json",
            "timestamptz" => "timestamp",
            "bytea" | "blob" => "bytes",
            other => other,
        };
        let found = Self::NAMES.iter().find(|(name, _)| *name == plain);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("there is no column type `{text}`; there are {names}")
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, kind)| kind == self);
        f.write_str(found.map_or("other", |(name, _)| name))
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    EventId,
    EventType,
    Source,
    Endpoint,
    Attempt,
    ReceivedAt,
    Method,
    Path,
    Header(HeaderName),
    Query(String),
    Body,
    BodyPath(Path),
    Template(Template),
}

/// A value before it is made to fit its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found<'a> {
    Missing,
    Text(Cow<'a, str>),
    Integer(i64),
    /// Milliseconds since 1970.
    Moment(i64),
    Json(&'a Value),
    /// The whole body, and whether it is JSON.
    Body(&'a Bytes, bool),
}

/// What is known of an origin's values without any event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// A text that is no number, moment, truth value or UUID.
    Word,
    Integer,
    Moment,
    /// The bytes of a body.
    Body,
    Anything,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("{{") {
            return Template::parse(text).map(Self::Template).map_err(|error| error.to_string());
        }
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (root, rest) = text.split_at(end);
        let name = || rest.strip_prefix('.').filter(|name| !name.is_empty());
        match root {
            "body" if rest.is_empty() => Ok(Self::Body),
            "body" => {
                // A path begins with a name or a bracket; the dot belongs to `body`.
                let path = rest.strip_prefix('.').unwrap_or(rest);
                Path::parse(path).map(Self::BodyPath).map_err(|error| error.to_string())
            }
            "header" => {
                let name = name().ok_or("`header` takes a name, as in `header.x-request-id`")?;
                HeaderName::try_from(name)
                    .map(Self::Header)
                    .map_err(|_| format!("`{name}` is no name of a header"))
            }
            "query" => name()
                .map(|name| Self::Query(name.to_owned()))
                .ok_or_else(|| "`query` takes a name, as in `query.page`".to_owned()),
            "event" => match name() {
                Some("id") => Ok(Self::EventId),
                Some("type") => Ok(Self::EventType),
                Some("source") => Ok(Self::Source),
                Some("endpoint") => Ok(Self::Endpoint),
                Some("attempt") => Ok(Self::Attempt),
                Some("received_at") => Ok(Self::ReceivedAt),
                Some("method") => Ok(Self::Method),
                Some("path") => Ok(Self::Path),
                _ => Err(format!(
                    "there is no `{text}`; there are event.id, event.type, event.source, \
                     event.endpoint, event.attempt, event.received_at, event.method, event.path"
                )),
            },
            _ => Err(format!(
                "`{text}` is no field; one begins with `event.`, `header.`, `query.` or `body`, and \
                 a text has `{{{{...}}}}` in it"
            )),
        }
    }

    pub(crate) fn find<'a>(&self, fields: &'a Fields<'_>) -> Found<'a> {
        let request = fields.request();
        let text = |text: &'a str| match text {
            "" => Found::Missing,
            text => Found::Text(Cow::Borrowed(text)),
        };
        match self {
            Self::EventId => text(&request.event_id),
            Self::EventType => request.event_type.as_deref().map_or(Found::Missing, text),
            Self::Source => text(&request.source),
            Self::Endpoint => text(&request.endpoint),
            Self::Attempt => Found::Integer(i64::from(request.attempt)),
            Self::ReceivedAt => Found::Moment(request.received_at_ms),
            Self::Method => text(&request.method),
            Self::Path => text(&request.path),
            Self::Header(name) => match request.headers.get(name) {
                Some(value) => Found::Text(String::from_utf8_lossy(value.as_bytes())),
                None => Found::Missing,
            },
            Self::Query(name) => fields.query(name).map_or(Found::Missing, text),
            Self::Body if request.body.is_empty() => Found::Missing,
            Self::Body => Found::Body(&request.body, fields.is_json()),
            Self::BodyPath(path) => match fields.at(path) {
                None | Some(Value::Null) => Found::Missing,
                Some(value) => Found::Json(value),
            },
            Self::Template(template) => match template.render_fields(fields) {
                rendered if rendered.is_empty() => Found::Missing,
                rendered => Found::Text(Cow::Owned(rendered)),
            },
        }
    }

    pub(crate) fn gives(&self) -> Gives {
        match self {
            Self::EventId | Self::Endpoint | Self::Method | Self::Path => Gives::Word,
            Self::Attempt => Gives::Integer,
            Self::ReceivedAt => Gives::Moment,
            Self::Body => Gives::Body,
            // Names and types may well be numbers or UUIDs.
            Self::EventType
            | Self::Source
            | Self::Header(_)
            | Self::Query(_)
            | Self::BodyPath(_)
            | Self::Template(_) => Gives::Anything,
        }
    }

    /// The kind of a column that is made for it, if that is clear.
    pub(crate) fn kind(&self) -> Option<ColumnType> {
        match self {
            Self::Attempt => Some(ColumnType::Integer),
            Self::ReceivedAt => Some(ColumnType::Timestamp),
            Self::BodyPath(_) => None,
            Self::Body => Some(ColumnType::Json),
            _ => Some(ColumnType::Text),
        }
    }
}
