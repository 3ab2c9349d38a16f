//! Who may lease, and what becomes of leases whose node has gone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use becket_model::EndpointState;
use becket_store::{Changed, EndpointChange};

use super::*;

/// Node 1 renews until node 0, which is silent, is gone.
async fn outlive(group: &Group) {
    until(SOON, || async { group.renew(1).await.nodes.len() == 1 }).await;
}

/// Whether a node is told that something waits for the endpoint.
async fn is_due(group: &Group, node: usize, endpoint: EndpointKey) -> bool {
    let due = group.store(node).delivery_due().await.unwrap();
    due.into_iter().any(|due| due.endpoint == endpoint)
}

#[tokio::test]
async fn leases_of_several_stores_are_disjoint() {
    let group = Group::new(3, 1).await;
    let endpoint = group.endpoints[0];
    for _ in 0..120 {
        group.accept(0, &[endpoint], false).await;
    }
    let takers = (0..3).map(|node| {
        let store = group.store(node);
        async move {
            let mut mine = Vec::new();
            loop {
                let leased = store.delivery_lease(endpoint, T0 + 1, LEASE_MS, 3).await.unwrap();
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.into_iter().map(|leased| (leased.key, leased.lease)));
            }
        }
    });
    let all: Vec<_> = futures_util::future::join_all(takers).await.into_iter().flatten().collect();
    assert_eq!(all.len(), 120);
    assert_eq!(all.iter().map(|one| one.0).collect::<HashSet<_>>().len(), 120);
    assert_eq!(all.iter().map(|one| one.1).collect::<HashSet<_>>().len(), 120, "tokens differ");
}

#[tokio::test]
async fn only_the_owner_of_a_shard_leases() {
    let group = Group::new(2, 6).await;
    let members = group.join_all().await;
    let endpoints = group.endpoints.clone();
    let (event, token, left) = group.accept(0, &endpoints, true).await;
    let (waiting, _, _) = group.accept(0, &endpoints, false).await;
    for endpoint in endpoints {
        let owner = group.owner_of(endpoint, &members);
        let other = 1 - owner;
        assert_eq!(left.contains(&endpoint), owner == 1, "the others are told as left");
        assert!(is_due(&group, owner, endpoint).await && !is_due(&group, other, endpoint).await);
        assert!(group.lease(other, endpoint).await.is_empty());
        let leased: Vec<_> =
            group.lease(owner, endpoint).await.iter().map(|leased| leased.key.event).collect();
        let outcome = group.finish(0, delivery(event, endpoint), token, NextStep::Delivered).await;
        match owner {
            0 => assert_eq!(leased, [waiting], "the first is under its own lease"),
            _ => assert_eq!(leased, [event, waiting]),
        }
        assert_eq!(matches!(outcome, FinishOutcome::Recorded(_)), owner == 0);
    }
}

#[tokio::test]
async fn what_is_lent_may_be_leased_anywhere() {
    let group = Group::new(2, 2).await;
    let members = group.join_all().await;
    let endpoint = group.endpoints[0];
    let other = 1 - group.owner_of(endpoint, &members);
    group.accept(other, &[endpoint], false).await;
    assert!(group.lease(other, endpoint).await.is_empty());
    group.cluster(other).lend(endpoint, true);
    let due = group.store(other).delivery_due().await.unwrap();
    assert_eq!(due.iter().map(|due| due.endpoint).collect::<Vec<_>>(), [endpoint]);
    assert_eq!(group.lease(other, endpoint).await.len(), 1);
    let (event, token, left) = group.accept(other, &[endpoint], true).await;
    assert!(left.is_empty());
    let outcome = group.finish(other, delivery(event, endpoint), token, NextStep::Delivered).await;
    assert!(matches!(outcome, FinishOutcome::Recorded(_)));
    group.accept(other, &[endpoint], false).await;
    group.cluster(other).lend(endpoint, false);
    assert!(group.lease(other, endpoint).await.is_empty());
}

#[tokio::test]
async fn who_is_cut_off_changes_no_endpoint() {
    let group = Group::new(2, 8).await;
    let members = group.join_all().await;
    let all = group.store(0).config_list(Owner::MAIN).await.unwrap().endpoints;
    let at = |node: usize| {
        all.iter().find(|one| group.owner_of(one.key, &members) == node).expect("both have some")
    };
    let endpoint = at(0);
    let (_, token, left) = group.accept(0, &[endpoint.key], true).await;
    assert!(left.is_empty());
    let off = || EndpointChange::State { state: EndpointState::Disabled, reason: "410".to_owned() };
    let conclude = async |node: usize, change, lease| {
        let store = group.store(node);
        store.endpoint_conclude(Owner::MAIN, endpoint.id, change, lease, T0).await.unwrap()
    };
    let now = async || {
        let all = group.store(1).config_list(Owner::MAIN).await.unwrap().endpoints;
        let found = all.into_iter().find(|one| one.key == endpoint.key).unwrap();
        (found.state, found.failing_since_ms)
    };
    // Who delivers to it, and nobody else.
    let since = || EndpointChange::FailingSince(Some(T0));
    assert!(matches!(conclude(0, since(), token).await, Changed::Done(_)));
    let (_, others, _) = group.accept(1, &[at(1).key], true).await;
    assert_eq!(conclude(1, since(), others).await, Changed::Absent);
    let clear = || EndpointChange::FailingSince(None);
    assert!(matches!(conclude(0, clear(), token).await, Changed::Done(_)));

    outlive(&group).await;
    assert_eq!(conclude(0, off(), token).await, Changed::Absent);
    assert_eq!(conclude(0, since(), token).await, Changed::Absent);
    assert_eq!(now().await, (EndpointState::Enabled, None));
    // Nor once it is a member again, which may even have the shard.
    group.join(0).await;
    group.cluster(1).leave().await.unwrap();
    assert_eq!(group.renew(0).await.shards.len(), 256);
    assert_eq!(conclude(0, off(), token).await, Changed::Absent);
    let (_, token, _) = group.accept(0, &[endpoint.key], true).await;
    assert!(matches!(conclude(0, off(), token).await, Changed::Done(_)));
    assert_eq!(now().await.0, EndpointState::Disabled);
}

#[tokio::test]
async fn an_endpoint_that_does_not_follow_its_shard_changes_hands_when_nothing_is_under_way() {
    let group = Group::new(2, 2).await;
    group.join_long().await;
    let members = group.settle(&[0, 1]).await;
    let endpoint = group.endpoints[0];
    let owner = group.owner_of(endpoint, &members);
    let other = 1 - owner;
    let (under_way, token, _) = group.accept(owner, &[endpoint], true).await;
    group.accept(owner, &[endpoint], false).await;

    group.cluster(other).hold(endpoint, true);
    group.renew(other).await;
    // From now on the shard's node begins nothing, and the other one not yet.
    let (_, _, left) = group.accept(owner, &[endpoint], true).await;
    assert_eq!(left, [endpoint]);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        group.renew(other).await;
        assert!(group.lease(owner, endpoint).await.is_empty());
        assert!(group.lease(other, endpoint).await.is_empty(), "something is under way");
        let off = EndpointChange::FailingSince(Some(T0));
        let id = group.endpoint_id(endpoint).await;
        let told =
            group.store(owner).endpoint_conclude(Owner::MAIN, id, off, token, T0).await.unwrap();
        assert_eq!(told, Changed::Absent, "it is not the shard's node's any more");
    }
    group.finish(owner, delivery(under_way, endpoint), token, NextStep::Delivered).await;
    group.renew(other).await;
    assert!(is_due(&group, other, endpoint).await && !is_due(&group, owner, endpoint).await);
    assert!(group.lease(owner, endpoint).await.is_empty());
    let held = group.lease(other, endpoint).await;
    assert_eq!(held.len(), 2);
    let (_, _, left) = group.accept(other, &[endpoint], true).await;
    assert!(left.is_empty(), "what it receives it has at once");
    group.accept(other, &[endpoint], false).await;

    // And the same backwards.
    group.cluster(other).hold(endpoint, false);
    group.renew(other).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    group.renew(other).await;
    assert!(group.lease(other, endpoint).await.is_empty());
    assert!(group.lease(owner, endpoint).await.is_empty(), "something is under way");
    group.schema.query(&format!(
        "UPDATE delivery SET lease = 0 WHERE lease >> 40 = {}",
        members[other].node.0
    ));
    group.renew(other).await;
    assert_eq!(group.lease(owner, endpoint).await.len(), 4);
}

#[tokio::test]
async fn what_a_node_that_is_gone_held_follows_its_shard_again() {
    let group = Group::new(3, 1).await;
    group.join_long().await;
    let members = group.settle(&[0, 1, 2]).await;
    let endpoint = group.endpoints[0];
    let owner = group.owner_of(endpoint, &members);
    let (first, second) = ((owner + 1) % 3, (owner + 2) % 3);
    let holds = async |node: usize| {
        group.cluster(node).hold(endpoint, true);
        until(SOON, || async {
            group.renew(node).await;
            group.accept(owner, &[endpoint], false).await;
            !group.lease(node, endpoint).await.is_empty()
        })
        .await;
    };
    holds(first).await;
    // Two do not have it at once, whatever they want.
    group.cluster(second).hold(endpoint, true);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    group.renew(second).await;
    group.accept(owner, &[endpoint], false).await;
    assert!(group.lease(second, endpoint).await.is_empty());
    group.cluster(first).leave().await.unwrap();
    assert!(!group.lease(owner, endpoint).await.is_empty(), "what it had under way is due again");
    // What the shard's node has under way keeps the next one from beginning.
    group.accept(owner, &[endpoint], false).await;
    group.renew(second).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    group.renew(second).await;
    assert!(group.lease(second, endpoint).await.is_empty());
    group.schema.query("UPDATE delivery SET lease = 0");
    holds(second).await;
}

#[tokio::test]
async fn the_work_of_a_dead_node_goes_on() {
    let group = Group::new(2, 8).await;
    let joined = Instant::now();
    let members = group.join_all().await;
    let endpoints = group.endpoints.clone();
    let mut held = Vec::new();
    for endpoint in endpoints.iter().filter(|key| group.owner_of(**key, &members) == 0) {
        let (event, token, left) = group.accept(0, &[*endpoint], true).await;
        assert!(left.is_empty());
        held.push((delivery(event, *endpoint), token));
        group.accept(1, &[*endpoint], false).await;
        held.extend(group.lease(0, *endpoint).await.iter().map(|one| (one.key, one.lease)));
    }
    assert!(held.len() >= 4, "some endpoints are its own");
    assert!(group.store(1).delivery_due().await.unwrap().is_empty());

    outlive(&group).await;
    assert!(joined.elapsed() >= Duration::from_millis(MEMBER_MS), "not before its lease has ended");
    for (key, token) in &held {
        let again = group.lease(1, key.endpoint).await;
        assert!(again.iter().all(|leased| leased.lease != *token));
        for leased in again {
            let outcome = group.finish(1, leased.key, leased.lease, NextStep::Delivered).await;
            assert!(matches!(outcome, FinishOutcome::Recorded(_)));
        }
        let late = group.finish(0, *key, *token, NextStep::Delivered).await;
        assert_eq!(late, FinishOutcome::Stale, "the zombie comes too late");
    }
    for (key, _) in &held {
        let attempts = group.store(1).attempt_list(MAIN, key.event).await.unwrap();
        assert_eq!(attempts.len(), 1, "one attempt counts");
    }
}

#[tokio::test]
async fn a_zombie_gets_nothing() {
    let group = Group::new(2, 4).await;
    let members = group.join_all().await;
    let endpoint =
        *group.endpoints.iter().find(|key| group.owner_of(**key, &members) == 0).unwrap();
    let (held, token, _) = group.accept(0, &[endpoint], true).await;
    outlive(&group).await;

    // It was stopped and has not noticed.
    let (event, _, left) = group.accept(0, &[endpoint], true).await;
    assert_eq!(left, [endpoint], "its leased deliveries wait");
    assert!(group.lease(0, endpoint).await.is_empty());
    assert!(group.store(0).delivery_due().await.unwrap().is_empty());
    let stale = group.finish(0, delivery(held, endpoint), token, NextStep::Delivered).await;
    assert_eq!(stale, FinishOutcome::Stale);
    let stale = vec![(delivery(held, endpoint), token)];
    group.store(0).delivery_release(stale, T0 + 99_999_999).await.unwrap();
    let leased = group.lease(1, endpoint).await;
    assert_eq!(leased.iter().map(|one| one.key.event).collect::<Vec<_>>(), [held, event]);

    // It joins anew and is as good as any other.
    group.join(0).await;
    let members = group.settle(&[0, 1]).await;
    let own = *group.endpoints.iter().find(|key| group.owner_of(**key, &members) == 0).unwrap();
    let (event, token, left) = group.accept(0, &[own], true).await;
    assert!(left.is_empty());
    let outcome = group.finish(0, delivery(event, own), token, NextStep::Delivered).await;
    assert!(matches!(outcome, FinishOutcome::Recorded(_)));
}

#[tokio::test]
async fn a_lease_that_is_committed_too_late_is_ended() {
    let group = Group::new(2, 4).await;
    let members = group.join_all().await;
    let endpoint =
        *group.endpoints.iter().find(|key| group.owner_of(**key, &members) == 0).unwrap();
    let (event, token, _) = group.accept(0, &[endpoint], true).await;
    outlive(&group).await;
    // As if the statement of the dead node had been under way all the time.
    group.schema.query(&format!(
        "UPDATE delivery SET lease = {}, lease_until_ms = {}",
        token.0,
        T0 + 1_000_000
    ));
    assert!(group.lease(1, endpoint).await.is_empty());
    group.renew(1).await;
    let leased = group.lease(1, endpoint).await;
    assert_eq!(leased[0].key.event, event);
}

#[tokio::test]
async fn released_shards_leave_results_good() {
    let group = Group::new(2, 6).await;
    group.join(0).await;
    let endpoints = group.endpoints.clone();
    let mut held = Vec::new();
    for endpoint in &endpoints {
        let (event, token, _) = group.accept(0, &[*endpoint], true).await;
        held.push((delivery(event, *endpoint), token));
    }
    group.join(1).await;
    let members = group.settle(&[0, 1]).await;
    let moved = endpoints.iter().filter(|key| group.owner_of(**key, &members) == 1).count();
    assert!((1..endpoints.len()).contains(&moved), "neighbours go to both");
    for (at, (key, token)) in held.iter().enumerate() {
        assert!(group.lease(1, key.endpoint).await.is_empty(), "it is under way");
        let next = if at % 2 == 0 { NextStep::Delivered } else { NextStep::RetryAt(T0 + 7) };
        let outcome = group.finish(0, *key, *token, next).await;
        assert!(matches!(outcome, FinishOutcome::Recorded(_)));
        let again = group.lease(1, key.endpoint).await.len();
        let owner = group.owner_of(key.endpoint, &members);
        assert_eq!(again, usize::from(at % 2 == 1 && owner == 1));
    }
}

#[tokio::test]
async fn a_long_queue_is_handed_out_in_its_order() {
    let group = Group::new(1, 1).await;
    let endpoint = group.endpoints[0];
    for at in 0..40 {
        let planned = vec![Planned { endpoint, leased: false }];
        let accept = EventAccept { planned, ..event(group.application, T0 + at) };
        group.store(0).event_accept(MAIN, accept).await.unwrap();
    }
    let lease = async |limit| {
        let leased =
            group.store(0).delivery_lease(endpoint, T0 + 100, LEASE_MS, limit).await.unwrap();
        leased
            .into_iter()
            .map(|one| (one.key, one.lease, one.received_at_ms - T0))
            .collect::<Vec<_>>()
    };
    let first = lease(10).await;
    assert_eq!(first.iter().map(|one| one.2).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    // Something comes back in front of where the next claim would begin.
    group.finish(0, first[3].0, first[3].1, NextStep::RetryAt(T0 + 4)).await;
    group.store(0).delivery_release(vec![(first[5].0, first[5].1)], T0 + 2).await.unwrap();
    let planned = vec![Planned { endpoint, leased: false }];
    let early = EventAccept { planned, ..event(group.application, T0 + 1) };
    group.store(0).event_accept(MAIN, early).await.unwrap();
    let second = lease(10).await;
    let expected: Vec<i64> = [1, 5, 3].into_iter().chain(10..17).collect();
    assert_eq!(second.iter().map(|one| one.2).collect::<Vec<_>>(), expected);
    assert_eq!(lease(100).await.len(), 23);
}

#[tokio::test]
async fn leases_of_which_nobody_was_told_are_ended() {
    let mut group = Group::new(1, 1).await;
    let endpoint = group.endpoints[0];
    let (proxy, options) = cut_way(&group.schema);
    group.open_with(options).await;
    for _ in 0..2 {
        group.accept(0, &[endpoint], false).await;
        assert_eq!(group.lease(1, endpoint).await.len(), 1, "it has its session");
    }
    for _ in 0..3 {
        group.accept(0, &[endpoint], false).await;
    }
    proxy.arm(Work::Other, Moment::Answered);
    let lost = group.store(1).delivery_lease(endpoint, T0 + 1_000, LEASE_MS, 1_000).await;
    assert!(lost.is_err());
    assert!(!proxy.is_armed(), "the answer was lost");
    let found = std::cell::Cell::new(0);
    until(SOON, || async {
        let leased = group.store(1).delivery_lease(endpoint, T0 + 1_000, LEASE_MS, 1_000).await;
        found.set(found.get() + leased.map_or(0, |leased| leased.len()));
        found.get() == 3
    })
    .await;
}
