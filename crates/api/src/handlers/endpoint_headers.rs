//! The headers that an endpoint adds to every attempt. Those that the API sets are sealed, all of
//! them; the values of credentials are never shown again.

use std::collections::BTreeMap;

use becket_model::EndpointId;
use becket_store::Endpoint;
use becket_store::vault::place;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::call::{Answer, Call, JsonBody};
use crate::handlers::endpoints::{self, Happened};
use crate::problem::{ApiError, Place, Result};
use crate::turns;
use crate::wire::endpoints::{HeadersIn, HeadersOut, HeadersPatchIn};

const HEADERS_MAX: usize = 100;
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Headers that frame a message or belong to the connection.
const OF_CONNECTION: [&str; 12] = [
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
/// Beginnings of names that the gateway sets by itself.
const OWN: [&str; 4] = ["webhook-", "svix-", "becket-", "proxy-"];

type Headers = BTreeMap<String, String>;

/// Headers that can be sent; the error says which cannot.
pub(crate) fn checked(headers: Headers) -> Result<Headers> {
    if headers.len() > HEADERS_MAX {
        let what = format!("has {} headers, more than {HEADERS_MAX}", headers.len());
        return Err(ApiError::body("headers", what));
    }
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in &headers {
        let refused = |what: &str| {
            let loc = ["body", "headers", name].map(str::to_owned).to_vec();
            let place = Place { loc, msg: what.to_owned(), kind: "bad_body".to_owned() };
            Err(ApiError::body("headers", what).at(vec![place]))
        };
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return refused("is no header name");
        };
        let lower = parsed.as_str();
        if OF_CONNECTION.contains(&lower) {
            return refused("belongs to the connection");
        }
        if OWN.iter().any(|prefix| lower.starts_with(prefix)) {
            return refused("is set by the gateway itself");
        }
        if value.len() > VALUE_BYTES_MAX {
            return refused("is longer than 8 KiB");
        }
        if HeaderValue::from_bytes(value.as_bytes()).is_err() {
            return refused("has a line break or another control character in its value");
        }
        if seen.contains(&parsed) {
            return refused("is given twice");
        }
        seen.push(parsed);
    }
    Ok(headers)
}

/// Headers as they are stored; none if there are none.
pub(crate) fn sealed(
    call: &Call,
    endpoint: EndpointId,
    headers: &Headers,
) -> Result<Option<Vec<u8>>> {
    if headers.is_empty() {
        return Ok(None);
    }
    let text = serde_json::json!(headers).to_string();
    let directory = &call.shared.api.directory;
    Ok(Some(directory.seal(&place::endpoint_headers(endpoint), text.as_bytes())?))
}

/// The headers of an endpoint, those of the operator's file included.
fn opened(call: &Call, endpoint: &Endpoint) -> Result<Headers> {
    let Some(envelope) = &endpoint.headers else {
        return Ok(endpoint.settings.headers.iter().cloned().collect());
    };
    let directory = &call.shared.api.directory;
    let text = directory.open(&place::endpoint_headers(endpoint.id), envelope)?;
    serde_json::from_slice(&text).map_err(|_| {
        let what = format!("the stored headers of {} cannot be read", endpoint.id);
        ApiError::new("event_damaged", what)
    })
}

/// `GET …/headers`
pub(crate) async fn get(call: Call) -> Result<Answer<HeadersOut>> {
    let app = endpoints::whose(&call).await?;
    let endpoint = endpoints::present(&call, &app).await?;
    Ok(Answer::ok(HeadersOut::new(opened(&call, &endpoint)?)))
}

/// Replaces the headers by what `change` makes of them.
async fn replace(call: &Call, change: impl Fn(Headers) -> Headers) -> Result<StatusCode> {
    let app = endpoints::whose(call).await?;
    let _turn = call.shared.turns.take(app.key()).await;
    let replaced = turns::again(|| async {
        let endpoint = endpoints::present(call, &app).await?;
        endpoints::check_changeable(&endpoint)?;
        let headers = checked(change(opened(call, &endpoint)?))?;
        let wanted = endpoint.with_headers(sealed(call, endpoint.id, &headers)?);
        endpoints::change(call, &endpoint, wanted).await
    });
    let endpoint = replaced.await?;
    endpoints::told(call, &app.application, &endpoint, Happened::HeadersChanged).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/headers`
pub(crate) async fn set(call: Call, JsonBody(body): JsonBody<HeadersIn>) -> Result<StatusCode> {
    replace(&call, |_| body.headers.clone()).await
}

/// `PATCH …/headers`
pub(crate) async fn patch(
    call: Call,
    JsonBody(body): JsonBody<HeadersPatchIn>,
) -> Result<StatusCode> {
    replace(&call, |mut headers| {
        let gone = body.headers.keys().chain(&body.delete_headers);
        for name in gone {
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
        }
        let set = body.headers.clone().into_iter();
        headers.extend(set.filter_map(|(name, value)| Some((name, value?))));
        headers
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_and_is_not_ours() {
        let one =
            |name: &str, value: &str| checked(Headers::from([(name.to_owned(), value.to_owned())]));
        for (name, value) in [("X-Example", "1"), ("authorization", "Bearer x"), ("x", "ä")] {
            assert!(one(name, value).is_ok(), "{name}");
        }
        for (name, value) in [
            ("", "1"),
            ("a b", "1"),
            (":path", "/"),
            ("Host", "example.com"),
            ("content-length", "1"),
            ("Webhook-Id", "1"),
            ("svix-signature", "1"),
            ("becket-attempt", "1"),
            ("x", "a\r\nb: c"),
            ("x", "\0"),
        ] {
            let error = one(name, value).unwrap_err();
            assert_eq!(error.code(), "bad_body", "{name}");
            assert_eq!(error.document()["detail"][0]["loc"][2], name);
        }
        let twice = ["X-A", "x-a"].map(|name| (name.to_owned(), "1".to_owned()));
        assert!(checked(Headers::from(twice)).is_err());
    }
}
