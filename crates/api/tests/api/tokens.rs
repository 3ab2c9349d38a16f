//! Tokens, portal access and environments: made, used within their bounds, ended.

use axum::body::Body;
use becket_api::{ClientAddress, FAILED_LOGINS_BURST};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, TOKEN, World, json_of};

const TOKENS: &str = "/api/v1/becket/token";
const SELF: &str = "/api/v1/becket/self";
const PORTAL: &str = "/api/v1/auth/app-portal-access";

async fn made(world: &World, body: Value) -> Value {
    let (status, made) = world.post(TOKENS, body).await;
    assert_eq!(status.as_u16(), 201, "{made}");
    made
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn status(world: &World, token: &str, path: &str) -> u16 {
    world.call_as(token, Method::GET, path, None).await.0.as_u16()
}

#[tokio::test]
async fn tokens_are_shown_once_listed_and_revoked() {
    let world = World::new().await;
    let admin = made(&world, json!({ "name": "ci", "role": "admin" })).await;
    let reader = made(&world, json!({ "name": "eyes", "role": "read_only", "expiry": 60 })).await;
    let (admin_text, reader_text) = (text(&admin["token"]), text(&reader["token"]));
    assert!(admin_text.starts_with("bk_"));
    let listed = world.get(TOKENS).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(admin_text));
    assert!(!listed.to_string().contains("hash"));
    let path = format!("{TOKENS}/{}", text(&admin["id"]));
    let (_, shown) = world.call_as(admin_text, Method::GET, &path, None).await;
    assert_eq!((&shown["name"], &shown["token"]), (&json!("ci"), &Value::Null));
    // What they allow.
    let change = "/api/v1/becket/endpoint/alpha%2Fapp/pause";
    let as_reader = world.call_as(reader_text, Method::POST, change, Some(json!({}))).await;
    assert_eq!(as_reader.0, 403);
    assert_eq!(status(&world, reader_text, "/api/v1/becket/event").await, 200);
    let secret = "/ingest/api/v1/source/alpha/endpoint/app/secret";
    assert_eq!(status(&world, reader_text, secret).await, 403);
    assert_eq!(status(&world, admin_text, secret).await, 200);
    let environment = "/api/v1/becket/environment";
    assert_eq!(status(&world, admin_text, environment).await, 403, "the operator's alone");
    // When they end.
    world.pass_ms(59_999);
    assert_eq!(status(&world, reader_text, SELF).await, 200);
    world.pass_ms(1);
    assert_eq!(status(&world, reader_text, SELF).await, 401);
    assert_eq!(world.walk(TOKENS, 1).await, [text(&admin["id"])]);
    let theirs = world.call_as(OTHER_TOKEN, Method::DELETE, &path, None).await;
    assert_eq!(theirs.0, 404);
    let (gone, _) = world.call_as(admin_text, Method::DELETE, &path, None).await;
    assert_eq!(gone, 204);
    assert_eq!(status(&world, admin_text, SELF).await, 401, "at once");
    assert_eq!(world.refused(Method::DELETE, &path, None).await.0, 404);
    for body in [
        json!({ "name": "a" }),
        json!({ "name": "", "role": "admin" }),
        json!({ "name": "a", "role": "king" }),
        json!({ "name": "a", "role": "admin", "expiry": 59 }),
        json!({ "name": "a", "role": "portal" }),
        json!({ "name": "a", "role": "admin", "application": "alpha" }),
        json!({ "name": "a", "role": "admin", "more": 1 }),
    ] {
        assert_eq!(world.refused(Method::POST, TOKENS, Some(body.clone())).await.0, 422, "{body}");
    }
    let nowhere = json!({ "name": "a", "role": "portal", "application": "gamma" });
    assert_eq!(world.refused(Method::POST, TOKENS, Some(nowhere)).await.0, 404);
}

async fn exchange(world: &World, code: &str, from: u8) -> (StatusCode, Value) {
    let body = Body::from(json!({ "oneTimeToken": code }).to_string());
    let mut request = Request::post("/api/v1/auth/one-time-token").body(body).unwrap();
    request.extensions_mut().insert(ClientAddress([192, 0, 2, from].into()));
    json_of(world.send(request).await).await
}

#[tokio::test]
async fn a_portal_link_is_exchanged_once() {
    let world = World::new().await;
    let wish = json!({ "application": { "name": "Acme" }, "featureFlags": ["beta"] });
    let (status_made, access) = world.post(&format!("{PORTAL}/acme"), wish.clone()).await;
    assert_eq!(status_made, 200, "{access}");
    let (token, url) = (text(&access["token"]), text(&access["url"]));
    let (base, code) = url.split_once("/portal/#token=").unwrap();
    assert_eq!(base, "http://localhost:8080");
    assert!(!url.contains(token));
    let (ok, exchanged) = exchange(&world, code, 1).await;
    assert_eq!((ok.as_u16(), &exchanged["token"]), (200, &access["token"]));
    let (again, refused) = exchange(&world, code, 1).await;
    assert_eq!((again.as_u16(), &refused["code"]), (401, &json!("unauthorized")));
    let (_, who) = world.call_as(token, Method::GET, SELF, None).await;
    assert_eq!((&who["role"], &who["featureFlags"]), (&json!("portal"), &json!(["beta"])));
    assert!(text(&who["applicationId"]).starts_with("app_"));
    // It is there now, and is not made again.
    let (_, second) = world.post(&format!("{PORTAL}/acme"), wish).await;
    let (_, same) = world.call_as(text(&second["token"]), Method::GET, SELF, None).await;
    assert_eq!(same["applicationId"], who["applicationId"]);
    // A code is good for an hour, and guessing is slowed.
    let late = text(&second["url"]).split_once("#token=").unwrap().1.to_owned();
    world.pass_ms(3_600_000);
    assert_eq!(exchange(&world, &late, 2).await.0, 401);
    for _ in 0..FAILED_LOGINS_BURST {
        exchange(&world, "otc_guess", 3).await;
    }
    assert_eq!(exchange(&world, "otc_guess", 3).await.0, 429);
    assert_eq!(exchange(&world, "otc_guess", 4).await.0, 401);
    for (path, body, code) in [
        ("nobody", json!({}), 404),
        ("acme", json!({ "expiry": 3_599 }), 422),
        ("acme", json!({ "expiry": 604_801 }), 422),
        ("acme", json!({ "capabilities": ["Everything"] }), 422),
        ("new", json!({ "application": { "name": "x", "uid": "other" } }), 422),
        ("no%20uid", json!({ "application": { "name": "x" } }), 422),
        ("app_000000000000000000000000000", json!({ "application": { "name": "x" } }), 404),
    ] {
        let path = format!("{PORTAL}/{path}");
        assert_eq!(world.refused(Method::POST, &path, Some(body)).await.0, code, "{path}");
    }
}

#[tokio::test]
async fn a_portal_token_sees_one_application_and_makes_no_tokens() {
    let world = World::new().await;
    world.accept(world.push(1)).await;
    let (_, access) = world.post("/ingest/api/v1/source/alpha/dashboard", json!({})).await;
    let token = text(&access["token"]);
    let (_, who) = world.call_as(token, Method::GET, SELF, None).await;
    assert_eq!(who["applicationId"], world.alpha.id.source().to_string());
    for (method, path, body) in [
        (Method::POST, TOKENS.to_owned(), json!({ "name": "a", "role": "admin" })),
        (Method::GET, TOKENS.to_owned(), json!({})),
        (Method::POST, format!("{PORTAL}/alpha"), json!({})),
        (Method::POST, "/ingest/api/v1/source/alpha/dashboard".to_owned(), json!({})),
        (Method::POST, "/api/v1/auth/app/alpha/expire-all".to_owned(), json!({})),
        (Method::GET, "/api/v1/becket/event".to_owned(), json!({})),
        (Method::GET, "/api/v1/background-task".to_owned(), json!({})),
        (Method::POST, "/api/v1/becket/environment".to_owned(), json!({ "name": "x" })),
    ] {
        let (status, _) = world.call_as(token, method, &path, Some(body)).await;
        assert_eq!(status, 403, "{path}");
    }
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    for (name, expected) in [("alpha", 202), ("beta", 404), ("gamma", 404)] {
        let path = format!("/api/v1/app/{name}/endpoint/app/recover");
        let (status, _) = world.call_as(token, Method::POST, &path, Some(since.clone())).await;
        assert_eq!(status, expected, "{name}");
    }
    // One that can only look may not send again.
    let body = json!({ "readOnly": true });
    let (_, looks) = world.post("/ingest/api/v1/source/alpha/dashboard", body).await;
    let path = "/api/v1/app/alpha/endpoint/app/recover";
    let looks = text(&looks["token"]);
    assert_eq!(world.call_as(looks, Method::POST, path, Some(since)).await.0, 403);
}

#[tokio::test]
async fn portal_tokens_end_by_logout_session_and_all_together() {
    let world = World::new().await;
    let portal = async |session: &str| {
        let body = json!({ "application": { "name": "Acme" }, "sessionId": session });
        let (_, access) = world.post(&format!("{PORTAL}/acme"), body).await;
        text(&access["token"]).to_owned()
    };
    let (ann, bob, eve) = (portal("ann").await, portal("bob").await, portal("eve").await);
    let alive = async |tokens: [&String; 3]| {
        let mut alive = Vec::new();
        for token in tokens {
            alive.push(status(&world, token, SELF).await == 200);
        }
        alive
    };
    let logout = async |token: &str| {
        world.call_as(token, Method::POST, "/api/v1/auth/logout", None).await.0.as_u16()
    };
    assert_eq!(logout(&ann).await, 204);
    assert_eq!(logout(&ann).await, 401);
    assert_eq!(logout(TOKEN).await, 403);
    assert_eq!(alive([&ann, &bob, &eve]).await, [false, true, true]);
    let expire = "/api/v1/auth/app/acme/expire-all";
    let of_bob = json!({ "sessionIds": ["bob"] });
    assert_eq!(world.post(expire, of_bob).await.0, 204);
    assert_eq!(alive([&ann, &bob, &eve]).await, [false, false, true]);
    assert_eq!(world.post(expire, json!({ "expiry": 60 })).await.0, 204);
    world.pass_ms(59_999);
    assert_eq!(alive([&ann, &bob, &eve]).await, [false, false, true]);
    world.pass_ms(1);
    assert_eq!(alive([&ann, &bob, &eve]).await, [false, false, false]);
    let again = portal("ann").await;
    assert_eq!(world.post(expire, json!({})).await.0, 204);
    assert_eq!(status(&world, &again, SELF).await, 401);
    assert_eq!(world.refused(Method::POST, "/api/v1/auth/app/no/expire-all", None).await.0, 404);
}

#[tokio::test]
async fn environments_are_apart_and_begin_with_a_token() {
    let world = World::new().await;
    let path = "/api/v1/becket/environment";
    let (status_made, first) = world.post(path, json!({ "name": "staging" })).await;
    assert_eq!(status_made, 201, "{first}");
    let (_, second) = world.post(path, json!({ "name": "tests" })).await;
    // The fixture's other owner has number 2.
    assert_eq!((&first["number"], &second["number"]), (&json!(3), &json!(4)));
    assert_eq!(world.walk(path, 1).await, ["3", "4"]);
    let admin = text(&first["adminToken"]["token"]);
    let (_, who) = world.call_as(admin, Method::GET, SELF, None).await;
    assert_eq!((&who["environment"], &who["operator"]), (&json!(3), &json!(false)));
    assert_eq!(status(&world, admin, "/api/v1/becket/source/alpha").await, 404);
    let (_, portal) = world
        .call_as(
            admin,
            Method::POST,
            &format!("{PORTAL}/acme"),
            Some(json!({ "application": { "name": "A" } })),
        )
        .await;
    assert!(portal["token"].is_string(), "{portal}");
    assert_eq!(world.refused(Method::POST, &format!("{PORTAL}/acme"), None).await.0, 404);
    for (method, path) in [
        (Method::POST, path),
        (Method::GET, path),
        (Method::POST, "/api/v1/becket/keys/rotate"),
        (Method::POST, "/api/v1/becket/reload"),
        (Method::POST, "/api/v1/becket/backup"),
    ] {
        let body = Some(json!({ "name": "x" }));
        assert_eq!(world.call_as(admin, method, path, body).await.0, 403, "{path}");
    }
    let (_, rotated) = world.post("/api/v1/becket/keys/rotate", json!({})).await;
    assert_eq!(rotated, json!({ "rewrapped": 3, "version": 2 }));
}

#[tokio::test]
async fn what_one_environment_defines_goes_to_another() {
    let world = World::new().await;
    let (export, import) = ("/api/v1/environment/export", "/api/v1/environment/import");
    let (_, nothing) = world.post(export, json!({})).await;
    assert_eq!((&nothing["eventTypes"], &nothing["settings"]), (&json!([]), &json!({})));
    let schema = json!({ "1": { "type": "object", "required": ["id"] } });
    let defined = json!({
        "eventTypes": [
            { "name": "invoice.paid", "description": "Paid.", "schemas": schema },
            { "name": "user.gone", "description": "", "archived": true, "featureFlags": ["beta"] },
        ],
        "settings": { "enforceSchemas": true, "colour": "red" },
        "connectors": [],
    });
    assert_eq!(world.post(import, defined).await.0, 204);
    let (_, exported) = world.post(export, json!({})).await;
    assert_eq!(exported["eventTypes"].as_array().unwrap().len(), 2);
    assert_eq!(exported["eventTypes"][0]["schemas"], schema);
    let moved = Some(exported.clone());
    let (moved, body) = world.call_as(OTHER_TOKEN, Method::POST, import, moved).await;
    assert_eq!(moved, 204, "{body}");
    let (_, theirs) = world.call_as(OTHER_TOKEN, Method::POST, export, Some(json!({}))).await;
    assert_eq!(theirs["settings"], exported["settings"]);
    assert_eq!(theirs["eventTypes"][1]["featureFlags"], json!(["beta"]));
    // Settings are added to, and one wrong part refuses the whole.
    world.post(import, json!({ "settings": { "colour": "blue" } })).await;
    let (_, exported) = world.post(export, json!({})).await;
    assert_eq!(exported["settings"], json!({ "enforceSchemas": true, "colour": "blue" }));
    let good = json!({ "name": "a.new", "description": "" });
    for wrong in [
        json!({ "eventTypes": [good, { "name": "b", "description": "", "schemas": { "1": { "type": 7 } } }] }),
        json!({ "eventTypes": [good, good] }),
        json!({ "eventTypes": [good, { "name": "no spaces", "description": "" }] }),
        json!({ "eventTypes": [good], "settings": { "enforceSchemas": "yes" } }),
        json!({ "eventTypes": [good], "connectors": [{ "name": "c", "transformation": "function handler() {}" }] }),
    ] {
        let refused = world.refused(Method::POST, import, Some(wrong.clone())).await;
        assert_eq!(refused.0, 422, "{wrong}");
    }
    let (_, after) = world.post(export, json!({})).await;
    assert_eq!(after["eventTypes"], exported["eventTypes"]);
}

#[tokio::test]
async fn what_another_node_revokes_ends_when_it_is_told() {
    use becket_store::{DocumentKind, DocumentName, Owner};
    let world = World::new().await;
    let token = made(&world, json!({ "name": "ci", "role": "admin" })).await;
    assert_eq!(status(&world, text(&token["token"]), SELF).await, 200);
    let name = DocumentName::of_owner(DocumentKind::Token, text(&token["id"]));
    assert!(world.store.document_remove(Owner::MAIN, name).await.unwrap());
    assert_eq!(status(&world, text(&token["token"]), SELF).await, 200, "it is remembered");
    world.control.elsewhere.documents_changed(Owner::MAIN, DocumentKind::Token);
    assert_eq!(status(&world, text(&token["token"]), SELF).await, 401);
}
