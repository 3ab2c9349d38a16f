//! Runs the table of raw requests: one request has one answer or ends the connection, and nothing
//! that is hidden in a request is ever run.

use std::sync::Arc;
use std::time::Duration;

use becket_model::EventRecord;
use becket_store::{Owner, Scope, Store};

use crate::common::{Answer, Setup, exchange, source};
use crate::raw_cases::{Case, Expected, cases};

/// In a case's bytes this stands for a whole request that must never be run.
const SMUGGLED: &str = "{SMUGGLED}";

fn fill(case: &Case, number: usize) -> Vec<u8> {
    let hidden =
        format!("POST /in/smuggled/{number} HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx");
    let mut bytes = Vec::new();
    let mut rest = &case.bytes[..];
    while let Some(at) = rest.windows(SMUGGLED.len()).position(|part| part == SMUGGLED.as_bytes()) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(hidden.as_bytes());
        rest = &rest[at + SMUGGLED.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

fn judge(case: &Case, answers: &[Answer], ended: bool) -> Result<(), String> {
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let fits = match case.expected {
        Expected::Answer(status) => statuses == [status],
        Expected::Answers(all) => statuses == all,
        Expected::Refused => {
            ended && statuses.len() <= 1 && statuses.iter().all(|status| *status >= 400)
        }
        Expected::AnswerThenEnd(status) => ended && statuses == [status],
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{}: {:?}, got {statuses:?}, ended: {ended}", case.name, case.expected))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_one_answer_or_a_closed_connection() {
    let every = |uid| source(uid, "none").rules(|rules| rules.dedupe.enabled = false);
    let mut setup = Setup::new(vec![every("open"), every("smuggled")]);
    setup.limits.header_timeout_ms = 1_000;
    setup.limits.body_idle_timeout_ms = 1_000;
    setup.limits.unverified_burst = 10_000;
    let gateway = setup.start().await;
    let all = Arc::new(cases());
    assert!(all.len() >= 110, "{} cases", all.len());

    let mut running = tokio::task::JoinSet::new();
    for number in 0..all.len() {
        let (all, address) = (Arc::clone(&all), gateway.address);
        running.spawn(async move {
            let case = &all[number];
            let bytes = fill(case, number);
            let (answers, ended) = exchange(address, &bytes, Duration::from_secs(10)).await;
            judge(case, &answers, ended)
        });
    }
    let wrong: Vec<String> = running.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), all.len(), wrong.join("\n"));

    let scope = Scope::all(Owner::MAIN);
    for event in gateway.events().await {
        let record = gateway.store.event_record(scope, event.id).await.unwrap().unwrap();
        let path = record.fact(EventRecord::PATH).unwrap();
        if let Some(number) = path.strip_prefix("/in/smuggled/") {
            panic!("a hidden request was run: {}", all[number.parse::<usize>().unwrap()].name);
        }
    }
    // The gateway is unharmed.
    let after = gateway.send(crate::common::post("/in/open", &[], b"after")).await;
    assert_eq!(after.status, 200);
}
