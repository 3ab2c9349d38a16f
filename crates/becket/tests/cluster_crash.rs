//! Three nodes on one PostgreSQL behind a balancer, and everything that can happen to them under load:
//! nodes that are killed or stopped, a server that crashes, sessions that are thrown out, connections
//! that are cut while a commit is on its way.
//!
//! Senders keep a ledger and repeat what was not answered; receivers record every request. At the end
//! both are compared with what the API says: `support/cluster/judge.rs` has the rules.
//!
//! `BECKET_CLUSTER_ROUNDS` (a few of each) and `BECKET_CLUSTER_SEED` change the runs; the seed is printed.

#[path = "support/cluster/mod.rs"]
mod cluster;
#[path = "support/postgres.rs"]
#[allow(dead_code, reason = "other drivers use the rest")]
mod postgres;
mod support;

use std::time::{Duration, Instant};

use cluster::cut_proxy::{CutProxy, Moment, Work};
use cluster::ledger::{FILLING, Plan};
use cluster::nodes::{self, LEASE, Nodes};
use cluster::receivers::Receivers;
use cluster::run::Drill;
use cluster::traffic::{self, SOURCES};
use postgres::Postgres;
use support::http::Client;
use support::random::{Random, number_from};
use support::{load, wait_until};

const NODES: usize = 3;
const SEED: &str = "BECKET_CLUSTER_SEED";
/// How long everything takes to flow again, at most, on a busy machine.
const RECOVER_MAX: Duration = Duration::from_secs(40);
/// Work of a dead node goes on within the lease and a second: what is measured is printed. The rest is
/// for a machine that is late with everything, and still less than any other wait that there could be,
/// such as for the usual lease of 15 s.
const TAKE_OVER_MAX: Duration = Duration::from_secs(LEASE.as_secs() + 1 + 7);

fn rounds(usual: u64) -> u64 {
    number_from("BECKET_CLUSTER_ROUNDS").unwrap_or(usual)
}

fn server() -> Postgres {
    Postgres::start(&["max_connections=200"])
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable&schema=becket")
}

#[test]
fn nodes_that_are_killed_or_stopped_lose_nothing() {
    let mut random = Random::seeded_by(SEED);
    println!("seed {}", random.seed);
    let server = server();
    let places = nodes::places(NODES);
    // Senders that wait for a stopped node send nothing to the others: that must not look like an
    // endpoint that nobody serves.
    let plan = Plan { senders: 3, patience: Duration::from_secs(1), ..Plan::default() };
    let mut drill = Drill::start("nodes", &places, &[url(server.port)], plan);
    for round in 1..=rounds(4) {
        std::thread::sleep(Duration::from_millis(random.within(200..1500)));
        let node = random.index(NODES);
        let began = Instant::now();
        // Both kinds from the first two rounds on.
        let killed = round.is_multiple_of(2);
        if killed {
            drill.nodes.kill(node);
        } else {
            drill.nodes.pause(node);
        }
        // Two rounds after others have taken over, two before anybody has noticed.
        let taken_over = (round - 1) % 4 < 2;
        let mut silence = Duration::ZERO;
        if taken_over {
            drill.wait_flowing(RECOVER_MAX);
            let (longest, path) = drill.longest_silence(began);
            assert!(
                longest <= TAKE_OVER_MAX,
                "round {round}: {path} received nothing for {longest:?}, and {TAKE_OVER_MAX:?} is the \
                 most\n{}",
                drill.nodes.logs()
            );
            silence = longest;
        } else {
            std::thread::sleep(Duration::from_millis(random.within(50..1500)));
        }
        if killed {
            drill.nodes.spawn(node);
            drill.nodes.wait_ready(node);
        } else {
            drill.resume(node);
        }
        let flowing = drill.wait_flowing(RECOVER_MAX);
        println!(
            "round {round}: node {} {}, longest silence of an endpoint {} ms, flows {} ms after it came \
             back",
            node + 1,
            if killed { "killed" } else { "stopped" },
            silence.as_millis(),
            flowing.as_millis(),
        );
    }
    let report = drill.end(random.seed);
    assert!(report.acknowledged > 100, "hardly any load: {report}");
}

#[test]
fn a_server_that_crashes_and_sessions_that_are_thrown_out_lose_nothing() {
    let mut random = Random::seeded_by(SEED);
    println!("seed {}", random.seed);
    let mut server = server();
    let places = nodes::places(NODES);
    let drill = Drill::start("server", &places, &[url(server.port)], Plan::default());
    for round in 1..=rounds(2) {
        std::thread::sleep(Duration::from_millis(random.within(200..1000)));
        let began = Instant::now();
        let what = if round.is_multiple_of(2) {
            // As `pg_ctl restart -m immediate` does: without a checkpoint, and recovery at the start.
            server.stop();
            std::thread::sleep(Duration::from_millis(random.within(0..1500)));
            server.resume();
            "the server crashed".to_owned()
        } else {
            let storms = random.within(5..15);
            let mut ended = 0;
            for _ in 0..storms {
                let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
                ended += server.query(sql).len();
                std::thread::sleep(Duration::from_millis(random.within(20..200)));
            }
            format!("{ended} sessions were terminated in {storms} storms")
        };
        drill.wait_flowing(RECOVER_MAX);
        println!("round {round}: {what}; all flows after {} ms", began.elapsed().as_millis());
    }
    drill.nodes.wait_all_ready(RECOVER_MAX);
    let report = drill.end(random.seed);
    assert!(report.acknowledged > 100, "hardly any load: {report}");
}

#[test]
fn commits_whose_answers_are_cut_off_are_neither_lost_nor_doubled() {
    let mut random = Random::seeded_by(SEED);
    println!("seed {}", random.seed);
    let server = server();
    let places = nodes::places(NODES);
    let proxy = CutProxy::start(server.port);
    let drill = Drill::start("cuts", &places, &[url(proxy.port)], Plan::default());
    let cuts = rounds(3) * 6;
    for cut in 0..cuts {
        let work = [Work::Accept, Work::Finish][random.index(2)];
        let moment = match random.within(0..4) {
            0 => Moment::Before,
            1 => Moment::Behind,
            // The one that only this proxy can hit.
            _ => Moment::Answered,
        };
        proxy.arm(work, moment);
        let met = wait_until(RECOVER_MAX, || !proxy.is_armed());
        assert!(met, "cut {cut}: no {work:?} was committed\n{}", drill.nodes.logs());
        std::thread::sleep(Duration::from_millis(random.within(20..400)));
    }
    drill.wait_flowing(RECOVER_MAX);
    println!("cuts {:?}", proxy.cuts());
    let report = drill.end(random.seed);
    assert!(report.acknowledged > 100, "hardly any load: {report}");
    let answered = proxy.cuts().get(&(Work::Accept, Moment::Answered)).copied().unwrap_or_default();
    let repeated = report.statuses.get(&503).copied().unwrap_or_default();
    assert!(answered == 0 || repeated > 0, "a commit without an answer was acknowledged: {report}");
}

/// The node is stopped while a receiver has its request, the receiver answers, another node takes the
/// delivery over and makes the attempt anew, and only then the first one goes on and learns the answer.
#[test]
fn a_stopped_node_records_nothing_that_others_have_taken_over() {
    let server = server();
    let receivers = Receivers::start();
    let places = nodes::places(2);
    let sources = traffic::configuration(receivers.address);
    let mut nodes = Nodes::start(&places, &[url(server.port)], &sources);
    let path = format!("/{}/steady", SOURCES[0].id);
    receivers.hold(&path);
    let mut client = Client::closing(places[0].address).patient(Duration::from_secs(10));
    let mut first = None;
    let begun = wait_until(Duration::from_secs(20), || {
        let sent = load::send(&mut client, &format!("/in/{}", SOURCES[0].id), 1, FILLING);
        assert!(sent.is_ok_and(|answer| answer.is_success()), "{}", nodes.logs());
        first = receivers.all().into_iter().find(|request| request.path == path);
        first.is_some()
    });
    assert!(begun, "nothing arrived:\n{}", nodes.logs());
    let first = first.expect("it was just found");

    // Which node has it is found out by stopping one: it was that one if another request comes.
    let mut holder = None;
    for node in 0..2 {
        nodes.pause(node);
        let taken_over = wait_until(LEASE * 3, || {
            receivers.all().iter().filter(|request| request.path == path).count() > 1
        });
        if taken_over {
            holder = Some(node);
            break;
        }
        nodes.resume(node);
        std::thread::sleep(LEASE);
    }
    let holder = holder.unwrap_or_else(|| panic!("nobody took over:\n{}", nodes.logs()));
    receivers.release(&path);
    let attempts = format!("/api/v1/becket/attempt?endpoint={}/steady", SOURCES[0].id);
    let recorded = wait_until(Duration::from_secs(10), || {
        nodes.any().api_list(&attempts).iter().any(|attempt| attempt["succeeded"] == true)
    });
    assert!(recorded, "the second attempt was not recorded:\n{}", nodes.logs());
    let before = nodes.any().api_list(&attempts);
    nodes.resume(holder);
    // Time for everything that the node may believe it still has to do.
    std::thread::sleep(LEASE + Duration::from_secs(1));
    let after = nodes.running(1 - holder).api_list(&attempts);
    assert_eq!(before, after, "a node that was taken for dead recorded an attempt");
    let answers =
        nodes.any().api_list(&format!("/api/v1/app/{}/attempt/endpoint/steady", SOURCES[0].id));
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_ne!(answers[0]["response"], format!("serial-{}", first.serial), "{answers:#?}");
    nodes.wait_all_ready(RECOVER_MAX);
    nodes.stop();
    println!(
        "the attempt of request {} was given up, {} was recorded",
        first.serial, answers[0]["response"]
    );
}
