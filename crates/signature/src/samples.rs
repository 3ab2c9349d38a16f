//! From an entry's samples to requests.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::entry::{Entry, Sample};
use crate::template::{Expr, Place};

impl Sample {
    /// The headers that go with the sample: its content type, the event type's if it is in a header, and its
    /// own. Errors name the header that cannot be sent.
    pub fn header_map(&self, entry: &Entry) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the sample's value of {name} cannot be sent"))?;
            headers.insert(name, value);
            Ok::<(), String>(())
        };
        if !self.content_type.is_empty() {
            set(http::header::CONTENT_TYPE, &self.content_type)?;
        }
        if let (Some(name), Some(event_type)) = (event_type_header(entry), &self.event_type) {
            set(name.clone(), event_type)?;
        }
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name)
                .map_err(|_| format!("`{name}` of the sample is no header name"))?;
            set(name, value)?;
        }
        Ok(headers)
    }

    /// The body's bytes. Lines of a multipart body end with CR LF, which a TOML text cannot hold as it stands.
    pub fn body_bytes(&self) -> Cow<'_, [u8]> {
        if self.content_type.starts_with("multipart/") && !self.body.contains('\r') {
            Cow::Owned(self.body.replace('\n', "\r\n").into_bytes())
        } else {
            Cow::Borrowed(self.body.as_bytes())
        }
    }

    /// A URL with the sample's query.
    pub fn url(&self, base: &str) -> String {
        match &self.query {
            None => base.to_owned(),
            Some(query) => {
                let separator = if base.contains('?') { '&' } else { '?' };
                format!("{base}{separator}{query}")
            }
        }
    }
}

/// The header in which an entry expects its event type, if it is in one.
fn event_type_header(entry: &Entry) -> Option<&HeaderName> {
    let places = entry.event_type.iter().flat_map(|fact| fact.at.iter());
    places.filter_map(Place::single).find_map(|variable| match variable {
        Expr::Header(name) => Some(name),
        _ => None,
    })
}
