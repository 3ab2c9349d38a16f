//! Which headers of a received request a recording keeps.
//!
//! Left out: what proved the request (it is made afresh when it is sent again), what belonged to the
//! connection or to the way it took, and whatever is a credential by its name.

use becket_signature::{Entry, Expr, Place};

use super::names::class_of;
use super::redact::{self, Change, Rules};

/// The connection's, the way's, and those that the sender of a replay makes itself.
const PASSING: [&str; 34] = [
    "host",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "proxy-connection",
    "via",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-correlation-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "traceparent",
    "tracestate",
    "baggage",
    "x-request-start",
    "x-envoy-attempt-count",
    "x-scheme",
    "true-client-ip",
    "cdn-loop",
    "priority",
    "if-none-match",
    "if-modified-since",
    "sentry-trace",
    "newrelic",
    "x-newrelic-id",
    "x-newrelic-transaction",
    "date",
];
const PASSING_BEGINNINGS: [&str; 8] =
    ["x-forwarded-", "cf-", "fly-", "x-vercel-", "x-b3-", "becket-", "x-datadog-", "fastly-"];
/// What the gateway shows instead of a credential's value.
const HIDDEN: &str = "[redacted]";

/// The headers to keep, in their order, and what was hidden in them.
pub(crate) fn kept(
    headers: &[(String, String)],
    entry: Option<&Entry>,
    rules: &Rules,
) -> (Vec<(String, String)>, Vec<Change>) {
    let afresh = entry.map(made_afresh).unwrap_or_default();
    let mut kept = Vec::new();
    let mut changes = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if is_passing(&name)
            || afresh.contains(&name)
            || rules.headers.contains(&name)
            || proves(&name)
            || value == HIDDEN
        {
            continue;
        }
        let (value, found) = redact::value(&format!("header: {name}"), value, rules);
        changes.extend(found);
        kept.push((name, value));
    }
    (kept, changes)
}

fn is_passing(name: &str) -> bool {
    PASSING.contains(&name)
        || PASSING_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a header proves something, by its name.
fn proves(name: &str) -> bool {
    class_of(name).is_some()
        || ["signature", "hmac", "authorization", "cookie", "token", "secret", "password"]
            .iter()
            .any(|word| name.contains(word))
        || ["webhook-id", "webhook-timestamp"].contains(&name)
}

/// Headers that signing writes: signature, time, delivery id.
fn made_afresh(entry: &Entry) -> Vec<String> {
    let signatures = entry.schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
    let times = entry.schemes.iter().filter_map(|scheme| scheme.timestamp.as_ref());
    let ids = entry.delivery_id.iter().flat_map(|fact| fact.at.iter());
    signatures
        .flat_map(|spec| spec.at.iter())
        .chain(times.map(|spec| &spec.at))
        .chain(ids)
        .filter_map(header_of)
        .collect()
}

fn header_of(place: &Place) -> Option<String> {
    match place.single() {
        Some(Expr::Header(name)) => Some(name.as_str().to_owned()),
        _ => None,
    }
}
