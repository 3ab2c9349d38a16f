//! One call as handlers see it: who asks, and the parameters, checked against the route table.
//!
//! Invariants: a query parameter that the route does not know is an error, because a filter with a
//! typing mistake would otherwise match everything; every limit is bounded.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use becket_store::{Owner, Scope};
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{Access, Tokens};
use crate::apps::Apps;
use crate::audit::{Answered, Failures, Notes};
use crate::auth::Auth;
use crate::bodies::Bodies;
use crate::cookies::{self, Arrival, Cookie, Way};
use crate::event_types::EventTypes;
use crate::handlers::oidc::Used;
use crate::operational::Desk;
use crate::posting::Poster;
use crate::problem::{ApiError, Result};
use crate::routes::Route;
use crate::tasks::Tasks as BackgroundTasks;
use crate::times;
use crate::turns::Turns;
use crate::{ApiState, ClientAddress};

/// The most that a list answers with at once, and the most that may be asked for.
pub(crate) const LIMIT_MAX: usize = 250;
const LIMIT_DEFAULT: usize = 50;

/// The query parameter that shows the senders' credentials.
const REVEAL: &str = "reveal";

/// The state behind every handler.
pub(crate) struct Shared {
    pub api: ApiState,
    pub poster: Poster,
    pub operational: Desk,
    pub tokens: Tokens,
    pub failures: Failures,
    pub sign_ins: Used,
    pub apps: Apps,
    pub turns: Turns,
    pub bodies: Bodies,
    pub tasks: BackgroundTasks,
    pub event_types: EventTypes,
    pub streams: Arc<tokio::sync::Semaphore>,
}

impl Shared {
    /// Who is asking, and whether they may use a route: by the bearer token, else by the cookie of
    /// a session.
    pub async fn admit(&self, parts: &Parts, route: &Route) -> Result<Access> {
        let from = parts.extensions.get::<ClientAddress>().copied();
        let (api, now_ms) = (&self.api, self.api.clock.now_ms());
        let (headers, store) = (&parts.headers, api.store.as_ref());
        let access = match api.auth.check(headers, from, now_ms, store, &self.tokens).await? {
            Some(access) => access,
            None => self.signed_in(parts, route, now_ms).await?.ok_or_else(Auth::refused)?,
        };
        access.check(route)?;
        Ok(access)
    }

    /// Who is signed in with a browser.
    async fn signed_in(&self, parts: &Parts, route: &Route, now_ms: i64) -> Result<Option<Access>> {
        let headers = &parts.headers;
        if !Cookie::Session.is_in(headers) {
            return Ok(None);
        }
        let way = Way::of(self, headers, parts.extensions.get::<Arrival>().copied());
        let Some(value) = Cookie::Session.read(headers, way) else { return Ok(None) };
        let from = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        self.api.auth.slow_down(from, now_ms)?;
        cookies::check_site(self, &parts.method, route, headers, way)?;
        let found = self.session_find(value, now_ms).await?;
        if found.is_none() {
            self.api.auth.count_failure(from, now_ms);
        }
        Ok(found)
    }
}

/// One authenticated call.
pub(crate) struct Call {
    pub shared: Arc<Shared>,
    pub owner: Owner,
    pub access: Access,
    pub route: &'static Route,
    pub headers: http::HeaderMap,
    /// Where it came from.
    pub from: Option<ClientAddress>,
    arrival: Option<Arrival>,
    notes: Notes,
    /// Whether the gate writes the notes down.
    gated: bool,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl FromRequestParts<Arc<Shared>> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self> {
        let route = parts
            .extensions
            .get::<&'static Route>()
            .copied()
            .ok_or_else(|| ApiError::new("route_not_found", "the path is not in the table"))?;
        let access = match parts.extensions.get::<Access>() {
            _ if route.public => Access::nobody(),
            Some(access) => access.clone(),
            None => shared.admit(parts, route).await?,
        };
        let path = RawPathParams::from_request_parts(parts, shared)
            .await
            .map_err(|error| ApiError::new("bad_path", error.to_string()))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let Query(query) = Query::<Vec<(String, String)>>::from_request_parts(parts, shared)
            .await
            .map_err(|error| ApiError::new("bad_query", error.to_string()))?;
        let call = Self {
            shared: Arc::clone(shared),
            owner: access.owner,
            access,
            route,
            headers: parts.headers.clone(),
            from: parts.extensions.get().copied(),
            arrival: parts.extensions.get().copied(),
            gated: parts.extensions.get::<Notes>().is_some(),
            notes: parts.extensions.get().cloned().unwrap_or_default(),
            path,
            query,
        };
        call.check_names(route)?;
        if call.flag(REVEAL, false)? {
            call.access.may_see_secrets()?;
        }
        Ok(call)
    }
}

impl Call {
    fn check_names(&self, route: &Route) -> Result<()> {
        for (index, (name, _)) in self.query.iter().enumerate() {
            let plain = name.strip_suffix("[]").unwrap_or(name);
            let Some(known) = route.query.iter().find(|known| known.name == plain) else {
                let names: Vec<&str> = route.query.iter().map(|known| known.name).collect();
                return Err(ApiError::query(plain, "is not known here").hint(match names[..] {
                    [] => "this path takes no query parameters".to_owned(),
                    _ => format!("this path takes: {}", names.join(", ")),
                }));
            };
            if !known.list && self.query[..index].iter().any(|(other, _)| other == name) {
                return Err(ApiError::query(plain, "is given twice"));
            }
        }
        Ok(())
    }

    /// A part of the path; the route table guarantees that it is there.
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A query parameter; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A query parameter that may come several times, or once with commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.query
            .iter()
            .filter(|(known, _)| known.strip_suffix("[]").unwrap_or(known) == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>> {
        self.text(name)
            .map(|text| {
                text.parse::<u64>()
                    .ok()
                    .filter(|number| (least..=most).contains(number))
                    .ok_or_else(|| {
                        ApiError::query(
                            name,
                            format!("`{text}` is not a number from {least} to {most}"),
                        )
                    })
            })
            .transpose()
    }

    /// The most items that the answer may have.
    pub fn limit(&self) -> Result<usize> {
        let limit = self.number("limit", 1, LIMIT_MAX as u64)?;
        Ok(limit.map_or(LIMIT_DEFAULT, |limit| usize::try_from(limit).unwrap_or(LIMIT_MAX)))
    }

    /// A moment in milliseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<i64>> {
        self.text(name)
            .map(|text| times::parse(text).map_err(|what| ApiError::query(name, what)))
            .transpose()
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(text) => Err(ApiError::query(name, format!("`{text}` is not true or false"))),
        }
    }

    /// An id, or anything else that reads itself from text.
    pub fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|error: T::Err| ApiError::query(name, error.to_string()))
            })
            .transpose()
    }

    /// By which way the caller's browser reaches the gateway.
    pub fn way(&self) -> Way {
        Way::of(&self.shared, &self.headers, self.arrival)
    }

    /// Everything the caller has.
    pub fn scope(&self) -> Scope {
        Scope::all(self.owner)
    }

    /// The time.
    pub fn now_ms(&self) -> i64 {
        self.shared.api.clock.now_ms()
    }

    /// The store.
    pub fn store(&self) -> &dyn becket_store::Store {
        self.shared.api.store.as_ref()
    }

    /// Says for the audit log what was done to what; never with a secret or a payload.
    pub fn audit(&self, action: &'static str, object: &dyn std::fmt::Display) {
        self.notes.add(action, object);
        if self.gated {
            return;
        }
        // Without the gate nobody else writes it down.
        let (shared, notes, access) =
            (Arc::clone(&self.shared), self.notes.clone(), self.access.clone());
        let (route, address) = (self.route, self.from.map(|from| from.0));
        tokio::spawn(async move {
            let (path, notes, access) = (String::new(), &notes, Some(&access));
            let answered =
                Answered { route, access, address, path, succeeded: true, repeated: false, notes };
            shared.audit(answered).await;
        });
    }
}

/// A JSON request body that matches the schema of its route; an empty one reads as `{}`.
pub(crate) struct JsonBody<T>(pub T);

/// The bytes of a request body.
pub(crate) async fn body(request: Request, shared: &Arc<Shared>) -> Result<Bytes> {
    Bytes::from_request(request, shared).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("the body is larger than {} bytes", crate::BODY_BYTES_MAX);
            ApiError::new("body_too_large", detail)
        } else {
            ApiError::body("", error.body_text())
        }
    })
}

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self> {
        let route = request.extensions().get::<&'static Route>().copied();
        let bytes = body(request, shared).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut value: serde_json::Value = serde_json::from_slice(text)
            .map_err(|error| ApiError::body("", format!("is not JSON: {error}")))?;
        if let Some(route) = route {
            shared.bodies.check(route, &mut value)?;
        }
        serde_json::from_value(value)
            .map(Self)
            .map_err(|error| ApiError::body("", error.to_string()))
    }
}

/// An answer in JSON with its status.
pub(crate) struct Answer<T>(pub StatusCode, pub T);

impl<T> Answer<T> {
    /// 200.
    pub const fn ok(value: T) -> Self {
        Self(StatusCode::OK, value)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(bytes) => {
                (self.0, [(header::CONTENT_TYPE, "application/json")], bytes).into_response()
            }
            Err(error) => ApiError::new(
                "event_damaged",
                format!("the answer cannot be written as JSON: {error}"),
            )
            .into_response(),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed<T> {
    /// The items.
    pub data: Vec<T>,
    /// Hand it back to get the next page; null when the list is empty.
    pub iterator: Option<String>,
    /// Hand it back to get the page before; null on the first page, and where pages go one way.
    pub prev_iterator: Option<String>,
    /// Whether this was the last page.
    pub done: bool,
}

impl<T> Listed<T> {
    /// A page that ends at `iterator`.
    pub fn new(data: Vec<T>, iterator: Option<String>, done: bool) -> Self {
        Self { data, iterator, prev_iterator: None, done }
    }
}
