//! The examples of `clients/handlers`: what the gateway forwards they accept, what comes from
//! anybody else they refuse.

mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::gateway::{Gateway, Place};
use support::http::Client;
use support::{free_port, repository, sign, wait_until};

const SOURCE_SECRET: &str = "It's a Secret to Everybody";
const ENDPOINT_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const BODY: &[u8] = r#"{"zen":"Gr\u00fc\u00dfe","spaced" : 1.00}"#.as_bytes();

/// A handler as a child process; it ends with the test.
struct Handler(Child, SocketAddr);

impl Handler {
    fn start(mut command: Command) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = command
            .env("ENDPOINT_SECRET", ENDPOINT_SECRET)
            .env("PORT", address.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the handler can be started: run `make setup`");
        let handler = Self(child, address);
        let up = || Client::closing(address).send("GET", "/", &[], b"").is_ok();
        assert!(wait_until(Duration::from_secs(20), up), "the handler does not listen");
        handler
    }

    fn url(&self) -> String {
        format!("http://{}/webhooks", self.1)
    }

    /// The status of its answer to a request that the gateway did not send.
    fn answers(&self, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let answer = Client::closing(self.1).send("POST", "/webhooks", &all, body);
        answer.expect("the handler answers").status
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed already.
        if self.0.kill().is_ok() {
            let _status = self.0.wait();
        }
    }
}

fn check(handler: &Handler) {
    let place = Place::new();
    let source = format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{SOURCE_SECRET}\"]\n\
         [[source.endpoint]]\nid = \"handler\"\nurl = \"{}\"\nsecret = \"{ENDPOINT_SECRET}\"\n",
        handler.url()
    );
    place.configure("", &place.data(), "", &source);
    let gateway = Gateway::spawn(&place, place.command());
    gateway.wait_ready(Duration::from_secs(20));
    let signature = sign::github(SOURCE_SECRET, BODY);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let accepted = Client::closing(place.address).send("POST", "/in/github", &headers, BODY);
    let id = accepted.expect("the gateway answers").json()["id"].as_str().map(str::to_owned);
    let id = id.expect("it was accepted");
    let shown = || becket(&place, &["events", "show", &id]);
    let delivered = wait_until(Duration::from_secs(10), || shown().contains("202"));
    assert!(delivered, "the handler did not accept it:\n{}", shown());
    gateway.stop();

    assert_eq!(handler.answers(&[], BODY), 401, "unsigned");
    let forged = [
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", "v1,MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ];
    assert_eq!(handler.answers(&forged, BODY), 401, "forged");
}

fn becket(place: &Place, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .args(["--url", &format!("http://{}", place.address)])
        .env("BECKET_TOKEN", support::gateway::ADMIN_TOKEN)
        .output()
        .expect("the command can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn express_accepts_what_the_gateway_forwards_and_nothing_else() {
    let mut command = Command::new("node");
    command.arg(repository().join("clients/handlers/express.mjs"));
    check(&Handler::start(command));
}

#[test]
fn flask_accepts_what_the_gateway_forwards_and_nothing_else() {
    let mut command = Command::new(repository().join(".venv/bin/python"));
    command.arg(repository().join("clients/handlers/flask_handler.py"));
    check(&Handler::start(command));
}
