//! Who is a member, and who has which shard.

use std::collections::BTreeSet;
use std::time::Duration;

use becket_store::cluster::{Membership, NodeNew, Roles, SHARDS};

use super::*;

/// A node that does everything but deliver.
const IDLE: Roles = Roles { ingress: true, engine: false, api: true };

fn counts(members: &[Membership]) -> Vec<usize> {
    members.iter().map(|member| member.shards.len()).collect()
}

/// Every shard belongs to one node.
fn assert_whole(members: &[Membership]) {
    let all: Vec<u16> = members.iter().flat_map(|member| member.shards.clone()).collect();
    assert_eq!(all.len(), usize::from(SHARDS));
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), usize::from(SHARDS));
}

#[tokio::test]
async fn a_lone_node_has_everything() {
    let group = Group::new(1, 1).await;
    let joined = group.join(0).await;
    assert_eq!(joined.shards, (0..SHARDS).collect::<Vec<_>>());
    assert!(joined.surplus.is_empty());
    assert_eq!(joined.nodes.len(), 1);
    let told = &joined.nodes[0];
    let new = fresh_node(MEMBER_MS);
    assert_eq!(told.number, joined.node);
    assert_eq!((&told.name, &told.version, &told.host), (&new.name, &new.version, &new.host));
    assert_eq!((&told.declared, told.roles, told.shards), (&new.declared, Roles::ALL, SHARDS));
    assert!((1..=MEMBER_MS as i64).contains(&told.expires_in_ms));
    let clock = group.schema.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    assert!((joined.now_ms - clock[0].parse::<i64>().unwrap()).abs() < 5_000);
    group.cluster(0).redeclare("['a\u{1}b']".to_owned()).await.unwrap();
    assert_eq!(group.renew(0).await.nodes[0].declared, "['a\u{1}b']");
}

#[tokio::test]
async fn three_nodes_become_two_and_three_again() {
    let mut group = Group::new(3, 1).await;
    let members = group.join_all().await;
    assert_whole(&members);
    assert_eq!(counts(&members), [86, 85, 85]);
    let before = members;
    assert_eq!(
        group.settle(&[0, 1, 2]).await.iter().map(|one| &one.shards).collect::<Vec<_>>(),
        before.iter().map(|one| &one.shards).collect::<Vec<_>>(),
        "nothing moves without a reason"
    );

    // The last one falls silent; the others go on. When they stand still together, on a busy machine,
    // all leases hold longer.
    until(SOON, || async {
        group.renew(0).await;
        group.renew(1).await.nodes.len() == 2
    })
    .await;
    let members = group.settle(&[0, 1]).await;
    assert_whole(&members);
    assert_eq!(counts(&members), [128, 128]);
    for (now, then) in members.iter().zip(&before) {
        assert!(then.shards.iter().all(|shard| now.shards.contains(shard)), "only free ones move");
    }
    assert!(
        group.cluster(2).renew(Roles::ALL, Vec::new()).await.unwrap().is_none(),
        "it was taken for dead"
    );
    assert!(group.cluster(2).look().await.unwrap().renew);

    // It joins again under another number.
    let again = group.join(2).await;
    assert_ne!(again.node, before[2].node);
    assert!(again.shards.is_empty());
    assert_eq!(again.nodes.len(), 3);
    let after = group.settle(&[0, 1, 2]).await;
    assert_whole(&after);
    assert_eq!(counts(&after), [86, 85, 85]);
    for (now, then) in after.iter().zip(&members) {
        assert!(now.shards.iter().all(|shard| then.shards.contains(shard)), "no more than needed");
    }
    group.open().await;
    group.join(3).await;
    assert_eq!(counts(&group.settle(&[0, 1, 2, 3]).await), [64; 4]);
}

#[tokio::test]
async fn nodes_that_join_at_once_share() {
    let group = Group::new(4, 1).await;
    let joins = (0..4).map(|node| group.cluster(node).join(fresh_node(10_000)));
    let joined: Vec<_> = futures_util::future::join_all(joins).await;
    let numbers: BTreeSet<_> = joined.into_iter().map(|joined| joined.unwrap().node).collect();
    assert_eq!(numbers.len(), 4);
    let members = group.settle(&[0, 1, 2, 3]).await;
    assert_whole(&members);
    assert_eq!(counts(&members), [64; 4]);
}

#[tokio::test]
async fn only_those_who_deliver_get_shards() {
    let group = Group::new(3, 1).await;
    let roles = Roles { ingress: true, engine: false, api: true };
    let front = NodeNew { roles, ..fresh_node(10_000) };
    let joined = group.cluster(0).join(front).await.unwrap();
    assert!(joined.shards.is_empty() && joined.surplus.is_empty());
    assert!(!group.cluster(0).look().await.unwrap().renew, "free shards are not for it");
    group.join(1).await;
    group.join(2).await;
    let members = group.settle(&[1, 2]).await;
    assert_eq!(counts(&members), [128, 128]);
    let front = group.renew_as(0, roles).await;
    assert_eq!(front.nodes[0].roles, roles);
    assert_eq!(front.nodes.iter().map(|node| node.shards).collect::<Vec<_>>(), [0, 128, 128]);
}

#[tokio::test]
async fn who_is_not_ready_owns_nothing_and_takes_nothing_away() {
    let group = Group::new(2, 1).await;
    let mut news = group.cluster(0).news();
    group.cluster(0).join(fresh_node(10_000)).await.unwrap();
    let starting = NodeNew { roles: IDLE, ..fresh_node(10_000) };
    let joined = group.cluster(1).join(starting).await.unwrap();
    assert!(joined.shards.is_empty());
    let other = group.renew(0).await;
    assert_eq!((other.nodes.len(), other.shards.len()), (2, usize::from(SHARDS)));
    assert!(other.surplus.is_empty() && !group.cluster(0).look().await.unwrap().renew);

    // What was told of the joining has come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    while news.try_recv().is_ok() {}
    assert!(group.renew_as(1, Roles::ALL).await.shards.is_empty());
    let told = async { while news.recv().await.unwrap() != becket_store::cluster::News::Nodes {} };
    tokio::time::timeout(SOON, told).await.expect("it was told");
    assert_eq!(group.renew(0).await.surplus.len(), 128);
    assert_eq!(counts(&group.settle(&[0, 1]).await), [128, 128]);
}

#[tokio::test]
async fn who_is_about_to_end_gives_back_bit_by_bit_and_keeps_its_leases() {
    let group = Group::new(2, 4).await;
    for node in 0..2 {
        group.cluster(node).join(fresh_node(10_000)).await.unwrap();
    }
    let members = group.settle(&[0, 1]).await;
    let own = |key: &&EndpointKey| group.owner_of(**key, &members) == 0;
    let endpoint = *group.endpoints.iter().find(own).expect("neighbours stand apart");
    group.accept(0, &[endpoint], false).await;
    let leased = group.lease(0, endpoint).await.pop().expect("it waits");

    let stopping = group.renew_as(0, IDLE).await;
    assert_eq!(stopping.surplus, stopping.shards, "all of it should go");
    assert_eq!(stopping.shards.len(), 128);
    let (first, rest) = stopping.shards.split_at(100);
    let renewed = group.cluster(0).renew(IDLE, first.to_vec()).await.unwrap().unwrap();
    assert_eq!(renewed.shards, rest, "nothing comes back");
    assert!(group.cluster(1).look().await.unwrap().renew);
    assert_eq!(group.renew(1).await.shards.len(), 228, "who is about to end has no part any more");
    let renewed = group.cluster(0).renew(IDLE, rest.to_vec()).await.unwrap().unwrap();
    assert!(renewed.shards.is_empty() && renewed.surplus.is_empty());
    assert_eq!(group.renew(1).await.shards.len(), 256);
    assert!(group.lease(1, endpoint).await.is_empty(), "it is under way");
    let finished = group.finish(0, leased.key, leased.lease, NextStep::Delivered).await;
    assert!(matches!(finished, FinishOutcome::Recorded(_)), "{finished:?}");
}

#[tokio::test]
async fn leaving_hands_over_at_once() {
    let group = Group::new(2, 4).await;
    group.join_all().await;
    let mut news = group.cluster(1).news();
    let waiting = group.endpoints.clone();
    group.accept(0, &waiting, false).await;
    group.cluster(0).leave().await.unwrap();
    let told = async { while news.recv().await.unwrap() != becket_store::cluster::News::Nodes {} };
    tokio::time::timeout(SOON, told).await.expect("it was told");
    assert!(group.cluster(1).look().await.unwrap().renew);
    let left = group.renew(1).await;
    assert_eq!((left.nodes.len(), left.shards.len()), (1, usize::from(SHARDS)));
    for endpoint in &group.endpoints {
        assert_eq!(group.lease(1, *endpoint).await.len(), 1);
        assert!(group.lease(0, *endpoint).await.is_empty(), "it has left");
    }
    assert!(group.cluster(0).renew(Roles::ALL, Vec::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_gone_need_not_be_waited_for() {
    let group = Group::new(2, 1).await;
    let before = group.cluster(0).join(fresh_node(60_000)).await.unwrap();
    let next = NodeNew { gone: vec![before.node], ..fresh_node(60_000) };
    let joined = group.cluster(1).join(next).await.unwrap();
    assert_eq!((joined.nodes.len(), joined.shards.len()), (1, usize::from(SHARDS)));
    assert!(group.cluster(0).renew(Roles::ALL, Vec::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_outage_of_the_database_is_nobodys_death() {
    let group = Group::new(2, 1).await;
    let members = group.join_all().await;
    // Nobody could renew for longer than the lease.
    group.schema.query(
        "UPDATE node SET renewed_at = renewed_at - interval '1 hour',
             expires_at = expires_at - interval '1 hour'",
    );
    for (node, before) in members.iter().enumerate() {
        let renewed = group.renew(node).await;
        assert_eq!((renewed.node, renewed.shards), (before.node, before.shards.clone()));
        assert_eq!(renewed.nodes.len(), 2);
        assert!(renewed.nodes.iter().all(|node| node.expires_in_ms > 0));
    }
}

#[tokio::test]
async fn an_outage_counts_once_whoever_comes_and_goes() {
    let group = Group::new(3, 1).await;
    let dead = group.cluster(0).join(fresh_node(60_000)).await.unwrap().node;
    let left_ms = |members: &Membership| {
        members.nodes.iter().find(|node| node.number == dead).map(|node| node.expires_in_ms)
    };
    // The database was away for an hour, and the node died meanwhile.
    group.schema.query(
        "UPDATE node SET renewed_at = renewed_at - interval '1 hour',
             expires_at = expires_at - interval '1 hour'",
    );
    for _ in 0..2 {
        for node in [1, 2] {
            let joined = group.cluster(node).join(fresh_node(60_000)).await.unwrap();
            let left_ms = left_ms(&joined).expect("it is still waited for");
            assert!((1..=60_000).contains(&left_ms), "{left_ms}");
            group.cluster(node).leave().await.unwrap();
        }
    }
    // It was heard of 40 seconds ago, and who has met since goes.
    group.cluster(1).join(fresh_node(60_000)).await.unwrap();
    group.schema.query(&format!(
        "UPDATE node SET renewed_at = clock_timestamp() - interval '40 seconds',
             expires_at = clock_timestamp() + interval '20 seconds' WHERE number = {}",
        dead.0
    ));
    group.cluster(1).leave().await.unwrap();
    let joined = group.cluster(2).join(fresh_node(60_000)).await.unwrap();
    let left_ms = left_ms(&joined).expect("it is still waited for");
    assert!(left_ms <= 20_000, "somebody was heard of just now: {left_ms}");
}

#[tokio::test]
async fn a_short_lease_beside_a_long_one_ends_in_its_time() {
    let group = Group::new(2, 1).await;
    let dead = group.cluster(0).join(fresh_node(15_000)).await.unwrap().node;
    group.cluster(1).join(fresh_node(60_000)).await.unwrap();
    // The other renews every 20 seconds, which is more than half the short lease.
    for _ in 0..2 {
        group.schema.query(
            "UPDATE node SET renewed_at = renewed_at - interval '10 seconds',
                 expires_at = expires_at - interval '10 seconds'",
        );
        group.renew(1).await;
    }
    let nodes = group.renew(1).await.nodes;
    assert!(nodes.iter().all(|node| node.number != dead), "{nodes:?}");
}

#[tokio::test]
async fn looking_changes_nothing_and_tells_what_is_worth_renewing_for() {
    let group = Group::new(2, 1).await;
    assert!(group.cluster(0).look().await.unwrap().renew, "it has not joined");
    group.cluster(0).join(fresh_node(60_000)).await.unwrap();
    let look = group.cluster(0).look().await.unwrap();
    assert!(!look.renew);
    assert_eq!(look.revision, group.renew(0).await.revision);
    group.cluster(1).join(fresh_node(60_000)).await.unwrap();
    assert!(group.cluster(0).look().await.unwrap().renew, "it has too many");
    assert!(!group.cluster(1).look().await.unwrap().renew, "there is nothing to take");
    let surplus = group.renew(0).await.surplus;
    assert_eq!(surplus.len(), 128);
    group.cluster(0).renew(Roles::ALL, surplus).await.unwrap();
    assert!(group.cluster(1).look().await.unwrap().renew, "shards are free");
    assert_eq!(group.renew(1).await.shards.len(), 128);
}
