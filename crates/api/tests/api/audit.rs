//! The audit log: what is in it, who did it, what is never in it, and how it is read.

use becket_store::{DocumentKind, Owner, Slice};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::{Browser, token};
use crate::support::{OTHER_TOKEN, T0, TOKEN, World};

const AUDIT: &str = "/api/v1/becket/audit";

impl World {
    async fn audit(&self, query: &str) -> Vec<Value> {
        let page = self.get(&format!("{AUDIT}?{query}")).await;
        page["data"].as_array().unwrap().clone()
    }
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn changes_and_secrets_are_written_down_and_looking_is_not() {
    let world = World::new().await;
    let event = world.accept(world.push(1)).await;
    world.post("/api/v1/app", json!({ "name": "acme", "uid": "acme" })).await;
    let endpoint = json!({ "url": "https://example.com/hook?key=hidden", "uid": "ep" });
    world.post("/api/v1/app/acme/endpoint", endpoint).await;
    world.get("/api/v1/app/acme/endpoint/ep/secret").await;
    world.get("/api/v1/app/acme/endpoint/ep").await;
    let message = json!({ "eventType": "a", "payload": { "is": "a payload" } });
    world.post("/api/v1/app/acme/msg", message).await;
    world.post(&format!("/api/v1/becket/event/{event}/replay"), json!({})).await;
    world.get(&format!("/api/v1/becket/event/{event}/explain?reveal=true")).await;
    world.call_as(TOKEN, Method::DELETE, "/api/v1/app/acme/endpoint/ep", None).await;
    world.refused(Method::DELETE, "/api/v1/app/acme/endpoint/ep", None).await;
    let entries = world.audit("").await;
    assert_eq!(
        actions(&entries),
        [
            "endpoint.deleted",
            "event.headers.shown",
            "event.replayed",
            "endpoint.secret.shown",
            "endpoint.created",
            "application.created",
        ]
    );
    for entry in &entries {
        assert_eq!(entry["by"], json!({ "kind": "operator", "name": "operator", "tokenId": null }));
        assert!(!entry["subject"].as_str().unwrap().is_empty(), "{entry}");
    }
    let text = json!(entries).to_string();
    for never in ["whsec_", "hidden", "a payload", TOKEN, "c2VjcmV0"] {
        assert!(!text.contains(never), "{never} in {text}");
    }
    assert_eq!(entries[2]["subject"], event.to_string());
}

#[tokio::test]
async fn who_did_it_is_told() {
    let world = World::new().await;
    let (id, text) = token(&world, "developer", Some(true)).await;
    let app = |uid: &str| json!({ "name": uid, "uid": uid });
    world.call_as(&text, Method::POST, "/api/v1/app", Some(app("by-token"))).await;
    let mut browser = Browser::new(&world);
    browser.sign_in(&text).await;
    browser.change(Method::POST, "/api/v1/app", app("by-session")).await;
    let (_, access) = world.post("/api/v1/auth/app-portal-access/by-token", json!({})).await;
    let portal = access["token"].as_str().unwrap();
    let endpoint = json!({ "url": "https://example.com/", "uid": "ep" });
    let path = "/api/v1/app/by-token/endpoint";
    world.call_as(portal, Method::POST, path, Some(endpoint)).await;
    let url = access["url"].as_str().unwrap();
    let code = json!({ "oneTimeToken": url.split_once("token=").unwrap().1 });
    let (status, _) =
        world.call_as("", Method::POST, "/api/v1/auth/one-time-token", Some(code)).await;
    assert_eq!(status, StatusCode::OK);
    let entries = world.audit("").await;
    let told: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["by"]["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("portal.code_exchanged", "sign-in"),
            ("endpoint.created", "portal"),
            ("portal.access_given", "operator"),
            ("application.created", "session"),
            ("session.begun", "session"),
            ("application.created", "token"),
            ("token.created", "operator"),
        ]
    );
    let session = &entries[3];
    assert_eq!(
        (&session["by"]["name"], &session["by"]["tokenId"]),
        (&json!("a developer"), &json!(id))
    );
    assert_eq!(session["address"], "192.0.2.9");
    // Those who are not admins read nothing of it, and other tenants have one of their own.
    for nobody in [&text, portal] {
        let (status, _) = world.call_as(nobody, Method::GET, AUDIT, None).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let (_, theirs) = world.call_as(OTHER_TOKEN, Method::GET, AUDIT, None).await;
    assert_eq!(theirs["data"], json!([]));
}

#[tokio::test]
async fn failed_sign_ins_are_written_down_and_bounded() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    for number in 0..100 {
        browser.address = [192, 0, 2, number];
        browser.sign_in("a wrong token").await;
    }
    let entries = world.audit("action=sign_in&limit=200").await;
    assert_eq!(entries.len(), 30);
    assert_eq!(entries[0]["by"]["kind"], "sign-in");
    assert!(!json!(entries).to_string().contains("a wrong token"));
    world.pass_ms(60_000);
    browser.sign_in("a wrong token").await;
    let newest = &world.audit("action=sign_in.failed&limit=1").await[0];
    assert!(newest["detail"].as_str().unwrap().contains("70 more"), "{newest}");
}

#[tokio::test]
async fn many_things_of_one_call_are_one_entry() {
    let world = World::new().await;
    world.post("/api/v1/app", json!({ "name": "acme", "uid": "acme" })).await;
    let path = "/api/v1/app/acme/msg";
    let mut ids = Vec::new();
    for number in 0..2 {
        let message = json!({ "eventType": "a", "payload": { "number": number } });
        let (_, message) = world.post(path, message).await;
        ids.push(message["id"].as_str().unwrap().to_owned());
    }
    let path = format!("{path}/bulk-expunge");
    let (status, answer) = world.post(&path, json!({ "ids": ids })).await;
    assert!(status.is_success(), "{answer}");
    let (first, second) = (&ids[0], &ids[1]);
    let entries = world.audit("action=event").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["subject"], "2 things");
    let detail = entries[0]["detail"].as_str().unwrap();
    assert!(detail.contains(first) && detail.contains(second), "{detail}");
}

#[tokio::test]
async fn the_log_is_read_page_by_page_with_filters() {
    let world = World::new().await;
    for number in 0..25 {
        let uid = format!("app-{number}");
        world.post("/api/v1/app", json!({ "name": uid, "uid": uid })).await;
        world.pass_ms(1_000);
        let path = format!("/api/v1/app/{uid}");
        world.call_as(TOKEN, Method::PATCH, &path, Some(json!({ "name": "new" }))).await;
        world.pass_ms(1_000);
    }
    let ids = world.walk(AUDIT, 7).await;
    assert_eq!(ids.len(), 50);
    assert!(ids.is_sorted_by(|one, next| one > next), "newest first, nothing twice");
    assert_eq!(world.walk(&format!("{AUDIT}?action=application.created"), 4).await.len(), 25);
    assert_eq!(world.audit("action=application&limit=250").await.len(), 50);
    assert_eq!(world.audit("action=app").await.len(), 0);
    assert_eq!(world.audit("by=operator&limit=250").await.len(), 50);
    assert_eq!(world.audit("by=nobody").await.len(), 0);
    let all = world.audit("limit=250").await;
    let middle = all[20]["at"].as_str().unwrap();
    let since = world.audit(&format!("since={middle}&limit=250")).await;
    let until = world.audit(&format!("until={middle}&limit=250")).await;
    assert_eq!((since.len(), until.len()), (21, 29));
    assert_eq!(world.refused(Method::GET, &format!("{AUDIT}?iterator=x"), None).await.0, 422);
    // It is forgotten in the end.
    let slice = Slice { limit: 1, after: None, descending: false };
    let kept = world.store.document_list(Owner::MAIN, DocumentKind::Audit, None, slice, T0).await;
    let expires_at_ms = kept.unwrap()[0].content.expires_at_ms.unwrap();
    assert_eq!((expires_at_ms - T0) / 86_400_000, 400);
}
