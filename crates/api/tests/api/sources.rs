//! Sources that the API makes, and their endpoints.

use http::Method;
use serde_json::{Value, json};

use crate::support::{OTHER_TOKEN, TOKEN, World};

const SOURCES: &str = "/ingest/api/v1/source";

async fn call(world: &World, method: &str, path: &str, body: Value) -> (u16, Value) {
    let method: Method = method.parse().unwrap();
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = world.call_as(TOKEN, method, path, body).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn sources_are_made_shown_changed_and_removed() {
    let world = World::new().await;
    let body = json!({
        "name": "Shop", "uid": "shop", "type": "github",
        "config": { "secret": "very hidden" }, "metadata": { "team": "blue" },
    });
    let (status, made) = call(&world, "POST", SOURCES, body.clone()).await;
    assert_eq!((status, &made["uid"], &made["type"]), (201, &json!("shop"), &json!("github")));
    assert_eq!((&made["config"], &made["metadata"]), (&json!({}), &json!({ "team": "blue" })));
    assert!(!made.to_string().contains("very hidden"));
    let url = made["ingestUrl"].as_str().unwrap();
    assert!(url.rsplit('/').next().unwrap().len() >= 32, "{url}");
    let (status, answer) = call(&world, "POST", SOURCES, body.clone()).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    let id = made["id"].as_str().unwrap();
    for name in [id, "shop"] {
        assert_eq!(world.get(&format!("{SOURCES}/{name}")).await, made);
    }
    assert_eq!(world.walk(SOURCES, 1).await.len(), 3);
    assert_eq!(world.walk(&format!("{SOURCES}?order=descending"), 2).await[0], id);
    // PUT changes it and leaves its URL and, since the path has it, its uid.
    let mut changed = json!({ "name": "Store", "type": "generic-webhook" });
    let path = format!("{SOURCES}/shop");
    let (status, store) = call(&world, "PUT", &path, changed.clone()).await;
    assert_eq!((status, &store["name"], &store["uid"]), (200, &json!("Store"), &json!("shop")));
    assert_eq!(
        (&store["ingestUrl"], &store["type"]),
        (&made["ingestUrl"], &json!("generic-webhook"))
    );
    assert_eq!(store["metadata"], json!({}));
    let told = world.control.applications.lock().unwrap().clone();
    assert_eq!(told.last().unwrap().settings.provider, "none");
    changed["uid"] = json!("new");
    let (status, new) = call(&world, "PUT", &format!("{SOURCES}/new"), changed.clone()).await;
    assert_eq!((status, &new["uid"]), (201, &json!("new")));
    let (status, _) = call(&world, "PUT", &format!("{SOURCES}/{id}"), changed).await;
    assert_eq!(status, 409, "the uid is taken");
    assert_eq!(call(&world, "DELETE", &path, Value::Null).await.0, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(call(&world, method, &path, Value::Null).await.0, 404);
    }
    assert_eq!(call(&world, "POST", SOURCES, body).await.0, 201, "the uid is free again");
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused() {
    let world = World::new().await;
    let source =
        |kind: &str, config: Value| json!({ "name": "It", "type": kind, "config": config });
    for (body, code) in [
        (source("cron", json!({ "schedule": "* * * * *", "payload": "{}" })), "source_invalid"),
        (source("vgs", json!({ "secret": "hidden value" })), "source_invalid"),
        (source("svix", json!({ "secret": "hidden value!" })), "source_invalid"),
        (source("github", json!({ "secret": 7 })), "bad_body"),
        (source("unheard-of", json!({})), "bad_body"),
        (json!({ "name": "x", "type": "generic-webhook" }), "bad_body"),
        (json!({ "name": "It", "uid": "src_x", "type": "generic-webhook" }), "bad_body"),
        (json!({ "type": "generic-webhook" }), "bad_body"),
    ] {
        let (status, answer) = call(&world, "POST", SOURCES, body.clone()).await;
        assert_eq!((status, answer["code"].as_str()), (422, Some(code)), "{body} {answer}");
        assert!(!answer.to_string().contains("hidden value"), "{answer}");
    }
    assert_eq!(world.walk(SOURCES, 10).await.len(), 2);
    for (path, status) in [("src_0000000000000000000000", 404), ("no.uid", 422)] {
        let body = json!({ "name": "It", "type": "generic-webhook" });
        assert_eq!(call(&world, "PUT", &format!("{SOURCES}/{path}"), body).await.0, status);
    }
}

#[tokio::test]
async fn receiving_urls_rotate_three_times_in_48_hours() {
    let world = World::new().await;
    let body = json!({ "name": "It", "uid": "it", "type": "generic-webhook" });
    let (_, made) = call(&world, "POST", SOURCES, body).await;
    let rotate = format!("{SOURCES}/it/token/rotate");
    let mut urls = vec![made["ingestUrl"].clone()];
    for _ in 0..3 {
        let (status, answer) = call(&world, "POST", &rotate, Value::Null).await;
        assert_eq!(status, 200);
        assert!(!urls.contains(&answer["ingestUrl"]), "{answer}");
        urls.push(answer["ingestUrl"].clone());
        world.pass_ms(3_600_000);
    }
    let (status, answer) = call(&world, "POST", &rotate, Value::Null).await;
    assert_eq!((status, &answer["code"]), (429, &json!("limit_reached")));
    assert_eq!(world.get(&format!("{SOURCES}/it")).await["ingestUrl"], urls[3]);
    world.pass_ms(45 * 3_600_000);
    assert_eq!(call(&world, "POST", &rotate, Value::Null).await.0, 200);
    assert_eq!(
        call(&world, "POST", &format!("{SOURCES}/alpha/token/rotate"), Value::Null).await.0,
        409
    );
    assert_eq!(
        call(&world, "POST", &format!("{SOURCES}/nobody/token/rotate"), Value::Null).await.0,
        404
    );
}

#[tokio::test]
async fn what_the_file_declares_stays() {
    let world = World::new().await;
    let source = json!({ "name": "Alpha", "type": "generic-webhook" });
    let endpoint = json!({ "url": "https://example.com/" });
    for (method, path, body) in [
        ("PUT", "alpha", source),
        ("DELETE", "alpha", Value::Null),
        ("PUT", "alpha/endpoint/app", endpoint.clone()),
        ("DELETE", "alpha/endpoint/app", Value::Null),
        ("PUT", "alpha/endpoint/app/headers", json!({ "headers": {} })),
        ("PATCH", "alpha/endpoint/app/transformation", json!({ "enabled": true })),
    ] {
        let (status, answer) = call(&world, method, &format!("{SOURCES}/{path}"), body).await;
        assert_eq!((status, &answer["code"]), (409, &json!("declared")), "{method} {path}");
    }
    // An endpoint of the API may stand beside those of the file.
    let (status, made) = call(&world, "POST", &format!("{SOURCES}/alpha/endpoint"), endpoint).await;
    assert_eq!(status, 201);
    let path = format!("{SOURCES}/alpha/endpoint/{}", made["id"].as_str().unwrap());
    assert_eq!(call(&world, "DELETE", &path, Value::Null).await.0, 204);
}

#[tokio::test]
async fn another_owner_sees_no_source() {
    let world = World::new().await;
    let body = json!({ "name": "It", "uid": "it", "type": "generic-webhook" });
    let (_, made) = call(&world, "POST", SOURCES, body.clone()).await;
    let id = made["id"].as_str().unwrap();
    for (method, rest) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::PUT, ""),
        (Method::POST, "/token/rotate"),
        (Method::GET, "/endpoint"),
    ] {
        let given = (method == Method::PUT).then(|| body.clone());
        let path = format!("{SOURCES}/{id}{rest}");
        let (status, _) = world.call_as(OTHER_TOKEN, method.clone(), &path, given).await;
        assert_eq!(status.as_u16(), 404, "{method} {path}");
    }
    let (_, theirs) = world.call_as(OTHER_TOKEN, Method::GET, SOURCES, None).await;
    assert!(!theirs.to_string().contains(id));
}

#[tokio::test]
async fn a_source_can_be_named_where_an_application_can() {
    let world = World::new().await;
    let of_source = world.get(&format!("{SOURCES}/alpha/endpoint")).await;
    assert_eq!(world.get("/api/v1/app/alpha/endpoint?order=ascending").await, of_source);
    let app = json!({ "name": "Alpha", "uid": "alpha" });
    assert_eq!(call(&world, "POST", "/api/v1/app", app).await.0, 201);
    assert_eq!(world.get("/api/v1/app/alpha/endpoint").await["data"], json!([]));
    let nulls = json!({ "name": "It", "uid": null, "metadata": null, "type": "generic-webhook" });
    assert_eq!(call(&world, "POST", SOURCES, nulls).await.0, 201);
}

const OURS: &str = "/api/v1/becket/source";

#[tokio::test]
async fn rules_are_stored_as_given_and_survive_a_put() {
    let world = World::new().await;
    let body = json!({ "provider": "github", "name": "It", "uid": "it", "secrets": ["hidden"] });
    let (status, made) = call(&world, "POST", OURS, body.clone()).await;
    assert_eq!((status, &made["name"], &made["provider"]), (201, &json!("It"), &json!("github")));
    assert!(!made.to_string().contains("hidden"));
    assert_eq!(call(&world, "POST", OURS, body).await.0, 409);
    let rules = || {
        let told = world.control.applications.lock().unwrap().last().cloned().unwrap();
        told.settings.rules.map(|rules| *rules).unwrap_or_default()
    };
    let path = format!("{OURS}/it");
    let wanted = json!({
        "rateLimit": { "count": 7, "periodMs": 60_000 }, "required": ["a"], "onInvalid": "accept",
        "dedupe": { "windowMs": 1_000 }, "schema": { "const": null },
    });
    assert_eq!(call(&world, "PATCH", &path, wanted).await.0, 200);
    let (status, _) = call(&world, "PATCH", &path, json!({ "dedupe": { "enabled": false } })).await;
    assert_eq!(status, 200);
    let kept = rules();
    assert_eq!(kept.rate.unwrap().to_string(), "7/min");
    assert_eq!((kept.dedupe_enabled, kept.dedupe_window_ms), (Some(false), Some(1_000)));
    assert_eq!((kept.accept_invalid, kept.schema), (true, Some(json!({ "const": null }))));
    // The specification does not know rules, so a PUT of its own does not mean to change them.
    let put = json!({ "name": "It", "type": "github", "config": { "secret": "other" } });
    assert_eq!(call(&world, "PUT", &format!("{SOURCES}/it"), put).await.0, 200);
    assert_eq!(rules().required, ["a"]);
    // Null puts all of it back.
    let nothing = json!({
        "rateLimit": null, "required": null, "onInvalid": null, "dedupe": null, "schema": null,
    });
    assert_eq!(call(&world, "PATCH", &path, nothing).await.0, 200);
    assert_eq!(rules(), becket_model::SourceRules::default());
    // What is wrong is named where it is.
    let (status, answer) =
        call(&world, "PATCH", &path, json!({ "rateLimit": { "count": 1, "periodMs": 5 } })).await;
    assert_eq!(status, 422);
    assert!(answer["detail"][0]["loc"].to_string().contains("rateLimit"), "{answer}");
}

#[tokio::test]
async fn replaced_secrets_go_on_as_long_as_is_said() {
    let world = World::new().await;
    let body = json!({ "provider": "github", "name": "It", "uid": "it", "secrets": ["first-one"] });
    assert_eq!(call(&world, "POST", OURS, body).await.0, 201);
    let path = format!("{OURS}/it/credentials");
    let stored = || {
        let told = world.control.applications.lock().unwrap().last().cloned().unwrap();
        told.credentials
    };
    let before = stored();
    let body = json!({ "secrets": ["second-one"], "keepOldMs": 60_000 });
    let (status, shown) = call(&world, "PUT", &path, body).await;
    assert_eq!(status, 200, "{shown}");
    assert_ne!(stored(), before);
    assert!(!shown.to_string().contains("-one"), "{shown}");
    for wrong in [
        json!({ "secrets": [""] }),
        json!({ "keepOldMs": 99_999_999_999_u64 }),
        json!({ "unknown": 1 }),
        json!({ "secrets": vec!["x"; 11] }),
    ] {
        assert_eq!(call(&world, "PUT", &path, wrong.clone()).await.0, 422, "{wrong}");
    }
    let declared = format!("{OURS}/alpha/credentials");
    let (status, answer) = call(&world, "PUT", &declared, json!({ "secrets": ["x"] })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("declared")));
}

#[tokio::test]
async fn a_test_request_is_told_with_what_came_of_it() {
    let world = World::new().await;
    let body = json!({ "provider": "telnyx", "name": "It", "uid": "it", "publicKey": "MCowBQYDK2VwAyEAzbwZb7Jhy1Bs3uFr6RFF7pjy4QEW9+r4wbhDnIUZZyk=" });
    let (status, made) = call(&world, "POST", OURS, body).await;
    assert_eq!(status, 201, "{made}");
    let (status, answer) = call(&world, "POST", &format!("{OURS}/it/test"), json!({})).await;
    assert_eq!((status, &answer["code"]), (422, &json!("cannot_sign")));
    let body = json!({ "body": "{}", "eventType": "push" });
    let (status, answer) = call(&world, "POST", &format!("{OURS}/alpha/test"), body).await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("accepted")), "{answer}");
    assert_eq!(answer["request"]["bodyText"], json!("{}"));
}
