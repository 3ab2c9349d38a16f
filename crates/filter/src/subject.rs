//! What a filter looks at: the parts of one event, each read when the first filter asks for it and
//! kept for the others.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use crate::compile::Part;
use crate::json::{Json, MAX_VALUES};

/// An event as filters see it. Nothing is read from it before a filter asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The type of the event, if it has one.
    pub event_type: Option<&'a str>,
    /// The method as received; empty for an event that was posted.
    pub method: &'a str,
    /// The path without the query; empty for an event that was posted.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: &'a str,
    /// The exact body.
    pub body: &'a [u8],
}

/// One event for any number of filters: body, query and headers are read at most once.
#[derive(Debug)]
pub struct Subject<'a> {
    request: Request<'a>,
    header_pairs: Vec<(&'a str, &'a [u8])>,
    body: OnceCell<Option<Json<'a>>>,
    headers: OnceCell<Option<Json<'a>>>,
    query: OnceCell<Option<Json<'a>>>,
    path: Option<Json<'a>>,
    method: Option<Json<'a>>,
    event_type: Option<Json<'a>>,
}

impl<'a> Subject<'a> {
    /// An event with its headers in any case.
    pub fn new(
        request: Request<'a>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let text = |text: &'a str| (!text.is_empty()).then_some(Json::Text(Cow::Borrowed(text)));
        Self {
            header_pairs: headers.into_iter().collect(),
            body: OnceCell::new(),
            headers: OnceCell::new(),
            query: OnceCell::new(),
            path: text(request.path),
            method: text(request.method),
            event_type: request.event_type.map(|text| Json::Text(Cow::Borrowed(text))),
            request,
        }
    }

    pub(crate) fn part(&self, part: Part) -> Option<&Json<'a>> {
        match part {
            Part::Headers => self.headers.get_or_init(|| Some(self.read_headers())).as_ref(),
            Part::Query => self.query.get_or_init(|| Some(form(self.request.query))).as_ref(),
            Part::Body => self.body.get_or_init(|| self.read_body()).as_ref(),
            Part::Path => self.path.as_ref(),
            Part::Method => self.method.as_ref(),
            Part::EventType => self.event_type.as_ref(),
        }
    }

    fn read_headers(&self) -> Json<'a> {
        grouped(self.header_pairs.iter().map(|(name, value)| {
            let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(*name)
            };
            (name, String::from_utf8_lossy(value))
        }))
    }

    /// Nothing for an empty body; fields of a form; JSON; and otherwise the body as a text.
    fn read_body(&self) -> Option<Json<'a>> {
        let body = self.request.body;
        if body.is_empty() {
            return None;
        }
        if self.is_form()
            && let Ok(text) = std::str::from_utf8(body)
        {
            return Some(with_payload(form(text)));
        }
        Some(
            Json::read(body, MAX_VALUES)
                .unwrap_or_else(|| Json::Text(String::from_utf8_lossy(body))),
        )
    }

    fn is_form(&self) -> bool {
        self.header_pairs.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type")
                && value.split(|byte| *byte == b';').next().is_some_and(|media_type| {
                    media_type
                        .trim_ascii()
                        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
                })
        })
    }
}

/// An object of texts; what occurs more than once is a list in the order received.
fn grouped<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Json<'a> {
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut fields: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
    for (name, value) in pairs {
        let value = Json::Text(value);
        match places.get(&name) {
            None => {
                places.insert(name.clone(), fields.len());
                fields.push((name, value));
            }
            Some(place) => match &mut fields[*place].1 {
                Json::List(items) => items.push(value),
                single => {
                    let first = std::mem::replace(single, Json::Null);
                    *single = Json::List(vec![first, value]);
                }
            },
        }
    }
    Json::Object(fields)
}

/// Fields of a form or query; at most as many as a JSON body may have values.
fn form(text: &str) -> Json<'_> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MAX_VALUES);
    grouped(pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    }))
}

/// Some senders put JSON into a form's field `payload`; it is read as such.
fn with_payload(form: Json<'_>) -> Json<'_> {
    let Json::Object(mut fields) = form else { return form };
    for (name, value) in &mut fields {
        if name == "payload"
            && let Json::Text(text) = value
            && text.starts_with(['{', '['])
            && let Some(read) = Json::read(text.as_bytes(), MAX_VALUES)
        {
            *value = read.into_owned();
        }
    }
    Json::Object(fields)
}

/// Takes `+` and `%20` back; what is no valid escape stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'+' || byte == b'%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        plain.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(at), digit(at + 1)) {
                (Some(high), Some(low)) => {
                    at += 2;
                    (high * 16 + low) as u8
                }
                _ => b'%',
            },
            other => other,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(part: Part, body: &[u8], media_type: &str) -> Option<String> {
        let request = Request { body, query: "a=1&b=x+y%21&a=2&c&%zz=%", ..Request::default() };
        let headers = [
            ("Content-Type", media_type.as_bytes()),
            ("x-a", b"1".as_slice()),
            ("X-A", b"\xff".as_slice()),
        ];
        Subject::new(request, headers).part(part).map(|json| json.render(500))
    }

    #[test]
    fn parts_are_read() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let table: [(Part, &str, &str, Option<&str>); 8] = [
            (Part::Query, "", "", Some(r#"{"a":["1","2"],"b":"x y!","c":"","%zz":"%"}"#)),
            (Part::Headers, "", "t", Some(r#"{"content-type":"t","x-a":["1","�"]}"#)),
            (Part::Body, "", "", None),
            (Part::Body, "<xml/>", "", Some(r#""<xml/>""#)),
            (Part::Body, "[1]", "text/plain", Some("[1]")),
            (
                Part::Body,
                "a=%5B1%5D&payload=%7B%22x%22:1%7D",
                form,
                Some(r#"{"a":"[1]","payload":{"x":1}}"#),
            ),
            (Part::Body, "payload={", form, Some(r#"{"payload":"{"}"#)),
            (Part::Path, "", "", None),
        ];
        for (part, body, media_type, expected) in table {
            let shown = shown(part, body.as_bytes(), media_type);
            assert_eq!(shown.as_deref(), expected, "{part:?} {body}");
        }
    }
}
