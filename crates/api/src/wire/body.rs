//! How an event's body and headers are shown in JSON.
//!
//! Invariants: text that is UTF-8 is shown as text, anything else as base64; header values that are
//! credentials by their name are hidden unless asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_model::EventRecord;
use becket_model::attempt_detail::{REDACTED, is_credential};
use serde::Serialize;
use serde_json::value::RawValue;

/// A body, or its beginning.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BodyOut {
    /// The whole length in bytes.
    pub size_bytes: usize,
    /// The text, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in base64, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Whether only the beginning is shown.
    pub cut: bool,
}

impl BodyOut {
    /// Shows at most `most` bytes.
    pub fn of(bytes: &[u8], most: usize) -> Self {
        let cut = bytes.len() > most;
        let shown = &bytes[..bytes.len().min(most)];
        // A cut may fall into the middle of a character.
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            Err(error) if cut && error.error_len().is_none() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        Self {
            size_bytes: bytes.len(),
            text: text.map(str::to_owned),
            base64: text.is_none().then(|| BASE64.encode(shown)),
            cut,
        }
    }
}

/// The payload of a message: the body itself if it is a JSON object, else the body in base64.
pub(crate) fn payload(body: &[u8], content_type: Option<&str>) -> Box<RawValue> {
    let object = std::str::from_utf8(body).ok().map(str::trim).filter(|text| text.starts_with('{'));
    if let Some(raw) = object.and_then(|text| RawValue::from_string(text.to_owned()).ok()) {
        return raw;
    }
    let wrapped = serde_json::json!({ "raw": BASE64.encode(body), "contentType": content_type });
    RawValue::from_string(wrapped.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A header's value as it is shown.
pub(crate) fn shown_value(name: &str, value: &[u8], reveal: bool) -> String {
    if !reveal && is_credential(name) {
        REDACTED.to_owned()
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

/// The sender's headers in their order, as pairs.
pub(crate) fn headers(record: &EventRecord, reveal: bool) -> Vec<(String, String)> {
    record
        .headers()
        .map(|(name, value)| (name.to_owned(), shown_value(name, value, reveal)))
        .collect()
}

/// The first value of a header as text.
pub(crate) fn header<'r>(record: &'r EventRecord, name: &str) -> Option<&'r str> {
    let value = record.headers().find(|(known, _)| *known == name).map(|(_, value)| value)?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_bytes_become_base64() {
        assert_eq!(BodyOut::of("äb".as_bytes(), 10).text.as_deref(), Some("äb"));
        assert_eq!(BodyOut::of(&[0xff], 10).base64.as_deref(), Some("/w=="));
        let cut = BodyOut::of("aä".as_bytes(), 2);
        assert_eq!((cut.text.as_deref(), cut.cut, cut.size_bytes), (Some("a"), true, 3));
    }

    #[test]
    fn payloads_keep_objects_as_they_are() {
        let text = r#"{"n":12345678901234567890.10}"#;
        assert_eq!(payload(text.as_bytes(), None).get(), text);
        for other in [&b"[1]"[..], b"\"x\"", b"a=1", b"{broken", &[0xff, b'{']] {
            let wrapped: serde_json::Value =
                serde_json::from_str(payload(other, Some("text/plain")).get()).unwrap();
            assert_eq!(wrapped["raw"], BASE64.encode(other));
            assert_eq!(wrapped["contentType"], "text/plain");
        }
    }
}
