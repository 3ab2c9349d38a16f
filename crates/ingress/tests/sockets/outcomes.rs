//! Every outcome of a request to a source, with its answer, its report and what is in the store.

use std::sync::Arc;
use std::time::Duration;

use becket_ingress::{IdPlace, Outcome, ServerLimits, SourceTable, UnusableSource};
use becket_model::{DeliveryState, Disposition, EndpointState, EventRecord, Rate};
use becket_store::{Owner, Quarantined, Scope, Store};

use crate::common::{self, Setup, eventually, github, post, request, source};
use crate::gated_store::GatedStore;

const BODY: &[u8] = br#"{"ref":"refs/heads/main"}"#;

#[tokio::test]
async fn accepted_is_stored_exactly_and_handed_over() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let answer = gateway.send(github("/in/github/below?a=1", "d-1", "push", BODY)).await;
    let event = answer.event();
    let report = gateway.report(1).await;
    assert_eq!(report.outcome, Outcome::Accepted);
    assert_eq!(report.source.as_deref(), Some("github"));
    assert_eq!((report.event, report.event_type.as_deref()), (Some(event), Some("push")));
    assert_eq!((report.status, report.bytes, report.code), (200, BODY.len() as u64, None));
    assert_eq!(report.remote, "127.0.0.1");

    let all = Scope::all(Owner::MAIN);
    let record = gateway.store.event_record(all, event).await.unwrap().unwrap();
    assert_eq!(&record.body()[..], BODY);
    for (fact, expected) in [
        (EventRecord::METHOD, "POST"),
        (EventRecord::PATH, "/in/github/below?a=1"),
        (EventRecord::REMOTE, "127.0.0.1"),
        (EventRecord::DELIVERY_ID, "d-1"),
        (EventRecord::URL, "http://hooks.example.com/in/github/below?a=1"),
    ] {
        assert_eq!(record.fact(fact), Some(expected), "{fact}");
    }
    assert!(record.fact(EventRecord::VERDICT).unwrap().contains("secret_index"));
    assert!(record.headers().any(|(name, value)| name == "x-github-event" && value == b"push"));

    let handed = gateway.lanes.handed.lock().clone();
    assert_eq!(handed.len(), 1);
    assert_eq!((handed[0].key.event, handed[0].attempts), (event, 0));
    assert_eq!(handed[0].event_type.as_deref(), Some("push"));
    assert_eq!(handed[0].record, record);
    assert!(gateway.store.delivery_due().await.unwrap().is_empty(), "it is leased");
}

#[tokio::test]
async fn a_duplicate_is_answered_with_the_first_id() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let first = gateway.send(github("/in/github", "d-1", "push", BODY)).await.event();
    let again = gateway.send(github("/in/github", "d-1", "push", b"other")).await.event();
    assert_eq!(first, again);
    let report = gateway.report(2).await;
    assert_eq!((report.outcome, report.event), (Outcome::Duplicate, Some(first)));
    assert_eq!(gateway.events().await.len(), 1);
    assert_eq!(gateway.lanes.handed.lock().len(), 1);
    assert_eq!(gateway.lanes.cancelled.lock().len(), 1, "the second reservation");
    let repeats = gateway.store.duplicate_list(Scope::all(Owner::MAIN), first, 10).await.unwrap();
    assert_eq!(repeats.len(), 1);

    gateway.clock.advance(72 * 3_600_000);
    let later = gateway.send(github("/in/github", "d-1", "push", BODY)).await.event();
    assert_ne!(later, first, "the window is over");
}

#[tokio::test]
async fn without_an_id_the_body_counts_for_five_minutes() {
    let gateway = Setup::new(vec![source("open", "none"), source("two", "none")]).start().await;
    let first = gateway.send(post("/in/open", &[], b"a")).await.event();
    assert_eq!(gateway.send(post("/in/open", &[], b"a")).await.event(), first);
    assert_ne!(gateway.send(post("/in/open", &[], b"b")).await.event(), first);
    assert_ne!(gateway.send(post("/in/open/x", &[], b"a")).await.event(), first);
    assert_ne!(gateway.send(post("/in/two", &[], b"a")).await.event(), first);
    gateway.clock.advance(5 * 60_000);
    assert_ne!(gateway.send(post("/in/open", &[], b"a")).await.event(), first);
}

/// The first event of an object must not make a repeat of the next one, and a genuine batch is not
/// dropped because its first event has come before.
#[tokio::test]
async fn an_objects_id_or_a_batchs_first_id_drops_nothing_else() {
    let sources = ["retell", "hubspot", "dropbox"].map(|slug| source(slug, slug));
    let gateway = Setup::new(Vec::from(sources)).start().await;
    let send = async |slug: &str, body: &str| {
        let path = format!("/in/{slug}");
        gateway.send(common::signed(slug, &path, &[], body.as_bytes())).await.event()
    };
    let turn = r#"{"event":"transcript_updated","call":{"call_id":"c","transcript":"a"}}"#;
    let first = send("retell", turn).await;
    assert_ne!(send("retell", &turn.replace("\"a\"", "\"a b\"")).await, first);
    assert_eq!(send("retell", turn).await, first, "a repeat is still one");

    let first = send("hubspot", r#"[{"eventId":1}]"#).await;
    assert_ne!(send("hubspot", r#"[{"eventId":1},{"eventId":2}]"#).await, first);

    // Two changes of one account have the same bytes.
    let changed = r#"{"list_folder":{"accounts":["dbid:A"]}}"#;
    let first = send("dropbox", changed).await;
    gateway.clock.advance(60_000);
    assert_ne!(send("dropbox", changed).await, first);
}

/// What a stranger sends to a source that verifies nothing never makes a repeat of the sender's own.
#[tokio::test]
async fn an_unproven_id_keeps_nothing_out() {
    let chosen = source("chosen", "none").rules(|rules| {
        rules.dedupe.id_at = Some(IdPlace::Json("id".parse().unwrap()));
    });
    let bitpay = source("bitpay", "bitpay");
    let mollie = source("mollie", "mollie_classic");
    let gateway = Setup::new(vec![bitpay, mollie, chosen]).start().await;
    let forged = br#"{"id":"INV","status":"confirmed"}"#;
    let genuine = br#"{"id":"INV","status":"confirmed","price":10}"#;
    let first = gateway.send(post("/in/bitpay", &[], forged)).await.event();
    let second = gateway.send(post("/in/bitpay", &[], genuine)).await.event();
    let third = gateway.send(post("/in/bitpay", &[], genuine)).await.event();
    assert!(first != second && second != third, "even the same bytes could have been foreseen");
    let one = gateway.send(post("/in/mollie", &[], b"id=tr_x")).await.event();
    assert_ne!(gateway.send(post("/in/mollie", &[], b"id=tr_x")).await.event(), one);
    // An operator who says where the id is means it.
    let one = gateway.send(post("/in/chosen", &[], forged)).await.event();
    assert_eq!(gateway.send(post("/in/chosen", &[], genuine)).await.event(), one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_with_one_id_make_one_event() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let bytes = github("/in/github", "the-one", "push", BODY);
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (bytes, address) = (bytes.clone(), gateway.address);
        sending.spawn(async move {
            let (answers, _) = common::exchange(address, &bytes, Duration::from_secs(20)).await;
            answers[0].event()
        });
    }
    let ids: Vec<_> = sending.join_all().await;
    assert_eq!(ids.len(), 1_000);
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(gateway.events().await.len(), 1);
    gateway.report(1_000).await;
    let reports = gateway.reports();
    let count = |outcome| reports.iter().filter(|report| report.outcome == outcome).count();
    assert_eq!((count(Outcome::Accepted), count(Outcome::Duplicate)), (1, 999));
    assert_eq!(gateway.lanes.handed.lock().len(), 1);
    assert_eq!(gateway.lanes.cancelled.lock().len(), gateway.lanes.reserved.lock().len() - 1);
}

#[tokio::test]
async fn every_refusal_looks_the_same_and_is_kept() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let genuine = String::from_utf8(github("/in/github", "d", "push", BODY)).unwrap();
    let forged = [
        genuine.replace("refs/heads/main", "refs/heads/evil"),
        genuine.replace("sha256=", "sha1="),
        genuine.replace("x-hub-signature-256", "x-nothing"),
        genuine.replace("sha256=", "sha256=zz"),
    ];
    let mut bodies = Vec::new();
    for (number, bytes) in forged.iter().enumerate() {
        let answer = gateway.send(bytes).await;
        assert_eq!(answer.status, 401, "{bytes}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        bodies.push(answer.body);
        let report = gateway.report(number + 1).await;
        assert_eq!((report.outcome, report.event), (Outcome::Refused, None));
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(gateway.events().await.is_empty());
    let kept = gateway.quarantined().await;
    let codes: Vec<_> = kept.iter().rev().map(|kept| kept.row.code.as_str()).collect();
    let told: Vec<_> = gateway.reports().iter().filter_map(|report| report.code).collect();
    assert_eq!(codes, told);
    assert_eq!(codes[0], "signature_mismatch");
    assert_eq!(codes[2], "missing_signature");
    assert_eq!(&kept[3].record.body()[..], br#"{"ref":"refs/heads/evil"}"#);
}

#[tokio::test]
async fn a_refused_body_is_kept_whole() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let answer = gateway.send(post("/in/github", &[], &vec![b'x'; 100_000])).await;
    assert_eq!(answer.status, 401);
    assert_eq!(gateway.report(1).await.bytes, 100_000);
    let kept = gateway.quarantined().await.remove(0);
    assert_eq!(kept.record.body().len(), 100_000);
    assert_eq!(kept.record.fact(EventRecord::CUT), None);
}

#[tokio::test]
async fn unknown_sources_are_not_found() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    let mut number = 0;
    for path in ["/in", "/in/", "/in/nobody", "/in/GitHub", "/in/git%68ub", "/in/../github"] {
        let answer = gateway.send(github(path, "d", "push", BODY)).await;
        assert_eq!(answer.status, 404, "{path}");
        number += 1;
        let report = gateway.report(number).await;
        assert_eq!((report.outcome, report.source), (Outcome::NotFound, None), "{path}");
    }
    let answer = gateway.send(post("/inbox", &[], b"")).await;
    assert_eq!(answer.text(), "fallback POST /inbox 0");
}

#[tokio::test]
async fn a_source_that_cannot_be_used_is_not_called_unknown() {
    let gateway = Setup::new(vec![source("github", "github"), source("shop", "github")]).start();
    let gateway = gateway.await;
    let usable = gateway.table.load_full();
    let unusable = |names: Option<Vec<String>>| {
        let known = usable.get("github").unwrap();
        let (key, owner, uid) = (known.key, known.owner, known.uid.clone());
        let mut table = SourceTable::clone(&usable);
        table.set_unusable(UnusableSource { key, owner, uid, names });
        gateway.table.store(Arc::new(table));
    };
    let mut number = 0;
    let mut sent = async |path: &str, source: Option<&str>| {
        let answer = gateway.send(github(path, &format!("d{number}"), "push", BODY)).await;
        number += 1;
        let report = gateway.report(number).await;
        assert_eq!(report.source.as_deref(), source, "{path}");
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 503, "{path}");
        (answer.status, report.outcome, report.code)
    };
    let away = (503, Outcome::SourceUnusable, Some("source_unusable"));
    let nothing = (404, Outcome::NotFound, Some("unknown_source"));

    unusable(Some(vec!["github".to_owned(), "another".to_owned()]));
    assert_eq!(sent("/in/github", Some("github")).await, away);
    assert_eq!(sent("/in/another/below", Some("github")).await, away);
    assert_eq!(sent("/in/nobody", None).await, nothing);
    // What may be its name is not said to be nobody's.
    unusable(None);
    assert_eq!(sent("/in/github", None).await, away);
    assert_eq!(sent("/in/nobody", None).await, away);
    assert_eq!(sent("/in/", None).await, nothing);
    assert_eq!(sent("/in/shop", Some("shop")).await.0, 200);
    assert_eq!(gateway.events().await.len(), 1, "nothing else was taken");
    assert!(gateway.quarantined().await.is_empty());

    gateway.table.store(usable.clone());
    assert_eq!(sent("/in/github", Some("github")).await.0, 200);
    assert_eq!(sent("/in/nobody", None).await, nothing);
}

#[tokio::test]
async fn methods_and_handshakes() {
    let facebook = source("meta", "facebook").named("verify_token", "mytoken");
    let gateway = Setup::new(vec![facebook, source("slack", "slack")]).start().await;
    let query = "/in/meta?hub.mode=subscribe&hub.verify_token=mytoken&hub.challenge=1158201444";
    let answer = gateway.send(request("GET", query, &[], b"")).await;
    assert_eq!((answer.status, answer.text()), (200, "1158201444"));
    assert_eq!(gateway.report(1).await.outcome, Outcome::Handshake);

    let wrong = query.replace("mytoken", "another");
    let answer = gateway.send(request("GET", &wrong, &[], b"")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(gateway.report(2).await.outcome, Outcome::MethodNotAllowed);
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        assert_eq!(gateway.send(request(method, "/in/meta", &[], b"")).await.status, 405);
    }

    let challenge = br#"{"type":"url_verification","challenge":"abc"}"#;
    let genuine = common::signed("slack", "/in/slack", &[], challenge);
    let answer = gateway.send(genuine).await;
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    let forged = gateway.send(post("/in/slack", &[], challenge)).await;
    assert_eq!(forged.status, 401, "the challenge has to be genuine");
    assert!(gateway.events().await.is_empty());
}

#[tokio::test]
async fn too_large_by_announcement_and_by_chunks() {
    let small = source("small", "none").rules(|rules| rules.body_limit_bytes = 10);
    let gateway = Setup::new(vec![small]).start().await;
    assert_eq!(gateway.send(post("/in/small", &[], b"0123456789")).await.status, 200);
    assert_eq!(gateway.send(post("/in/small", &[], b"01234567890")).await.status, 413);
    let chunked = "POST /in/small HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
        6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n";
    assert_eq!(gateway.send(chunked).await.status, 413);
    let report = gateway.report(3).await;
    assert_eq!((report.outcome, report.code), (Outcome::TooLarge, Some("too_large")));
    let kept = gateway.quarantined().await;
    assert_eq!(kept.len(), 2);
    let cut = |kept: &Quarantined| kept.record.fact(EventRecord::CUT).is_some();
    assert!(kept.iter().all(|kept| kept.row.code == "too_large" && kept.row.status == 413));
    assert!(kept.iter().all(cut), "what was kept is not all of it");
    assert_eq!(gateway.events().await.len(), 1);
}

#[tokio::test]
async fn genuine_and_unproven_traffic_are_limited_apart() {
    let limited = source("github", "github").rules(|rules| {
        rules.rate = Some(Rate { count: 2, period_ms: 60_000 });
    });
    let mut setup = Setup::new(vec![limited, source("free", "github")]);
    setup.limits.unverified_rate = Rate::per_second(1);
    setup.limits.unverified_burst = 3;
    let gateway = setup.start().await;
    let send = async |path: &str, id: &str| gateway.send(github(path, id, "push", BODY)).await;
    assert_eq!(send("/in/github", "1").await.status, 200);
    assert_eq!(send("/in/github", "2").await.status, 200);
    let answer = send("/in/github", "3").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    let report = gateway.report(3).await;
    assert_eq!((report.outcome, report.code), (Outcome::RateLimited, Some("source_rate")));

    for _ in 0..2 {
        assert_eq!(gateway.send(post("/in/free", &[], BODY)).await.status, 401);
    }
    assert_eq!(gateway.send(post("/in/nobody", &[], BODY)).await.status, 404);
    let answer = gateway.send(post("/in/free", &[], BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(gateway.report(7).await.code, Some("address_rate"));
    assert_eq!(gateway.quarantined().await.len(), 2, "a flood is not kept");
    assert_eq!(send("/in/free", "4").await.status, 200, "the genuine sender is not shut out");
    gateway.clock.advance(60_000);
    assert_eq!(send("/in/github", "5").await.status, 200);
}

#[tokio::test]
async fn a_closed_store_is_no_success() {
    let gateway = Setup::new(vec![source("github", "github")]).start().await;
    gateway.store.close().await.unwrap();
    let answer = gateway.send(github("/in/github", "d", "push", BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    let report = gateway.report(1).await;
    assert_eq!((report.outcome, report.code), (Outcome::StoreUnavailable, Some("store_closed")));
    assert_eq!(gateway.lanes.cancelled.lock().len(), 1);
    assert_eq!(gateway.send(post("/in/github", &[], BODY)).await.status, 401);
}

#[tokio::test]
async fn too_many_bytes_at_once() {
    let mut setup = Setup::new(vec![source("open", "none")]);
    setup.limits.inflight_body_bytes_max = 100;
    let gateway = setup.start().await;
    assert_eq!(gateway.send(post("/in/open", &[], &[b'x'; 100])).await.status, 200);
    let answer = gateway.send(post("/in/open", &[], &[b'x'; 101])).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(gateway.report(2).await.outcome, Outcome::Overloaded);
    assert_eq!(gateway.send(post("/in/open", &[], &[b'y'; 100])).await.status, 200);
}

#[tokio::test]
async fn lanes_decide_what_is_leased() {
    let mut two = source("github", "github");
    let settings = two.endpoints[0].1.clone();
    two.endpoints = vec![
        (EndpointState::Enabled, settings.clone()),
        (EndpointState::Paused, settings.clone()),
        (EndpointState::Enabled, settings.clone()),
        (EndpointState::Disabled, settings),
    ];
    let mut setup = Setup::new(vec![two]);
    setup.room = 1;
    let gateway = setup.start().await;
    let event = gateway.send(github("/in/github", "d", "push", BODY)).await.event();
    let row = &gateway.events().await[0];
    assert_eq!((row.id, row.deliveries.len()), (event, 3));
    assert!(row.deliveries.iter().all(|delivery| delivery.state == DeliveryState::Pending));
    let handed: Vec<_> = gateway.lanes.handed.lock().iter().map(|one| one.key.endpoint).collect();
    assert_eq!(handed, [row.deliveries[0].endpoint]);
    assert_eq!(*gateway.lanes.woken.lock(), [row.deliveries[2].endpoint]);
    let due = gateway.store.delivery_due().await.unwrap();
    assert_eq!(due.len(), 2, "the paused one and the one without room wait");
}

#[tokio::test]
async fn nothing_is_acknowledged_before_the_store_has_returned() {
    let mut setup = Setup::new(vec![source("github", "github")]);
    setup.wrap = Some(GatedStore::wrap);
    setup.limits = ServerLimits { commit_timeout_ms: 300, ..ServerLimits::default() };
    let gateway = setup.start().await;
    // The gate lets a commit through after its body says so many milliseconds.
    let slow = github("/in/github", "slow", "wait-100", BODY);
    let begun = std::time::Instant::now();
    let event = gateway.send(slow).await.event();
    assert!(begun.elapsed() >= Duration::from_millis(100));

    let answer = gateway.send(github("/in/github", "slower", "wait-600", BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(gateway.report(2).await.code, Some("store_slow"));
    assert_eq!(gateway.ingress.unfinished_count(), 1);
    eventually(|| gateway.lanes.handed.lock().len() == 2).await;
    eventually(|| gateway.ingress.unfinished_count() == 0).await;
    let again = gateway.send(github("/in/github", "slower", "push", BODY)).await.event();
    assert_ne!(again, event);
    assert_eq!(gateway.events().await.len(), 2, "the repeat found what was stored meanwhile");
}

#[tokio::test]
async fn a_sender_that_leaves_does_not_undo_a_commit() {
    use tokio::io::AsyncWriteExt;
    let mut setup = Setup::new(vec![source("github", "github")]);
    setup.wrap = Some(GatedStore::wrap);
    let gateway = setup.start().await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&github("/in/github", "d", "wait-300", BODY)).await.unwrap();
    eventually(|| gateway.lanes.reserved.lock().len() == 1).await;
    drop(stream);
    let report = gateway.report(1).await;
    assert_eq!((report.outcome, report.status), (Outcome::Disconnected, 0));
    eventually(|| gateway.lanes.handed.lock().len() == 1).await;
    assert!(gateway.lanes.cancelled.lock().is_empty());
    assert_eq!(gateway.events().await[0].disposition, Disposition::Accepted);
}
