//! `becket trigger` with the real binary: against a handler that answers in every way, against the gateway
//! itself, and against a handler whose judges are the providers' own SDKs (`clients/trigger/receiver.mjs`).

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::repository;
use support::sink::Sink;

const SECRET: &str = "It's a Secret to Everybody";

/// What a command printed, and its exit code.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}\n{}", self.stdout, self.stderr))
    }

    /// The codes of the warnings of `--json`.
    fn warnings(&self) -> Vec<String> {
        let report = self.json();
        let list = report["warnings"].as_array().expect("a list");
        list.iter().filter_map(|warning| warning["code"].as_str()).map(str::to_owned).collect()
    }
}

fn trigger(arguments: &[&str]) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_becket")).arg("trigger").args(arguments))
}

fn run(command: &mut Command) -> Ran {
    let output = command
        .env_remove("BECKET_CONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("the command can be run");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_handler_gets_a_shaped_event_and_its_answer_decides_the_exit_code() {
    let sink = Sink::start(|delivery| match delivery.path.as_str() {
        "/moved" => 301,
        "/broken" => 500,
        _ => 200,
    });
    let to = |path: &str, more: &[&str]| {
        let url = sink.url(path);
        let mut all = vec!["github", "issues.opened", "--to", &url, "--secret", SECRET];
        all.extend_from_slice(more);
        trigger(&all)
    };
    let shaped = [
        "--set",
        "issue.title=From the test",
        "--set",
        "issue.labels[0].id=7",
        "--remove",
        "organization",
        "--add",
        "issue.assignees={\"login\":\"x\"}",
        "-H",
        "X-Extra: yes",
        "--delivery-id",
        "4711",
    ];
    let fine = to("/", &shaped);
    assert_eq!(fine.code, 0, "{}{}", fine.stdout, fine.stderr);
    assert!(fine.stdout.contains("200 OK in "), "{}", fine.stdout);
    let delivery = &sink.deliveries()[0];
    let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
    assert_eq!(body["issue"]["title"], "From the test");
    assert_eq!(body["issue"]["labels"][0]["id"], 7);
    assert_eq!(body["issue"]["assignees"][0]["login"], "x");
    assert!(body.get("organization").is_none());
    assert_eq!(delivery.header("x-github-event"), "issues");
    assert_eq!(delivery.header("x-github-delivery"), "4711");
    assert_eq!(delivery.header("x-extra"), "yes");
    assert!(delivery.header("user-agent").starts_with("GitHub-Hookshot/"));

    let moved = to("/moved", &["--json"]);
    assert_eq!((moved.code, moved.warnings()), (1, vec!["redirect".to_owned()]));
    let broken = to("/broken", &["--json"]);
    assert_eq!((broken.code, broken.warnings()), (1, vec!["failure".to_owned()]));
    let forged = to("/", &["--json", "--tamper", "body"]);
    assert_eq!(forged.warnings(), ["forgery_accepted"]);
    assert_eq!(forged.json()["verdict"], "signature_mismatch");

    // Another id each time, unless it is given.
    let many = to("/", &["--repeat", "40", "--concurrency", "8"]);
    assert_eq!(many.code, 0, "{}{}", many.stdout, many.stderr);
    assert!(
        many.stdout.contains("40 requests in ") && many.stdout.contains("40 x 200"),
        "{}",
        many.stdout
    );
    let ids: std::collections::BTreeSet<String> =
        sink.deliveries().iter().map(|delivery| delivery.header("x-github-delivery")).collect();
    assert_eq!(ids.len(), 44, "41 on their own way, 3 of the single ones");
    assert_eq!(sink.count(), 44);
}

#[test]
fn a_slow_handler_is_told_so() {
    let sink = Sink::start(|delivery| {
        let ms = delivery.path.trim_start_matches('/').parse().unwrap_or(0);
        std::thread::sleep(Duration::from_millis(ms));
        200
    });
    // Sentry waits one second. GitHub waits ten: from 8 s on it is close, which leaves a busy machine
    // two seconds for everything else.
    let cases = [
        (["sentry", "issue.created"], "1200", Some("too_slow")),
        (["github", "issues.opened"], "8050", Some("nearly_too_slow")),
        (["github", "issues.opened"], "0", None),
    ];
    std::thread::scope(|scope| {
        for ([provider, event], ms, warning) in cases {
            let url = sink.url(&format!("/{ms}"));
            scope.spawn(move || {
                let arguments = [provider, event, "--to", &url, "--secret", SECRET, "--json"];
                let ran = trigger(&arguments);
                assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
                let expected: Vec<String> = warning.map(str::to_owned).into_iter().collect();
                assert_eq!(ran.warnings(), expected, "{arguments:?}");
            });
        }
    });
}

#[test]
fn wrong_usage_says_what_to_do() {
    let url = "http://127.0.0.1:9/none";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["github", "push", "--to", url], 2, "--new-secret"),
        (
            &["github", "issue.opened", "--to", url, "--secret", "s"],
            2,
            "did you mean issues.opened",
        ),
        (&["githob", "push", "--to", url, "--secret", "s"], 2, "did you mean `github`"),
        (&["github", "push", "--secret", "s"], 2, "--to URL"),
        (&["github", "--to", url, "--secret", "s"], 2, "--list github"),
        (&["github", "push", "--to", url, "--secret", "s", "--set", "a..b=1"], 2, "no path"),
        (&["github", "push", "--to", url, "--secret", "s", "--remove", "nothing"], 2, "`nothing`"),
        (&["github", "push", "--to", "ftp://x", "--secret", "s"], 2, "cannot be posted to"),
        (&["github", "push", "--to", url, "--secret", "s", "--tamper", "timestamp"], 2, "no time"),
        (&["github", "push", "--to", url, "--secret", "s", "--handshake"], 2, "no handshake"),
        (&["sendgrid", "delivered", "--to", url], 2, "--private-key"),
        (&["whatsapp", "--to", url, "--handshake"], 2, "verify_token"),
        (&["github", "push", "--to", url, "--secret", "s"], 3, "connect"),
    ];
    for (arguments, code, told) in cases {
        let ran = trigger(arguments);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, *code, "{arguments:?}: {all}");
        assert!(all.contains(told), "{arguments:?}: {all}");
    }
}

#[test]
fn lists_dry_runs_and_secrets_are_printed() {
    let providers = trigger(&["--list", "--json"]).json();
    let providers = providers.as_array().expect("a list");
    let events: u64 = providers.iter().filter_map(|row| row["events"].as_u64()).sum();
    assert!(providers.len() >= 20 && events >= 60, "{} and {events}", providers.len());
    for provider in ["github", "stripe"] {
        let listed = trigger(&["--list", provider, "--json"]).json();
        let count = listed.as_array().map_or(0, Vec::len);
        assert!(count >= 12, "{provider} has {count}");
    }
    assert!(trigger(&["--list", "github"]).stdout.contains("pull_request.merged"));
    // A provider without a file has the samples of its entry.
    assert!(trigger(&["--list", "xero"]).stdout.contains("INVOICE.UPDATE"));

    let dry = trigger(&["github", "push", "--secret", SECRET, "--dry-run"]);
    assert!(dry.stdout.starts_with("curl -sS -X POST"), "{}", dry.stdout);
    let raw = trigger(&[
        "github",
        "push",
        "--secret",
        SECRET,
        "--dry-run",
        "--json",
        "--body",
        "{ \"exact\":  1 }",
    ]);
    assert_eq!(raw.json()["body"], "{ \"exact\":  1 }");
    assert_eq!(raw.json()["headers"]["x-github-event"], "push");
    let made = trigger(&["stripe", "--new-secret"]);
    assert!(made.stdout.starts_with("whsec_"), "{}", made.stdout);
    assert_ne!(made.stdout, trigger(&["stripe", "--new-secret"]).stdout);
}

/// A gateway with a source of each kind of scheme.
fn gateway(place: &Place) -> Gateway<'_> {
    let source = |id: &str, provider: &str, lines: &str| {
        format!("[[source]]\nid = \"{id}\"\nprovider = \"{provider}\"\n{lines}\n")
    };
    let rest = [
        source("github", "github", &format!("secrets = [\"{SECRET}\"]")),
        source("sms", "twilio", "secrets = [\"12345678901234567890123456789012\"]"),
        source("slack", "slack", "secrets = [\"slack-secret\"]"),
        source("zoom", "zoom", "secrets = [\"zoom-secret\"]"),
        source("stripe", "stripe", "secrets = [\"whsec_of_the_file\"]"),
        source(
            "meta",
            "whatsapp",
            "secrets = [\"app-secret\"]\ncredentials = { verify_token = \"ours\" }",
        ),
        source("tasks", "asana", ""),
    ];
    place.configure(
        "public_url = \"https://hooks.becket.test\"",
        &place.data(),
        "",
        &rest.concat(),
    );
    place.start()
}

fn at_source(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
    command.arg("trigger").args(arguments).arg("--config").arg(place.config());
    command.env("BECKET_TOKEN", ADMIN_TOKEN).current_dir(&place.folder);
    run(&mut command)
}

#[test]
fn the_gateway_takes_what_is_triggered_and_refuses_what_is_tampered_with() {
    let place = Place::new();
    let gateway = gateway(&place);
    let fine: &[&[&str]] = &[
        &["github", "pull_request.opened", "--source", "github"],
        &["twilio", "message.received", "--source", "sms", "--set", "Body=Hi there & so on"],
        &["slack", "app_mention", "--source", "slack"],
        &["slack", "slash_command", "--source", "slack"],
        &["zoom", "meeting.started", "--source", "zoom"],
        &["stripe", "invoice.paid", "--source", "stripe"],
        &["whatsapp", "messages", "--source", "meta"],
        // The provider is the source's.
        &["--source", "stripe", "--handshake"],
    ];
    for arguments in &fine[..7] {
        let ran = at_source(&place, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    }
    let none = at_source(&place, fine[7]);
    assert!(none.code == 2 && none.stderr.contains("has none"), "{}", none.stderr);
    let events = gateway.api_list("/api/v1/becket/event");
    let mut kinds: Vec<&str> =
        events.iter().filter_map(|event| event["eventType"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "/table",
            "app_mention",
            "invoice.paid",
            "meeting.started",
            "messages",
            "pull_request",
            "received"
        ]
    );

    for (provider, event, source) in [
        ("github", "push", "github"),
        ("twilio", "message.received", "sms"),
        ("slack", "app_mention", "slack"),
        ("zoom", "meeting.started", "zoom"),
        ("stripe", "invoice.paid", "stripe"),
    ] {
        let has_time = !matches!(provider, "github" | "twilio");
        for part in ["body", "signature", "timestamp"]
            .into_iter()
            .filter(|part| has_time || *part != "timestamp")
        {
            let ran = at_source(
                &place,
                &[provider, event, "--source", source, "--tamper", part, "--json"],
            );
            assert_eq!(ran.code, 1, "{provider} {part}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.json()["status"], 401, "{provider} {part}");
            assert_eq!(ran.warnings(), Vec::<String>::new());
        }
    }
    assert_eq!(gateway.api_list("/api/v1/becket/event").len(), 7);

    // The same id is a repeat.
    for _ in 0..2 {
        let ran =
            at_source(&place, &["github", "push", "--source", "github", "--delivery-id", "one"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_eq!(gateway.api_list("/api/v1/becket/event").len(), 8);
    gateway.stop();
}

#[test]
fn the_gateway_answers_handshakes_and_keeps_what_they_bring() {
    let place = Place::new();
    let gateway = gateway(&place);
    for source in ["slack", "zoom", "meta"] {
        let ran = at_source(&place, &["--source", source, "--handshake"]);
        assert_eq!(ran.code, 0, "{source}: {}{}", ran.stdout, ran.stderr);
    }
    let early = at_source(&place, &["asana", "task.added", "--source", "tasks"]);
    assert!(early.code == 2 && early.stderr.contains("--secret"), "{}", early.stderr);
    let ran = at_source(&place, &["asana", "--source", "tasks", "--handshake"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // The secret that it brought is asked for.
    let after = at_source(&place, &["asana", "task.added", "--source", "tasks"]);
    assert_eq!(after.code, 0, "{}{}", after.stdout, after.stderr);
    let unknown = at_source(&place, &["github", "push", "--source", "nowhere"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("sources list"), "{}", unknown.stderr);
    let other = at_source(&place, &["stripe", "invoice.paid", "--source", "github"]);
    assert!(other.code == 2 && other.stderr.contains("`github`"), "{}", other.stderr);
    gateway.stop();
}

/// The handler whose judges are SDKs; it ends with the test.
struct Receiver {
    child: Child,
    url: String,
}

impl Receiver {
    fn start(secrets: &BTreeMap<String, String>) -> Self {
        let modules = repository().join("clients/node/node_modules/stripe");
        assert!(modules.exists(), "the Node SDKs are not installed; run `make setup`");
        let mut child = Command::new("node")
            .arg(repository().join("clients/trigger/receiver.mjs"))
            .env("SECRETS", json!(secrets).to_string())
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be run: run `make setup`");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("it prints its port");
        let port = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(line.starts_with("listening on "), "{line}");
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed already.
        if self.child.kill().is_ok() {
            let _status = self.child.wait();
        }
    }
}

/// Providers whose SDK is installed, and whether it looks at the time of sending.
const JUDGED: &[(&str, bool)] = &[
    ("clerk", true),
    ("discord", false),
    ("github", false),
    ("linear", true),
    ("notion", false),
    ("paddle", true),
    ("razorpay", false),
    ("resend", true),
    ("sendgrid", false),
    ("shopify", false),
    ("slack", true),
    ("standardwebhooks", true),
    ("stripe", true),
    ("svix", true),
    ("twilio", false),
    ("zoom", false),
];

#[test]
fn every_official_sdk_accepts_what_is_triggered_and_refuses_what_is_tampered_with() {
    let mut signs = BTreeMap::new();
    let mut verifies = BTreeMap::new();
    for (provider, _) in JUDGED {
        let made = trigger(&[provider, "--new-secret", "--json"]).json();
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        // Discord's SDK takes the key as hexadecimal digits, SendGrid's as base64.
        let public = made["public_keys"][0].as_str().map(str::to_owned);
        verifies.insert((*provider).to_owned(), public.unwrap_or_else(|| secret.clone()));
        signs.insert(*provider, secret);
    }
    let receiver = Receiver::start(&verifies);
    let mut accepted = 0;
    let mut wrong = Vec::new();
    for (provider, judges_time) in JUDGED {
        let url = format!("{}/{provider}", receiver.url);
        let asymmetric = verifies[*provider] != signs[provider];
        let flag = if asymmetric { "--private-key" } else { "--secret" };
        let send = |more: &[&str]| {
            let mut all = vec![*provider];
            all.extend_from_slice(more);
            all.extend_from_slice(&["--to", &url, flag, &signs[provider], "--json"]);
            trigger(&all)
        };
        let listed = trigger(&["--list", provider, "--json"]).json();
        let events: Vec<&str> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|event| event["name"].as_str())
            .collect();
        for event in &events {
            let ran = send(&[event]);
            if ran.code == 0 && ran.json()["status"] == 200 {
                accepted += 1;
            } else {
                wrong.push(format!("{provider} {event}: {}{}", ran.stdout, ran.stderr));
            }
        }
        for part in ["body", "signature", "timestamp"] {
            if part == "timestamp" && !judges_time {
                continue;
            }
            let ran = send(&[events[0], "--tamper", part]);
            if ran.code != 1 || ran.json()["status"] != 400 {
                wrong.push(format!("{provider}, tampered {part}: {}{}", ran.stdout, ran.stderr));
            }
        }
        if matches!(*provider, "slack" | "zoom" | "discord") {
            let ran = send(&["--handshake"]);
            if ran.code != 0 {
                wrong.push(format!("{provider}, handshake: {}{}", ran.stdout, ran.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{accepted} events accepted by {} SDKs", JUDGED.len());
    assert!(accepted >= 60, "{accepted}");
}

/// The guide's reference of events is what the binary lists.
#[test]
fn the_guide_lists_every_event() {
    let guide = std::fs::read_to_string(repository().join("docs/guides/trigger.md"))
        .expect("the guide is there");
    let providers = trigger(&["--list", "--json"]).json();
    let mut missing = Vec::new();
    for provider in providers.as_array().expect("a list") {
        let slug = provider["slug"].as_str().expect("a slug");
        if !guide.contains(&format!("\n### {slug}\n")) {
            missing.push(slug.to_owned());
            continue;
        }
        for event in trigger(&["--list", slug, "--json"]).json().as_array().expect("a list") {
            let name = event["name"].as_str().expect("a name");
            let about = event["about"].as_str().expect("a text");
            if !guide.contains(&format!("| `{name}` | {about} |")) {
                missing.push(format!("{slug} {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "run `becket trigger --reference`; missing: {missing:?}");
}
