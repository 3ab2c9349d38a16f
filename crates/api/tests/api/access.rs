//! Who may ask, whose data is seen, and how refusals are told.

use axum::body::Body;
use becket_api::{ClientAddress, FAILED_LOGINS_BURST};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use crate::support::{TOKEN, World, json_of};

/// Every path of the document with its method, its parameters filled in.
fn paths(fill: &[(&str, &str)]) -> Vec<(Method, String, bool)> {
    let document: Value = serde_json::from_str(&becket_api::openapi_document()).unwrap();
    let mut paths = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = fill
            .iter()
            .fold(path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            paths.push((method, filled.clone(), operation["security"].is_array()));
        }
    }
    paths
}

#[tokio::test]
async fn every_path_asks_for_a_token() {
    let world = World::new().await;
    let mut public = 0;
    for (at, (method, path, is_public)) in paths(&[]).into_iter().enumerate() {
        let path = path.replace(['{', '}'], "");
        let mut request =
            Request::builder().method(method.clone()).uri(&path).body(Body::empty()).unwrap();
        // A new address each time, so that the brake on guessing stays out of it.
        let address = ClientAddress([192, 0, 2, u8::try_from(at).unwrap()].into());
        request.extensions_mut().insert(address);
        let response = world.send(request).await;
        if is_public {
            public += 1;
            // The exchange of one-time codes wants a body, and the catalogue is public if the
            // operator wants it.
            let expected: &[u16] = match &path {
                path if path.ends_with("/one-time-token") => &[422],
                path if path.contains("/oidc/") => &[303],
                path if path.ends_with("/session") && method == Method::POST => &[422],
                path if path.starts_with("/catalogue") => &[200, 404],
                _ => &[200, 204],
            };
            assert!(expected.contains(&response.status().as_u16()), "{path}");
            continue;
        }
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        assert_eq!(challenge.unwrap(), "Bearer realm=\"becket\"", "{method} {path}");
        let (status, body) = json_of(response).await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (401, Some("unauthorized")), "{path}");
    }
    assert_eq!(public, 14);
}

#[tokio::test]
async fn failed_logins_are_throttled_and_valid_ones_are_not() {
    let world = World::new().await;
    let path = "/api/v1/becket/stats";
    for _ in 0..FAILED_LOGINS_BURST {
        let (status, _) = world.call_as("guess", Method::GET, path, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let request = Request::get(path).header(header::AUTHORIZATION, "Bearer guess");
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert_eq!(json_of(response).await.1["code"], "throttled");
    let fresh = World::new().await;
    for _ in 0..3 * FAILED_LOGINS_BURST {
        fresh.get(path).await;
    }
}

#[tokio::test]
async fn refusals_are_problem_documents() {
    let world = World::new().await;
    let post = |path: &'static str, body: &'static str| {
        let request = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        request.body(Body::from(body)).unwrap()
    };
    for (request, status, code) in [
        (post("/nowhere", ""), 404, "route_not_found"),
        (post("/api/v1/becket/stats", ""), 405, "method_not_allowed"),
        (post("/api/v1/becket/replay", "{"), 422, "bad_body"),
        (post("/api/v1/becket/replay", "[]"), 422, "bad_body"),
        (post("/api/v1/becket/replay", r#"{"sourse":"alpha"}"#), 422, "bad_body"),
        (post("/api/v1/becket/replay", r#"{"source":"alpha"}"#), 422, "bad_body"),
        (post("/api/v1/becket/replay", r#"{"since":"2026-01-01T00:00:00Z"}"#), 422, "bad_body"),
        (post("/api/v1/becket/backup", r#"{"folder":"relative"}"#), 422, "bad_body"),
        (post("/api/v1/becket/backup", r#"{"folder":"/taken"}"#), 409, "backup_refused"),
    ] {
        let path = request.uri().path().to_owned();
        let response = world.send(request).await;
        if status == 405 {
            assert!(response.headers().contains_key(header::ALLOW), "{path}");
        }
        let (found, body) = json_of(response).await;
        assert_eq!((found.as_u16(), body["code"].as_str()), (status, Some(code)), "{path} {body}");
    }
    let large = Request::post("/api/v1/becket/replay")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(Body::from(vec![b' '; becket_api::BODY_BYTES_MAX + 1]))
        .unwrap();
    assert_eq!(json_of(world.send(large).await).await.1["code"], "body_too_large");
    for query in [
        "sourse=alpha",
        "limit=0",
        "limit=251",
        "limit=x",
        "since=yesterday",
        "status=done",
        "disposition=lost",
        "iterator=msg_1",
        "source=alpha&source=beta",
        "iterator=msg_000000000000000000000000000&after=msg_000000000000000000000000000",
    ] {
        let path = format!("/api/v1/becket/event?{query}");
        let (status, body) = world.call_as(TOKEN, Method::GET, &path, None).await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (422, Some("bad_query")), "{query}");
        assert!(body["detail"][0]["loc"][0] == "query", "{query}: {body}");
    }
}

#[tokio::test]
async fn the_store_says_why_it_cannot() {
    let world = World::new().await;
    world.store.close().await.unwrap();
    let request = Request::get("/api/v1/becket/event")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap();
    let response = world.send(request).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    let (status, body) = json_of(response).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (503, Some("store_closed")));
    let request = Request::get("/api/v1/health").body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
