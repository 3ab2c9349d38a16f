//! Signing in at another place: a browser is sent there and comes back with a code.
//!
//! What was begun travels in a cookie that only the master key opens, so nothing is kept for strangers;
//! it is worth something for [`UNDER_WAY_MS`], once, and only to the browser that began. Both paths are
//! visited by browsers, so they answer with redirects; what went wrong is said by `/?problem=CODE`.
//!
//! Invariants: the browser ends on a path of this gateway, whatever it was asked for; a code is looked at
//! only with the cookie and the state that belong to it.
//!
//! Deliberately absent: everything that is said to the other place (`state::SignIn`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use becket_store::Owner;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::ClientAddress;
use crate::access::{Role, hex};
use crate::call::Shared;
use crate::cookies::{Arrival, Cookie, Way, needs_https};
use crate::problem::{ApiError, Result};
use crate::sessions::{MadeFrom, cookie_s};
use crate::state::{PersonRole, SignIn, SignInBegun, SignInError};

/// How long somebody may take to sign in, in milliseconds.
const UNDER_WAY_MS: i64 = 600_000;
const CALLBACK: &str = "/api/v1/becket/oidc/callback";
const RETURN_BYTES_MAX: usize = 1_024;
/// Longer than any code or state.
const PARAMETER_BYTES_MAX: usize = 4_096;
const USED_MAX: usize = 10_000;
/// Where the master key seals what is under way.
const PLACE: &str = "sign-in/under-way";

/// The states that were brought back, until they are too old anyway.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<HashMap<String, i64>>);

impl Used {
    /// Whether this state is brought back for the first time.
    fn first(&self, state: &str, now_ms: i64) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX {
            used.retain(|_, until_ms| now_ms < *until_ms);
        }
        // So many at once are an attack; nobody signs in until some of them are too old.
        if used.len() >= USED_MAX {
            return false;
        }
        used.insert(state.to_owned(), now_ms + UNDER_WAY_MS).is_none()
    }
}

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    begun: SignInBegun,
    back_to: String,
    until_ms: i64,
}

/// A browser's visit.
struct Visit {
    shared: Arc<Shared>,
    headers: HeaderMap,
    query: HashMap<String, String>,
    from: Option<std::net::IpAddr>,
    way: Way,
}

impl Visit {
    /// Other places add parameters of their own, so that unknown ones are passed over.
    fn of(shared: Arc<Shared>, request: &Request) -> Self {
        let Query(query) = Query::try_from_uri(request.uri()).unwrap_or_default();
        let headers = request.headers().clone();
        let extensions = request.extensions();
        let from = extensions.get::<ClientAddress>().map(|address| address.0);
        let way = Way::of(&shared, &headers, extensions.get::<Arrival>().copied());
        Self { shared, headers, query, from, way }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.query.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty() && value.len() <= PARAMETER_BYTES_MAX)
    }

    fn door(&self) -> Result<Arc<dyn SignIn>> {
        if self.way == Way::Plain {
            return Err(needs_https());
        }
        self.shared
            .api
            .directory
            .sign_in()
            .ok_or_else(|| ApiError::new("sign_in_off", "no other place to sign in is configured"))
    }

    /// Under which address the browser reaches this gateway.
    fn base(&self) -> String {
        let public = self.shared.api.directory.public_url();
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        match self.way {
            Way::Https if public.starts_with("https://") => public,
            Way::Https => format!("https://{host}"),
            Way::Loopback | Way::Plain => format!("http://{host}"),
        }
    }

    async fn begin(&self) -> Result<Response> {
        let door = self.door()?;
        let (api, now_ms) = (&self.shared.api, self.shared.api.clock.now_ms());
        api.auth.slow_down(self.from, now_ms)?;
        let random = || {
            let mut bytes = [0; 32];
            api.noise.fill(&mut bytes);
            hex(&bytes)
        };
        let begun = SignInBegun {
            state: random(),
            nonce: random(),
            verifier: random(),
            redirect_url: format!("{}{CALLBACK}", self.base()),
        };
        let url = door.begin(&begun).await.map_err(refused)?;
        let back_to = self.parameter("return").filter(|path| is_own_path(path)).unwrap_or("/");
        let under_way =
            UnderWay { begun, back_to: back_to.to_owned(), until_ms: now_ms + UNDER_WAY_MS };
        let text = serde_json::to_vec(&under_way)
            .map_err(|error| ApiError::new("event_damaged", error.to_string()))?;
        let sealed = URL_SAFE_NO_PAD.encode(api.directory.seal(PLACE, &text)?);
        let seconds = (UNDER_WAY_MS / 1_000).unsigned_abs();
        redirect(&url, vec![Cookie::SignIn.set(&sealed, seconds, self.way)?])
    }

    /// What was begun by this browser; `None` if it was not this one, or too long ago.
    fn under_way(&self, now_ms: i64) -> Option<UnderWay> {
        let value = Cookie::SignIn.read(&self.headers, self.way)?;
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let text = self.shared.api.directory.open(PLACE, &sealed).ok()?;
        let under_way: UnderWay = serde_json::from_slice(&text).ok()?;
        (now_ms < under_way.until_ms).then_some(under_way)
    }

    async fn finish(&self) -> Result<Response> {
        let door = self.door()?;
        let (api, now_ms) = (&self.shared.api, self.shared.api.clock.now_ms());
        api.auth.slow_down(self.from, now_ms)?;
        let lost = |what: &str| ApiError::new("sign_in_lost", what);
        let under_way = self
            .under_way(now_ms)
            .ok_or_else(|| lost("it was begun in another browser, or too long ago"))?;
        let state = self.parameter("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(under_way.begun.state.as_bytes())) {
            return Err(lost("the state is another one"));
        }
        if !self.shared.sign_ins.first(state, now_ms) {
            return Err(lost("it was finished before"));
        }
        if self.parameter("error").is_some() {
            return Err(ApiError::new("sign_in_cancelled", "the provider has let nobody in"));
        }
        let code = self.parameter("code").ok_or_else(|| lost("the code is missing"))?;
        let issuer = self.parameter("iss");
        let person = door.finish(&under_way.begun, code, issuer).await.map_err(refused)?;
        let payloads = person.payloads;
        let role = match person.role {
            PersonRole::Admin => Role::Admin,
            PersonRole::Developer => Role::Developer { payloads },
            PersonRole::Viewer => Role::Viewer { payloads },
        };
        let made_from =
            MadeFrom::Person { subject: person.subject.clone(), mark: door.mark(), role };
        let begun = self.shared.session_begin(Owner::MAIN, made_from, Some(person.name)).await?;
        let detail = format!("by {}, subject {}", door.name(), person.subject);
        let shared = &self.shared;
        shared.audit_sign_in(&begun.access, self.from, "session.begun", Some(detail)).await;
        let session = Cookie::Session.set(&begun.value, cookie_s(), self.way)?;
        redirect(&under_way.back_to, vec![session, Cookie::SignIn.set("", 0, self.way)?])
    }

    /// Tells a person what went wrong, on the sign-in page.
    async fn told(&self, error: &ApiError) -> Response {
        let code = error.code();
        if !matches!(code, "throttled" | "sign_in_off" | "session_needs_https") {
            let now_ms = self.shared.api.clock.now_ms();
            self.shared.api.auth.count_failure(self.from, now_ms);
            let why = error.to_string();
            self.shared.audit_failed_sign_in(self.from, "oidc", &why).await;
        }
        let cookies = Cookie::SignIn.set("", 0, self.way).into_iter().collect();
        redirect(&format!("/?problem={code}"), cookies).unwrap_or_else(ApiError::into_response)
    }
}

fn refused(error: SignInError) -> ApiError {
    let code = match &error {
        SignInError::Unreachable(_) => "sign_in_unavailable",
        SignInError::Unproven(_) => "sign_in_unproven",
        SignInError::Unmapped(_) => "sign_in_refused",
    };
    ApiError::new(code, error.to_string())
}

fn redirect(to: &str, cookies: Vec<HeaderValue>) -> Result<Response> {
    let to = HeaderValue::from_str(to)
        .map_err(|_| ApiError::new("event_damaged", "there is no such address to go to"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, to);
    // The address that was visited has a code in it; nobody else is to see it.
    let none = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, none);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Whether a path leads nowhere but here: browsers take `//host` and `/\host` for another host, and
/// pass over tabs and line ends before they look.
fn is_own_path(path: &str) -> bool {
    let mut rest = path.bytes().skip(1);
    path.starts_with('/')
        && !matches!(rest.next(), Some(b'/' | b'\\'))
        && path.len() <= RETURN_BYTES_MAX
        && path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'\\')
        && !path.starts_with("/api/")
}

/// `GET /api/v1/becket/oidc/start`
pub(crate) async fn start(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let visit = Visit::of(shared, &request);
    match visit.begin().await {
        Ok(response) => response,
        Err(error) => visit.told(&error).await,
    }
}

/// `GET /api/v1/becket/oidc/callback`
pub(crate) async fn callback(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let visit = Visit::of(shared, &request);
    match visit.finish().await {
        Ok(response) => response,
        Err(error) => visit.told(&error).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_back_to_this_gateway_only() {
        for good in ["/", "/events?source=a&x=%2F", "/sources/src_1", "/a//b"] {
            assert!(is_own_path(good), "{good}");
        }
        for bad in [
            "",
            "events",
            "//evil.example.com",
            "/\\evil.example.com",
            "/\t/evil.example.com",
            "/\n/evil.example.com",
            "/a\\b",
            "https://evil.example.com",
            "javascript:alert(1)",
            "/ä",
            "/api/v1/becket/session",
            "/a b",
        ] {
            assert!(!is_own_path(bad), "{bad}");
        }
        assert!(!is_own_path(&format!("/{}", "x".repeat(RETURN_BYTES_MAX))));
    }

    #[test]
    fn a_state_is_used_once_and_the_list_is_bounded() {
        let used = Used::default();
        assert!(used.first("a", 0) && !used.first("a", 1));
        for number in 0..2 * USED_MAX {
            used.first(&number.to_string(), 2);
        }
        assert!(used.0.lock().unwrap().len() <= USED_MAX);
        assert!(!used.first("new", 3));
        assert!(used.first("new", 2 + UNDER_WAY_MS));
    }
}
