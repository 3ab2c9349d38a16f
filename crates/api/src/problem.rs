//! Errors as the API tells them: `application/problem+json` with a stable code and a hint.
//!
//! Invariants: every code is in [`CODES`] and in `docs/errors.md` (a test compares); `detail` is one
//! text for people; nothing of a secret or of another owner's data is in it.
//!
//! Deliberately absent: logging of refused requests; only what the operator has to repair is logged.

use axum::response::{IntoResponse, Response};
use becket_model::RecordError;
use becket_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// Every code with its status and title, in the order of the documentation.
pub const CODES: &[(&str, u16, &str)] = &[
    ("bad_query", 422, "A query parameter cannot be used"),
    ("bad_body", 422, "The request body cannot be used"),
    ("bad_path", 400, "The path cannot be read"),
    ("unauthorized", 401, "A valid token is needed"),
    ("forbidden", 403, "The token does not allow this"),
    ("payloads_hidden", 403, "Payloads are not shown to this caller"),
    ("session_needs_https", 403, "A browser can sign in only over HTTPS"),
    ("cross_site", 403, "The call was not made by a page of this gateway"),
    ("sign_in_refused", 403, "This person has no role here"),
    ("sign_in_unproven", 401, "The sign-in could not be proven"),
    ("sign_in_cancelled", 401, "The sign-in was broken off"),
    ("sign_in_lost", 400, "The sign-in is not the one that was begun here"),
    ("sign_in_off", 404, "There is no other place to sign in at"),
    ("sign_in_unavailable", 503, "The sign-in provider does not answer"),
    ("not_found", 404, "There is no such thing"),
    ("route_not_found", 404, "There is no such path"),
    ("method_not_allowed", 405, "This path does not take this method"),
    ("conflict", 409, "The name is taken"),
    ("changed_meanwhile", 409, "It was changed at the same time"),
    ("ambiguous_name", 409, "The name means more than one thing"),
    ("endpoint_disabled", 409, "The endpoint takes no deliveries"),
    ("endpoint_removed", 409, "The endpoint is no longer declared"),
    ("nothing_to_replay", 409, "There is nothing to replay"),
    ("nothing_waits", 409, "No secret waits to be accepted"),
    ("declared", 409, "It belongs to the configuration"),
    ("secret_declared", 409, "The secret belongs to the configuration"),
    ("idempotency_conflict", 409, "The idempotency key is in use"),
    ("backup_refused", 409, "The backup could not be written there"),
    ("keys_refused", 409, "The secrets could not be sealed again"),
    ("reload_refused", 409, "The configuration could not be applied"),
    ("idempotency_mismatch", 422, "The idempotency key was used for something else"),
    ("payload_invalid", 422, "The payload breaks the schema of its event type"),
    ("source_invalid", 422, "The source cannot be made like this"),
    ("cannot_sign", 422, "No request can be signed for this source"),
    ("body_too_large", 413, "The request body is too large"),
    ("throttled", 429, "Too many failed logins"),
    ("limit_reached", 429, "It cannot be done so often"),
    ("too_many_streams", 429, "Too many streams are open"),
    ("too_many_tasks", 429, "Too many tasks are running"),
    ("event_damaged", 500, "A stored event cannot be read"),
    ("store_unusable", 500, "The store cannot be used"),
    ("store_database", 500, "The store failed"),
    ("store_sealed", 500, "A stored secret cannot be opened"),
    ("store_full", 503, "There is no room to store more"),
    ("store_broken", 503, "The store had to stop"),
    ("store_unavailable", 503, "The database cannot be reached"),
    ("store_busy", 503, "The store is busy"),
    ("store_closed", 503, "The store is closed"),
];

/// The result of a handler.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// The stable code of a refusal, beside its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub &'static str);

/// Where in a request something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The part of the request and the names that lead to the place, such as `body`, `uid`.
    pub loc: Vec<String>,
    /// What is wrong there.
    pub msg: String,
    /// The rule that is broken, or the error's own code.
    pub kind: String,
}

/// A request that was not carried out, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub(crate) struct ApiError {
    code: &'static str,
    detail: String,
    hint: Option<String>,
    retry_after_s: Option<u64>,
    places: Vec<Place>,
}

impl Place {
    /// A place by the part of the request and a name in it; an empty name is the whole part.
    pub fn new(part: &str, name: &str, msg: impl Into<String>, kind: &str) -> Self {
        let loc = [part, name].into_iter().filter(|text| !text.is_empty()).map(str::to_owned);
        Self { loc: loc.collect(), msg: msg.into(), kind: kind.to_owned() }
    }
}

impl ApiError {
    /// An error with one of the [`CODES`] and a sentence for people.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), hint: None, retry_after_s: None, places: Vec::new() }
    }

    /// A query parameter that cannot be used.
    pub fn query(name: &str, what: impl Into<String>) -> Self {
        let what = what.into();
        let mut error = Self::new("bad_query", format!("query parameter `{name}`: {what}"));
        error.places.push(Place::new("query", name, what, "bad_query"));
        error
    }

    /// A body, or a field of it, that cannot be used.
    pub fn body(field: &str, what: impl Into<String>) -> Self {
        let what = what.into();
        let detail = match field {
            "" => format!("the request body: {what}"),
            _ => format!("field `{field}` of the request body: {what}"),
        };
        let mut error = Self::new("bad_body", detail);
        error.places.push(Place::new("body", field, what, "bad_body"));
        error
    }

    /// Says where in the request it is wrong.
    #[must_use]
    pub fn at(mut self, places: Vec<Place>) -> Self {
        self.places = places;
        self
    }

    /// Something that does not exist for this caller.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new("not_found", format!("there is no {what} `{name}`"))
    }

    /// Whether something does not exist for this caller.
    pub fn is_not_found(&self) -> bool {
        self.code == "not_found"
    }

    /// Whether somebody else has changed what was to be changed, between reading and writing.
    pub fn is_meanwhile(&self) -> bool {
        self.code == "changed_meanwhile"
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says when to come back, in seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    fn listed(&self) -> Value {
        let unplaced = [Place::new("body", "", self.detail.clone(), self.code)];
        let places = if self.places.is_empty() { &unplaced[..] } else { &self.places[..] };
        places
            .iter()
            .map(|place| json!({ "loc": place.loc, "msg": place.msg, "type": place.kind }))
            .collect()
    }

    fn row(&self) -> (StatusCode, &'static str) {
        CODES
            .iter()
            .find(|(code, _, _)| *code == self.code)
            .and_then(|(_, status, title)| Some((StatusCode::from_u16(*status).ok()?, *title)))
            .unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, "The request failed"))
    }

    /// The problem document.
    pub fn document(&self) -> Value {
        let (status, title) = self.row();
        let mut document = Map::new();
        document.insert("type".into(), json!(format!("urn:becket:error:{}", self.code)));
        document.insert("title".into(), json!(title));
        document.insert("status".into(), json!(status.as_u16()));
        document.insert("code".into(), json!(self.code));
        // Clients of the specification read a list of places from a 422, and a text from the rest.
        let detail = match status {
            StatusCode::UNPROCESSABLE_ENTITY => self.listed(),
            _ => json!(self.detail),
        };
        document.insert("detail".into(), detail);
        if let Some(hint) = &self.hint {
            document.insert("hint".into(), json!(hint));
        }
        Value::Object(document)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, _) = self.row();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = self.code, detail = %self.detail, "api.failed");
        }
        let mut response = (status, self.document().to_string()).into_response();
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == "unauthorized" {
            let challenge = HeaderValue::from_static("Bearer realm=\"becket\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let told = Self::new(error.code(), error.to_string());
        match error {
            StoreError::Full { .. }
            | StoreError::Broken { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Busy { .. }
            | StoreError::Closed => told.retry_after_s(error.retry_after_s()),
            StoreError::Unusable { .. }
            | StoreError::Database { .. }
            | StoreError::Sealed { .. } => told,
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        Self::new("event_damaged", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_once() {
        let documented = include_str!("../../../docs/errors.md");
        for (index, (code, status, _)) in CODES.iter().enumerate() {
            let line = format!("| `{code}` | {status} |");
            assert!(documented.contains(&line), "docs/errors.md has no line `{line}`");
            assert!(CODES[..index].iter().all(|(other, _, _)| other != code), "{code} twice");
        }
    }

    #[test]
    fn store_errors_have_codes() {
        for error in [
            StoreError::Closed,
            StoreError::Busy { waiting: 1 },
            StoreError::Full { detail: "x".into() },
            StoreError::Broken { detail: "x".into() },
            StoreError::Unavailable { operation: "x", detail: "x".into() },
            StoreError::Unusable { path: "x".into(), detail: "x".into() },
            StoreError::Database { operation: "x", detail: "x".into() },
            StoreError::Sealed { detail: "x".into() },
        ] {
            assert!(CODES.iter().any(|(code, _, _)| *code == error.code()), "{}", error.code());
        }
    }
}
