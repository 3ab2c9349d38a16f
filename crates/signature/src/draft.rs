//! A request in the making: writing texts at the places where verification will read them.
//!
//! Invariants: what is there already is kept, except where the scheme says what must stand there; JSON and forms
//! are only printed again when something is written into them. Next: `sign`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::SignError;
use crate::multipart;
use crate::request::{RequestView, Signed};
use crate::scheme::TimestampUnit;
use crate::template::{Expr, Place};
use crate::url_text;

/// What separates the parts of a multipart body that is made here.
const BOUNDARY: &str = "becket-4f1d9c0b7a";

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request in the making.
#[derive(Clone)]
pub(crate) struct Draft {
    pub method: String,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub event_type: Option<String>,
    pub delivery_id: String,
    pub timestamp: Option<String>,
    /// Fields beside the signature, in their order.
    pub fields: Vec<(String, String)>,
}

impl Draft {
    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
        }
    }

    pub fn set_header(&mut self, name: &HeaderName, value: String) -> Result<(), SignError> {
        let value = HeaderValue::try_from(value).map_err(|_| unusable_header(name.as_str()))?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Replaces the value of a query parameter where it stands, or adds the parameter.
    pub fn put_query(&mut self, name: &str, value: &str) {
        let pair =
            url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let Some(query) = url_text::query(&self.url) else {
            self.url.push('?');
            self.url.push_str(&pair);
            return;
        };
        let start = self.url.find('?').map_or(self.url.len(), |position| position + 1);
        let end = start + query.len();
        let pairs = with_pair(query.as_bytes(), name, pair);
        self.url.replace_range(start..end, &String::from_utf8_lossy(&pairs));
    }

    pub fn set_field(&mut self, name: &str, value: String) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => *slot = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Writes a text at a place. `payload` are the entry's places of the JSON document.
    pub fn put(
        &mut self,
        place: &Place,
        text: String,
        unit: Option<TimestampUnit>,
        payload: Option<&[Place]>,
    ) -> Result<(), SignError> {
        match place.single() {
            Some(Expr::Header(name)) => self.set_header(name, text),
            Some(Expr::Query(name)) => {
                self.put_query(name, &text);
                Ok(())
            }
            Some(Expr::Field(name)) => {
                self.set_field(name, text);
                Ok(())
            }
            Some(Expr::Form(name)) => {
                if !self.body.is_empty() && !self.is_form() {
                    let part = format!("form:{name} (the body is no form)");
                    return Err(SignError::MissingPart { part });
                }
                self.put_form(name, &text);
                Ok(())
            }
            Some(Expr::Part(name)) => {
                if multipart::boundary(&self.view()).is_none() {
                    let part = format!("part:{name} (the body has no parts)");
                    return Err(SignError::MissingPart { part });
                }
                self.put_part(name, text.as_bytes());
                Ok(())
            }
            Some(Expr::Body) => {
                self.body = text.into_bytes();
                Ok(())
            }
            Some(Expr::Json(path)) => {
                let number = matches!(
                    unit,
                    Some(
                        TimestampUnit::S
                            | TimestampUnit::Ms
                            | TimestampUnit::Us
                            | TimestampUnit::Ns
                            | TimestampUnit::SOrMs
                    )
                );
                let value = match text.parse::<i64>() {
                    Ok(whole) if number => serde_json::Value::from(whole),
                    _ => serde_json::Value::from(text),
                };
                let document = self.payload(payload);
                let written = document.and_then(|json| set_json(&json, path.segments(), value));
                let written = written.ok_or_else(|| SignError::MissingPart {
                    part: format!("json:{path} (the body is no JSON object)"),
                })?;
                self.set_payload(payload, written);
                Ok(())
            }
            _ => Err(SignError::Unsupported { class: "a place that is made of several parts" }),
        }
    }

    /// Puts a body that is the document itself where the entry's `payload` looks for it.
    pub fn wrap_payload(&mut self, places: Option<&[Place]>) {
        let Some(places) = places else { return };
        if self.payload_place(places).is_some() {
            return;
        }
        let document = std::mem::take(&mut self.body);
        match places.first().and_then(Place::single) {
            Some(Expr::Part(name)) => {
                self.body = format!("--{BOUNDARY}--\r\n").into_bytes();
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                if let Ok(kind) = HeaderValue::try_from(kind) {
                    self.headers.insert(http::header::CONTENT_TYPE, kind);
                }
                self.put_part(name, &document);
            }
            Some(Expr::Form(name)) => {
                self.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(FORM));
                self.put_form(name, &String::from_utf8_lossy(&document));
            }
            _ => self.body = document,
        }
    }

    /// The place of the document that is there.
    fn payload_place<'p>(&self, places: &'p [Place]) -> Option<&'p Expr> {
        places.iter().filter_map(Place::single).find(|place| match place {
            Expr::Body => true,
            Expr::Part(name) => multipart::part(&self.view(), name).is_some(),
            Expr::Form(name) => self.is_form() && form_value(&self.body, name).is_some(),
            _ => false,
        })
    }

    fn payload(&self, places: Option<&[Place]>) -> Option<Vec<u8>> {
        match places.map_or(Some(&Expr::Body), |places| self.payload_place(places))? {
            Expr::Part(name) => multipart::part(&self.view(), name).map(<[u8]>::to_vec),
            Expr::Form(name) => form_value(&self.body, name).map(String::into_bytes),
            _ => Some(self.body.clone()),
        }
    }

    fn set_payload(&mut self, places: Option<&[Place]>, document: Vec<u8>) {
        match places.and_then(|places| self.payload_place(places)) {
            Some(Expr::Part(name)) => self.put_part(name, &document),
            Some(Expr::Form(name)) => self.put_form(name, &String::from_utf8_lossy(&document)),
            _ => self.body = document,
        }
    }

    fn is_form(&self) -> bool {
        crate::scope::content_type(&self.view()).is_some_and(|kind| kind == FORM)
    }

    /// Replaces the value of a form field where it stands, or adds the field.
    fn put_form(&mut self, name: &str, value: &str) {
        let pair =
            url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        self.body = with_pair(&self.body, name, pair);
    }

    /// Replaces the content of a part where it stands, or adds the part at the end.
    fn put_part(&mut self, name: &str, content: &[u8]) {
        let found = multipart::part_range(&self.view(), name);
        if let Some(range) = found {
            self.body.splice(range, content.iter().copied());
            return;
        }
        let Some(boundary) = multipart::boundary(&self.view()).map(str::to_owned) else { return };
        let end = format!("--{boundary}--");
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        let kept = self
            .body
            .windows(end.len())
            .rposition(|window| window == end.as_bytes())
            .unwrap_or(self.body.len());
        self.body.truncate(kept);
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(format!("\r\n{end}\r\n").as_bytes());
    }

    pub fn finish(self) -> Signed {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        Signed { headers, url: self.url, body: self.body }
    }
}

pub(crate) fn unusable_header(name: &str) -> SignError {
    SignError::MissingPart { part: format!("header:{name} (its value cannot be sent)") }
}

/// A form or query with this pair in place of the first one of its name, or at the end.
fn with_pair(text: &[u8], name: &str, pair: String) -> Vec<u8> {
    let mut pairs: Vec<Vec<u8>> = text
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let is_named = |pair: &Vec<u8>| {
        url::form_urlencoded::parse(pair).next().is_some_and(|(key, _)| key == name)
    };
    match pairs.iter().position(is_named) {
        Some(position) => pairs[position] = pair.into_bytes(),
        None => pairs.push(pair.into_bytes()),
    }
    pairs.join(&b'&')
}

fn form_value(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Writes a value at a path; objects on the way are made, list items must exist.
pub(crate) fn set_json(
    document: &[u8],
    path: &[String],
    value: serde_json::Value,
) -> Option<Vec<u8>> {
    let mut document: serde_json::Value = serde_json::from_slice(document).ok()?;
    let mut here = &mut document;
    for step in path {
        here = match here {
            serde_json::Value::Array(items) => {
                let index = if step == "*" { 0 } else { step.parse::<usize>().ok()? };
                items.get_mut(index)?
            }
            other => other
                .as_object_mut()?
                .entry(step.as_str())
                .or_insert_with(|| serde_json::Value::Object(serde_json::Map::new())),
        };
    }
    *here = value;
    serde_json::to_vec(&document).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: &str, kind: &str) -> Draft {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a value"));
        Draft {
            method: "POST".to_owned(),
            url: "https://a.example/".to_owned(),
            headers,
            body: body.as_bytes().to_vec(),
            event_type: None,
            delivery_id: "1".to_owned(),
            timestamp: None,
            fields: Vec::new(),
        }
    }

    #[test]
    fn documents_are_wrapped_and_written_into() {
        for (place, kind) in [("part:json", "multipart/form-data"), ("form:payload", FORM)] {
            let places = [Place::parse(place).expect("parses")];
            let mut draft = draft("{\"a\":{}}", "application/json");
            draft.wrap_payload(Some(&places));
            let at = Place::parse("json:a.signature").expect("parses");
            draft.put(&at, "xyz".to_owned(), None, Some(&places)).expect("writes");
            let found = draft.headers["content-type"].to_str().expect("a text");
            assert!(found.starts_with(kind), "{found}");
            let document = draft.payload(Some(&places)).expect("is there");
            assert_eq!(document, b"{\"a\":{\"signature\":\"xyz\"}}", "{place}");
        }
        let mut form = draft("a=1&b=2", FORM);
        form.put_form("a", "3");
        form.put_form("c", "4 5");
        assert_eq!(form.body, b"a=3&b=2&c=4+5");
        form.url = "https://a.example/?a=1&b=2".to_owned();
        form.put_query("b", "3");
        form.put_query("c", "4");
        assert_eq!(form.url, "https://a.example/?a=1&b=3&c=4");
    }
}
