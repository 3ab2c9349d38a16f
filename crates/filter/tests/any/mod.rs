//! Any filter on any event, for the tests and for the fuzzer: never a panic, `$not` is the opposite,
//! the cost is bounded by the product of the sizes, and what is shown is bounded too.

use becket_filter::{Filter, MAX_SHOWN_BYTES, Request, Subject};
use serde_json::{Value, json};

/// Values and names in a document, and one more for every 16 bytes of text.
pub fn size(value: &Value) -> u64 {
    let text = |text: &str| 1 + text.len() as u64 / 16;
    match value {
        Value::String(content) => text(content),
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(fields) => {
            1 + fields.iter().map(|(name, value)| text(name) + size(value)).sum::<u64>()
        }
        _ => 1,
    }
}

/// The most steps that a filter may take for an event.
pub fn bound(filter: &Value, body: &Value) -> u64 {
    4 * (size(filter) + 1) * (size(body) + 1)
}

/// Asks, checks what is promised for every event, and says whether it passes.
pub fn check(document: &Value, body: &[u8], headers: &[(&str, &[u8])]) -> Option<bool> {
    let filter = match Filter::from_document(document.clone()) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.code().starts_with("filter_"));
            return None;
        }
    };
    let text = serde_json::to_string(&filter).unwrap();
    // Floats of very many digits do not survive being written and read by serde_json itself.
    if serde_json::from_str::<Value>(&text).unwrap() == *document {
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter, "it reads back");
    }
    let request = Request {
        event_type: Some("push"),
        method: "POST",
        path: "/a",
        query: "a=1&b=x+y&a=2",
        body,
    };
    let subject = Subject::new(request, headers.iter().copied());
    let (result, steps) = filter.check_counting(&subject);
    if let Err(refused) = &result {
        // Cut, and with an operator and the value of a reference.
        assert!(refused.expected.len() <= MAX_SHOWN_BYTES);
        assert!(refused.found.len() <= MAX_SHOWN_BYTES && refused.clause.len() <= MAX_SHOWN_BYTES);
        assert!(!refused.to_string().is_empty());
    }
    let read: Value = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body).into_owned()));
    let parts: u64 = headers.iter().map(|(_, value)| 3 + value.len() as u64 / 16).sum();
    let most = bound(document, &read) + 4 * (size(document) + 1) * (parts + 16);
    assert!(steps <= most, "{steps} steps, at most {most}: {document} on {read}");
    if let Ok(opposite) = Filter::from_document(json!({ "$not": document })) {
        assert_eq!(opposite.check(&subject).is_ok(), result.is_err(), "{document} on {read}");
    }
    Some(result.is_ok())
}
