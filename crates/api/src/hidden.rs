//! Leaves out of an answer what its caller may not see: payloads, for those without the right to them.
//!
//! Which parts those are is said beside each route (`routes/parts`); here they are taken away, from the
//! finished answer, so that no handler can forget it. What is taken away leaves `hidden: true` beside
//! it.
//!
//! Invariants: an answer that cannot be read is not given out; a stream is passed event by event.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header;
use serde_json::{Value, json};

use crate::problem::{ApiError, Result};
use crate::routes::{Instead, Part};

/// Longer than any event of a stream.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer without these parts.
pub(crate) async fn without(parts: &'static [Part], response: Response) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("").to_owned();
    if kind.starts_with("text/event-stream") {
        return stream(parts, response);
    }
    let (mut head, body) = response.into_parts();
    let read = match to_bytes(body, usize::MAX).await {
        Ok(bytes) if bytes.is_empty() => Ok(bytes),
        Ok(bytes) => json_without(parts, &bytes),
        Err(error) => Err(unreadable(&error)),
    };
    match read {
        Ok(bytes) => {
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::from(bytes))
        }
        Err(error) => error.into_response(),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new("event_damaged", format!("the answer cannot be read: {error}"))
}

fn json_without(parts: &[Part], bytes: &[u8]) -> Result<Bytes> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
    for part in parts {
        take(&mut value, part.path, part.instead);
    }
    serde_json::to_vec(&value).map(Bytes::from).map_err(|error| unreadable(&error))
}

/// Takes what a path leads to away, wherever it leads to something.
fn take(value: &mut Value, path: &str, instead: Instead) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| take(item, path, instead)),
        Value::Object(object) => match path.split_once('.') {
            Some((first, rest)) => {
                if let Some(inner) = object.get_mut(first) {
                    take(inner, rest, instead);
                }
            }
            None => {
                let stands_in = match instead {
                    Instead::Null => Value::Null,
                    Instead::Text => json!(""),
                    Instead::Object => json!({}),
                    Instead::List => json!([]),
                };
                let there = object.get_mut(path).filter(|there| !there.is_null());
                if let Some(there) = there.filter(|there| **there != stands_in) {
                    *there = stands_in;
                    object.insert("hidden".to_owned(), json!(true));
                }
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A stream of events, each without these parts. In a page they stand below `data`; here each event
/// stands alone.
fn stream(parts: &'static [Part], response: Response) -> Response {
    let (head, body) = response.into_parts();
    let mut waiting = BytesMut::new();
    let stream = body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        waiting.extend_from_slice(&chunk);
        let mut out = BytesMut::new();
        while let Some(end) = waiting.windows(2).position(|pair| pair == b"\n\n") {
            let event = waiting.split_to(end + 2);
            out.extend_from_slice(event_without(parts, &event)?.as_bytes());
        }
        if waiting.len() > EVENT_BYTES_MAX {
            return Err(std::io::Error::other("an event of the stream never ends"));
        }
        Ok(out.freeze())
    });
    Response::from_parts(head, Body::from_stream(stream))
}

fn event_without(parts: &[Part], event: &[u8]) -> std::io::Result<String> {
    let text = std::str::from_utf8(event).map_err(std::io::Error::other)?;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let Some(data) = line.strip_prefix("data:") else {
            out.push_str(line);
            continue;
        };
        let mut value: Value = serde_json::from_str(data).map_err(std::io::Error::other)?;
        for part in parts {
            take(&mut value, part.path.strip_prefix("data.").unwrap_or(part.path), part.instead);
        }
        out.push_str("data: ");
        out.push_str(&value.to_string());
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[Part] = &[
        Part { path: "data.found", instead: Instead::Null },
        Part { path: "data.response.body", instead: Instead::Text },
    ];

    #[test]
    fn parts_are_taken_wherever_they_are() {
        let answer = json!({ "data": [
            { "id": 1, "found": "x", "response": { "body": "secret" } },
            { "id": 2, "found": null, "response": null },
        ] });
        let bytes = json_without(PARTS, answer.to_string().as_bytes()).unwrap();
        let left: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            left,
            json!({ "data": [
                { "id": 1, "found": null, "hidden": true,
                  "response": { "body": "", "hidden": true } },
                { "id": 2, "found": null, "response": null },
            ] })
        );
        assert!(json_without(PARTS, b"no JSON").is_err());
    }

    #[tokio::test]
    async fn streams_are_cut_into_events() {
        let chunks = ["event: event\nid: 1\ndata: {\"fou", "nd\":\"x\"}\n\n:\n\ndata: {}", "\n\n"];
        let chunks = chunks.map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let response = ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
        let left = to_bytes(without(PARTS, response).await.into_body(), 1_000).await.unwrap();
        let text = std::str::from_utf8(&left).unwrap();
        assert_eq!(
            text,
            "event: event\nid: 1\ndata: {\"found\":null,\"hidden\":true}\n\n:\n\ndata: {}\n\n"
        );
    }
}
