//! Headers that the entry or the request lists, as Contentful, Coinbase and Keygen sign them.
//!
//! Invariants: a listed header that came twice is refused, never joined; the list is bounded. Two names are
//! no headers: `(request-target)` is the method and the path with its query, as in HTTP signatures, and
//! `host` is the public URL's, because a proxy in front may have written another.

use std::borrow::Cow;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::MissingField;
use crate::scope::{Absent, Scope};
use crate::template::{Expr, Place};
use crate::url_text;

/// How many headers a request may list.
const NAMES_MAX: usize = 64;

/// Listed headers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanonicalHeaders {
    /// Where the request lists the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names_at: Option<Place>,
    /// The names, when they are always the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<HeaderNameText>,
    /// Headers that the request's list must name, such as the time of sending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<HeaderNameText>,
    /// What separates the names in the list.
    #[serde(default = "comma")]
    pub names_separator: String,
    /// What stands between a name and its value.
    #[serde(default = "colon")]
    pub pair: String,
    /// What stands between two headers.
    #[serde(default = "semicolon")]
    pub separator: String,
    /// Whether names are written in lower case.
    #[serde(default = "yes")]
    pub lower: bool,
    /// Whether the headers are sorted by name instead of coming in the order of the list.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub sort: bool,
    /// Whether only values are written.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub values_only: bool,
    /// What happens to a listed header that is not there; `refuse` if absent.
    #[serde(default = "refuse")]
    pub missing: MissingField,
}

/// A header's name in an entry, or `(request-target)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderNameText {
    text: String,
    expr: Expr,
}

impl TryFrom<String> for HeaderNameText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expr = match text.as_str() {
            REQUEST_TARGET => Expr::Url,
            _ => HeaderName::try_from(&text)
                .map(Expr::Header)
                .map_err(|_| format!("`{text}` is no header name"))?,
        };
        Ok(HeaderNameText { text, expr })
    }
}

impl From<HeaderNameText> for String {
    fn from(name: HeaderNameText) -> Self {
        name.text
    }
}

const REQUEST_TARGET: &str = "(request-target)";

fn comma() -> String {
    ",".to_owned()
}

fn colon() -> String {
    ":".to_owned()
}

fn semicolon() -> String {
    ";".to_owned()
}

fn yes() -> bool {
    true
}

fn refuse() -> MissingField {
    MissingField::Refuse
}

impl CanonicalHeaders {
    pub(super) fn problem(&self) -> Option<String> {
        if self.names_at.is_some() != self.names.is_empty() {
            return Some("give either `names_at` or `names`".to_owned());
        }
        if self.names_at.is_none() && !self.must.is_empty() {
            return Some("`must` has no meaning without `names_at`".to_owned());
        }
        self.names_separator.is_empty().then(|| "`names_separator` is empty".to_owned())
    }

    pub(super) fn covers(&self, variable: &Expr) -> bool {
        let listed = self.names.iter().chain(&self.must).any(|name| name.expr == *variable);
        listed || self.names_at.as_ref().is_some_and(|place| place.uses(variable))
    }

    pub(super) fn build<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<u8>, Absent<'a>> {
        let mut headers: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        match &self.names_at {
            None => {
                for name in &self.names {
                    let value =
                        one(scope, &name.text).map_err(|()| Absent::Repeated(&name.expr))?;
                    if value.is_none() && self.missing == MissingField::Refuse {
                        return Err(Absent::Missing(&name.expr));
                    }
                    headers.push((name.text.clone(), value));
                }
            }
            Some(place) => {
                let shown = place.parts().first().unwrap_or(&Expr::Body);
                let list = scope.render(place)?;
                let list = std::str::from_utf8(&list).map_err(|_| Absent::Missing(shown))?;
                for name in list.trim().trim_matches('"').split(self.names_separator.as_str()) {
                    let name = name.trim();
                    if name.is_empty() {
                        continue;
                    }
                    let value = one(scope, name).map_err(|()| Absent::Repeated(shown))?;
                    let refused = value.is_none() && self.missing == MissingField::Refuse;
                    if refused || headers.len() >= NAMES_MAX {
                        return Err(Absent::Missing(shown));
                    }
                    headers.push((name.to_owned(), value));
                }
                for name in &self.must {
                    if !headers.iter().any(|(listed, _)| listed.eq_ignore_ascii_case(&name.text)) {
                        return Err(Absent::Missing(&name.expr));
                    }
                }
            }
        }
        if self.lower {
            for (name, _) in &mut headers {
                name.make_ascii_lowercase();
            }
        }
        if self.sort {
            headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        if self.missing == MissingField::Skip {
            headers.retain(|(_, value)| value.is_some());
        }
        Ok(self.join(headers))
    }

    fn join(&self, headers: Vec<(String, Option<Vec<u8>>)>) -> Vec<u8> {
        let mut text = Vec::new();
        for (position, (name, value)) in headers.into_iter().enumerate() {
            if position > 0 {
                text.extend_from_slice(self.separator.as_bytes());
            }
            if !self.values_only {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(self.pair.as_bytes());
            }
            text.extend_from_slice(&value.unwrap_or_default());
        }
        text
    }
}

/// A header's trimmed value; `Err` when it came more than once.
fn one(scope: &Scope<'_>, name: &str) -> Result<Option<Vec<u8>>, ()> {
    if name == REQUEST_TARGET {
        let target = path_and_query(scope.url);
        let method = scope.request.method.to_ascii_lowercase();
        return Ok(Some(format!("{method} {target}").into_bytes()));
    }
    if name.eq_ignore_ascii_case("host")
        && let Some(host) = host(scope.url)
    {
        return Ok(Some(host.as_bytes().to_vec()));
    }
    let Ok(name) = HeaderName::try_from(name) else {
        return Ok(None);
    };
    let mut values = scope.request.headers.get_all(&name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(());
    }
    Ok(first.map(|value| value.as_bytes().trim_ascii().to_vec()))
}

fn path_and_query(url: &str) -> Cow<'_, str> {
    let path = match url_text::path(url) {
        "" => "/",
        path => path,
    };
    match url_text::query(url) {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => Cow::Borrowed(path),
    }
}

fn host(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let authority = url[start..].split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}
