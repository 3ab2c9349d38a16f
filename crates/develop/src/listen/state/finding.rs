//! Which deliveries a filter lets through and a search finds, and how one is sent again by hand.

use bytes::Bytes;

use super::{Entry, Mark};

/// A line that sends the request of a delivery again; `None` if its body is no longer kept.
#[must_use]
pub fn curl(entry: &Entry) -> Option<String> {
    let parcel = &entry.parcel;
    let method = if parcel.method.is_empty() { "POST" } else { &parcel.method };
    Some(crate::listen::text::curl(method, &entry.target, &parcel.headers, entry.body.as_ref()?))
}

/// Whether a delivery fits one word of a filter.
pub(super) fn fits(entry: &Entry, term: &str) -> bool {
    let lower = |text: &str| text.to_lowercase();
    let event_type = lower(entry.parcel.event_type.as_deref().unwrap_or_default());
    let source = lower(&entry.parcel.source);
    let (field, value) = term.split_once(':').unwrap_or(("", term));
    match field {
        "type" => event_type.contains(value),
        "source" => source.contains(value),
        "status" => {
            let status = entry.reply.as_ref().and_then(|reply| reply.status);
            status.is_some_and(|status| status.to_string().starts_with(value))
        }
        "" if term == "failed" => entry.reply.as_ref().is_some_and(|reply| !reply.is_success()),
        "" if term == "late" => entry.mark == Mark::Late,
        "" if term == "repeat" => entry.mark == Mark::Repeat,
        _ => {
            event_type.contains(term)
                || source.contains(term)
                || lower(&entry.parcel.event_id).contains(term)
        }
    }
}

/// Whether a delivery has a text (in lower case) anywhere: facts, headers, bodies.
pub(super) fn has(entry: &Entry, wanted: &str) -> bool {
    let parcel = &entry.parcel;
    let texts =
        [parcel.event_type.as_deref().unwrap_or_default(), &parcel.source, &parcel.event_id];
    let in_headers = |headers: &[(String, String)]| {
        headers.iter().any(|(name, value)| {
            name.to_lowercase().contains(wanted) || value.to_lowercase().contains(wanted)
        })
    };
    let in_body = |body: &Bytes| contains(body, wanted.as_bytes());
    texts.iter().any(|text| text.to_lowercase().contains(wanted))
        || in_headers(&parcel.headers)
        || entry.body.as_ref().is_some_and(in_body)
        || entry
            .reply
            .as_ref()
            .is_some_and(|reply| in_headers(&reply.headers) || in_body(&reply.body))
}

/// Whether bytes have a text, whatever the case of its ASCII letters.
fn contains(body: &Bytes, wanted: &[u8]) -> bool {
    body.windows(wanted.len().max(1)).any(|window| window.eq_ignore_ascii_case(wanted))
}
