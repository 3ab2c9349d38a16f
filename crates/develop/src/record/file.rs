//! A recording as TOML: a head that can be read at a glance, what is expected, and the body.
//!
//! A JSON body is written in lines when the sender's own white space is one of the known layouts, so
//! that the same bytes can be made of it again; a form is written a field a line; everything else
//! stands as text, or in base64 if it is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::RecordError;
use super::json::{self, Layout};

/// A request that can be sent again, and what is expected of its answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    /// The slug of the provider whose way of signing it is sent in.
    pub provider: String,
    /// The source that it was recorded from.
    pub source: String,
    /// What kind of event it is.
    pub event_type: Option<String>,
    /// The method, in capital letters.
    pub method: String,
    /// What came behind the receiving URL: a further path and a query, mostly empty.
    pub path: String,
    /// What was hidden, for people.
    pub redacted: Vec<String>,
    /// The headers, without those that signing makes.
    pub headers: Vec<(String, String)>,
    /// What is expected of the answer.
    pub expect: Expect,
    /// The body.
    pub body: Body,
}

/// What an answer must be like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Its status.
    #[serde(default)]
    pub status: StatusRule,
    /// How long it may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u64>,
    /// Headers it must have, with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What its body must be, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// JSON that its body must contain: members may be more, lists may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// Texts that its body must contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
}

/// Which status is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StatusRule {
    /// This one.
    Exactly(u16),
    /// One of these.
    OneOf(Vec<u16>),
    /// A class, such as `2xx`.
    Class(String),
}

impl Default for StatusRule {
    fn default() -> Self {
        Self::Class("2xx".to_owned())
    }
}

impl StatusRule {
    /// Whether a status is right.
    #[must_use]
    pub fn allows(&self, status: u16) -> bool {
        match self {
            Self::Exactly(wanted) => *wanted == status,
            Self::OneOf(wanted) => wanted.contains(&status),
            Self::Class(class) => class.starts_with(&(status / 100).to_string()),
        }
    }

    fn problem(&self) -> Option<String> {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        match self {
            Self::Class(class) if !classes.contains(&class.as_str()) => {
                Some(format!("`status = \"{class}\"` is neither a number nor one of 2xx, 4xx, ..."))
            }
            Self::OneOf(wanted) if wanted.is_empty() => {
                Some("`status = []` allows no answer at all".to_owned())
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for StatusRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(status) => write!(formatter, "{status}"),
            Self::Class(class) => formatter.write_str(class),
            Self::OneOf(wanted) => {
                let wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
                formatter.write_str(&wanted.join(" or "))
            }
        }
    }
}

/// A body in the form in which it can best be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// How `json` is laid out when it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    /// Whether a line end follows the JSON when it is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ends_with_newline: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Body {
    /// The form in which these bytes can best be read.
    #[must_use]
    pub fn of(bytes: Vec<u8>, form: bool) -> Self {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let encoded = BASE64.encode(error.as_bytes());
                return Self { base64: Some(encoded), ..Self::default() };
            }
        };
        if text.is_empty() {
            return Self::default();
        }
        if let Some(body) = Self::as_json(&text) {
            return body;
        }
        if form && text.contains('&') && !text.contains(['\n', '\r']) {
            return Self { form: Some(text.replace('&', "\n")), ..Self::default() };
        }
        Self { text: Some(text), ..Self::default() }
    }

    fn as_json(text: &str) -> Option<Self> {
        if !text.starts_with(['{', '[']) {
            return None;
        }
        let (document, ends_with_newline) = match text.strip_suffix('\n') {
            Some(document) => (document, true),
            None => (text, false),
        };
        let tokens = json::tokens(document)?;
        let layout = Layout::of(document, &tokens)?;
        let json = Layout::Indent2.write(document, &tokens);
        Some(Self { layout: Some(layout), ends_with_newline, json: Some(json), ..Self::default() })
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// [`RecordError::Body`] if the file was changed into something that cannot be sent.
    pub fn bytes(&self) -> Result<Vec<u8>, RecordError> {
        let wrong = |message: &str| RecordError::Body { message: message.to_owned() };
        match (&self.json, &self.form, &self.text, &self.base64) {
            (None, None, None, None) => Ok(Vec::new()),
            (Some(json), None, None, None) => {
                let tokens = json::tokens(json).ok_or_else(|| wrong("`json` is no JSON"))?;
                let layout = self.layout.unwrap_or(Layout::Compact);
                let mut text = layout.write(json, &tokens);
                if self.ends_with_newline {
                    text.push('\n');
                }
                Ok(text.into_bytes())
            }
            (None, Some(form), None, None) => Ok(form.replace('\n', "&").into_bytes()),
            (None, None, Some(text), None) => Ok(text.clone().into_bytes()),
            (None, None, None, Some(encoded)) => {
                BASE64.decode(encoded).map_err(|error| wrong(&format!("`base64`: {error}")))
            }
            _ => Err(wrong("it has more than one of `json`, `form`, `text` and `base64`")),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The file as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    provider: String,
    #[serde(default)]
    source: String,
    event_type: Option<String>,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    redacted: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    body: Body,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

fn post() -> String {
    "POST".to_owned()
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RecordError::Format`] with line and column if it is no recording.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let format = |message: String| RecordError::Format { message };
        let read: Document = toml::from_str(text)
            .map_err(|error| format(error.to_string().trim_end().to_owned()))?;
        let document = read;
        if let Some(problem) = document.expect.status.problem() {
            return Err(format(problem));
        }
        if let Some(json) = &document.expect.json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(json)
        {
            return Err(format(format!("`expect.json` is no JSON: {error}")));
        }
        let headers = document.headers.into_iter().flat_map(|(name, values)| {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Many(values) => values,
            };
            values.into_iter().map(move |value| (name.clone(), value))
        });
        Ok(Self {
            provider: document.provider,
            source: document.source,
            event_type: document.event_type,
            method: document.method.to_ascii_uppercase(),
            path: document.path,
            redacted: document.redacted,
            headers: headers.collect(),
            expect: document.expect,
            body: document.body,
        })
    }

    /// The file's text. Where and when the event came is a comment: it is no part of the test.
    #[must_use]
    pub fn to_toml(&self, id: &str, received_at: &str) -> String {
        let mut out = String::new();
        let what = self.event_type.as_deref().unwrap_or("an event");
        let comment = format!("{what} of {}, received {received_at} as {id}", self.source);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# {}", comment.replace(char::is_control, " "));
        let mut pair = |name: &str, value: &str| {
            let _ = writeln!(out, "{name} = {}", one_line(value));
        };
        pair("provider", &self.provider);
        pair("source", &self.source);
        if let Some(event_type) = &self.event_type {
            pair("event_type", event_type);
        }
        pair("method", &self.method);
        if !self.path.is_empty() {
            pair("path", &self.path);
        }
        if !self.redacted.is_empty() {
            out.push_str(
                "# What stands for something else here. Signing is done afresh.\nredacted = [\n",
            );
            for line in &self.redacted {
                let _ = writeln!(out, "  {},", one_line(line));
            }
            out.push_str("]\n");
        }
        out.push_str("\n[expect]\n");
        out.push_str(&expectation(&self.expect));
        if !self.headers.is_empty() {
            out.push_str("\n[headers]\n");
            out.push_str(&header_lines(&self.headers));
        }
        if !self.body.is_empty() {
            out.push_str("\n[body]\n");
            out.push_str(&body_lines(&self.body));
        }
        out
    }
}

fn expectation(expect: &Expect) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "status = {}", status_value(&expect.status));
    if let Some(max_ms) = expect.max_ms {
        let _ = writeln!(out, "max_ms = {max_ms}");
    }
    for (name, text) in [("json", &expect.json), ("body", &expect.body)] {
        if let Some(text) = text {
            let _ = writeln!(out, "{name} = {}", lines(text));
        }
    }
    if !expect.contains.is_empty() {
        let texts: Vec<String> = expect.contains.iter().map(|text| one_line(text)).collect();
        let _ = writeln!(out, "contains = [{}]", texts.join(", "));
    }
    if !expect.headers.is_empty() {
        let pairs: Vec<String> = expect
            .headers
            .iter()
            .map(|(name, value)| format!("{} = {}", one_line(name), one_line(value)))
            .collect();
        let _ = writeln!(out, "headers = {{ {} }}", pairs.join(", "));
    }
    out
}

/// A status rule as TOML.
pub(super) fn status_value(status: &StatusRule) -> String {
    match status {
        StatusRule::Exactly(status) => status.to_string(),
        StatusRule::Class(class) => one_line(class),
        StatusRule::OneOf(wanted) => format!("{wanted:?}"),
    }
}

fn header_lines(headers: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut done: Vec<&str> = Vec::new();
    for (name, _) in headers {
        if done.contains(&name.as_str()) {
            continue;
        }
        done.push(name);
        let values: Vec<String> = headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| one_line(value))
            .collect();
        let value = match values.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let key = if bare && !name.is_empty() { name.clone() } else { one_line(name) };
        let _ = writeln!(out, "{key} = {value}");
    }
    out
}

fn body_lines(body: &Body) -> String {
    let mut out = String::new();
    if let Some(layout) = body.layout {
        let name = serde_json::to_value(layout).ok();
        let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or("compact");
        let _ = writeln!(out, "layout = \"{name}\"");
    }
    if body.ends_with_newline {
        out.push_str("ends_with_newline = true\n");
    }
    for (name, text) in [("json", &body.json), ("form", &body.form), ("text", &body.text)] {
        if let Some(text) = text {
            let _ = writeln!(out, "{name} = {}", lines(text));
        }
    }
    if let Some(encoded) = &body.base64 {
        let _ = writeln!(out, "base64 = \"{encoded}\"");
    }
    out
}

/// A text on as many lines as it has, if TOML can hold it so; else on one, with escapes.
pub(super) fn lines(text: &str) -> String {
    let fits = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
        && !text.contains("'''")
        && !text.ends_with('\'');
    // The first line end behind the quotes is not part of the text.
    if text.contains('\n') && fits { format!("'''\n{text}'''") } else { one_line(text) }
}

/// A text on one line.
pub(super) fn one_line(text: &str) -> String {
    let plain = !text.contains('\'') && text.chars().all(|c| c == '\t' || !c.is_control());
    if plain && text.contains(['"', '\\']) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
