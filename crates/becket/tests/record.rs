//! Recordings with the running binary: received from four providers, saved, sent again to a handler
//! that verifies them, compared with what it is expected to answer.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use becket_signature::{
    Catalogue, Credentials, RequestView, SignRequest, Verifier, VerifierOptions,
};
use support::gateway::{ADMIN_TOKEN, Place};
use support::http::{Client, read_headers, read_line};
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Provider, event type, content type, body as the provider would send it.
const EVENTS: [(&str, &str, &str, &str); 4] = [
    (
        "github",
        "push",
        JSON,
        r#"{"ref":"refs/heads/main","after":"59b20b8d","pusher":{"name":"ada","email":"ada@lovelace.org"},"installation":{"access_token":"ghs_16C7e42F292c6912E7710c838347Ae178B4a"},"n":1.0}"#,
    ),
    (
        "stripe",
        "charge.succeeded",
        JSON,
        "{\n  \"id\": \"evt_1\",\n  \"type\": \"charge.succeeded\",\n  \"data\": {\n    \"object\": {\n      \"amount\": 4200,\n      \"receipt_email\": \"ada@lovelace.org\",\n      \"metadata\": {}\n    }\n  }\n}",
    ),
    (
        "twilio",
        "received",
        FORM,
        "MessageSid=SM1&SmsStatus=received&From=%2B442079460000&To=%2B442079460999&Body=call+ada%40lovelace.org",
    ),
    (
        "shopify",
        "orders/create",
        JSON,
        r#"{"id":820982911946154508,"email":"ada@lovelace.org","customer":{"phone":"+442079460000","note":"caf\u00e9"},"total_price":"398.00"}"#,
    ),
];

fn secret(provider: &str) -> String {
    format!("the-secret-of-{provider}")
}

fn verifier(provider: &str, public_url: &str) -> Verifier {
    let entry = Catalogue::builtin().get(provider).expect("it is in the catalogue");
    let options =
        VerifierOptions { public_url: Some(public_url.to_owned()), ..VerifierOptions::default() };
    Verifier::new(entry, &Credentials::from_secrets([secret(provider)]), &options)
        .expect("a secret is all it takes")
}

#[expect(clippy::disallowed_methods, reason = "requests are signed with the time of now")]
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("it is later than 1970").as_secs()).expect("a time")
}

/// A request as a handler sees it.
#[derive(Debug, Clone)]
struct Asked {
    headers: http::HeaderMap,
    body: Vec<u8>,
}

type Answers = dyn Fn(&Asked) -> (u16, String) + Send + Sync;

/// A handler whose answers have bodies, and can be changed.
struct Handler {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Arc<Answers>>>,
    stopped: Arc<AtomicBool>,
}

impl Handler {
    fn start(answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        Self::on(listener, answers)
    }

    fn on(
        listener: TcpListener,
        answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let handler = Self {
            address: listener.local_addr().expect("a bound socket has an address"),
            asked: Arc::default(),
            answers: Arc::new(Mutex::new(Arc::new(answers))),
            stopped: Arc::default(),
        };
        let (asked, answers) = (Arc::clone(&handler.asked), Arc::clone(&handler.answers));
        let stopped = Arc::clone(&handler.stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                // A connection that is opened only to see that somebody is there ends early.
                std::thread::spawn(move || drop(serve(stream, &asked, &answers)));
            }
        });
        handler
    }

    fn behave(&self, answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) {
        *self.answers.lock().expect("no handler panicked") = Arc::new(answers);
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no handler panicked").clone()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answers: &Mutex<Arc<Answers>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        read_line(&mut reader)?;
        let mut headers = http::HeaderMap::new();
        for (name, value) in read_headers(&mut reader)? {
            let name: http::HeaderName = name.parse().map_err(std::io::Error::other)?;
            headers.append(name, value.parse().map_err(std::io::Error::other)?);
        }
        let length = headers.get("content-length").and_then(|value| value.to_str().ok());
        let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let one = Asked { headers, body };
        let behave = Arc::clone(&answers.lock().expect("no handler panicked"));
        let (status, text) = behave(&one);
        asked.lock().expect("no handler panicked").push(one);
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}

/// Answers like a handler that verifies with the provider's own scheme and reads what it got.
fn verifying(url: String) -> impl Fn(&Asked) -> (u16, String) + Send + Sync {
    let verifiers: Vec<(&str, Verifier)> =
        EVENTS.iter().map(|(provider, ..)| (*provider, verifier(provider, &url))).collect();
    move |asked| {
        let view =
            RequestView { method: "POST", url: &url, headers: &asked.headers, body: &asked.body };
        let genuine = verifiers.iter().find(|(_, verifier)| {
            matches!(verifier.verify(&view, now_s()), becket_signature::Verdict::Genuine(_))
        });
        match genuine {
            Some((provider, _)) => (
                200,
                format!(
                    "{{\"ok\":true,\"provider\":\"{provider}\",\"bytes\":{}}}",
                    asked.body.len()
                ),
            ),
            None => (401, "{\"ok\":false}".to_owned()),
        }
    }
}

fn becket(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("BROWSER")
        .output()
        .expect("the command runs")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

/// A gateway that received one event of each provider, and the recordings it gave.
fn recorded(place: &Place) -> PathBuf {
    let sources: String = EVENTS
        .iter()
        .map(|(provider, ..)| {
            let secret = secret(provider);
            format!("[[source]]\nid = \"{provider}\"\nprovider = \"{provider}\"\nsecrets = [\"{secret}\"]\n")
        })
        .collect();
    let public = format!("public_url = \"http://{}\"", place.address);
    place.configure(&public, &place.data(), "", &sources);
    let gateway = place.start();
    for (provider, event_type, content_type, body) in EVENTS {
        let url = format!("http://{}/in/{provider}", place.address);
        let request = SignRequest {
            method: "POST",
            url: &url,
            body: body.as_bytes(),
            content_type,
            event_type: Some(event_type),
            delivery_id: None,
        };
        let signed = verifier(provider, &url).sign(&request, now_s()).expect("it can be signed");
        let mut headers: Vec<(&str, &str)> =
            signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        headers.push(("x-team-cookie", "session=abcdef"));
        headers.push(("x-requested-by", "ada@lovelace.org"));
        let mut client = Client::closing(place.address);
        let answer =
            client.send("POST", &format!("/in/{provider}"), &headers, &signed.body).unwrap();
        assert!(answer.is_success(), "{provider}: {} {}", answer.status, answer.text());
    }
    assert!(wait_until(LIMIT, || gateway.api_list(support::EVENTS).len() == EVENTS.len()));
    let url = format!("http://{}", place.address);
    let output = becket(&place.folder, &["record", "--url", &url, "--token", ADMIN_TOKEN]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(told(&output).contains("4 recorded"), "{}", told(&output));
    // Recording again leaves what is there: somebody may have written into it.
    let again = becket(&place.folder, &["record", "--url", &url, "--token", ADMIN_TOKEN]);
    assert!(told(&again).contains("0 recorded, 4 left"), "{}", told(&again));
    place.folder.join("webhooks")
}

/// Every recording with its text.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path, text));
        }
    }
    found.sort();
    found
}

fn file_of(folder: &Path, provider: &str) -> (PathBuf, String) {
    files(&folder.join(provider)).pop().expect("it was recorded")
}

/// The arguments that test a folder with every provider's secret.
fn arguments(url: &str) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["test", "webhooks", "--to", url].iter().map(|text| (*text).to_owned()).collect();
    for (provider, ..) in EVENTS {
        arguments.push("--secret".to_owned());
        arguments.push(format!("{provider}={}", secret(provider)));
    }
    arguments
}

fn test(place: &Place, url: &str, more: &[&str]) -> Output {
    let mut arguments = arguments(url);
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    becket(&place.folder, &arguments)
}

#[test]
fn what_was_received_is_recorded_without_secrets_and_passes_again() {
    let place = Place::new();
    let folder = recorded(&place);
    let all = files(&folder);
    assert_eq!(all.len(), EVENTS.len());
    for (file, text) in &all {
        for hidden in [
            "ada@lovelace.org",
            "ada%40",
            "442079460000",
            "ghs_16C7",
            "sha256=",
            "session=abcdef",
            "x-twilio-signature",
            "stripe-signature",
            "the-secret-of",
        ] {
            assert!(!text.contains(hidden), "{hidden} in {}:\n{text}", file.display());
        }
        assert!(text.contains("status = 200") && text.contains("redacted = ["), "{text}");
    }
    // The same person is the same pseudonym everywhere.
    let pseudonym = |text: &str| {
        let start = text.find("user-").expect("an address was hidden");
        text[start..start + "user-0123456789@example.com".len()].to_owned()
    };
    let (_, github) = file_of(&folder, "github");
    let (_, stripe) = file_of(&folder, "stripe");
    assert_eq!(pseudonym(&github), pseudonym(&stripe));
    // Bodies can be read in lines, and are sent as they came but for what was hidden.
    assert!(
        github.contains("layout = \"compact\"") && github.contains("\n  \"n\": 1.0"),
        "{github}"
    );
    assert!(stripe.contains("layout = \"indent-2\""), "{stripe}");
    let (_, twilio) = file_of(&folder, "twilio");
    assert!(
        twilio.contains("form = '''\nMessageSid=SM1\nSmsStatus=received\nFrom=%2B1555"),
        "{twilio}"
    );

    let handler = Handler::start(|_| (500, String::new()));
    handler.behave(verifying(handler.url()));
    let output = test(&place, &handler.url(), &["--concurrency", "2"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(told(&output).contains("4 passed"), "{}", told(&output));
    let asked = handler.asked();
    let shopify = asked.iter().find(|one| one.headers.contains_key("x-shopify-topic")).unwrap();
    assert!(shopify.body.starts_with(br#"{"id":820982911946154508,"email":"user-"#));
    assert!(String::from_utf8_lossy(&shopify.body).contains(r"caf\u00e9"));
    let ids: Vec<_> = asked.iter().filter_map(|one| one.headers.get("x-github-delivery")).collect();
    let again = test(&place, &handler.url(), &["--filter", "push*", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!((report["passed"].as_u64(), report["failed"].as_u64()), (Some(1), Some(0)));
    let asked = handler.asked();
    let later = asked.iter().rev().find_map(|one| one.headers.get("x-github-delivery"));
    assert_ne!(later, ids.first().copied(), "each request is a new delivery");
}

#[test]
fn a_changed_handler_fails_with_a_difference() {
    let place = Place::new();
    let folder = recorded(&place);
    let handler = Handler::start(|_| (500, String::new()));
    handler.behave(verifying(handler.url()));
    let url = handler.url();

    // What was answered becomes what is expected, and nothing else of the file changes.
    let (file, before) = file_of(&folder, "github");
    let before = before.replace("status = 200", "status = 200 # as agreed");
    std::fs::write(&file, &before).unwrap();
    let output = test(&place, &url, &["--update=body"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let (_, after) = file_of(&folder, "github");
    assert!(after.contains("status = 200 # as agreed"), "{after}");
    assert!(after.contains("\"provider\": \"github\""), "{after}");
    assert_eq!(code(&test(&place, &url, &[])), 0);

    let right = verifying(url.clone());
    handler.behave(move |asked| {
        let (status, text) = right(asked);
        match asked.headers.contains_key("x-github-event") {
            true => (status, text.replace("true", "false & <late>\u{7}")),
            false if asked.body.starts_with(b"MessageSid") => (503, "<busy> ]]>".to_owned()),
            false => (status, text),
        }
    });
    let junit = place.folder.join("results.xml");
    let output = test(&place, &url, &["--junit", junit.to_str().unwrap()]);
    let text = told(&output);
    assert_eq!(code(&output), 1, "{text}");
    for part in ["2 passed, 2 failed", "503, expected 200", "✗ webhooks/github/push-", "note "] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains('\u{7}'), "{text}");
    is_well_formed(&junit, 4, 2);
    let output = test(&place, &url, &["--bail"]);
    assert!(told(&output).contains("3 not run"), "{}", told(&output));

    // JSON with another value: the place, what was expected, what came.
    handler.behave(|_| (200, "{\"ok\":false}".to_owned()));
    let output = test(&place, &url, &["--filter", "github/"]);
    let text = told(&output);
    for part in ["- ok: true", "+ ok: false", "- provider: \"github\"", "+ provider: nothing"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let output = test(&place, &url, &["--update"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(told(&output).contains("updated"), "{}", told(&output));
    assert_eq!(code(&test(&place, &url, &[])), 0);
}

/// Reads the document with a parser that is not ours.
fn is_well_formed(file: &Path, tests: u32, failures: u32) {
    support::require_command("python3");
    let script = "import sys, xml.etree.ElementTree as t\n\
        r = t.parse(sys.argv[1]).getroot()\n\
        c = r.findall('.//testcase')\n\
        print(r.tag, len(c), len(r.findall('.//failure')), r.get('tests'), r.get('failures'))";
    let output = Command::new("python3").args(["-c", script]).arg(file).output().unwrap();
    let text = told(&output);
    assert_eq!(text.trim(), format!("testsuites {tests} {failures} {tests} {failures}"));
}

#[test]
fn a_handler_that_looks_up_what_was_hidden_is_told_why() {
    let place = Place::new();
    let folder = recorded(&place);
    let handler = Handler::start(|asked| {
        match String::from_utf8_lossy(&asked.body).contains("ada@lovelace.org") {
            true => (200, String::new()),
            false => (404, "no such customer".to_owned()),
        }
    });
    let output = test(&place, &handler.url(), &["--filter", "shopify/"]);
    let text = told(&output);
    assert_eq!(code(&output), 1, "{text}");
    for part in ["not as it was received: email, customer.phone", "--keep", "no such customer"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(folder, place.folder.join("webhooks"));
}

#[test]
fn a_handler_that_is_not_there_is_told_apart_and_waited_for() {
    let place = Place::new();
    let folder = recorded(&place);
    let url = format!("http://127.0.0.1:{}/hook", support::free_port());
    let output = test(&place, &url, &[]);
    assert_eq!(code(&output), 3, "{}", told(&output));
    assert!(told(&output).contains("not reached"), "{}", told(&output));

    let port = support::free_port();
    let url = format!("http://127.0.0.1:{port}/hook");
    let late = std::thread::spawn({
        let url = url.clone();
        move || {
            std::thread::sleep(Duration::from_millis(700));
            let listener = TcpListener::bind(("127.0.0.1", port)).expect("it was free");
            Handler::on(listener, verifying(url))
        }
    });
    let output = test(&place, &url, &["--wait", "20s"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    drop(late.join().expect("it started"));

    for (arguments, part) in [
        (vec!["test", "webhooks", "--to", &url], "--secret"),
        (vec!["test", "nowhere", "--to", &url, "--secret", "x"], "becket record"),
        (vec!["test", "webhooks", "--to", "localhost", "--secret", "x"], "--to"),
        (vec!["test", "webhooks", "--to", &url, "--secret", "env:NOT_SET_ANYWHERE"], "NOT_SET"),
    ] {
        let output = becket(&place.folder, &arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(part), "{arguments:?}: {}", told(&output));
    }
    let (file, text) = file_of(&folder, "github");
    std::fs::write(&file, text.replace("provider", "provder")).unwrap();
    let output = test(&place, &url, &[]);
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert!(told(&output).contains("provder"), "{}", told(&output));
}

#[test]
fn every_command_has_a_page_and_every_shell_a_script() {
    let place = Place::new();
    let folder = place.folder.join("man");
    let output = becket(&place.folder, &["man", "--out", folder.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    for page in ["becket.1", "becket-record.1", "becket-test.1", "becket-events-list.1"] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH OPTIONS"), "{page}:\n{text}");
    }
    let one = told(&becket(&place.folder, &["man", "doctor"]));
    assert!(one.contains("becket\\-doctor"), "{one}");
    assert_eq!(code(&becket(&place.folder, &["man", "nothing"])), 2);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = becket(&place.folder, &["completions", shell]);
        let script = told(&output);
        assert!(script.contains("record") && script.contains("doctor"), "{shell}");
    }
}

#[test]
fn pages_are_opened_or_their_addresses_printed() {
    let place = Place::new();
    recorded(&place);
    let url = format!("http://{}", place.address);
    let open = |what: &[&str]| {
        let mut arguments = vec!["open", "--url", &url, "--token", ADMIN_TOKEN];
        arguments.extend(what);
        becket(&place.folder, &arguments)
    };
    for (what, page) in [
        (vec![], ""),
        (vec!["msg_abc", "--print"], "/events/msg_abc"),
        (vec!["ep_abc"], "/endpoints/ep_abc"),
    ] {
        let output = open(&what);
        assert_eq!(told(&output).trim(), format!("{url}{page}"), "{what:?}");
    }
    // The gateway has ended: a name cannot be asked for.
    assert_eq!(code(&open(&["github"])), 3);
    let gateway = place.start();
    assert!(told(&open(&["github"])).contains("/sources/src_"));
    assert_eq!(code(&open(&["nobody"])), 1);
    let json = told(&open(&["--json"]));
    assert_eq!(json.trim(), format!("{{\"url\":\"{url}\"}}"));
    gateway.stop();
}

#[test]
fn following_can_look_inside() {
    let place = Place::new();
    recorded(&place);
    let gateway = place.start();
    let events = gateway.api_list(support::EVENTS);
    let oldest = events.last().and_then(|event| event["id"].as_str()).expect("an id").to_owned();
    let url = format!("http://{}", place.address);
    for (more, source) in [
        (["--grep", "CHARGE.succeeded"], "stripe"),
        (["--filter", "{\"body\":{\"total_price\":\"398.00\"}}"], "shopify"),
        (["--filter", "{\"body\":{\"SmsStatus\":\"received\"}}"], "twilio"),
    ] {
        let mut following = Command::new(env!("CARGO_BIN_EXE_becket"))
            .args(["events", "tail", "--json", "--after", &oldest, "--url", &url])
            .args(["--token", ADMIN_TOKEN])
            .args(more)
            .current_dir(&place.folder)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the command runs");
        let mut lines = BufReader::new(following.stdout.take().expect("it was piped"));
        let line = read_line(&mut lines).expect("an event");
        following.kill().expect("it follows until it is stopped");
        following.wait().expect("it was killed");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["source"], source, "{more:?}: {line}");
    }
    assert_eq!(
        code(&becket(
            &place.folder,
            &["events", "tail", "--url", &url, "--token", ADMIN_TOKEN, "--filter", "{"]
        )),
        2
    );
    gateway.stop();
}
