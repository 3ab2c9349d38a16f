//! What belongs to somebody else does not exist: every operation of the document, with every
//! combination of another tenant's ids in its path, is answered as for ids that nobody has.
//!
//! The cases are made from the document that our table makes; two tenants and two applications of one
//! tenant have one of everything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use becket_model::{ApplicationKind, EventRecord, PackedHeaders};
use becket_store::{
    DocumentKind, EventFilter, Owner, Page, QuarantineFilter, QuarantineWrite, Scope, Slice,
};
use http::Method;
use serde_json::{Map, Value, json};

use crate::support::{T0, TOKEN, World};

/// Parameters of paths by name; endpoints by the kind of path they stand in.
type Ids = BTreeMap<&'static str, String>;

/// A tenant, or one application of it, with one of everything.
struct Tenant {
    token: String,
    owner: Owner,
    /// By id, and by the name it was given where it has one.
    by_id: Ids,
    by_name: Ids,
}

/// What nobody has, in the same forms.
fn nobody() -> (Ids, Ids) {
    let none = |prefix: &str, length: usize| format!("{prefix}_{}", "0".repeat(length));
    let by_id = Ids::from([
        ("app_id", none("app", 27)),
        ("source_id", none("src", 22)),
        ("endpoint_id", none("ep", 27)),
        ("ingest endpoint_id", none("ep", 27)),
        ("operational endpoint_id", none("ep", 27)),
        ("msg_id", none("msg", 27)),
        ("event_id", none("msg", 27)),
        ("attempt_id", none("atmpt", 27)),
        ("integ_id", none("integ", 27)),
        ("task_id", none("qtask", 27)),
        ("token_id", none("key", 27)),
        ("number", "999999".to_owned()),
        ("listener_id", "nobody@nowhere".to_owned()),
        ("token", "0".to_owned()),
        ("event_type_name", "nobody.has.this".to_owned()),
    ]);
    let mut by_name = by_id.clone();
    for name in ["app_id", "source_id", "endpoint_id", "ingest endpoint_id", "msg_id"] {
        by_name.insert(name, "nobody-has-this".to_owned());
    }
    by_name.insert("operational endpoint_id", "nobody-has-this".to_owned());
    (by_id, by_name)
}

async fn done(world: &World, token: &str, method: Method, path: &str, body: Value) -> Value {
    let (status, answer) = world.call_as(token, method, path, Some(body)).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Fills a tenant; `mark` makes its names its own.
async fn fill(world: &World, token: &str, owner: Owner, mark: &str) -> Tenant {
    let post = async |path: &str, body: Value| done(world, token, Method::POST, path, body).await;
    let event_type = format!("{mark}.paid");
    let uid = |what: &str| format!("{mark}-{what}");
    let app = post("/api/v1/app", json!({ "name": mark, "uid": uid("app") })).await;
    let app_path = format!("/api/v1/app/{}", text(&app["id"]));
    let endpoint = json!({ "url": "https://example.com/a", "uid": uid("endpoint") });
    let endpoint = post(&format!("{app_path}/endpoint"), endpoint).await;
    post("/api/v1/event-type", json!({ "name": event_type, "description": mark })).await;
    let message =
        json!({ "eventType": event_type, "eventId": uid("msg"), "payload": { "of": mark } });
    let message = post(&format!("{app_path}/msg"), message).await;
    let snapshot = world.store.config_list(owner).await.unwrap();
    let kept = snapshot.endpoints.iter().find(|kept| kept.id.to_string() == endpoint["id"]);
    world.fail_all(kept.unwrap()).await;
    let attempts = format!("{app_path}/attempt/msg/{}", text(&message["id"]));
    let (_, attempts) = world.call_as(token, Method::GET, &attempts, None).await;
    let integration = post(&format!("{app_path}/integration"), json!({ "name": mark })).await;
    let source = json!({ "name": mark, "uid": uid("source"), "type": "github", "config": { "secret": "x".repeat(32) } });
    let source = post("/ingest/api/v1/source", source).await;
    let ingest = format!("/ingest/api/v1/source/{}/endpoint", text(&source["id"]));
    let of_source = json!({ "url": "https://example.com/b", "uid": uid("ingest") });
    let of_source = post(&ingest, of_source).await;
    let operational = json!({ "url": "https://example.com/c", "uid": uid("operational") });
    let operational = post("/api/v1/operational-webhook/endpoint", operational).await;
    let recover = format!("{app_path}/endpoint/{}/recover", text(&endpoint["id"]));
    let task =
        post(&recover, json!({ "since": "2027-01-01T00:00:00Z", "until": "2027-01-02T00:00:00Z" }))
            .await;
    let reader = post("/api/v1/becket/token", json!({ "name": mark, "role": "read_only" })).await;
    let number = quarantined(world, owner).await;
    let listener = json!({ "name": format!("{mark}@laptop"), "sources": [uid("source")] });
    let listener = post("/api/v1/becket/listener", listener).await;
    let by_id = Ids::from([
        ("app_id", text(&app["id"])),
        ("source_id", text(&source["id"])),
        ("endpoint_id", text(&endpoint["id"])),
        ("ingest endpoint_id", text(&of_source["id"])),
        ("operational endpoint_id", text(&operational["id"])),
        ("msg_id", text(&message["id"])),
        ("event_id", text(&message["id"])),
        ("attempt_id", text(&attempts["data"][0]["id"])),
        ("integ_id", text(&integration["id"])),
        ("task_id", text(&task["id"])),
        ("token_id", text(&reader["id"])),
        ("number", number.to_string()),
        ("listener_id", text(&listener["id"])),
        ("token", "1".to_owned()),
        ("event_type_name", event_type),
    ]);
    let mut by_name = by_id.clone();
    for (name, what) in [
        ("app_id", "app"),
        ("source_id", "source"),
        ("endpoint_id", "endpoint"),
        ("ingest endpoint_id", "ingest"),
        ("operational endpoint_id", "operational"),
        ("msg_id", "msg"),
    ] {
        by_name.insert(name, uid(what));
    }
    Tenant { token: token.to_owned(), owner, by_id, by_name }
}

/// Puts a refused request to the tenant's source; its number.
async fn quarantined(world: &World, owner: Owner) -> i64 {
    let snapshot = world.store.config_list(owner).await.unwrap();
    let source = snapshot.applications.iter().rfind(|known| known.kind == ApplicationKind::Source);
    let source = source.unwrap().key;
    let mut packed = PackedHeaders::with_capacity(16);
    packed.push(EventRecord::METHOD, b"POST");
    let refused = QuarantineWrite {
        received_at_ms: T0,
        code: "stale".to_owned(),
        reason: "too old".to_owned(),
        status: 401,
        record: EventRecord::from_packed(packed.finish(b"x")).unwrap(),
    };
    assert!(world.store.quarantine_put(Scope::of(owner, source), refused).await.unwrap());
    world.store.quarantine_list(Scope::all(owner), QuarantineFilter::default(), 1).await.unwrap()[0]
        .number
}

/// Everything an owner has, as text.
async fn snapshot(world: &World, owner: Owner) -> String {
    let (store, scope) = (&world.store, Scope::all(owner));
    let mut all = format!("{:#?}\n", store.config_list(owner).await.unwrap());
    let events =
        store.event_list(scope, EventFilter::default(), Page::newest(1_000)).await.unwrap();
    for event in &events {
        let record = store.event_record(scope, event.id).await.unwrap();
        let attempts = store.attempt_list(scope, event.id).await.unwrap();
        writeln!(all, "{event:#?}\n{record:?}\n{attempts:#?}").unwrap();
    }
    let applications = store.config_list(owner).await.unwrap().applications;
    let places = applications.iter().map(|known| Some(known.key)).chain([None]);
    for place in places {
        for kind in DocumentKind::ALL {
            let slice = Slice::oldest(1_000);
            let found = store.document_list(owner, kind, place, slice, T0).await.unwrap();
            writeln!(all, "{found:#?}").unwrap();
        }
    }
    all
}

/// What the operator's own token alone may do: a tenant's admin is refused before anything is looked for.
const OPERATORS: [&str; 1] = ["becket.quarantine.release"];

/// An operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The parameters of its path, by the key under which [`Ids`] has them.
    parameters: Vec<&'static str>,
    body: Option<Value>,
}

/// Under which key a parameter of a path is found.
fn key_of(path: &str, name: &str) -> &'static str {
    let ingest = path.starts_with("/ingest/");
    let operational = path.contains("/operational-webhook/");
    match name {
        "endpoint_id" if ingest => "ingest endpoint_id",
        "endpoint_id" if operational => "operational endpoint_id",
        name => {
            let (known, _) = nobody();
            known.into_keys().find(|key| *key == name).unwrap_or_else(|| panic!("{name} of {path}"))
        }
    }
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&becket_api::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // The catalogue of providers is the same for every tenant.
            if !path.contains('{') || path.starts_with("/api/v1/becket/provider/") {
                continue;
            }
            let names = path.split('{').skip(1).map(|part| part.split('}').next().unwrap());
            let parameters: Vec<&'static str> = names.map(|name| key_of(path, name)).collect();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            operations.push(Operation {
                id: text(&operation["operationId"]),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                parameters,
                body: schema.is_object().then(|| sample(&document, schema, "")),
            });
        }
    }
    operations
}

/// A small body that fits a schema.
fn sample(document: &Value, schema: &Value, name: &str) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(document, document.pointer(&reference[1..]).unwrap(), name);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match name {
        "url" => return json!("https://example.com/sample"),
        "since" => return json!("2026-01-01T00:00:00Z"),
        "until" => return json!("2026-01-02T00:00:00Z"),
        "code" => return json!("function handler(webhook) { return webhook }"),
        _ => {}
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(first) = schema[several].get(0) {
            let mut one = sample(document, first, name);
            let shared = sample_object(document, schema);
            if let (Some(one), false) = (one.as_object_mut(), shared.is_empty()) {
                one.extend(shared);
            }
            return one;
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or_default();
            (0..least).map(|_| sample(document, &schema["items"], "")).collect()
        }
        "string" => json!("sample"),
        "integer" | "number" => schema["minimum"].as_i64().unwrap_or_default().into(),
        "boolean" => json!(false),
        _ => Value::Object(sample_object(document, schema)),
    }
}

fn sample_object(document: &Value, schema: &Value) -> Map<String, Value> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required
        .map(|name| (name.to_owned(), sample(document, &schema["properties"][name], name)))
        .collect()
}

/// Asks for an operation with these ids; the answer with the ids of `masked` parameters hidden.
async fn ask(
    world: &World,
    token: &str,
    operation: &Operation,
    ids: &[(&'static str, String)],
    masked: &[&str],
) -> (u16, String) {
    let mut path = operation.path.clone();
    for (key, id) in ids {
        let name = key.rsplit(' ').next().unwrap();
        path = path.replace(&format!("{{{name}}}"), id);
    }
    let method = operation.method.clone();
    let (status, body) = world.call_as(token, method, &path, operation.body.clone()).await;
    let mut body = body.to_string();
    for (_, id) in ids.iter().filter(|(key, _)| masked.contains(key)) {
        body = body.replace(&format!("`{id}`"), "`MASKED`");
    }
    (status.as_u16(), body)
}

/// Whether an answer other than 404 is right: making something of one's own under a name that
/// somebody else happens to use.
fn makes_own(operation: &Operation, swapped: &[&str], named: bool) -> bool {
    let last = operation.parameters.last().copied().unwrap_or_default();
    let by_name = named || last == "event_type_name";
    operation.method == Method::PUT && by_name && swapped == [last] && operation.path.ends_with('}')
}

/// Asks with every combination of somebody else's ids; how many cases there were.
async fn cross(
    world: &World,
    token: &str,
    own: &Tenant,
    other: &Tenant,
    exactly_404: bool,
) -> usize {
    let (no_id, no_name) = nobody();
    let forms =
        [(false, &own.by_id, &other.by_id, &no_id), (true, &own.by_name, &other.by_name, &no_name)];
    let mut cases = 0;
    for operation in operations() {
        let parameters = &operation.parameters;
        for (named, own, other, nobody) in forms {
            if named && parameters.iter().all(|key| other[key] == forms[0].2[key]) {
                continue;
            }
            for combination in 1..1_u32 << parameters.len() {
                let chosen = |at: usize| combination >> at & 1 == 1;
                let pick = |from: &Ids| -> Vec<(&'static str, String)> {
                    let each = parameters.iter().enumerate();
                    each.map(|(at, key)| {
                        let ids = if chosen(at) { from } else { own };
                        (*key, ids[key].clone())
                    })
                    .collect()
                };
                let swapped: Vec<&str> = (0..parameters.len())
                    .filter(|at| chosen(*at))
                    .map(|at| parameters[at])
                    .collect();
                if makes_own(&operation, &swapped, named) {
                    continue;
                }
                let (foreign, absent) = (pick(other), pick(nobody));
                let found = ask(world, token, &operation, &foreign, &swapped).await;
                let expected = ask(world, token, &operation, &absent, &swapped).await;
                let what = format!("{} with {swapped:?} of others, named: {named}", operation.id);
                assert_eq!(found, expected, "{what}");
                if OPERATORS.contains(&operation.id.as_str()) {
                    assert_eq!(found.0, 403, "{what}: {}", found.1);
                } else if exactly_404 {
                    assert_eq!(found.0, 404, "{what}: {}", found.1);
                } else {
                    assert!([403, 404].contains(&found.0), "{what}: {} {}", found.0, found.1);
                }
                cases += 1;
            }
        }
    }
    cases
}

/// A tenant made through the API, whose token rules nothing beyond it.
async fn tenant(world: &World, mark: &str) -> Tenant {
    let made = world.post("/api/v1/becket/environment", json!({ "name": mark })).await.1;
    let number = u32::try_from(made["number"].as_u64().unwrap()).unwrap();
    let token = text(&made["adminToken"]["token"]);
    fill(world, &token, Owner::new(number), mark).await
}

#[tokio::test]
async fn another_tenants_ids_are_answered_like_ids_that_nobody_has() {
    let world = World::new().await;
    let one = tenant(&world, "one").await;
    let two = tenant(&world, "two").await;
    // Tasks of the set-up come to their end before anything is compared.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let before = (snapshot(&world, one.owner).await, snapshot(&world, two.owner).await);
    let forth = cross(&world, &one.token, &one, &two, true).await;
    let back = cross(&world, &two.token, &two, &one, true).await;
    let after = (snapshot(&world, one.owner).await, snapshot(&world, two.owner).await);
    assert!(before == after, "something was changed");
    println!("{} cases between tenants", forth + back);
    assert!(forth + back >= 300, "{forth} and {back} cases");
}

#[tokio::test]
async fn a_portal_token_sees_no_other_application() {
    let world = World::new().await;
    let one = tenant(&world, "one").await;
    // Another customer of the same tenant, and another tenant.
    let neighbour = fill(&world, &one.token, one.owner, "next").await;
    let two = tenant(&world, "two").await;
    let path = format!("/api/v1/auth/app-portal-access/{}", one.by_id["app_id"]);
    let access = done(&world, &one.token, Method::POST, &path, json!({})).await;
    let portal = text(&access["token"]);
    let path = format!("/ingest/api/v1/source/{}/dashboard", one.by_id["source_id"]);
    let of_source = done(&world, &one.token, Method::POST, &path, json!({})).await;
    let of_source = text(&of_source["token"]);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let before = (snapshot(&world, one.owner).await, snapshot(&world, two.owner).await);
    let mut cases = 0;
    for token in [&portal, &of_source] {
        // Event types belong to the tenant, so a neighbour's are one's own.
        let mut beside = Tenant {
            by_id: neighbour.by_id.clone(),
            by_name: neighbour.by_name.clone(),
            token: String::new(),
            owner: one.owner,
        };
        for ids in [&mut beside.by_id, &mut beside.by_name] {
            ids.insert("event_type_name", two.by_id["event_type_name"].clone());
        }
        cases += cross(&world, token, &one, &beside, false).await;
        cases += cross(&world, token, &one, &two, false).await;
    }
    let after = (snapshot(&world, one.owner).await, snapshot(&world, two.owner).await);
    assert!(before == after, "something was changed");
    // The application's own token reaches nothing of the source, and the other way round.
    let app = format!("/api/v1/app/{}", one.by_id["app_id"]);
    let source = format!("/ingest/api/v1/source/{}", one.by_id["source_id"]);
    for (token, path, status) in [
        (&portal, &app, 200),
        (&portal, &source, 404),
        (&of_source, &app, 404),
        (&of_source, &source, 200),
    ] {
        let path = format!("{path}/endpoint");
        assert_eq!(world.call_as(token, Method::GET, &path, None).await.0, status, "{path}");
    }
    println!("{cases} cases with portal tokens");
    assert!(cases >= 300, "{cases}");
}

#[tokio::test]
async fn names_in_queries_and_bodies_reach_no_further() {
    let world = World::new().await;
    let one = tenant(&world, "one").await;
    let two = tenant(&world, "two").await;
    let before = snapshot(&world, two.owner).await;
    for theirs in [&two.by_id, &two.by_name] {
        let (app, source) = (&theirs["app_id"], &theirs["source_id"]);
        let (endpoint, event) = (&theirs["endpoint_id"], &theirs["event_id"]);
        for path in [
            format!("/api/v1/becket/event?source={source}"),
            format!("/api/v1/becket/event?endpoint={endpoint}"),
            format!("/api/v1/becket/attempt?event={event}"),
            format!("/api/v1/becket/quarantine?source={source}"),
            format!("/api/v1/becket/tail?source={source}&wait_ms=0"),
            format!("/api/v1/becket/token?application={app}"),
        ] {
            let (status, body) = world.call_as(&one.token, Method::GET, &path, None).await;
            assert_eq!(status, 404, "{path}: {body}");
        }
        let since = "2026-01-01T00:00:00Z";
        for (path, body, expected) in [
            ("/api/v1/becket/replay", json!({ "source": source, "since": since }), 404),
            ("/api/v1/becket/replay", json!({ "endpoint": endpoint, "since": since }), 404),
            ("/api/v1/becket/quarantine/retry", json!({ "source": source }), 404),
            ("/api/v1/becket/listener", json!({ "name": "x", "sources": [source] }), 404),
            (
                "/api/v1/becket/token",
                json!({ "name": "x", "role": "portal", "application": app }),
                404,
            ),
        ] {
            let (status, body) = world.call_as(&one.token, Method::POST, path, Some(body)).await;
            assert_eq!(status, expected, "{path}: {body}");
        }
        let own = &one.by_id["app_id"];
        let path = format!("/api/v1/app/{own}/msg/bulk-expunge");
        let body = json!({ "ids": [two.by_id["msg_id"]] });
        world.call_as(&one.token, Method::POST, &path, Some(body)).await;
        let body = json!({ "since": since, "until": "2026-01-02T00:00:00Z", "appIds": [app] });
        let path = "/api/v1/stats/usage/app";
        let (status, refused) =
            world.call_as(&one.token, Method::POST, path, Some(body.clone())).await;
        assert_eq!(status, 422, "nothing is left to count: {refused}");
        let body = json!({ "appIds": [app, own], "since": since, "until": body["until"] });
        let counted = done(&world, &one.token, Method::POST, path, body).await;
        assert_eq!(counted["unresolvedAppIds"], json!([app]));
    }
    // Lists show one's own only.
    for path in [
        "/api/v1/app",
        "/api/v1/event-type",
        "/api/v1/operational-webhook/endpoint",
        "/ingest/api/v1/source",
        "/api/v1/background-task",
        "/api/v1/becket/event",
        "/api/v1/becket/attempt",
        "/api/v1/becket/source",
        "/api/v1/becket/endpoint",
        "/api/v1/becket/token",
        "/api/v1/becket/quarantine",
        "/api/v1/becket/listener",
    ] {
        let (status, body) = world.call_as(&one.token, Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}");
        assert!(!body["data"].as_array().unwrap().is_empty(), "{path}");
        let body = body.to_string();
        for id in two.by_id.values().filter(|id| id.len() > 20) {
            assert!(!body.contains(id.as_str()), "{path} shows {id}");
        }
    }
    let (_, export) =
        world.call_as(&one.token, Method::POST, "/api/v1/environment/export", None).await;
    assert!(!export.to_string().contains("two.paid"));
    assert!(before == snapshot(&world, two.owner).await, "something was changed");
    // The operator is somebody else too.
    let path = format!("/api/v1/app/{}", one.by_id["app_id"]);
    assert_eq!(world.call_as(TOKEN, Method::GET, &path, None).await.0, 404);
}

#[tokio::test]
async fn a_tenant_is_not_told_what_the_whole_store_holds() {
    let world = World::new().await;
    let one = tenant(&world, "one").await;
    let whole = ["events", "deliveriesPending", "bytes", "segments", "quarantined"];
    let told = world.call_as(&one.token, Method::GET, "/api/v1/becket/stats", None).await.1;
    for name in whole {
        assert!(told[name].is_null(), "{name}: {told}");
    }
    assert!(told["sources"].is_u64() && told["accepting"] == true, "{told}");
    let told = world.get("/api/v1/becket/stats").await;
    for name in whole {
        assert!(told[name].is_u64(), "{name}: {told}");
    }
}
