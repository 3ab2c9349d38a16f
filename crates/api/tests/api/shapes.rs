//! Every answer has the shape that the OpenAPI document promises, and where the specification has
//! the operation, its shape too.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{self, World};

/// What our document and the specification promise.
pub struct Shapes {
    ours: Value,
    specification: Value,
}

impl Shapes {
    pub fn load() -> Self {
        let specification = include_str!("data/specification.json");
        Self {
            ours: serde_json::from_str(&becket_api::openapi_document()).unwrap(),
            specification: serde_json::from_str(specification).unwrap(),
        }
    }

    /// Checks the answer of an operation, by its id.
    pub fn check(&self, operation: &str, status: StatusCode, body: &Value) {
        let (_, found) = self.operation(operation);
        let answer = &found["responses"][status.as_str()];
        assert!(answer.is_object(), "{operation} answered {status} {body}");
        if let Some(content) = answer["content"].as_object() {
            let schema = &content.values().next().unwrap()["schema"];
            let text = schema.to_string().replace("#/components/schemas/", "#/$defs/");
            let mut schema: Value = serde_json::from_str(&text).unwrap();
            let defs = self.ours["components"]["schemas"].to_string();
            let defs = defs.replace("#/components/schemas/", "#/$defs/");
            schema["$defs"] = serde_json::from_str(&defs).unwrap();
            validate(&schema, body, operation);
        }
        let Some(known) = self.specification["operations"].get(operation) else { return };
        assert_eq!(known["status"], status.as_u16(), "{operation}");
        match known["schema"].as_str() {
            Some(name) => self.check_specification(name, body, operation),
            None => assert_eq!(*body, Value::Null, "{operation}"),
        }
    }

    fn check_specification(&self, name: &str, body: &Value, what: &str) {
        let schema = json!({
            "$ref": format!("#/$defs/{name}"),
            "$defs": self.specification["$defs"],
        });
        validate(&schema, body, what);
    }

    fn operation(&self, id: &str) -> (String, &Value) {
        for (path, methods) in self.ours["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation["operationId"] == id {
                    return (format!("{method} {path}"), operation);
                }
            }
        }
        panic!("no operation {id}");
    }
}

fn validate(schema: &Value, body: &Value, what: &str) {
    let validator = jsonschema::draft202012::options().build(schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{body:#}");
}

#[tokio::test]
async fn every_answer_has_its_shape() {
    let shapes = Shapes::load();
    let world = World::new().await;
    let event = world.accept(support::Wish { delivery_id: Some("first-1"), ..world.push(1) }).await;
    world.fail_all(&world.app).await;
    world.accept(support::Wish { delivery_id: Some("first-1"), ..world.push(2) }).await;
    let form = support::Wish {
        source: &world.beta,
        to: vec![&world.beta_app],
        event_type: None,
        body: b"a=1&b=2",
        ..world.push(3)
    };
    world.accept(form).await;
    world
        .attempt_all(
            &world.beta_app,
            becket_model::NextStep::RetryAt(support::T0 + 9_000_000),
            None,
        )
        .await;
    world.refuse(&world.alpha, "signature_mismatch").await;
    let (app, endpoint) = (world.alpha.id.source(), world.app.id);
    let attempts = world.walk(&format!("/api/v1/becket/attempt?event={event}"), 10).await;
    let attempt = &attempts[0];
    let number = &world.walk("/api/v1/becket/quarantine", 10).await[0];
    let ingest = format!("/ingest/api/v1/source/{app}/endpoint/{endpoint}");
    for (operation, path) in [
        ("v1.ingest.source.list", "/ingest/api/v1/source".to_owned()),
        ("v1.ingest.source.get", "/ingest/api/v1/source/alpha".to_owned()),
        ("v1.ingest.source.get", "/ingest/api/v1/source/beta".to_owned()),
        ("v1.ingest.endpoint.list", "/ingest/api/v1/source/alpha/endpoint".to_owned()),
        ("v1.ingest.endpoint.get", ingest.clone()),
        ("v1.ingest.endpoint.get-headers", format!("{ingest}/headers")),
        ("v1.ingest.endpoint.get-secret", format!("{ingest}/secret")),
        ("v1.message.list", "/api/v1/app/alpha/msg".to_owned()),
        ("v1.message.list", format!("/api/v1/app/{app}/msg?with_content=false")),
        ("v1.message.list", "/api/v1/app/beta/msg".to_owned()),
        ("v1.message.get", format!("/api/v1/app/{app}/msg/{event}")),
        ("v1.message.get", "/api/v1/app/alpha/msg/first-1".to_owned()),
        ("v1.message-attempt.list-by-msg", format!("/api/v1/app/{app}/attempt/msg/{event}")),
        (
            "v1.message-attempt.list-by-endpoint",
            format!("/api/v1/app/{app}/attempt/endpoint/app?with_msg=true"),
        ),
        ("v1.message-attempt.list-by-endpoint", "/api/v1/app/beta/attempt/endpoint/app".to_owned()),
        ("v1.message-attempt.get", format!("/api/v1/app/{app}/msg/{event}/attempt/{attempt}")),
        (
            "v1.message-attempt.list-attempted-destinations",
            format!("/api/v1/app/{app}/msg/{event}/endpoint"),
        ),
        (
            "v1.message-attempt.list-attempted-messages",
            "/api/v1/app/alpha/endpoint/app/msg".to_owned(),
        ),
        ("v1.background-task.list", "/api/v1/background-task".to_owned()),
        ("v1.health.get", "/api/v1/health".to_owned()),
        ("becket.openapi", "/api/v1/openapi.json".to_owned()),
        ("becket.event.list", "/api/v1/becket/event".to_owned()),
        ("becket.event.get", format!("/api/v1/becket/event/{event}")),
        ("becket.event.explain", format!("/api/v1/becket/event/{event}/explain")),
        ("becket.attempt.list", "/api/v1/becket/attempt".to_owned()),
        ("becket.attempt.get", format!("/api/v1/becket/attempt/{attempt}")),
        ("becket.source.list", "/api/v1/becket/source".to_owned()),
        ("becket.source.get", "/api/v1/becket/source/beta".to_owned()),
        ("becket.endpoint.list", "/api/v1/becket/endpoint".to_owned()),
        ("becket.endpoint.get", format!("/api/v1/becket/endpoint/{endpoint}")),
        ("becket.endpoint.filter.get", format!("/api/v1/becket/endpoint/{endpoint}/filter")),
        ("becket.quarantine.list", "/api/v1/becket/quarantine".to_owned()),
        ("becket.quarantine.get", format!("/api/v1/becket/quarantine/{number}")),
        ("becket.listener.list", "/api/v1/becket/listener".to_owned()),
        ("becket.stats", "/api/v1/becket/stats".to_owned()),
        ("becket.node.list", "/api/v1/becket/nodes".to_owned()),
        ("becket.provider.list", "/api/v1/becket/provider".to_owned()),
        ("becket.provider.get", "/api/v1/becket/provider/github".to_owned()),
        ("becket.tail", format!("/api/v1/becket/tail?after={event}")),
    ] {
        let (status, body) = world.call_as(support::TOKEN, Method::GET, &path, None).await;
        shapes.check(operation, status, &body);
    }
}

#[tokio::test]
async fn every_change_answers_with_its_shape() {
    let shapes = Shapes::load();
    let world = World::new().await;
    let event = world.accept(world.push(1)).await;
    world.fail_all(&world.app).await;
    for _ in 0..3 {
        world.refuse(&world.alpha, "signature_mismatch").await;
    }
    let refused = world.walk("/api/v1/becket/quarantine", 10).await;
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    let task = |name: &str| format!("/api/v1/app/alpha/endpoint/app/{name}");
    let ours = |name: &str| format!("/api/v1/becket/endpoint/alpha%2Fapp/{name}");
    for (operation, path, body) in [
        (
            "v1.ingest.endpoint.rotate-secret",
            "/ingest/api/v1/source/alpha/endpoint/app/secret/rotate".to_owned(),
            json!({}),
        ),
        (
            "v1.message-attempt.resend",
            format!("/api/v1/app/alpha/msg/{event}/endpoint/app/resend"),
            json!({}),
        ),
        ("v1.endpoint.recover", task("recover"), since.clone()),
        ("v1.endpoint.replay-missing", task("replay-missing"), since),
        ("becket.event.replay", format!("/api/v1/becket/event/{event}/replay"), json!({})),
        (
            "becket.replay",
            "/api/v1/becket/replay".to_owned(),
            json!({ "source": "alpha", "since": "2026-01-01T00:00:00Z", "dryRun": true }),
        ),
        (
            "becket.quarantine.retry-many",
            "/api/v1/becket/quarantine/retry".to_owned(),
            json!({ "source": "alpha", "limit": 1 }),
        ),
        (
            "becket.quarantine.retry",
            format!("/api/v1/becket/quarantine/{}/retry", refused[1]),
            json!({}),
        ),
        (
            "becket.quarantine.release",
            format!("/api/v1/becket/quarantine/{}/release", refused[0]),
            json!({ "reason": "the sender is known" }),
        ),
        (
            "becket.listener.make",
            "/api/v1/becket/listener".to_owned(),
            json!({ "name": "ann@laptop", "sources": ["alpha"], "eventTypes": ["push"] }),
        ),
        (
            "becket.listener.answer",
            "/api/v1/becket/listener/ann@laptop/answer".to_owned(),
            json!({ "session": 1 }),
        ),
        ("becket.endpoint.pause", ours("pause"), json!({ "reason": "lunch" })),
        ("becket.endpoint.resume", ours("resume"), json!({})),
        ("becket.endpoint.disable", ours("disable"), json!({})),
        ("becket.endpoint.enable", ours("enable"), json!({})),
        (
            "becket.backup",
            "/api/v1/becket/backup".to_owned(),
            json!({ "folder": "/somewhere/new" }),
        ),
        ("becket.reload", "/api/v1/becket/reload".to_owned(), json!({})),
    ] {
        let (status, body) = world.post(&path, body).await;
        shapes.check(operation, status, &body);
    }
    let tasks = world.walk("/api/v1/background-task", 1).await;
    assert_eq!(tasks.len(), 2);
    let path = format!("/api/v1/background-task/{}", tasks[0]);
    let body = world.get(&path).await;
    shapes.check("v1.background-task.get", StatusCode::OK, &body);
}

#[tokio::test]
async fn the_specifications_operations_are_where_it_says() {
    let shapes = Shapes::load();
    for (id, known) in shapes.specification["operations"].as_object().unwrap() {
        let (place, operation) = shapes.operation(id);
        let (method, path) = (known["method"].as_str().unwrap(), known["path"].as_str().unwrap());
        assert_eq!(place, format!("{method} {path}"));
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for wanted in known["query"].as_array().unwrap() {
            let wanted = wanted.as_str().unwrap();
            assert!(names.contains(&wanted), "{id} does not take `{wanted}`");
        }
    }
}

#[tokio::test]
async fn refusals_have_the_specifications_error_shape() {
    let shapes = Shapes::load();
    let world = World::new().await;
    let (_, body) = world.call_as("wrong", Method::GET, "/api/v1/app/alpha/msg", None).await;
    shapes.check_specification("HttpErrorOut", &body, "401");
    let (_, body) =
        world.call_as(support::TOKEN, Method::GET, "/api/v1/app/nobody/msg", None).await;
    shapes.check_specification("HttpErrorOut", &body, "404");
}

#[test]
fn the_committed_document_is_the_one_that_the_table_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
    let made = becket_api::openapi_document();
    if std::env::var_os("BECKET_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == made, "openapi.json is out of date: run this test with BECKET_BLESS=1");
}
