//! Applications, endpoints of every kind and integrations: made, shown, changed and removed.

use becket_store::{DocumentContent, DocumentKind, DocumentName, Owner, WriteIf};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shapes::Shapes;
use crate::support::{OTHER_TOKEN, TOKEN, World};

const APPS: &str = "/api/v1/app";
const OPERATIONAL: &str = "/api/v1/operational-webhook/endpoint";

async fn call_as(
    world: &World,
    token: &str,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = world.call_as(token, method.parse().unwrap(), path, body).await;
    (status.as_u16(), answer)
}

async fn call(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    call_as(world, TOKEN, method, path, body).await
}

/// An event type, put where it is looked for.
async fn event_type(world: &World, name: &str) {
    let name = DocumentName::of_owner(DocumentKind::EventType, name);
    let content = DocumentContent { body: "{}".to_owned(), ..DocumentContent::default() };
    world.store.document_put(Owner::MAIN, name, content, WriteIf::Always, 0).await.unwrap();
}

/// An application `shop` with an endpoint `hook`.
async fn shop() -> World {
    let world = World::new().await;
    let app = json!({ "name": "Shop", "uid": "shop" });
    assert_eq!(call(&world, "POST", APPS, app).await.0, 201);
    let endpoint = json!({ "url": "https://example.com/hook", "uid": "hook" });
    assert_eq!(call(&world, "POST", "/api/v1/app/shop/endpoint", endpoint).await.0, 201);
    world
}

#[tokio::test]
async fn applications_are_made_changed_and_removed() {
    let world = World::new().await;
    let body = json!({
        "name": "Shop", "uid": "shop", "throttleRate": 5, "metadata": { "a": "b" },
        "validatePayloads": true,
    });
    let (status, made) = call(&world, "POST", APPS, body.clone()).await;
    assert_eq!(
        (status, &made["throttleRate"], &made["validatePayloads"]),
        (201, &json!(5), &json!(true))
    );
    let (status, answer) = call(&world, "POST", APPS, body.clone()).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    let (status, same) = call(&world, "POST", &format!("{APPS}?get_if_exists=true"), body).await;
    assert_eq!((status, &same), (200, &made));
    let id = made["id"].as_str().unwrap();
    for name in [id, "shop"] {
        assert_eq!(world.get(&format!("{APPS}/{name}")).await, made);
    }
    let path = format!("{APPS}/shop");
    let (status, patched) = call(&world, "PATCH", &path, json!({ "throttleRate": null })).await;
    assert_eq!((status, &patched["throttleRate"]), (200, &Value::Null));
    assert_eq!((&patched["name"], &patched["metadata"]), (&made["name"], &made["metadata"]));
    let (_, renamed) =
        call(&world, "PATCH", &path, json!({ "uid": "store", "name": "Store" })).await;
    assert_eq!((&renamed["uid"], &renamed["name"]), (&json!("store"), &json!("Store")));
    assert_eq!(call(&world, "GET", &path, Value::Null).await.0, 404);
    // PUT makes what is not there, and sets everything of what is.
    let (status, put) = call(&world, "PUT", &path, json!({ "name": "New" })).await;
    assert_eq!((status, &put["uid"]), (201, &json!("shop")));
    let (status, put) = call(&world, "PUT", &path, json!({ "name": "Newer", "uid": null })).await;
    assert_eq!((status, &put["uid"], &put["name"]), (200, &json!("shop"), &json!("Newer")));
    let (status, answer) = call(&world, "PATCH", &path, json!({ "uid": "store" })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x", "uid": "a b" }), "uid"),
        (json!({ "name": "x", "throttleRate": 0 }), "throttleRate"),
        (json!({ "name": "x", "metadata": { "a": 1 } }), "metadata"),
        (json!({ "name": "x", "metadata": { "a": "x".repeat(20_000) } }), "metadata"),
    ] {
        let (status, answer) = call(&world, "POST", APPS, body.clone()).await;
        assert_eq!(status, 422, "{body}");
        assert!(answer["detail"].to_string().contains(field), "{answer}");
    }
    assert_eq!(call(&world, "DELETE", &path, Value::Null).await.0, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(call(&world, method, &path, Value::Null).await.0, 404);
    }
    let unknown = format!("{APPS}/app_000000000000000000000000000");
    assert_eq!(call(&world, "PUT", &unknown, json!({ "name": "x" })).await.0, 404);
    let told = world.control.applications.lock().unwrap().clone();
    assert!(told.last().unwrap().removed && told.len() == 6, "{}", told.len());
}

#[tokio::test]
async fn applications_are_listed_and_left_out() {
    let world = shop().await;
    for uid in ["empty", "off", "play"] {
        world.pass_ms(1);
        call(&world, "PUT", &format!("{APPS}/{uid}"), json!({ "name": uid })).await;
    }
    for (uid, url, disabled) in
        [("off", "https://example.com/", true), ("play", "https://play.svix.com/in/x/", false)]
    {
        let body = json!({ "url": url, "disabled": disabled });
        let (status, _) = call(&world, "POST", &format!("{APPS}/{uid}/endpoint"), body).await;
        assert_eq!(status, 201);
    }
    let names = async |query: &str| {
        let page = world.get(&format!("{APPS}?{query}")).await;
        let data = page["data"].as_array().unwrap().clone();
        data.iter().map(|app| app["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "shop empty off play");
    assert_eq!(names("order=descending&limit=3").await, "play off empty");
    assert_eq!(names("exclude_apps_with_no_endpoints=true").await, "shop off play");
    assert_eq!(names("exclude_apps_with_disabled_endpoints=true").await, "shop empty play");
    assert_eq!(names("exclude_apps_with_svix_play_endpoints=true").await, "shop empty off");
    for limit in [1, 2, 3] {
        assert_eq!(world.walk(APPS, limit).await.len(), 4);
        let path = format!("{APPS}?exclude_apps_with_no_endpoints=true");
        assert_eq!(world.walk(&path, limit).await.len(), 3);
    }
    assert_eq!(call(&world, "GET", &format!("{APPS}?iterator=x"), Value::Null).await.0, 422);
    let (_, theirs) = call_as(&world, OTHER_TOKEN, "GET", APPS, Value::Null).await;
    assert_eq!(theirs["data"], json!([]));
}

#[tokio::test]
async fn endpoints_are_made_changed_and_removed() {
    let world = shop().await;
    let list = "/api/v1/app/shop/endpoint";
    event_type(&world, "user.signup").await;
    let body = json!({
        "url": "https://example.com/", "description": "it", "throttleRate": 3,
        "eventTypes": ["user.signup"], "channels": ["blue"], "metadata": { "a": "b" },
    });
    let (status, made) = call(&world, "POST", list, body.clone()).await;
    assert_eq!((status, &made["disabled"], &made["uid"]), (201, &json!(false), &Value::Null));
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&made[name], value);
    }
    let path = format!("{list}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await, made);
    let change = json!({ "disabled": true, "channels": null, "description": "off" });
    let (status, off) = call(&world, "PATCH", &path, change).await;
    assert_eq!((status, &off["disabled"], &off["description"]), (200, &json!(true), &json!("off")));
    assert_eq!((off.get("channels"), &off["eventTypes"]), (None, &made["eventTypes"]));
    let (_, on) = call(&world, "PATCH", &path, json!({ "disabled": false })).await;
    assert_eq!((&on["disabled"], &on["state"]), (&json!(false), &json!("enabled")));
    let (status, put) = call(&world, "PUT", &path, json!({ "url": "https://example.com/b" })).await;
    assert_eq!((status, &put["throttleRate"], put.get("eventTypes")), (200, &Value::Null, None));
    let new = json!({ "url": "https://example.com/c", "secret": null });
    let (status, third) = call(&world, "PUT", &format!("{list}/third"), new).await;
    assert_eq!((status, &third["uid"]), (201, &json!("third")));
    for limit in [1, 2] {
        assert_eq!(world.walk(list, limit).await.len(), 3);
    }
    assert_eq!(call(&world, "DELETE", &path, Value::Null).await.0, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(call(&world, method, &path, Value::Null).await.0, 404);
    }
    let taken = json!({ "url": "https://example.com/", "uid": "hook" });
    for (method, path) in [("POST", list.to_owned()), ("PATCH", format!("{list}/third"))] {
        let (status, answer) = call(&world, method, &path, taken.clone()).await;
        assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{method}");
    }
    for (name, value, also) in [
        ("url", json!("ftp://example.com/"), Value::Null),
        ("url", json!("http://127.0.0.1/"), Value::Null),
        ("eventTypes", json!(["user.unknown"]), Value::Null),
        ("eventTypes", json!([]), Value::Null),
        ("channels", json!([]), Value::Null),
        ("secret", json!("whsec_short"), json!("POST")),
        ("throttleRate", json!(70_000), Value::Null),
    ] {
        let mut body = json!({ "url": "https://example.com/" });
        body[name] = value;
        for (method, path) in [("POST", list.to_owned()), ("PATCH", format!("{list}/hook"))] {
            if also.is_string() && also != method {
                continue;
            }
            let (status, answer) = call(&world, method, &path, body.clone()).await;
            assert_eq!(status, 422, "{method} {body} {answer}");
            assert!(answer["detail"].to_string().contains(name), "{answer}");
        }
    }
}

#[tokio::test]
async fn private_addresses_are_for_administrators() {
    let world = shop().await;
    let list = "/api/v1/app/shop/endpoint";
    let private = json!({ "url": "http://127.0.0.1/", "allowPrivate": true, "uid": "inside" });
    let (status, made) = call(&world, "POST", list, private.clone()).await;
    assert_eq!((status, &made["allowPrivate"]), (201, &json!(true)));
    let access = format!("/api/v1/auth/app-portal-access/shop");
    let (_, access) = call(&world, "POST", &access, json!({})).await;
    let token = access["token"].as_str().unwrap();
    assert_eq!(call_as(&world, token, "POST", list, private).await.0, 403);
    let inside = format!("{list}/inside");
    let same = json!({ "description": "mine" });
    let (status, kept) = call_as(&world, token, "PATCH", &inside, same).await;
    assert_eq!((status, &kept["allowPrivate"]), (200, &json!(true)));
    let other = json!({ "url": "http://127.0.0.1/admin" });
    for method in ["PATCH", "PUT"] {
        assert_eq!(call_as(&world, token, method, &inside, other.clone()).await.0, 422, "{method}");
    }
    let outside = json!({ "url": "https://example.com/" });
    let (_, moved) = call_as(&world, token, "PATCH", &inside, outside).await;
    assert_eq!(moved["allowPrivate"], false);
    for path in ["/api/v1/app", OPERATIONAL, "/ingest/api/v1/source"] {
        assert_eq!(call_as(&world, token, "GET", path, Value::Null).await.0, 403, "{path}");
    }
    for path in ["/api/v1/app/alpha/endpoint", "/ingest/api/v1/source/alpha"] {
        assert_eq!(call_as(&world, token, "GET", path, Value::Null).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn headers_are_kept_apart_and_credentials_hidden() {
    let world = shop().await;
    let path = "/api/v1/app/shop/endpoint/hook/headers";
    let none = json!({ "headers": {}, "sensitive": [] });
    assert_eq!(world.get(path).await, none);
    let headers = json!({ "X-Team": "blue", "Authorization": "Bearer canary" });
    assert_eq!(call(&world, "PUT", path, json!({ "headers": headers })).await.0, 204);
    let shown = json!({ "headers": { "X-Team": "blue" }, "sensitive": ["Authorization"] });
    assert_eq!(world.get(path).await, shown);
    let change =
        json!({ "headers": { "x-team": "red", "x-new": "1" }, "deleteHeaders": ["nobody"] });
    assert_eq!(call(&world, "PATCH", path, change).await.0, 204);
    let shown = world.get(path).await;
    assert_eq!(shown["headers"], json!({ "x-team": "red", "x-new": "1" }));
    assert_eq!(shown["sensitive"], json!(["Authorization"]));
    let change = json!({ "headers": { "X-NEW": null }, "deleteHeaders": ["authorization"] });
    assert_eq!(call(&world, "PATCH", path, change).await.0, 204);
    let shown = json!({ "headers": { "x-team": "red" }, "sensitive": [] });
    assert_eq!(world.get(path).await, shown);
    for (name, value) in [("content-length", "1"), ("webhook-id", "1"), ("x", "a\nb"), ("a b", "1")]
    {
        let (status, answer) =
            call(&world, "PUT", path, json!({ "headers": { name: value } })).await;
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "headers", name])));
    }
    let stored = world.control.endpoints.lock().unwrap().last().unwrap().clone();
    assert!(stored.settings.headers.is_empty() && stored.headers.is_some());
    assert_eq!(call(&world, "PUT", path, json!({ "headers": {} })).await.0, 204);
    assert_eq!(world.get(path).await, none);
    assert_eq!(call(&world, "PUT", path, json!({})).await.0, 422);
}

#[tokio::test]
async fn ten_secrets_may_sign_at_once() {
    let world = shop().await;
    let path = "/api/v1/app/shop/endpoint/hook/secret";
    let first = world.get(path).await["key"].clone();
    let rotate = format!("{path}/rotate");
    let (status, second) = call(&world, "POST", &rotate, Value::Null).await;
    assert_eq!((status, world.get(path).await), (200, second.clone()));
    assert_ne!(first, second["key"]);
    for _ in 0..8 {
        assert_eq!(call(&world, "POST", &rotate, json!({})).await.0, 200);
    }
    let (status, answer) = call(&world, "POST", &rotate, json!({})).await;
    assert_eq!((status, &answer["code"]), (429, &json!("limit_reached")));
    assert_eq!(call(&world, "POST", &rotate, json!({ "gracePeriodSeconds": 0 })).await.0, 200);
    assert_eq!(call(&world, "POST", &rotate, json!({ "key": null })).await.0, 200);
    // An Ed25519 key comes back as its public half.
    let seed = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let (_, shown) = call(&world, "POST", &rotate, json!({ "key": seed })).await;
    assert!(shown["key"].as_str().unwrap().starts_with("whpk_"), "{shown}");
    assert_eq!(world.get(path).await, shown);
    for body in [
        json!({ "key": "whpk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=" }),
        json!({ "gracePeriodSeconds": 604_801 }),
    ] {
        assert_eq!(call(&world, "POST", &rotate, body).await.0, 422);
    }
    let given = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let (_, shown) =
        call(&world, "POST", &rotate, json!({ "key": given, "gracePeriodSeconds": 0 })).await;
    assert_eq!(shown["key"], format!("whsec_{given}"));
}

#[tokio::test]
async fn transformations_are_kept_sealed() {
    let world = shop().await;
    let path = "/api/v1/app/shop/endpoint/hook/transformation";
    let empty = json!({ "code": null, "variables": null, "enabled": false, "updatedAt": null });
    assert_eq!(world.get(path).await, empty);
    let code = "function handler(webhook) { return webhook; }";
    let body = json!({ "code": code, "enabled": true, "variables": { "KEY": "canary" } });
    assert_eq!(call(&world, "PATCH", path, body).await.0, 204);
    let set = world.get(path).await;
    assert_eq!((&set["code"], &set["enabled"]), (&json!(code), &json!(true)));
    assert!(set["updatedAt"].is_string());
    assert_eq!(call(&world, "PATCH", path, json!({ "variables": null })).await.0, 204);
    let changed = world.get(path).await;
    assert_eq!((&changed["code"], &changed["variables"]), (&json!(code), &Value::Null));
    assert_eq!(call(&world, "PATCH", path, json!({ "code": "short" })).await.0, 422);
    assert_eq!(call(&world, "PATCH", path, json!({ "code": "x".repeat(51_201) })).await.0, 422);
    let endpoint = "/api/v1/app/shop/endpoint/hook";
    assert_eq!(call(&world, "DELETE", endpoint, Value::Null).await.0, 204);
    assert_eq!(call(&world, "GET", path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn endpoints_for_events_about_the_gateway_hear_of_changes() {
    let world = shop().await;
    assert_eq!(world.get(OPERATIONAL).await["data"], json!([]));
    let unknown = format!("{OPERATIONAL}/ep_000000000000000000000000000");
    assert_eq!(call(&world, "GET", &unknown, Value::Null).await.0, 404);
    let wrong = json!({ "url": "https://example.com/", "eventTypes": ["user.signup"] });
    assert_eq!(call(&world, "POST", OPERATIONAL, wrong).await.0, 422);
    let body = json!({ "url": "https://example.com/", "eventTypes": ["endpoint.updated"] });
    let (status, made) = call(&world, "PUT", &format!("{OPERATIONAL}/ops"), body).await;
    assert_eq!((status, &made["uid"]), (200, &json!("ops")), "the document knows no 201");
    assert_eq!(world.walk(OPERATIONAL, 1).await.len(), 1);
    let hook = "/api/v1/app/shop/endpoint/hook";
    call(&world, "PATCH", hook, json!({ "description": "changed" })).await;
    for _ in 0..1_000 {
        if !world.handoff.woken.lock().unwrap().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(world.handoff.woken.lock().unwrap().len(), 1, "one event, one endpoint");
    let (status, _) =
        call(&world, "POST", &format!("{OPERATIONAL}/ops/secret/rotate"), json!({})).await;
    assert_eq!(status, 204);
    assert_eq!(call(&world, "DELETE", &format!("{OPERATIONAL}/ops"), Value::Null).await.0, 204);
    let (_, theirs) = call_as(&world, OTHER_TOKEN, "GET", OPERATIONAL, Value::Null).await;
    assert_eq!(theirs["data"], json!([]));
}

#[tokio::test]
async fn integrations_have_a_key_of_their_own() {
    let world = shop().await;
    let list = "/api/v1/app/shop/integration";
    let body = json!({ "name": "Bot", "featureFlags": ["beta"] });
    let (status, made) = call(&world, "POST", list, body).await;
    assert_eq!((status, &made["featureFlags"]), (201, &json!(["beta"])));
    let path = format!("{list}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await, made);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (status, answer) =
            call(&world, "POST", &format!("{path}/key/rotate"), Value::Null).await;
        assert_eq!(status, 200);
        keys.push(answer["key"].as_str().unwrap().to_owned());
    }
    let endpoints = "/api/v1/app/shop/endpoint";
    let ask = async |key: &str, path: &str| call_as(&world, key, "GET", path, Value::Null).await.0;
    assert_eq!((ask(&keys[0], endpoints).await, ask(&keys[1], endpoints).await), (401, 200));
    assert_eq!(ask(&keys[1], list).await, 403);
    let (status, new) = call(&world, "PUT", &path, json!({ "name": "Robot" })).await;
    assert_eq!((status, &new["name"], new.get("featureFlags")), (200, &json!("Robot"), None));
    assert_eq!(ask(&keys[1], endpoints).await, 200);
    assert_eq!(world.walk(list, 1).await.len(), 1);
    assert_eq!(call(&world, "PUT", &path, json!({})).await.0, 422);
    let elsewhere = path.replace("shop", "other");
    call(&world, "PUT", "/api/v1/app/other", json!({ "name": "Other" })).await;
    assert_eq!(call(&world, "GET", &elsewhere, Value::Null).await.0, 404);
    assert_eq!(call(&world, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(ask(&keys[1], endpoints).await, 401);
    for method in ["GET", "DELETE"] {
        assert_eq!(call(&world, method, &path, Value::Null).await.0, 404);
    }
}

#[tokio::test]
async fn another_owners_resources_do_not_exist() {
    let world = shop().await;
    let app = world.get(&format!("{APPS}/shop")).await["id"].as_str().unwrap().to_owned();
    let endpoint = world.walk("/api/v1/app/shop/endpoint", 1).await.remove(0);
    let (_, integration) =
        call(&world, "POST", "/api/v1/app/shop/integration", json!({ "name": "Bot" })).await;
    let integration = integration["id"].as_str().unwrap();
    call(&world, "POST", APPS, json!({ "name": "x" })).await;
    call_as(&world, OTHER_TOKEN, "PUT", &format!("{APPS}/own"), json!({ "name": "Own" })).await;
    let url = json!({ "url": "https://example.com/" });
    for app in [app.as_str(), "own"] {
        let own = app == "own";
        for (method, rest, body) in [
            ("GET", String::new(), Value::Null),
            ("PATCH", String::new(), json!({})),
            ("PUT", String::new(), json!({ "name": "x" })),
            ("GET", format!("/endpoint/{endpoint}"), Value::Null),
            ("PATCH", format!("/endpoint/{endpoint}"), json!({})),
            ("PUT", format!("/endpoint/{endpoint}"), url.clone()),
            ("DELETE", format!("/endpoint/{endpoint}"), Value::Null),
            ("GET", format!("/endpoint/{endpoint}/headers"), Value::Null),
            ("PUT", format!("/endpoint/{endpoint}/headers"), json!({ "headers": {} })),
            ("PATCH", format!("/endpoint/{endpoint}/headers"), json!({ "headers": {} })),
            ("GET", format!("/endpoint/{endpoint}/secret"), Value::Null),
            ("POST", format!("/endpoint/{endpoint}/secret/rotate"), json!({})),
            ("GET", format!("/endpoint/{endpoint}/transformation"), Value::Null),
            ("PATCH", format!("/endpoint/{endpoint}/transformation"), json!({})),
            ("GET", format!("/integration/{integration}"), Value::Null),
            ("PUT", format!("/integration/{integration}"), json!({ "name": "x" })),
            ("DELETE", format!("/integration/{integration}"), Value::Null),
            ("POST", format!("/integration/{integration}/key/rotate"), Value::Null),
            ("DELETE", String::new(), Value::Null),
        ] {
            if own && rest.is_empty() {
                continue;
            }
            let path = format!("{APPS}/{app}{rest}");
            let (status, answer) = call_as(&world, OTHER_TOKEN, method, &path, body).await;
            assert_eq!(status, 404, "{method} {path} {answer}");
        }
    }
    let operational = format!("{OPERATIONAL}/{endpoint}");
    assert_eq!(call(&world, "GET", &operational, Value::Null).await.0, 404);
    let ingest = format!("/ingest/api/v1/source/alpha/endpoint/{endpoint}");
    assert_eq!(call(&world, "GET", &ingest, Value::Null).await.0, 404);
    world.get(&format!("{APPS}/shop/endpoint/hook")).await;
}

#[tokio::test]
async fn every_resource_answers_with_its_shape() {
    let shapes = Shapes::load();
    let world = shop().await;
    let source = json!({ "name": "It", "uid": "it", "type": "slack", "config": { "secret": "s" } });
    let (status, made) = world.post("/ingest/api/v1/source", source.clone()).await;
    shapes.check("v1.ingest.source.create", status, &made);
    let url = json!({ "url": "https://example.com/", "uid": "e", "headers": { "x-a": "1" } });
    for (base, name) in [
        ("/api/v1/app/shop", "v1"),
        ("/ingest/api/v1/source/it", "v1.ingest"),
        ("/api/v1/operational-webhook", "v1.operational-webhook"),
    ] {
        let list = format!("{base}/endpoint");
        let one = format!("{list}/e");
        for (method, operation, path, body) in [
            ("POST", "create", &list, url.clone()),
            ("GET", "list", &list, Value::Null),
            ("GET", "get", &one, Value::Null),
            ("PUT", "upsert", &one, url.clone()),
            ("GET", "get-headers", &format!("{one}/headers"), Value::Null),
            ("PUT", "set-headers", &format!("{one}/headers"), json!({ "headers": {} })),
            ("GET", "get-secret", &format!("{one}/secret"), Value::Null),
            ("POST", "rotate-secret", &format!("{one}/secret/rotate"), json!({})),
        ] {
            check(&world, &shapes, method, &format!("{name}.endpoint.{operation}"), path, body)
                .await;
        }
    }
    let change = json!({ "code": "handler = (webhook) => webhook" });
    let (_, integration) =
        call(&world, "POST", "/api/v1/app/shop/integration", json!({ "name": "Bot" })).await;
    let integration =
        format!("/api/v1/app/shop/integration/{}", integration["id"].as_str().unwrap());
    let ingest = "/ingest/api/v1/source/it";
    let hook = "/api/v1/app/shop/endpoint/hook";
    for (method, operation, path, body) in [
        ("GET", "application.list", APPS.to_owned(), Value::Null),
        ("GET", "application.get", format!("{APPS}/shop"), Value::Null),
        ("PATCH", "application.patch", format!("{APPS}/shop"), json!({ "metadata": {} })),
        ("PUT", "application.upsert", format!("{APPS}/shop"), json!({ "name": "Shop" })),
        ("POST", "application.create", APPS.to_owned(), json!({ "name": "Shop" })),
        ("PATCH", "endpoint.patch", hook.to_owned(), json!({ "uid": null })),
        ("GET", "ingest.source.list", "/ingest/api/v1/source".to_owned(), Value::Null),
        ("GET", "ingest.source.get", ingest.to_owned(), Value::Null),
        ("PUT", "ingest.source.upsert", ingest.to_owned(), source),
        ("POST", "ingest.source.rotate-token", format!("{ingest}/token/rotate"), Value::Null),
        (
            "PATCH",
            "ingest.endpoint.transformation.patch",
            format!("{ingest}/endpoint/e/transformation"),
            change.clone(),
        ),
        (
            "GET",
            "ingest.endpoint.transformation.get",
            format!("{ingest}/endpoint/e/transformation"),
            Value::Null,
        ),
        ("GET", "integration.list", "/api/v1/app/shop/integration".to_owned(), Value::Null),
        ("GET", "integration.get", integration.clone(), Value::Null),
        ("PUT", "integration.update", integration.clone(), json!({ "name": "Bot" })),
        ("POST", "integration.rotate-key", format!("{integration}/key/rotate"), Value::Null),
        ("DELETE", "integration.delete", integration, Value::Null),
        ("DELETE", "ingest.endpoint.delete", format!("{ingest}/endpoint/e"), Value::Null),
        ("DELETE", "ingest.source.delete", ingest.to_owned(), Value::Null),
        ("DELETE", "operational-webhook.endpoint.delete", format!("{OPERATIONAL}/e"), Value::Null),
        ("DELETE", "endpoint.delete", "/api/v1/app/shop/endpoint/e".to_owned(), Value::Null),
        ("DELETE", "application.delete", format!("{APPS}/shop"), Value::Null),
    ] {
        check(&world, &shapes, method, &format!("v1.{operation}"), &path, body).await;
    }
}

async fn check(
    world: &World,
    shapes: &Shapes,
    method: &str,
    operation: &str,
    path: &str,
    body: Value,
) {
    let body = (!body.is_null()).then_some(body);
    let method: Method = method.parse().unwrap();
    let (status, answer): (StatusCode, Value) = world.call_as(TOKEN, method, path, body).await;
    shapes.check(operation, status, &answer);
}
