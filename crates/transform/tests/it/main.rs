//! Transformations in real sandbox processes: the contract, hostile code, and who waits for whom.

mod contract;
mod fairness;
mod hostile;
mod walls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::action::{Transform as _, TransformFailure, TransformInput, Transformed};
use becket_transform::{Launcher, Pool, PoolConfig, Program, Script};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A pool of the sandboxes that were built with this test.
fn pool_with(change: impl FnOnce(&mut PoolConfig)) -> Arc<Pool> {
    let launcher =
        Launcher { program: env!("CARGO_BIN_EXE_becket-sandbox").into(), arguments: Vec::new() };
    let mut config = PoolConfig { launcher, quick: 2, slow: 1, ..PoolConfig::default() };
    // Tests run beside builds: what matters is that there is a limit.
    config.wait_max = Duration::from_secs(60);
    change(&mut config);
    Arc::new(Pool::new(config))
}

fn pool() -> Arc<Pool> {
    pool_with(|_| {})
}

fn script(pool: &Arc<Pool>, endpoint: u64, code: &str) -> Script {
    let variables = [("TOKEN".to_owned(), "s3".to_owned())].into();
    let program = Program { code: code.to_owned(), variables };
    Script::new(Arc::clone(pool), endpoint, Arc::new(program))
}

fn input(body: impl Into<Bytes>) -> TransformInput {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-hub-signature-256", "sha256=ab"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("becket-hop", "1"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    TransformInput {
        event_type: Some("order.paid".to_owned()),
        method: "POST".to_owned(),
        url: "https://example.com/hook".to_owned(),
        headers,
        body: body.into(),
    }
}

/// Runs code once, on a body.
async fn run(code: &str, body: impl Into<Bytes>) -> Result<Transformed, TransformFailure> {
    script(&pool(), 1, code).transform(input(body)).await
}

/// Runs a handler's body once, on `{"a":1}`, and returns what was made of the payload.
async fn body_of(handler: &str) -> String {
    let code = format!("function handler(webhook) {{ {handler} }}");
    let made = run(&code, "{\"a\":1}").await.expect("it works");
    String::from_utf8(made.body.to_vec()).expect("text")
}

/// What is said about code that fails.
async fn note_of(code: &str) -> String {
    let failure = run(code, "{\"a\":1}").await.expect_err("it fails");
    assert_eq!(failure.error, becket_egress::AttemptError::TransformFailed, "{}", failure.note);
    failure.note
}

fn no_variables() -> BTreeMap<String, String> {
    BTreeMap::new()
}
