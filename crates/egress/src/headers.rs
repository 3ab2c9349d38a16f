//! Which headers go along with a delivery, and under which names.
//!
//! Three groups: the sender's own headers that still mean something one hop further (its signature
//! above all), the endpoint's custom headers, and ours (Standard Webhooks, the hop counter). Headers
//! that describe a connection, a client's address or a browser session never travel on.

use std::collections::HashSet;

use becket_signature::standard_webhooks::{SigningKey, sign_headers};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Counts how often an event has passed through a gateway of this kind.
pub const HOP: HeaderName = HeaderName::from_static("becket-hop");

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Prefix of headers that are ours to set.
const OWN_PREFIX: &str = "becket-";
/// Prefix of the Standard Webhooks headers.
const WEBHOOK_PREFIX: &str = "webhook-";
/// Prefix under which the sender's Standard Webhooks headers travel beside ours.
const ORIGINAL_PREFIX: &str = "becket-original-";
/// Longest value of a custom header, in bytes.
const MAX_CUSTOM_VALUE_BYTES: usize = 8 * 1024;

/// Connection-level headers (RFC 9110, section 7.6.1) and the framing of a message.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// End-to-end headers that must not travel on: sessions, the path the request took, conditions and
/// encodings that the sender agreed on with us and not with the endpoint.
const NOT_FORWARDED: [&str; 17] = [
    "accept-encoding",
    "alt-used",
    "cdn-loop",
    "cf-connecting-ip",
    "client-ip",
    "cookie",
    "cookie2",
    "fastly-client-ip",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "true-client-ip",
    "via",
];

/// What becomes of a sender's own Standard Webhooks headers (`webhook-id` and its siblings), whose
/// names the delivery needs for its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SenderWebhookHeaders {
    /// Passed on as `becket-original-webhook-id` and so on, beside ours.
    #[default]
    Renamed,
    /// Passed on unchanged: for deliveries that carry no Standard Webhooks headers of ours.
    Kept,
}

/// How the sender's headers are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Whether `Authorization` travels on. On by default: some providers prove themselves by it.
    pub keep_authorization: bool,
    /// What becomes of the sender's own `webhook-*` headers.
    pub webhook_headers: SenderWebhookHeaders,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        Self { keep_authorization: true, webhook_headers: SenderWebhookHeaders::Renamed }
    }
}

/// Selects the sender's headers for the forwarded original, with the default options.
pub fn forwardable<'a, I>(sender_headers: I) -> HeaderMap
where
    I: IntoIterator<Item = (&'a str, &'a [u8])>,
    I::IntoIter: Clone,
{
    forwardable_with(sender_headers, ForwardOptions::default())
}

/// Selects the sender's headers for the forwarded original and counts the hop.
///
/// Order and repetitions are kept. Dropped: connection-level headers and those that `Connection`
/// names, framing, cookies, proxy and client-address headers, and whatever is not a valid header.
pub fn forwardable_with<'a, I>(sender_headers: I, options: ForwardOptions) -> HeaderMap
where
    I: IntoIterator<Item = (&'a str, &'a [u8])>,
    I::IntoIter: Clone,
{
    let sender_headers = sender_headers.into_iter();
    let named = named_by_connection(sender_headers.clone());
    let mut selected = HeaderMap::with_capacity(sender_headers.size_hint().0 + 6);
    let mut hops = 0;
    for (name, value) in sender_headers {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        if name == HOP {
            hops = hops.max(parse_hops(&value));
            continue;
        }
        if named.contains(name.as_str()) {
            continue;
        }
        if let Some(name) = forwarded_name(name, options) {
            selected.append(name, value);
        }
    }
    selected.insert(HOP, HeaderValue::from(hops.saturating_add(1)));
    selected
}

/// How many gateways the event has passed through, this one included; 0 without the header. An
/// unreadable count is 0: a loop always carries a count that this gateway wrote.
pub fn hop_count(headers: &HeaderMap) -> u32 {
    headers.get_all(HOP).iter().map(parse_hops).max().unwrap_or(0)
}

fn parse_hops(value: &HeaderValue) -> u32 {
    let digits = value.to_str().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    // All digits and too many of them is a very long way.
    digits.parse().unwrap_or(u32::MAX)
}

/// The lower-case names listed in the sender's `Connection` headers.
fn named_by_connection<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> HashSet<String> {
    headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The name under which a sender's header travels on, if it does.
fn forwarded_name(name: HeaderName, options: ForwardOptions) -> Option<HeaderName> {
    let text = name.as_str();
    if HOP_BY_HOP.contains(&text) || NOT_FORWARDED.contains(&text) {
        return None;
    }
    let about_the_path =
        ["proxy-", "x-forwarded-", "sec-"].iter().any(|prefix| text.starts_with(prefix));
    if about_the_path || matches!(text, "x-real-ip" | "x-client-ip" | "x-cluster-client-ip") {
        return None;
    }
    if text == "authorization" && !options.keep_authorization {
        return None;
    }
    // Whoever could set these would speak in this gateway's name.
    if text.starts_with(OWN_PREFIX) {
        return None;
    }
    if text.starts_with(WEBHOOK_PREFIX) && options.webhook_headers == SenderWebhookHeaders::Renamed
    {
        return HeaderName::try_from(format!("{ORIGINAL_PREFIX}{text}")).ok();
    }
    Some(name)
}

/// The Standard Webhooks 1.0.0 headers of one attempt: id, time and one signature per key.
///
/// The id is what the specification asks for in ours already; a character that it forbids (a dot,
/// or anything but visible ASCII) is sent *and signed* as `_`.
pub fn standard_webhooks(
    keys: &[SigningKey],
    id: &str,
    timestamp_s: i64,
    body: &[u8],
) -> [(HeaderName, HeaderValue); 3] {
    let id: String = id
        .chars()
        .map(|c| match c {
            '!'..='~' if c != '.' => c,
            _ => '_',
        })
        .collect();
    let signature = sign_headers(keys, &id, timestamp_s, body);
    [
        (WEBHOOK_ID, ascii_value(id)),
        (WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp_s)),
        (WEBHOOK_SIGNATURE, ascii_value(signature)),
    ]
}

/// For text made here, which is ASCII without control characters.
fn ascii_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids and base64 are visible ASCII")
}

/// Why a custom header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderRefused {
    /// Not a header name (RFC 9110 token); `:`-prefixed names are none.
    #[error("a header name has only letters, digits and -_.!#$%&'*+^`|~")]
    NameInvalid,
    /// A control character (CR, LF, NUL and the like) in the value.
    #[error("a header value must not contain line breaks or other control characters")]
    ValueInvalid,
    /// More than 8 KiB.
    #[error("a header value must not be longer than 8 KiB")]
    ValueTooLong,
    /// A header that frames the message or belongs to the connection.
    #[error("this header belongs to the connection and is set by the gateway")]
    Connection,
    /// A header that the gateway sets: `webhook-*`, `becket-*`.
    #[error("this header is set by the gateway; choose another name")]
    Reserved,
}

impl HeaderRefused {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NameInvalid => "header_name_invalid",
            Self::ValueInvalid => "header_value_invalid",
            Self::ValueTooLong => "header_value_too_long",
            Self::Connection => "header_connection",
            Self::Reserved => "header_reserved",
        }
    }
}

/// Checks a header that a user sets on an endpoint or that a transformation made.
pub fn validate_custom(
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), HeaderRefused> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderRefused::NameInvalid)?;
    let text = name.as_str();
    if HOP_BY_HOP.contains(&text) || text.starts_with("proxy-") {
        return Err(HeaderRefused::Connection);
    }
    if text.starts_with(WEBHOOK_PREFIX) || text.starts_with(OWN_PREFIX) {
        return Err(HeaderRefused::Reserved);
    }
    if value.len() > MAX_CUSTOM_VALUE_BYTES {
        return Err(HeaderRefused::ValueTooLong);
    }
    let value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| HeaderRefused::ValueInvalid)?;
    Ok((name, value))
}
