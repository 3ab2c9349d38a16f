//! Packing a request into the form in which it is kept.

use std::io::Write;
use std::net::IpAddr;

use becket_model::{EventRecord, PackedHeaders, RecordError};
use becket_signature::Verdict;
use http::request::Parts;

/// What is kept beside headers and body.
pub(crate) struct RecordFacts<'a> {
    pub remote: IpAddr,
    pub url: &'a str,
    pub delivery_id: Option<&'a str>,
    pub verdict: Option<&'a Verdict>,
    pub invalid: Option<&'a str>,
    /// Whether only the beginning of the body is given.
    pub cut: bool,
}

/// The path and query as they were received.
pub(crate) fn path_and_query(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("", |whole| whole.as_str())
}

/// Facts, headers in their order, and the exact body, in one buffer.
pub(crate) fn pack(
    head: &Parts,
    facts: &RecordFacts<'_>,
    body: &[u8],
) -> Result<EventRecord, RecordError> {
    let headers = head.headers.iter();
    let header_bytes: usize =
        headers.map(|(name, value)| name.as_str().len() + value.len() + 6).sum();
    let path = path_and_query(head);
    let fact_bytes = path.len() + facts.url.len() + facts.delivery_id.map_or(0, str::len) + 320;
    let mut packed = PackedHeaders::with_capacity(header_bytes + fact_bytes + body.len());

    packed.push(EventRecord::METHOD, head.method.as_str().as_bytes());
    packed.push(EventRecord::PATH, path.as_bytes());
    let mut remote = [0_u8; 64];
    let length = written(&mut remote, |buffer| write!(buffer, "{}", facts.remote));
    packed.push(EventRecord::REMOTE, &remote[..length]);
    packed.push(EventRecord::URL, facts.url.as_bytes());
    if let Some(id) = facts.delivery_id {
        packed.push(EventRecord::DELIVERY_ID, id.as_bytes());
    }
    let verdict = facts.verdict.map(|verdict| match verdict {
        Verdict::Genuine(genuine) => serde_json::to_vec(genuine),
        Verdict::Refused(_) => serde_json::to_vec(verdict),
    });
    if let Some(Ok(verdict)) = verdict {
        packed.push(EventRecord::VERDICT, &verdict);
    }
    if facts.cut {
        packed.push(EventRecord::CUT, b"");
    }
    if let Some(rule) = facts.invalid {
        packed.push(EventRecord::INVALID, rule.as_bytes());
    }
    for (name, value) in &head.headers {
        packed.push(name.as_str(), value.as_bytes());
    }
    EventRecord::from_packed(packed.finish(body))
}

/// Writes into a buffer that is large enough, and tells how much; nothing if it was not.
fn written(buffer: &mut [u8], write: impl FnOnce(&mut &mut [u8]) -> std::io::Result<()>) -> usize {
    let size = buffer.len();
    let mut rest = &mut *buffer;
    match write(&mut rest) {
        Ok(()) => size - rest.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_everything_in_order() {
        let (head, ()) = http::Request::post("/in/github/x?a=%20b")
            .header("x-b", "1")
            .header("x-a", "2")
            .header("x-b", "3")
            .body(())
            .unwrap()
            .into_parts();
        let facts = RecordFacts {
            remote: "2001:db8::1".parse().unwrap(),
            url: "https://hooks.example.com/in/github/x?a=%20b",
            delivery_id: Some("d-1"),
            verdict: None,
            invalid: None,
            cut: false,
        };
        let record = pack(&head, &facts, b"\x00body\r\n").unwrap();
        assert_eq!(record.fact(EventRecord::METHOD), Some("POST"));
        assert_eq!(record.fact(EventRecord::PATH), Some("/in/github/x?a=%20b"));
        assert_eq!(record.fact(EventRecord::REMOTE), Some("2001:db8::1"));
        assert_eq!(record.fact(EventRecord::DELIVERY_ID), Some("d-1"));
        assert_eq!(record.fact(EventRecord::VERDICT), None);
        let names: Vec<_> = record.headers().map(|(name, _)| name).collect();
        assert_eq!(names, ["x-b", "x-b", "x-a"]);
        assert_eq!(&record.body()[..], b"\x00body\r\n");
    }
}
