//! The rules of a source: event types, required fields, schemas, addresses, acknowledgements.

use std::sync::Arc;

use becket_ingress::{CompiledSchema, IdPlace, OnInvalid, Outcome};
use becket_model::{Disposition, EventRecord};
use becket_signature::Ack;
use becket_store::{Owner, Scope, Store};
use serde_json::json;

use crate::common::{Setup, github, post, source};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn event_types_that_are_not_kept_are_recorded_and_not_delivered() {
    let picky = source("github", "github").rules(|rules| {
        rules.event_types = Some(vec!["push".into(), "pull_*".into()]);
        rules.required = vec!["id".parse().unwrap()];
    });
    let gateway = Setup::new(vec![picky]).start().await;
    for (number, (event_type, outcome)) in [
        ("push", Outcome::Accepted),
        ("pull_request", Outcome::Accepted),
        ("ping", Outcome::Filtered),
    ]
    .into_iter()
    .enumerate()
    {
        let body: &[u8] = if outcome == Outcome::Filtered { b"{}" } else { br#"{"id":1}"# };
        let answer = gateway.send(github("/in/github", event_type, event_type, body)).await;
        let event = answer.event();
        let report = gateway.report(number + 1).await;
        assert_eq!((report.outcome, report.event), (outcome, Some(event)));
    }
    let events = gateway.events().await;
    assert_eq!(events[0].disposition, Disposition::Filtered);
    assert!(events[0].deliveries.is_empty());
    assert_eq!(events[1].deliveries.len(), 1);
    assert_eq!(gateway.lanes.reserved.lock().len(), 2);
}

#[tokio::test]
async fn payload_rules_reject_or_mark() {
    let schema = CompiledSchema::compile(&json!({ "properties": { "n": { "maximum": 3 } } }));
    let schema = Arc::new(schema.unwrap());
    let strict = source("strict", "github").rules(|rules| {
        rules.required = vec!["data.id".parse().unwrap()];
        rules.schemas.insert("push".into(), Arc::clone(&schema));
    });
    let teapot = source("teapot", "github").rules(|rules| {
        rules.required = vec!["data.id".parse().unwrap()];
        rules.on_invalid = OnInvalid::Reject { status: 418 };
    });
    let lenient = source("lenient", "github").rules(|rules| {
        rules.schema = Some(schema);
        rules.on_invalid = OnInvalid::Accept;
    });
    let gateway = Setup::new(vec![strict, teapot, lenient]).start().await;
    let good = br#"{"data":{"id":1},"n":3}"#;
    assert_eq!(gateway.send(github("/in/strict", "1", "push", good)).await.status, 200);
    for (number, (event_type, body, code)) in [
        ("push", &br#"{"data":{"id":null}}"#[..], "required"),
        ("push", br#"{"data":{"id":1},"n":4}"#, "schema"),
        ("push", b"data=1", "not_json"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("wrong-{number}");
        let answer = gateway.send(github("/in/strict", &id, event_type, body)).await;
        assert_eq!(answer.status, 422, "{code}");
        let report = gateway.report(number + 2).await;
        assert_eq!((report.outcome, report.code), (Outcome::Invalid, Some(code)));
    }
    let other_type = github("/in/strict", "2", "ping", br#"{"data":{"id":1},"n":4}"#);
    assert_eq!(gateway.send(other_type).await.status, 200);
    assert_eq!(gateway.send(github("/in/teapot", "1", "push", b"{}")).await.status, 418);
    assert_eq!(gateway.quarantined().await.len(), 4);

    let event = gateway.send(github("/in/lenient", "1", "push", br#"{"n":4}"#)).await.event();
    let report = gateway.report(7).await;
    assert_eq!((report.outcome, report.code), (Outcome::Invalid, Some("schema")));
    let record = gateway.store.event_record(Scope::all(Owner::MAIN), event).await.unwrap().unwrap();
    assert!(record.fact(EventRecord::INVALID).unwrap().contains("/n"));
    let row = &gateway.events().await[0];
    assert_eq!((row.disposition, row.deliveries.len()), (Disposition::Invalid, 1));
}

#[tokio::test]
async fn any_content_is_kept_byte_for_byte() {
    let gateway = Setup::new(vec![source("open", "none")]).start().await;
    for (kind, body) in [
        ("application/json", &b"{ \"a\" : 1.00 }\n"[..]),
        ("application/x-www-form-urlencoded", b"a=%zz&b=+"),
        ("text/xml", b"<a/>\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\x00\xff\r\n--x--"),
        ("application/octet-stream", b"\x00\x01\xfe\xff"),
        ("application/json", b"not json"),
    ] {
        let event = gateway.send(post("/in/open", &[("content-type", kind)], body)).await.event();
        let record = gateway.store.event_record(Scope::all(Owner::MAIN), event).await.unwrap();
        assert_eq!(&record.unwrap().body()[..], body, "{kind}");
    }
    let gzip = post("/in/open", &[("content-encoding", "gzip")], b"\x1f\x8b\x08\x00garbage");
    let event = gateway.send(gzip).await.event();
    let record = gateway.store.event_record(Scope::all(Owner::MAIN), event).await.unwrap().unwrap();
    assert_eq!(&record.body()[..], b"\x1f\x8b\x08\x00garbage", "kept as it came");
}

#[tokio::test]
async fn deep_json_is_too_large() {
    let gateway = Setup::new(vec![source("open", "none")]).start().await;
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(gateway.send(post("/in/open", &[JSON], &nested(64))).await.status, 200);
    assert_eq!(gateway.send(post("/in/open", &[JSON], &nested(65))).await.status, 413);
    let million = post("/in/open", &[JSON], &nested(1_000_000));
    assert_eq!(gateway.send(million).await.status, 413);
    assert_eq!(gateway.report(3).await.code, Some("json_too_deep"));
    assert_eq!(gateway.send(post("/in/open", &[], &nested(65))).await.status, 200, "any bytes");
}

#[tokio::test]
async fn addresses_count_after_trusted_proxies() {
    let fenced = source("fenced", "none")
        .rules(|rules| rules.allow_networks = vec!["192.0.2.0/24".parse().unwrap()]);
    let local = source("local", "none")
        .rules(|rules| rules.allow_networks = vec!["127.0.0.0/8".parse().unwrap()]);
    let mut setup = Setup::new(vec![fenced, local]);
    setup.limits.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let gateway = setup.start().await;
    let from = |path: &str, hops: &str| post(path, &[("x-forwarded-for", hops)], b"x");
    assert_eq!(gateway.send(from("/in/fenced", "192.0.2.7")).await.status, 200);
    assert_eq!(gateway.report(1).await.remote, "192.0.2.7");
    for (number, hops) in ["198.51.100.1", "192.0.2.7, 198.51.100.1", "junk"].iter().enumerate() {
        assert_eq!(gateway.send(from("/in/fenced", hops)).await.status, 403, "{hops}");
        assert_eq!(gateway.report(number + 2).await.outcome, Outcome::AddressRefused);
    }
    assert_eq!(gateway.send(post("/in/local", &[], b"x")).await.status, 200);

    let gateway = Setup::new(vec![
        source("fenced", "none")
            .rules(|rules| rules.allow_networks = vec!["192.0.2.0/24".parse().unwrap()]),
    ])
    .start()
    .await;
    let spoofed = gateway.send(from("/in/fenced", "192.0.2.7")).await;
    assert_eq!(spoofed.status, 403, "nobody is trusted unless told");
}

#[tokio::test]
async fn acknowledgements_and_header_limits() {
    let own = source("own", "none").rules(|rules| {
        let (content_type, body) = ("text/xml".to_owned(), "<Response/>".to_owned());
        rules.ack = Some(Ack { status: 202, content_type, body });
    });
    let tight = source("tight", "none").rules(|rules| {
        rules.header_count_max = 4;
        rules.header_bytes_max = 100;
    });
    let gateway = Setup::new(vec![own, tight]).start().await;
    let answer = gateway.send(post("/in/own", &[], b"x")).await;
    assert_eq!((answer.status, answer.text()), (202, "<Response/>"));
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert!(answer.header("becket-event-id").is_some_and(|id| id.starts_with("msg_")));

    assert_eq!(gateway.send(post("/in/tight", &[("a", "1")], b"")).await.status, 200);
    assert_eq!(gateway.send(post("/in/tight", &[("a", "1"), ("b", "2")], b"")).await.status, 431);
    let long = "x".repeat(100);
    assert_eq!(gateway.send(post("/in/tight", &[("a", &long)], b"")).await.status, 431);
}

#[tokio::test]
async fn the_place_of_the_id_may_be_overridden_and_dedupe_switched_off() {
    let header = source("header", "none").rules(|rules| {
        rules.dedupe.id_at = Some(IdPlace::Header("x-my-id".parse().unwrap()));
    });
    let json = source("json", "none").rules(|rules| {
        rules.dedupe.id_at = Some(IdPlace::Json("data.id".parse().unwrap()));
    });
    let every = source("every", "none").rules(|rules| rules.dedupe.enabled = false);
    let gateway = Setup::new(vec![header, json, every]).start().await;
    let event = async |bytes: Vec<u8>| gateway.send(bytes).await.event();
    let with = |id, body: &[u8]| post("/in/header", &[("x-my-id", id)], body);
    assert_eq!(event(with("1", b"a")).await, event(with("1", b"b")).await);
    assert_ne!(event(with("1", b"a")).await, event(with("2", b"a")).await);
    let body = |text: &'static str| post("/in/json", &[], text.as_bytes());
    let first = event(body(r#"{"data":{"id":7},"x":1}"#)).await;
    assert_eq!(first, event(body(r#"{"data":{"id":7},"x":2}"#)).await);
    assert_ne!(first, event(body(r#"{"data":{"id":8}}"#)).await);
    assert_ne!(
        event(post("/in/every", &[], b"a")).await,
        event(post("/in/every", &[], b"a")).await
    );
}

#[tokio::test]
async fn the_public_url_is_what_is_verified() {
    let mut twilio = source("twilio", "twilio");
    twilio.public_url = Some("https://hooks.example.com/in/twilio".to_owned());
    let gateway = Setup::new(vec![twilio]).start().await;
    let entry = becket_signature::Catalogue::builtin().get("twilio").unwrap();
    let credentials = becket_signature::Credentials::from_secrets([crate::common::SECRET]);
    let options = becket_signature::VerifierOptions::default();
    let verifier = becket_signature::Verifier::new(entry, &credentials, &options).unwrap();
    let signed = verifier
        .sign(
            &becket_signature::SignRequest {
                method: "POST",
                url: "https://hooks.example.com/in/twilio/voice?x=1",
                body: b"CallSid=CA1&From=%2B1",
                content_type: "application/x-www-form-urlencoded",
                event_type: None,
                delivery_id: None,
            },
            crate::common::NOW_MS / 1_000,
        )
        .unwrap();
    let headers: Vec<_> =
        signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let genuine = post("/in/twilio/voice?x=1", &headers, &signed.body);
    assert_eq!(gateway.send(genuine).await.status, 200, "whatever the Host header says");
    let moved = post("/in/twilio/voice?x=2", &headers, &signed.body);
    assert!(gateway.send(moved).await.status >= 400);
}
