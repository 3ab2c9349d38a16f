//! Texts with fields of the event in them: the arguments of a program, a message to a channel, a
//! subject to publish to.
//!
//! `{{event.id}}`, `{{event.type}}`, `{{event.source}}`, `{{event.endpoint}}`, `{{event.attempt}}`,
//! `{{event.received_at}}`, `{{event.method}}`, `{{event.path}}`, `{{header.NAME}}`,
//! `{{query.NAME}}`, `{{body}}`, `{{body.a.b[0].c}}`; `json` in front gives the value as JSON text;
//! `or` gives what stands in for a value that is missing; `'text'` is a text of its own.
//!
//! Invariants: what is wrong with a text is found by [`Template::parse`]; [`Template::render`] cannot
//! fail. A value is never read for fields again. The cost is linear in the text and what it names,
//! and the body is parsed once for each [`Fields`], when something first asks for a part of it.
//!
//! Absent: loops, conditions, functions. Whoever needs them has transformations.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde_json::Value;

use super::ActionRequest;

mod fields;
mod path;

pub use fields::Fields;
pub use path::Path;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at character {at}")]
pub struct TemplateError {
    /// The character that it is found at, from 1.
    pub at: usize,
    /// What is wrong and what is right.
    pub problem: String,
}

/// A text with fields in it, parsed.
#[derive(Clone, PartialEq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// The first choice that is there.
    Field {
        json: bool,
        choices: Vec<Choice>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Choice {
    Text(String),
    Event(Event),
    Header(http::HeaderName),
    Query(String),
    Body(Path),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Id,
    Type,
    Source,
    Endpoint,
    Attempt,
    ReceivedAt,
    Method,
    Path,
}

const EVENT: [(&str, Event); 8] = [
    ("id", Event::Id),
    ("type", Event::Type),
    ("source", Event::Source),
    ("endpoint", Event::Endpoint),
    ("attempt", Event::Attempt),
    ("received_at", Event::ReceivedAt),
    ("method", Event::Method),
    ("path", Event::Path),
];

/// A value that a field stands for.
enum Found<'a> {
    Text(Cow<'a, str>),
    Json(&'a Value),
    /// A body that is JSON, as it came.
    Verbatim(Cow<'a, str>),
}

impl Template {
    /// Reads a text with fields.
    ///
    /// # Errors
    /// [`TemplateError`] with the position if braces are not closed, a field is not one of those
    /// above, or a path is malformed.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let start = source.len() - rest.len() + open;
            let mut reader = Reader { source, at: start + 2 };
            parts.push(reader.field(start)?);
            rest = &source[reader.at..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether it is the same for every event.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(_) => true,
            Part::Field { choices, .. } => matches!(choices.first(), Some(Choice::Text(_))),
        })
    }

    /// The text for one delivery. For several templates of one delivery make [`Fields`] once.
    #[must_use]
    pub fn render(&self, request: &ActionRequest) -> String {
        self.render_fields(&Fields::of(request))
    }

    /// The text for one delivery whose fields are at hand.
    #[must_use]
    pub fn render_fields(&self, fields: &Fields<'_>) -> String {
        self.render_with(fields, |value, text| text.push_str(value))
    }

    /// The text for one delivery, with every value written by `write`, which may escape it; what
    /// the template itself says is not passed through it.
    #[must_use]
    pub fn render_with(
        &self,
        fields: &Fields<'_>,
        mut write: impl FnMut(&str, &mut String),
    ) -> String {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Field { json, choices } => {
                    let found = choices
                        .iter()
                        .find_map(|choice| choice.find(fields).map(|found| (choice, found)));
                    match found {
                        // A text that stands in the template needs no more escaping than the rest.
                        Some((Choice::Text(own), _)) if !json => text.push_str(own),
                        Some((_, found)) if *json => write(&found.into_json(), &mut text),
                        Some((_, found)) => write(&found.into_text(), &mut text),
                        None if *json => text.push_str("null"),
                        None => {}
                    }
                }
            }
        }
        text
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        Self::parse(source)
    }
}

impl Choice {
    /// The value, unless it is missing, null or an empty text.
    fn find<'a>(&'a self, fields: &'a Fields<'_>) -> Option<Found<'a>> {
        let request = fields.request();
        let text = match self {
            Self::Text(text) => return Some(Found::Text(Cow::Borrowed(text))),
            Self::Event(event) => match event {
                Event::Id => Cow::Borrowed(request.event_id.as_str()),
                Event::Type => Cow::Borrowed(request.event_type.as_deref()?),
                Event::Source => Cow::Borrowed(request.source.as_str()),
                Event::Endpoint => Cow::Borrowed(request.endpoint.as_str()),
                Event::Attempt => Cow::Owned(request.attempt.to_string()),
                Event::ReceivedAt => Cow::Owned(rfc3339(request.received_at_ms)),
                Event::Method => Cow::Borrowed(request.method.as_str()),
                Event::Path => Cow::Borrowed(request.path.as_str()),
            },
            Self::Header(name) => String::from_utf8_lossy(request.headers.get(name)?.as_bytes()),
            Self::Query(name) => Cow::Borrowed(fields.query(name)?),
            Self::Body(path) if path.is_root() => {
                let text = String::from_utf8_lossy(&request.body);
                if text.is_empty() {
                    return None;
                }
                return Some(match fields.is_json() {
                    true => Found::Verbatim(text),
                    false => Found::Text(text),
                });
            }
            Self::Body(path) => match fields.at(path)? {
                Value::Null => return None,
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => return Some(Found::Json(other)),
            },
        };
        (!text.is_empty()).then_some(Found::Text(text))
    }
}

impl<'a> Found<'a> {
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Verbatim(text) => text,
            Self::Json(value) => Cow::Owned(value.to_string()),
        }
    }

    fn into_json(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Owned(Value::String(text.into_owned()).to_string()),
            Self::Verbatim(text) => text,
            Self::Json(value) => Cow::Owned(value.to_string()),
        }
    }
}

/// Reads what stands between braces.
struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn error(&self, at: usize, problem: impl Into<String>) -> TemplateError {
        TemplateError { at: self.source[..at].chars().count() + 1, problem: problem.into() }
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes a word if it stands here with something after it that ends a word.
    fn word(&mut self, word: &str) -> bool {
        let found = self
            .rest()
            .strip_prefix(word)
            .is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || c == '\''));
        if found {
            self.at += word.len();
            self.skip_space();
        }
        found
    }

    /// One field, after its opening braces, which are at `start`.
    fn field(&mut self, start: usize) -> Result<Part, TemplateError> {
        self.skip_space();
        let json = self.word("json");
        let mut choices = vec![self.choice(start)?];
        loop {
            self.skip_space();
            if self.rest().starts_with("}}") {
                self.at += 2;
                return Ok(Part::Field { json, choices });
            }
            if self.rest().is_empty() {
                return Err(self.error(start, "`{{` is not closed by `}}`"));
            }
            if !self.word("or") {
                return Err(self.error(
                    self.at,
                    "expected `}}` or `or` with what stands in, as in `{{body.name or 'nobody'}}`",
                ));
            }
            choices.push(self.choice(start)?);
        }
    }

    fn choice(&mut self, start: usize) -> Result<Choice, TemplateError> {
        let at = self.at;
        if let Some(after) = self.rest().strip_prefix('\'') {
            let Some(end) = after.find('\'') else {
                return Err(self.error(at, "the text is not closed by `'`"));
            };
            let text = after[..end].to_owned();
            self.at += end + 2;
            return Ok(Choice::Text(text));
        }
        if self.rest().is_empty() {
            return Err(self.error(start, "`{{` is not closed by `}}`"));
        }
        let end = self
            .rest()
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest().len());
        let root = self.rest()[..end].to_owned();
        let (path, length) = Path::read(&self.rest()[end..])
            .map_err(|(offset, problem)| self.error(at + end + offset, problem))?;
        self.at += end + length;
        let named =
            |what: &str| match path.only_name() {
                Some(name) => Ok(name.to_owned()),
                None => Err(self
                    .error(at, format!("`{root}` takes one name, as in `{{{{{root}.{what}}}}}`"))),
            };
        match root.as_str() {
            "body" => Ok(Choice::Body(path)),
            "query" => Ok(Choice::Query(named("page")?)),
            "header" => {
                let name = named("x-github-event")?;
                let name = http::HeaderName::try_from(name.as_str())
                    .map_err(|_| self.error(at, format!("`{name}` is no name of a header")))?;
                Ok(Choice::Header(name))
            }
            "event" => {
                let name = named("type")?;
                EVENT
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, event)| Choice::Event(*event))
                    .ok_or_else(|| {
                        let known = EVENT.map(|(name, _)| format!("event.{name}")).join(", ");
                        self.error(at, format!("there is no `event.{name}`; there are {known}"))
                    })
            }
            _ => Err(self.error(
                at,
                "a field begins with `event.`, `header.`, `query.` or `body`, or is a text in `'`",
            )),
        }
    }
}

/// A moment in UTC as RFC 3339 writes it, with milliseconds. The days are counted with Howard
/// Hinnant's `civil_from_days`.
#[must_use]
pub fn rfc3339(at_ms: i64) -> String {
    let days = at_ms.div_euclid(86_400_000);
    let ms = at_ms.rem_euclid(86_400_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests;
