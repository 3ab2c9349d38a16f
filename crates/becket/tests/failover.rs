//! The primary dies under load and its standby takes over: nothing that was acknowledged is lost.
//!
//! Two nodes run on a primary with a synchronous standby, both named in one URL. The primary is killed
//! or frozen, the standby is promoted by hand, and the nodes find it. A commit that was not confirmed by
//! the standby is not acknowledged, however its wait ended.
//!
//! `BECKET_FAILOVERS` (1) and `BECKET_FAILOVER_SEED` change the run. `make failover` runs more of it, and
//! `failover_long.rs` with what needs more time or packages.

#[path = "support/cluster/mod.rs"]
mod cluster;
mod support;

use std::time::{Duration, Instant};

use cluster::ledger::{FILLING, Plan};
use cluster::nodes::{self, Nodes};
use cluster::receivers::Receivers;
use cluster::replicas::{Following, Replicas};
use cluster::run::Drill;
use cluster::traffic::{self, SOURCES};
use support::http::Client;
use support::random::{Random, number_from};
use support::{load, wait_until};

/// How long after a promotion everything flows again, at most. Commits wait until the new standby is
/// there, and a node may wait out one deadline for a primary that says nothing.
const RECOVER_MAX: Duration = Duration::from_secs(45);

#[test]
fn a_dead_primary_takes_nothing_acknowledged_along() {
    let rounds = number_from("BECKET_FAILOVERS").unwrap_or(1);
    let mut random = Random::seeded_by("BECKET_FAILOVER_SEED");
    println!("seed {}", random.seed);
    let mut replicas = Replicas::start(Following::Synchronous);
    let places = nodes::places(2);
    let drill = Drill::start("failover", &places, &[replicas.url()], Plan::default());
    for round in 1..=rounds {
        replicas.wait_following();
        std::thread::sleep(Duration::from_millis(random.within(500..3000)));
        drill.producers.take_gap();
        // The first one is killed, so that the short run shows the common case.
        let frozen = round > 1 && random.within(0..2) == 1;
        let began = Instant::now();
        if frozen {
            replicas.freeze_primary();
        } else {
            replicas.kill_primary();
        }
        std::thread::sleep(Duration::from_millis(random.within(100..800)));
        replicas.promote();
        let promoted = began.elapsed();
        replicas.copy_standby();
        replicas.wait_following();
        let following = began.elapsed();
        drill.wait_flowing(RECOVER_MAX);
        println!(
            "round {round}: primary {}, promoted after {} ms, a standby again after {} ms, all flows \
             after {} ms, longest time without an acknowledgement {} ms",
            if frozen { "frozen" } else { "killed" },
            promoted.as_millis(),
            following.as_millis(),
            began.elapsed().as_millis(),
            drill.producers.take_gap().as_millis(),
        );
    }
    let report = drill.end(random.seed);
    assert!(report.acknowledged > 50, "hardly any load: {report}");
}

/// PostgreSQL ends the wait for the standby when the waiting statement is cancelled or its session
/// terminated: the commit then stands on the primary alone, and is answered with a warning.
#[test]
fn a_commit_whose_wait_for_the_standby_was_cancelled_is_not_acknowledged() {
    let mut replicas = Replicas::start(Following::Synchronous);
    let receivers = Receivers::start();
    let places = nodes::places(1);
    let sources = traffic::configuration(receivers.address);
    let nodes = Nodes::start(&places, &[replicas.url()], &sources);
    let path = format!("/in/{}", SOURCES[0].id);
    let send = |number: u64| {
        let mut client = Client::closing(places[0].address).patient(Duration::from_secs(30));
        load::send(&mut client, &path, number, FILLING).expect("it answers")
    };
    assert!(wait_until(Duration::from_secs(10), || send(1).is_success()), "{}", nodes.logs());

    for (number, how) in [(2, "pg_cancel_backend"), (3, "pg_terminate_backend")] {
        replicas.kill_standby();
        let sending = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(number));
            // All that wait, again and again: other commits of the node wait, too.
            let sql =
                format!("SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
            let mut ended = 0;
            while !sending.is_finished() {
                ended += replicas.query(&sql).len();
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(ended > 0, "nothing waited for the standby, so this says nothing");
            sending.join().expect("the sender did not panic")
        });
        assert_eq!(sending.status, 503, "{how}: {} {}", sending.status, sending.text());
        assert!(sending.header("retry-after").is_some(), "a 503 without Retry-After");

        // The event stands on the primary, and is no less lost if that dies now: its repeat has to
        // wait for the standby like a new one.
        let again = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(number));
            let sql =
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            while !sending.is_finished() {
                replicas.query(sql);
                std::thread::sleep(Duration::from_millis(100));
            }
            sending.join().expect("the sender did not panic")
        });
        assert_eq!(again.status, 503, "a repeat after {how}: {} {}", again.status, again.text());

        replicas.start_standby();
        replicas.wait_following();
        let mut last = String::new();
        let taken = wait_until(Duration::from_secs(30), || {
            let answer = send(number);
            last = format!("{} {}", answer.status, answer.text());
            answer.is_success()
        });
        assert!(taken, "still refused with a standby again: {last}\n{}", nodes.logs());
    }
    // Each of the three was delivered under one id, once acknowledged.
    let arrived =
        |number: u64| receivers.all().into_iter().filter(move |request| request.number == number);
    let all = wait_until(Duration::from_secs(20), || {
        (1..=3).all(|number| arrived(number).any(|request| request.status == 200))
    });
    assert!(all, "not everything was delivered:\n{}", nodes.logs());
    for number in 1..=3 {
        let ids: std::collections::BTreeSet<String> = arrived(number).map(|it| it.event).collect();
        assert_eq!(ids.len(), 1, "event {number} was delivered under several ids: {ids:?}");
    }
    nodes.stop();
}
