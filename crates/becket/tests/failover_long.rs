//! Failovers that need more time or more packages than every test run has: with Patroni and etcd, and
//! with an asynchronous standby, whose loss is measured. Run by `make failover`.
//!
//! `BECKET_FAILOVERS` (10) and `BECKET_FAILOVER_SEED` change the runs.

#[path = "support/cluster/mod.rs"]
mod cluster;
mod support;

use std::time::{Duration, Instant};

use cluster::judge;
use cluster::ledger::Plan;
use cluster::nodes;
use cluster::patroni::Patroni;
use cluster::replicas::{Following, Replicas};
use cluster::run::Drill;
use support::random::{Random, number_from};
use support::require_command;

/// Patroni's own time-out is 20 s; a node may wait out one deadline after that.
const RECOVER_MAX: Duration = Duration::from_secs(90);

fn rounds() -> u64 {
    number_from("BECKET_FAILOVERS").unwrap_or(10)
}

#[test]
fn patroni_fails_over_and_nothing_acknowledged_is_lost() {
    for command in ["patroni", "etcd", "pgrep"] {
        require_command(command);
    }
    let mut random = Random::seeded_by("BECKET_FAILOVER_SEED");
    println!("seed {}", random.seed);
    let mut patroni = Patroni::start();
    let places = nodes::places(2);
    let drill = Drill::start("patroni", &places, &[patroni.url()], Plan::default());
    for round in 1..=rounds() {
        let old = patroni.wait_settled();
        std::thread::sleep(Duration::from_millis(random.within(500..3000)));
        drill.producers.take_gap();
        let frozen = round.is_multiple_of(2);
        let began = Instant::now();
        if frozen {
            patroni.freeze(old);
        } else {
            patroni.kill(old);
        }
        let promoted = patroni.wait_other_primary(old);
        // With the stopped member still there: its connections hang until their deadline.
        let flowing = drill.wait_flowing(RECOVER_MAX) + promoted;
        // What it had promised before it stopped must not come true now.
        if frozen {
            patroni.thaw(old);
        } else {
            patroni.spawn(old);
        }
        drill.wait_flowing(RECOVER_MAX);
        println!(
            "round {round}: member {} {}, another primary after {:.1} s, all flows after {:.1} s, longest \
             time without an acknowledgement {:.1} s, {:.1} s in all",
            old + 1,
            if frozen { "frozen" } else { "killed" },
            promoted.as_secs_f64(),
            flowing.as_secs_f64(),
            drill.producers.take_gap().as_secs_f64(),
            began.elapsed().as_secs_f64(),
        );
    }
    let report = drill.end(random.seed);
    assert!(report.acknowledged > 100, "hardly any load: {report}");
}

/// What an operator accepts with an asynchronous standby: whatever the primary had acknowledged and not
/// sent yet. Nothing is demanded here but that the rest is there; the loss is printed.
#[test]
fn an_asynchronous_standby_loses_what_was_on_its_way() {
    let mut random = Random::seeded_by("BECKET_FAILOVER_SEED");
    println!("seed {}", random.seed);
    for delay_ms in [0, 20, 200] {
        let delay = Duration::from_millis(delay_ms);
        let mut lost_in_all = 0;
        for _ in 0..rounds().div_ceil(3) {
            let mut replicas = Replicas::start(Following::Asynchronous(delay));
            let places = nodes::places(1);
            let plan = Plan { pause: Duration::from_millis(5), ..Plan::default() };
            let drill = Drill::start("asynchronous", &places, &[replicas.url()], plan);
            std::thread::sleep(Duration::from_millis(random.within(2000..4000)));
            replicas.kill_primary();
            let ledger = drill.producers.finish();
            replicas.promote();
            drill.nodes.wait_all_ready(RECOVER_MAX);
            let lost = judge::missing(drill.nodes.any(), &ledger).len();
            lost_in_all += lost;
            println!(
                "standby {delay_ms} ms away: {} acknowledged, {lost} of them lost",
                ledger.acknowledged_count()
            );
            drill.nodes.stop();
        }
        println!(
            "standby {delay_ms} ms away: {lost_in_all} lost in {} failovers",
            rounds().div_ceil(3)
        );
    }
}
