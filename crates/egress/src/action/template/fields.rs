//! What an event has to say: its query and body, read when first asked for.

use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::{ActionRequest, OnceLock, Path};

/// The fields of one delivery. Query and body are parsed once, when first asked for.
pub struct Fields<'a> {
    request: &'a ActionRequest,
    body: OnceLock<Body>,
    query: OnceLock<Vec<(String, String)>>,
}

/// A body, as far as it has parts.
enum Body {
    Json(Value),
    Form(Value),
    Opaque,
}

impl<'a> Fields<'a> {
    /// The fields of a delivery; nothing is read yet.
    #[must_use]
    pub fn of(request: &'a ActionRequest) -> Self {
        Self { request, body: OnceLock::new(), query: OnceLock::new() }
    }

    /// The delivery that they are of.
    #[must_use]
    pub fn request(&self) -> &'a ActionRequest {
        self.request
    }

    /// The value at a path like `a.b[0]` in a JSON or form body; the whole body for the empty path.
    /// None if there is none, or the path is malformed. For a path that is used often, parse it
    /// once and ask [`Self::at`].
    #[must_use]
    pub fn json(&self, path: &str) -> Option<&Value> {
        self.at(&Path::parse(path).ok()?)
    }

    /// The value at a path in a JSON or form body. In a form the names are the first step, and a
    /// name that comes several times is a list.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Value> {
        match self.body() {
            Body::Json(value) | Body::Form(value) => path.of(value),
            Body::Opaque => None,
        }
    }

    /// Whether the body is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.body(), Body::Json(_))
    }

    /// The first parameter of this name in the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let query = self.query.get_or_init(|| {
            let query = self.request.path.split_once('?').map_or("", |(_, q)| q);
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
        });
        query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn body(&self) -> &Body {
        self.body.get_or_init(|| {
            let body = &self.request.body;
            let form = self
                .request
                .headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.split(';').next())
                .is_some_and(|kind| {
                    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
                });
            match serde_json::from_slice(body) {
                // Some senders post JSON and call it a form.
                Ok(value) => Body::Json(value),
                Err(_) if form => Body::Form(form_value(body)),
                Err(_) => Body::Opaque,
            }
        })
    }
}

/// A form as an object of texts, with a list where a name comes several times.
fn form_value(body: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        let value = Value::String(value.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => {
                fields.insert(name.into_owned(), value);
            }
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(fields)
}
