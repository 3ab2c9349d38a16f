//! Event types: their life, their pages, importing and publishing them, and who sees which.

use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::messages::acme;
use crate::support::{OTHER_TOKEN, TOKEN, World};

const TYPES: &str = "/api/v1/event-type";

async fn call(world: &World, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = Some(body).filter(|body| !body.is_null());
    let (status, answer) = world.call_as(TOKEN, method, path, body).await;
    (status.as_u16(), answer)
}

fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_event_type_lives_is_archived_and_comes_back() {
    let world = World::new().await;
    let body = json!({
        "name": "a.b", "description": "d", "groupName": "g", "featureFlags": ["f"],
        "schemas": { "1": { "type": "object" } }, "retry": [1, 2], "validatePayloads": true,
        "deprecated": null,
    });
    let (status, made) = call(&world, Method::POST, TYPES, body.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["featureFlag"], &made["retry"]), (&json!("f"), &json!([1, 2])));
    assert_eq!(world.control.schedules.lock().unwrap()["a.b"].delays_ms, [1_000, 2_000]);
    assert_eq!(call(&world, Method::POST, TYPES, body.clone()).await.0, 409);
    let path = format!("{TYPES}/a.b");
    assert_eq!(world.get(&path).await, made);
    let patch =
        json!({ "schemas": null, "description": "new", "groupName": null, "retry": "none" });
    let (status, patched) = call(&world, Method::PATCH, &path, patch).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&patched["schemas"], &patched["description"], &patched["featureFlags"]),
        (&Value::Null, &json!("new"), &json!(["f"]))
    );
    assert!(world.control.schedules.lock().unwrap()["a.b"].delays_ms.is_empty());
    assert_eq!(call(&world, Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(names(&world.get(TYPES).await).len(), 0);
    assert_eq!(names(&world.get(&format!("{TYPES}?include_archived=true")).await), ["a.b"]);
    assert_eq!(world.get(&path).await["archived"], true);
    let (status, back) =
        call(&world, Method::POST, TYPES, json!({ "name": "a.b", "description": "back" })).await;
    assert_eq!((status, &back["archived"], &back["retry"]), (201, &json!(false), &Value::Null));
    assert_eq!(world.control.schedules.lock().unwrap().len(), 0);
    let (status, _) = call(&world, Method::PUT, &path, json!({ "description": "put" })).await;
    assert_eq!(status, 200);
    let (status, _) =
        call(&world, Method::PUT, &format!("{TYPES}/n"), json!({ "description": "" })).await;
    assert_eq!(status, 201);
    assert_eq!(
        call(&world, Method::DELETE, &format!("{path}?expunge=true"), Value::Null).await.0,
        204
    );
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(call(&world, method, &path, Value::Null).await.0, 404);
    }
    assert_eq!(call(&world, Method::PATCH, &path, json!({})).await.0, 404);
    let (status, _) = world.call_as(OTHER_TOKEN, Method::GET, &format!("{TYPES}/n"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_official_clients_cannot_say_stays_as_it_was() {
    let world = World::new().await;
    let path = format!("{TYPES}/a.b");
    let body = json!({ "name": "a.b", "description": "d", "retry": [7], "validatePayloads": true });
    assert_eq!(call(&world, Method::POST, TYPES, body).await.0, 201);
    let ours = async || {
        let shown = world.get(&path).await;
        let told = world.control.schedules.lock().unwrap().contains_key("a.b");
        assert_eq!(told, !shown["retry"].is_null(), "the engine is told the same");
        (shown["retry"].clone(), shown["validatePayloads"].clone())
    };
    // As the clients write them: to put is what a deploy does with every type.
    let theirs = json!({ "description": "new", "schemas": { "1": { "type": "object" } } });
    let (status, put) = call(&world, Method::PUT, &path, theirs.clone()).await;
    assert_eq!((status, &put["description"]), (200, &json!("new")));
    assert_eq!(ours().await, (json!([7]), json!(true)));
    let import = async |fields: Value| {
        let mut one = json!({ "name": "a.b", "description": "imported" });
        one.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let body = json!({ "eventTypes": [one] });
        let done = call(&world, Method::POST, "/api/v1/environment/import", body).await;
        assert_eq!(done.0, 204, "{}", done.1);
    };
    import(json!({})).await;
    assert_eq!(ours().await, (json!([7]), json!(true)));
    assert_eq!(world.get(&path).await["schemas"], Value::Null, "what they know is as they say");
    // What is said holds.
    let mut said = theirs;
    said.as_object_mut()
        .unwrap()
        .extend([("retry".to_owned(), Value::Null), ("validatePayloads".to_owned(), json!(false))]);
    assert_eq!(call(&world, Method::PUT, &path, said).await.0, 200);
    assert_eq!(ours().await, (Value::Null, json!(false)));
    import(json!({ "retry": "short", "validatePayloads": true })).await;
    assert_eq!(ours().await, (json!("short"), json!(true)));
    // The same of an application.
    let app = "/api/v1/app/shop";
    for (body, checks) in [
        (json!({ "name": "Shop", "validatePayloads": true }), true),
        (json!({ "name": "New name" }), true),
        (json!({ "name": "New name", "validatePayloads": false }), false),
        (json!({ "name": "New name" }), false),
    ] {
        let (_, put) = call(&world, Method::PUT, app, body).await;
        assert_eq!(put["validatePayloads"], checks, "{put}");
    }
}

#[tokio::test]
async fn endpoints_ask_for_no_event_type_that_is_archived_or_hidden() {
    let world = acme().await;
    for (name, flags) in [("a.b", Value::Null), ("c.d", json!(["beta"])), ("e.f", Value::Null)] {
        let body = json!({ "name": name, "description": "", "featureFlags": flags });
        assert_eq!(call(&world, Method::POST, TYPES, body).await.0, 201);
    }
    let endpoints = "/api/v1/app/acme/endpoint";
    let wish =
        |types: Value| json!({ "url": "https://example.com/", "uid": "e", "eventTypes": types });
    assert_eq!(call(&world, Method::POST, endpoints, wish(json!(["a.b"]))).await.0, 201);
    assert_eq!(call(&world, Method::DELETE, &format!("{TYPES}/a.b"), Value::Null).await.0, 204);
    // Who asked for it before goes on to do so.
    let own = format!("{endpoints}/e");
    let kept = call(&world, Method::PUT, &own, wish(json!(["a.b", "e.f"]))).await;
    assert_eq!(kept.0, 200, "{}", kept.1);
    let mut other = wish(json!(["e.f", "a.b"]));
    other["uid"] = json!("other");
    let (status, refused) = call(&world, Method::POST, endpoints, other.clone()).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["detail"].to_string().contains("a.b (archived)"), "{refused}");
    // Whoever is not shown a type cannot ask for it.
    let path = "/api/v1/auth/app-portal-access/acme";
    let (_, portal) = call(&world, Method::POST, path, json!({})).await;
    let token = portal["token"].as_str().unwrap();
    for (types, expected) in [(json!(["c.d"]), 422), (json!(["e.f"]), 201)] {
        other["eventTypes"] = types;
        let (status, answer) =
            world.call_as(token, Method::POST, endpoints, Some(other.clone())).await;
        assert_eq!(status, expected, "{answer}");
    }
    other["uid"] = json!("admins");
    other["eventTypes"] = json!(["c.d"]);
    assert_eq!(call(&world, Method::POST, endpoints, other.clone()).await.0, 201);
    // Brought back, it can be asked for again.
    let again = json!({ "name": "a.b", "description": "" });
    assert_eq!(call(&world, Method::POST, TYPES, again).await.0, 201);
    other["uid"] = json!("late");
    other["eventTypes"] = json!(["a.b"]);
    assert_eq!(call(&world, Method::POST, endpoints, other).await.0, 201);
}

#[tokio::test]
async fn bad_event_types_name_the_place() {
    let world = World::new().await;
    for (body, place) in [
        (json!({ "description": "d" }), "name"),
        (json!({ "name": "a b", "description": "d" }), "name"),
        (json!({ "name": "a" }), "description"),
        (json!({ "name": "a", "description": "d", "retry": "weekly" }), "retry"),
        (json!({ "name": "a", "description": "d", "retry": [-1] }), "retry"),
        (json!({ "name": "a", "description": "d", "featureFlags": [] }), "featureFlags"),
        (
            json!({ "name": "a", "description": "d", "schemas": { "1": { "type": "strange" } } }),
            "schemas",
        ),
        (
            json!({
                "name": "a", "description": "d",
                "schemas": { "1": { "$ref": "https://example.com/x" } },
            }),
            "schemas",
        ),
    ] {
        let (status, refused) = call(&world, Method::POST, TYPES, body).await;
        assert_eq!(status, 422, "{refused}");
        assert!(refused["detail"].to_string().contains(place), "{place} in {refused}");
    }
    let (status, _) =
        call(&world, Method::PUT, &format!("{TYPES}/a%20b"), json!({ "description": "" })).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn pages_go_both_ways_by_name() {
    let world = World::new().await;
    for name in ["c", "a", "-e", "b", "d"] {
        let body = json!({ "name": name, "description": "", "schemas": { "1": {} } });
        assert_eq!(call(&world, Method::POST, TYPES, body).await.0, 201);
    }
    call(&world, Method::DELETE, &format!("{TYPES}/b"), Value::Null).await;
    let sorted = ["-e", "a", "c", "d"];
    for limit in 1..=4 {
        let mut found = Vec::new();
        let mut query = format!("limit={limit}");
        let last = loop {
            let page = world.get(&format!("{TYPES}?{query}")).await;
            found.extend(names(&page).into_iter().map(str::to_owned));
            assert!(page["data"][0]["schemas"].is_null(), "not asked for");
            query = format!("limit={limit}&iterator={}", page["iterator"].as_str().unwrap());
            if page["done"] == true {
                break page;
            }
        };
        assert_eq!(found, sorted, "limit {limit}");
        if limit == 3 {
            let back = last["prevIterator"].as_str().unwrap();
            let page = world.get(&format!("{TYPES}?limit=3&iterator={back}")).await;
            assert_eq!(names(&page), sorted[..3]);
        }
    }
    let page = world.get(&format!("{TYPES}?order=descending&with_content=true")).await;
    assert_eq!(names(&page), ["d", "c", "a", "-e"]);
    assert_eq!(page["data"][0]["schemas"]["1"], json!({}));
}

fn document() -> Value {
    let webhook = |description: &str, schema: Value| {
        json!({ "post": {
            "description": description,
            "requestBody": { "content": { "application/json": { "schema": schema } } },
            "responses": { "200": { "description": "taken" } },
        } })
    };
    json!({
        "openapi": "3.1.0", "info": { "title": "x", "version": "1" },
        "webhooks": {
            "order.paid": webhook("Paid.", json!({ "$ref": "#/components/schemas/Order" })),
            "order.sent": webhook("Sent.", json!({ "type": "object" })),
        },
        "components": { "schemas": { "Order": { "type": "object", "required": ["id"] } } },
    })
}

#[tokio::test]
async fn event_types_are_imported() {
    let world = World::new().await;
    let old = json!({ "name": "old", "description": "" });
    call(&world, Method::POST, TYPES, old).await;
    let path = format!("{TYPES}/import/openapi");
    let (status, dry) =
        call(&world, Method::POST, &path, json!({ "spec": document(), "dryRun": true })).await;
    assert_eq!((status, &dry["data"]["modified"]), (200, &json!([])));
    assert_eq!(dry["data"]["to_modify"].as_array().unwrap().len(), 2);
    assert_eq!(names(&world.get(TYPES).await), ["old"]);
    let raw = json!({ "specRaw": document().to_string(), "replaceAll": true });
    let (status, done) = call(&world, Method::POST, &path, raw).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["data"]["modified"], json!(["order.paid", "order.sent", "old"]));
    assert_eq!(names(&world.get(TYPES).await), ["order.paid", "order.sent"]);
    let paid = world.get(&format!("{TYPES}/order.paid")).await;
    assert_eq!((&paid["description"], &paid["archived"]), (&json!("Paid."), &json!(false)));
    assert!(paid["schemas"]["1"].is_object());
    for wrong in [
        json!({}),
        json!({ "spec": {}, "specRaw": "" }),
        json!({ "spec": { "swagger": "2.0" } }),
        json!({ "specRaw": "\t{" }),
    ] {
        assert_eq!(call(&world, Method::POST, &path, wrong).await.0, 422);
    }
}

async fn page(world: &World, path: &str) -> (StatusCode, Option<String>, String) {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = world.send(request).await;
    let status = response.status();
    let policy = response.headers().get("content-security-policy");
    let policy = policy.map(|value| value.to_str().unwrap().to_owned());
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (status, policy, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn the_catalogue_is_published() {
    let world = World::new().await;
    for body in [
        json!({ "name": "seen", "description": "<script>x</script>" }),
        json!({ "name": "hidden", "description": "", "featureFlags": ["beta"] }),
        json!({ "name": "gone", "description": "", "archived": true }),
    ] {
        call(&world, Method::POST, TYPES, body).await;
    }
    for prefix in ["/catalogue", "/api/v1/becket/event-catalogue"] {
        let (status, policy, text) = page(&world, prefix).await;
        assert_eq!(status, StatusCode::OK);
        assert!(policy.unwrap().starts_with("default-src 'none'"));
        assert!(text.contains("seen") && !text.contains("hidden") && !text.contains("gone"));
        assert!(!text.contains("<script"), "{text}");
        let openapi = world.get(&format!("{prefix}/openapi.json")).await;
        let webhooks = openapi["webhooks"].as_object().unwrap();
        assert_eq!(webhooks.keys().collect::<Vec<_>>(), ["seen"]);
        assert!(world.get(&format!("{prefix}/asyncapi.json")).await["asyncapi"].is_string());
    }
    assert!(page(&world, "/catalogue/style.css").await.2.contains('{'));
    world.control.catalogue_closed.store(true, std::sync::atomic::Ordering::SeqCst);
    for path in ["/catalogue", "/catalogue/openapi.json", "/catalogue/asyncapi.json"] {
        assert_eq!(page(&world, path).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(page(&world, "/api/v1/becket/event-catalogue").await.0, StatusCode::OK);
}

#[tokio::test]
async fn portal_tokens_see_flagged_types_with_the_flag() {
    let world = acme().await;
    for body in [
        json!({ "name": "all", "description": "" }),
        json!({ "name": "few", "description": "", "featureFlags": ["beta"] }),
    ] {
        call(&world, Method::POST, TYPES, body).await;
    }
    for (flags, expected) in [(Value::Null, 1), (json!(["beta"]), 2), (json!(["other"]), 1)] {
        let path = "/api/v1/auth/app-portal-access/acme";
        let (status, portal) =
            call(&world, Method::POST, path, json!({ "featureFlags": flags })).await;
        assert_eq!(status, 200, "{portal}");
        let token = portal["token"].as_str().unwrap();
        let (_, page) = world.call_as(token, Method::GET, TYPES, None).await;
        assert_eq!(names(&page).len(), expected, "{flags}");
        let (status, _) = world.call_as(token, Method::GET, &format!("{TYPES}/few"), None).await;
        assert_eq!(status == StatusCode::OK, expected == 2);
        let (status, _) = world.call_as(token, Method::DELETE, &format!("{TYPES}/all"), None).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
}
