//! Out of quarantine: judged again, in the order of receipt, once; and sources that only observe.

use becket_ingress::{LetOut, LetOutcome, Outcome};
use becket_model::{Disposition, EventRecord, Verification};
use becket_signature::{Credentials, Refusal};
use becket_store::{Owner, QuarantineFilter, Scope, Store};

use crate::common::{Gateway, Setup, SourceSetup, github, post, source};

const ALL: Scope = Scope::all(Owner::MAIN);

/// A source that has another secret than the sender signs with.
fn mistaken(uid: &'static str) -> SourceSetup {
    let made = source(uid, "github");
    SourceSetup { credentials: Credentials::from_secrets(["another"]), ..made }
}

fn by(reason: Option<&str>) -> LetOut {
    LetOut { by: "admin".to_owned(), reason: reason.map(str::to_owned) }
}

async fn let_out(gateway: &Gateway, number: i64, reason: Option<&str>) -> LetOutcome {
    gateway.ingress.let_out(ALL, number, &by(reason)).await.unwrap()
}

/// The numbers in quarantine, oldest first.
async fn numbers(gateway: &Gateway) -> Vec<i64> {
    let filter = QuarantineFilter { after: Some(0), ..QuarantineFilter::default() };
    let rows = gateway.store.quarantine_list(ALL, filter, 1_000).await.unwrap();
    rows.iter().map(|row| row.number).collect()
}

#[tokio::test]
async fn what_passes_now_becomes_an_event_once() {
    let gateway = Setup::new(vec![mistaken("github")]).start().await;
    for id in ["d-1", "d-2", "d-1"] {
        let body = format!("{{\"id\":\"{id}\"}}");
        let answer = gateway.send(github("/in/github", id, "push", body.as_bytes())).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(gateway.send(post("/in/github", &[], b"forged")).await.status, 401);
    let kept = numbers(&gateway).await;
    assert!(matches!(
        let_out(&gateway, kept[0], None).await,
        LetOutcome::Stays { code: "signature_mismatch", .. }
    ));
    assert_eq!(numbers(&gateway).await, kept, "what does not pass stays");

    gateway.reconfigure(&[source("github", "github")]).await;
    gateway.clock.advance(3_600_000);
    let mut events = Vec::new();
    for number in &kept[..2] {
        match let_out(&gateway, *number, None).await {
            LetOutcome::Accepted(event) => events.push(event),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(let_out(&gateway, kept[2], None).await, LetOutcome::Repeat(events[0]));
    assert!(matches!(
        let_out(&gateway, kept[3], None).await,
        LetOutcome::Stays { code: "missing_signature", .. }
    ));
    assert_eq!(let_out(&gateway, kept[0], None).await, LetOutcome::Absent, "doing it again");
    assert_eq!(numbers(&gateway).await, [kept[3]]);

    let listed = gateway.events().await;
    assert_eq!(listed.iter().rev().map(|row| row.id).collect::<Vec<_>>(), events);
    let row = &listed[1];
    assert_eq!((row.event_type.as_deref(), row.disposition), (Some("push"), Disposition::Accepted));
    assert_eq!(row.deliveries.len(), 1);
    assert_eq!(row.labels.unverified, None);
    let released = row.labels.released.as_ref().unwrap();
    assert_eq!((released.by.as_str(), &released.reason), ("admin", &None));
    assert_eq!(released.refused_as, "signature_mismatch");
    assert_eq!(released.first_received_at_ms, row.received_at_ms - 3_600_000);
    let record = gateway.store.event_record(ALL, row.id).await.unwrap().unwrap();
    assert_eq!(record.fact(EventRecord::DELIVERY_ID), Some("d-1"));
    assert!(record.fact(EventRecord::VERDICT).unwrap().contains("secret_index"));
    assert_eq!(&record.body()[..], b"{\"id\":\"d-1\"}");
    let handed: Vec<_> = gateway.lanes.handed.lock().iter().map(|one| one.key.event).collect();
    assert_eq!(handed, events, "handed over in the order of receipt");
    let told = gateway.told.released.lock().clone();
    let repeats: Vec<bool> = told.iter().map(|(_, _, repeat, _)| *repeat).collect();
    assert_eq!(repeats, [false, false, true]);
}

#[tokio::test]
async fn a_person_may_let_out_what_cannot_be_verified() {
    let gateway = Setup::new(vec![mistaken("github")]).start().await;
    gateway.send(github("/in/github", "d-1", "push", b"{}")).await;
    let number = numbers(&gateway).await[0];
    let reason = "the sender confirmed it by telephone";
    let LetOutcome::Accepted(event) = let_out(&gateway, number, Some(reason)).await else {
        panic!("it is let out");
    };
    let row = gateway.events().await.remove(0);
    assert_eq!(row.id, event);
    assert_eq!(row.labels.unverified.as_deref(), Some("signature_mismatch"));
    assert_eq!(row.labels.released.as_ref().unwrap().reason.as_deref(), Some(reason));
    assert_eq!(let_out(&gateway, number, Some(reason)).await, LetOutcome::Absent);
    let told = gateway.told.released.lock().clone();
    assert_eq!(told, [(number, event, false, Some(Refusal::SignatureMismatch))]);
}

#[tokio::test]
async fn what_was_cut_or_has_no_source_stays() {
    let small = || mistaken("github").rules(|rules| rules.body_limit_bytes = 10);
    let gateway = Setup::new(vec![small()]).start().await;
    gateway.send(github("/in/github", "d-1", "push", &[b'x'; 100])).await;
    gateway.send(github("/in/github", "d-2", "push", b"{}")).await;
    let kept = numbers(&gateway).await;
    let outcome = let_out(&gateway, kept[0], Some("all the same")).await;
    assert!(matches!(outcome, LetOutcome::Stays { code: "body_cut", .. }), "{outcome:?}");
    gateway.reconfigure(&[]).await;
    let outcome = let_out(&gateway, kept[1], Some("all the same")).await;
    assert!(matches!(outcome, LetOutcome::Stays { code: "source_gone", .. }), "{outcome:?}");
    assert_eq!(numbers(&gateway).await, kept);
    assert_eq!(let_out(&gateway, 99, None).await, LetOutcome::Absent);
}

#[tokio::test]
async fn rules_hold_on_the_way_out_unless_a_person_says_otherwise() {
    let strict = || {
        source("github", "github").rules(|rules| {
            rules.required = vec!["data.id".parse().unwrap()];
        })
    };
    let gateway = Setup::new(vec![strict()]).start().await;
    for id in ["d-1", "d-2"] {
        let answer = gateway.send(github("/in/github", id, "push", b"{}")).await;
        assert_eq!(answer.status, 422);
    }
    let kept = numbers(&gateway).await;
    let outcome = let_out(&gateway, kept[0], None).await;
    assert!(matches!(outcome, LetOutcome::Stays { code: "required", .. }), "{outcome:?}");
    assert!(matches!(let_out(&gateway, kept[0], Some("known")).await, LetOutcome::Accepted(_)));
    let row = gateway.events().await.remove(0);
    assert_eq!((row.disposition, row.labels.unverified), (Disposition::Invalid, None));
    gateway.reconfigure(&[source("github", "github")]).await;
    assert!(matches!(let_out(&gateway, kept[1], None).await, LetOutcome::Accepted(_)));
}

#[tokio::test]
async fn a_source_that_observes_accepts_and_notes_the_verdict() {
    let observing = mistaken("github").rules(|rules| rules.verification = Verification::Observe);
    let gateway = Setup::new(vec![observing]).start().await;
    let answer = gateway.send(github("/in/github", "d-1", "push", b"{}")).await;
    assert_eq!(answer.status, 200);
    let report = gateway.report(1).await;
    assert_eq!(report.outcome, Outcome::Accepted);
    assert_eq!(report.refusal, Some(Refusal::SignatureMismatch));
    assert_eq!(gateway.send(post("/in/github", &[], b"{}")).await.status, 200);
    let rows = gateway.events().await;
    let noted: Vec<_> = rows.iter().rev().map(|row| row.labels.unverified.as_deref()).collect();
    assert_eq!(noted, [Some("signature_mismatch"), Some("missing_signature")]);
    assert!(rows.iter().all(|row| row.deliveries.len() == 1 && row.labels.released.is_none()));
    let record = gateway.store.event_record(ALL, rows[1].id).await.unwrap().unwrap();
    assert_eq!(record.fact(EventRecord::VERDICT), Some("{\"refused\":\"signature_mismatch\"}"));
    assert!(numbers(&gateway).await.is_empty());
}

/// Whoever sends to a source that only observes must not be able to take the place of an event.
#[tokio::test]
async fn an_observed_forgery_keeps_no_genuine_event_out() {
    let observing =
        source("github", "github").rules(|rules| rules.verification = Verification::Observe);
    let gateway = Setup::new(vec![observing]).start().await;
    let forged = [("x-github-delivery", "d-1"), ("x-github-event", "push")];
    for _ in 0..2 {
        assert_eq!(gateway.send(post("/in/github", &forged, b"{}")).await.status, 200);
    }
    assert_eq!(gateway.events().await.len(), 1, "its own repeat is one");
    assert_eq!(gateway.send(github("/in/github", "d-1", "push", b"{}")).await.status, 200);
    let rows = gateway.events().await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].labels.unverified, None);
}
