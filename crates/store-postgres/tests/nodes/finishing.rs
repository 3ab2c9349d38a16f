//! Results that are recorded together.

use super::*;

#[tokio::test]
async fn many_results_share_commits_and_each_lease_has_one_winner() {
    let group = Group::new(2, 1).await;
    let endpoint = group.endpoints[0];
    let mut held = Vec::new();
    for _ in 0..100 {
        let (event, token, _) = group.accept(0, &[endpoint], true).await;
        held.push((delivery(event, endpoint), token));
    }
    // Every result three times, from both stores, with other outcomes, and a foreign token between.
    let group = Arc::new(group);
    let calls = held.iter().flat_map(|(key, token)| (0..4).map(move |round| (*key, *token, round)));
    let calls = calls.map(|(key, token, round)| {
        let group = Arc::clone(&group);
        tokio::spawn(async move {
            let next = match round {
                0 => NextStep::Delivered,
                1 => NextStep::RetryAt(T0 + 77),
                _ => NextStep::Failed(becket_model::FailureReason::Exhausted),
            };
            let token = if round == 3 { LeaseToken(token.0 ^ 1 << 20) } else { token };
            (key, round, group.finish(round % 2, key, token, next).await)
        })
    });
    let mut recorded = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        if let (key, round, FinishOutcome::Recorded(id)) = call.await.unwrap() {
            assert_ne!(round, 3, "nobody has that token");
            recorded.push((key, id));
        }
    }
    recorded.sort_unstable();
    assert_eq!(recorded.len(), held.len());
    for (key, id) in recorded {
        let attempts = group.store(1).attempt_list(MAIN, key.event).await.unwrap();
        assert_eq!(attempts.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    }
    // Of both: either may have won nearly every lease.
    let (mut commits, mut rows) = (0, 0);
    for node in 0..2 {
        let gauges = group.cluster(node).gauges();
        commits += gauges.commits.iter().map(|commit| commit.1).sum::<u64>();
        rows += gauges.committed;
    }
    assert!(commits < rows, "{commits} commits of {rows} rows");
}

#[tokio::test]
async fn what_cannot_be_kept_fails_alone() {
    let group = Group::new(1, 1).await;
    let endpoint = group.endpoints[0];
    let mut held = Vec::new();
    for _ in 0..12 {
        let (event, token, _) = group.accept(0, &[endpoint], true).await;
        held.push((delivery(event, endpoint), token));
    }
    // The attempts of one event cannot be written: there is one with this number already.
    let taken = held[5].0.event.seq().0;
    group.schema.query(&format!(
        "INSERT INTO attempt VALUES ({taken}, 1, 0, {}, 1, 0, 0, 1, 0, NULL, '\\x00', NULL, '\\x00')",
        endpoint.0
    ));
    let calls = held.iter().map(|(key, lease)| {
        let finish = AttemptFinish {
            delivery: *key,
            lease: *lease,
            attempt: attempt(1),
            next: NextStep::Delivered,
        };
        group.store(0).attempt_finish(finish)
    });
    let outcomes = futures_util::future::join_all(calls).await;
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(outcome) => assert!(at != 5 && matches!(outcome, FinishOutcome::Recorded(_))),
            Err(error) => assert!(at == 5 && error.code() == "store_database", "{error}"),
        }
    }
}

fn finish_of(key: DeliveryKey, lease: LeaseToken) -> AttemptFinish {
    AttemptFinish { delivery: key, lease, attempt: attempt(1), next: NextStep::Delivered }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_outlast_lost_connections() {
    let group = Group::new(1, 1).await;
    let endpoint = group.endpoints[0];
    for _ in 0..6 {
        let mut held = Vec::new();
        while held.len() < 30 {
            let planned = vec![Planned { endpoint, leased: true }];
            let accept = EventAccept { planned, ..event(group.application, T0) };
            // The sessions of the last storm may not have noticed it.
            if let Ok(Accepted::Stored { event, lease, .. }) =
                group.store(0).event_accept(MAIN, accept).await
            {
                held.push((delivery(event, endpoint), lease));
            }
        }
        let calls =
            held.iter().map(|(key, token)| group.store(0).attempt_finish(finish_of(*key, *token)));
        let storm = async {
            tokio::task::block_in_place(|| {
                group.schema.query(&format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE pid <> pg_backend_pid() AND application_name LIKE '%{}'",
                    group.schema.name
                ));
            });
        };
        let (outcomes, ()) = tokio::join!(futures_util::future::join_all(calls), storm);
        for ((key, token), outcome) in held.iter().zip(outcomes) {
            // Whatever a caller was told, trying again is right, and one attempt is kept.
            if outcome.is_err() {
                until(SOON, || async {
                    group.store(0).attempt_finish(finish_of(*key, *token)).await.is_ok()
                })
                .await;
            }
            until(SOON, || async {
                let attempts = group.store(0).attempt_list(MAIN, key.event).await;
                attempts.is_ok_and(|attempts| {
                    assert_eq!(attempts.len(), 1);
                    true
                })
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_out() {
    let mut group = Group::new(1, 1).await;
    let endpoint = group.endpoints[0];
    let (proxy, options) = cut_way(&group.schema);
    group.open_with(Options { writers: 1, ..options }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let (event, token, _) = group.accept(0, &[endpoint], true).await;
        held.push((delivery(event, endpoint), token));
    }
    let (key, token) = held[0];
    group.finish(1, key, token, NextStep::Delivered).await;
    // The second is stale, and told as such although the answer for all was lost.
    let stale = group.finish(0, held[2].0, held[2].1, NextStep::RetryAt(T0)).await;
    assert!(matches!(stale, FinishOutcome::Recorded(_)));
    proxy.arm(Work::Finish, Moment::Answered);
    let calls =
        held[1..].iter().map(|(key, token)| group.store(1).attempt_finish(finish_of(*key, *token)));
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(!proxy.is_armed(), "one answer was lost");
    for ((key, _), outcome) in held[1..].iter().zip(outcomes) {
        let attempts = group.store(0).attempt_list(MAIN, key.event).await.unwrap();
        assert_eq!(attempts.len(), 1);
        match outcome.unwrap() {
            FinishOutcome::Recorded(id) => assert_eq!(attempts[0].id, id),
            FinishOutcome::Stale => assert_eq!(*key, held[2].0),
        }
    }
}
