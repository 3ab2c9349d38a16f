//! Sessions by cookie: begun with a token, used, prolonged and ended; and what other sites' pages
//! can do with them, which is nothing.

use std::sync::atomic::Ordering;

use axum::body::Body;
use becket_api::{Arrival, ClientAddress, FAILED_LOGINS_BURST};
use becket_store::{DocumentKind, Owner, Slice};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, T0, TOKEN, World, json_of};

const HOUR_MS: i64 = 3_600_000;
const SELF: &str = "/api/v1/becket/self";
const SESSION: &str = "/api/v1/becket/session";

/// A browser: it keeps one cookie, and says where its page is from.
pub struct Browser<'w> {
    pub world: &'w World,
    pub cookie: Option<String>,
    pub origin: &'static str,
    pub host: &'static str,
    pub arrival: Arrival,
    pub address: [u8; 4],
    /// The attributes that the cookie was last set with.
    pub attributes: String,
}

/// What a page of ours sends with a change.
const OURS: (&str, &str) = ("x-becket-session", "1");

impl<'w> Browser<'w> {
    pub fn new(world: &'w World) -> Self {
        Self {
            world,
            cookie: None,
            origin: "https://hooks.example.com",
            host: "hooks.example.com",
            arrival: Arrival { encrypted: true, local: false },
            address: [192, 0, 2, 9],
            attributes: String::new(),
        }
    }

    pub async fn raw(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(self.arrival);
        request.extensions_mut().insert(ClientAddress(self.address.into()));
        let response = self.world.send(request).await;
        let headers = response.headers().clone();
        if let Some(set) = headers.get(header::SET_COOKIE) {
            let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            self.cookie = Some(pair.to_owned()).filter(|_| !attributes.contains("Max-Age=0"));
            self.attributes = attributes.to_owned();
        }
        let (status, body) = json_of(response).await;
        (status, headers, body)
    }

    pub async fn get(&mut self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.raw(Method::GET, path, &[], None).await;
        (status.as_u16(), body)
    }

    /// A change as our page makes it.
    pub async fn change(&mut self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let headers = [OURS, ("origin", self.origin)];
        let (status, _, body) = self.raw(method, path, &headers, Some(body)).await;
        (status.as_u16(), body)
    }

    pub async fn sign_in(&mut self, token: &str) -> (u16, Value) {
        self.change(Method::POST, SESSION, json!({ "token": token })).await
    }

    async fn sign_out(&mut self) {
        let (status, _) = self.change(Method::DELETE, SESSION, Value::Null).await;
        assert_eq!(status, 204);
    }

    async fn is_signed_in(&mut self) -> bool {
        self.get(SELF).await.0 == 200
    }
}

/// A token of the main owner with this role.
pub async fn token(world: &World, role: &str, payloads: Option<bool>) -> (String, String) {
    let body = json!({ "name": format!("a {role}"), "role": role, "payloads": payloads });
    let (status, made) = world.post("/api/v1/becket/token", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_session_that_is_signed_out_of() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let (status, ways) = browser.get("/api/v1/becket/sign-in").await;
    assert_eq!((status, &ways["token"], &ways["oidc"]), (200, &json!(true), &Value::Null));
    let (status, me) = browser.sign_in(TOKEN).await;
    assert_eq!(status, 200, "{me}");
    assert_eq!((&me["operator"], &me["role"]), (&json!(true), &json!("admin")));
    assert_eq!((&me["session"], &me["payloads"]), (&json!(true), &json!(true)));
    assert_eq!(
        browser.attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
        "{:?}",
        browser.cookie
    );
    assert!(browser.cookie.as_deref().unwrap().starts_with("__Host-becket-session=bks_"));
    assert_eq!(browser.get(SELF).await.1, me);
    let kept = browser.cookie.clone();
    browser.sign_out().await;
    assert_eq!(browser.cookie, None);
    assert!(!browser.is_signed_in().await);
    // It has ended here too, whoever kept the cookie.
    browser.cookie = kept;
    assert!(!browser.is_signed_in().await);
    browser.sign_out().await;
}

#[tokio::test]
async fn the_store_keeps_nothing_that_opens() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.sign_in(TOKEN).await;
    let list = |owner| {
        let slice = Slice { limit: 10, after: None, descending: false };
        world.store.document_list(owner, DocumentKind::Session, None, slice, T0)
    };
    let kept = list(Owner::MAIN).await.unwrap();
    assert_eq!(kept.len(), 1);
    let cookie = browser.cookie.clone().unwrap();
    let random = cookie.split_once("bks_").unwrap().1;
    let hash = becket_api::Auth::hash(TOKEN);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{:?}", kept[0]);
    assert!(!text.contains(random) && !text.contains(TOKEN) && !text.contains(&hash), "{text}");
    // The name of the document is not what opens it.
    browser.cookie = Some(format!("__Host-becket-session=bks_{}", kept[0].name.name));
    assert!(!browser.is_signed_in().await);
}

#[tokio::test]
async fn a_session_is_what_its_token_is_and_ends_with_it() {
    let world = World::new().await;
    let (id, text) = token(&world, "developer", Some(true)).await;
    let mut browser = Browser::new(&world);
    let (status, me) = browser.sign_in(&text).await;
    assert_eq!(
        (status, &me["role"], &me["name"]),
        (200, &json!("developer"), &json!("a developer"))
    );
    assert_eq!((&me["tokenId"], &me["operator"]), (&json!(id), &json!(false)));
    assert_eq!(browser.get("/api/v1/becket/token").await.1["code"], "forbidden");
    let path = format!("/api/v1/becket/token/{id}");
    let (status, _) = world.call_as(TOKEN, Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(!browser.is_signed_in().await, "the token was revoked");
    // Another owner's session sees the other owner.
    let mut other = Browser::new(&world);
    assert_eq!(other.sign_in(OTHER_TOKEN).await.1["environment"], 2);
}

#[tokio::test]
async fn a_session_lasts_while_it_is_used() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.sign_in(TOKEN).await;
    let go_on = |ms: i64| world.clock.0.fetch_add(ms, Ordering::SeqCst);
    // Used at once: nothing is written.
    let (_, headers, _) = browser.raw(Method::GET, SELF, &[], None).await;
    assert!(!headers.contains_key(header::SET_COOKIE));
    for _ in 0..14 {
        go_on(11 * HOUR_MS);
        let (status, headers, _) = browser.raw(Method::GET, SELF, &[], None).await;
        assert!(status.is_success() && headers.contains_key(header::SET_COOKIE));
    }
    go_on(12 * HOUR_MS);
    assert!(!browser.is_signed_in().await, "nobody used it");
    browser.sign_in(TOKEN).await;
    let mut hours = 0;
    while browser.is_signed_in().await {
        go_on(10 * HOUR_MS);
        hours += 10;
    }
    assert!((7 * 24..7 * 24 + 10).contains(&hours), "{hours}");
}

#[tokio::test]
async fn other_sites_can_do_nothing_with_a_session() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.sign_in(TOKEN).await;
    let body = json!({ "name": "x", "uid": "x" });
    let evil = "https://evil.example.com";
    for headers in [
        &[][..],
        &[("origin", browser.origin)],
        &[OURS],
        &[OURS, ("origin", evil)],
        &[OURS, ("origin", "null")],
        &[OURS, ("origin", "http://hooks.example.com")],
        &[OURS, ("origin", "https://hooks.example.com.evil.example.com")],
        &[OURS, ("origin", browser.origin), ("sec-fetch-site", "cross-site")],
        &[OURS, ("origin", browser.origin), ("sec-fetch-site", "same-site")],
        &[OURS, ("sec-fetch-site", "none")],
        &[("x-becket-session", "0"), ("origin", browser.origin)],
        &[("sec-fetch-site", "same-origin")],
    ] {
        let sent = browser.raw(Method::POST, "/api/v1/app", headers, Some(body.clone())).await;
        assert_eq!((sent.0.as_u16(), &sent.2["code"]), (403, &json!("cross_site")), "{headers:?}");
    }
    for site in ["cross-site", "same-site", "unheard-of"] {
        let headers = [("sec-fetch-site", site)];
        let (status, _, _) = browser.raw(Method::GET, SELF, &headers, None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{site}");
        // Nobody is signed in or out by another site's page.
        let token = Some(json!({ "token": TOKEN }));
        let (status, _, _) = browser.raw(Method::POST, SESSION, &headers, token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{site}");
        let (status, _, _) = browser.raw(Method::DELETE, SESSION, &headers, None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{site}");
    }
    for headers in [
        &[OURS, ("origin", browser.origin)][..],
        &[OURS, ("sec-fetch-site", "same-origin")],
        // Through a development server, which leaves the origin of its own.
        &[OURS, ("origin", "http://localhost:5173"), ("sec-fetch-site", "same-origin")],
    ] {
        let (status, _, _) =
            browser.raw(Method::POST, "/api/v1/app", headers, Some(body.clone())).await;
        assert!(
            status == StatusCode::CREATED || status == StatusCode::CONFLICT,
            "{headers:?} {status}"
        );
    }
    // A token needs none of this, and wins over the cookie.
    let bearer = format!("Bearer {OTHER_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("origin", evil)];
    let (status, _, me) = browser.raw(Method::GET, SELF, &headers, None).await;
    assert_eq!((status, &me["environment"]), (StatusCode::OK, &json!(2)));
    let headers = [("authorization", "Bearer wrong")];
    let (status, _, _) = browser.raw(Method::GET, SELF, &headers, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "and a wrong one does too");
}

#[tokio::test]
async fn plain_http_is_for_one_machine() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.arrival = Arrival { encrypted: false, local: false };
    browser.host = "hooks.internal:8080";
    browser.origin = "http://hooks.internal:8080";
    assert_eq!(browser.sign_in(TOKEN).await.1["code"], "session_needs_https");
    browser.host = "localhost:8080";
    assert_eq!(browser.sign_in(TOKEN).await.1["code"], "session_needs_https");
    browser.arrival.local = true;
    browser.origin = "http://localhost:8080";
    assert_eq!(browser.sign_in(TOKEN).await.0, 200);
    assert_eq!(browser.attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
    assert!(browser.cookie.as_deref().unwrap().starts_with("becket-session=bks_"));
    assert!(browser.is_signed_in().await);
    // A name that somebody else has pointed at this machine.
    browser.host = "rebound.example.com:8080";
    assert!(!browser.is_signed_in().await);
    browser.host = "localhost:8080";
    // The plain cookie is worth nothing over HTTPS, where a neighbour could have planted it.
    browser.arrival.encrypted = true;
    assert!(!browser.is_signed_in().await);
    browser.arrival = Arrival::default();
    assert!(!browser.is_signed_in().await, "and nothing from elsewhere");
}

#[tokio::test]
async fn guessing_is_slowed_and_portals_get_no_session() {
    let world = World::new().await;
    let app = json!({ "name": "acme", "uid": "acme" });
    world.post("/api/v1/app", app).await;
    let (_, access) = world.post("/api/v1/auth/app-portal-access/acme", json!({})).await;
    let mut browser = Browser::new(&world);
    let (status, refused) = browser.sign_in(access["token"].as_str().unwrap()).await;
    assert_eq!((status, &refused["code"]), (403, &json!("forbidden")));
    for _ in 0..FAILED_LOGINS_BURST {
        let (status, refused) = browser.sign_in("a wrong one").await;
        assert_eq!((status, &refused["code"]), (401, &json!("unauthorized")));
    }
    assert_eq!(browser.sign_in(TOKEN).await.0, 429);
    let mut guesser = Browser::new(&world);
    guesser.address = [192, 0, 2, 10];
    guesser.cookie = Some(format!("__Host-becket-session=bks_{}", "0".repeat(64)));
    for _ in 0..FAILED_LOGINS_BURST {
        assert_eq!(guesser.get(SELF).await.0, 401);
    }
    assert_eq!(guesser.get(SELF).await.0, 429);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_session() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.sign_in(TOKEN).await;
    let mut request = Request::get("/api/v1/becket/tail")
        .header("host", browser.host)
        .header(header::ACCEPT, "text/event-stream")
        .header(header::COOKIE, browser.cookie.clone().unwrap())
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(browser.arrival);
    let response = world.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = tokio::spawn(response.into_body().collect());
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(!body.is_finished(), "it goes on as long as the session does");
    browser.sign_out().await;
    body.await.unwrap().unwrap();
}
