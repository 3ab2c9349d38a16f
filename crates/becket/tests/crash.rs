//! Kills the gateway without warning, under load, again and again: nothing that was acknowledged
//! may be missing afterwards.
//!
//! Four senders keep a ledger outside the gateway and repeat what was not answered, as providers
//! do; three endpoints receive, one of them fails every fifth attempt and one is slow. After the
//! last restart and a drain, the ledger, the receivers' records, the API and the files are compared.
//!
//! A second test kills at chosen system calls instead of chosen times.
//!
//! `BECKET_CRASH_CYCLES` (20), `BECKET_CRASH_POINTS` (8) and `BECKET_CRASH_SEED` change the runs; the
//! seed is printed.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::gateway::{Gateway, Place};
use support::load::{self, Ledger, Load, Plan, Sequence};
use support::random::{Random, number_from};
use support::sink::{Delivery, Sink};
use support::{EVENTS, require_command, sign, wait_until};

const SIGNING_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const ENDPOINTS: [&str; 3] = ["/steady", "/flaky", "/slow"];
const RUN_MS: std::ops::Range<u64> = 50..2000;
const DRAIN_MAX: Duration = Duration::from_secs(120);

#[test]
fn kill_under_load_loses_nothing() {
    require_command("python3");
    let cycles = number_from("BECKET_CRASH_CYCLES").unwrap_or(20);
    let mut random = Random::seeded_by("BECKET_CRASH_SEED");
    let sink = Sink::start(behaviour());
    let place = Place::new();
    place.configure("", &place.data(), "", &sources(&sink));
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ledger_file = folder.join("crash-ledger.tsv");
    let load = Load::start(&Plan::new(place.address, "/in/github"), 1, Some(&ledger_file));

    println!(
        "{:>5} {:>8} {:>9} {:>8} {:>11} {:>9}",
        "cycle", "ran ms", "ready ms", "acked", "unanswered", "received"
    );
    let mut ready_max = Duration::ZERO;
    for cycle in 1..=cycles {
        let before = load.ledger();
        let gateway = Gateway::spawn(&place, place.command());
        let ready = gateway.wait_ready(Duration::from_secs(30));
        ready_max = ready_max.max(ready);
        let run_ms = random.within(RUN_MS);
        std::thread::sleep(Duration::from_millis(run_ms));
        gateway.kill();
        let after = load.ledger();
        println!(
            "{cycle:>5} {run_ms:>8} {:>9} {:>8} {:>11} {:>9}",
            ready.as_millis(),
            after.acknowledged.len() - before.acknowledged.len(),
            after.unanswered - before.unanswered,
            sink.count(),
        );
    }

    let gateway = place.start();
    std::thread::sleep(Duration::from_secs(1));
    let ledger = load.finish();
    let drain = drain(&sink, &ledger);
    let records = sink.deliveries();
    check_deliveries(&ledger, &records);
    let undelivered = check_nothing_is_missing(&gateway, &ledger, &records);
    let duplicates = count_duplicates(&records);
    assert!(gateway.stop().success(), "the last gateway did not stop cleanly");
    check_files(&place);

    println!(
        "cycles {cycles}, seed {}: acknowledged {}, unanswered {}, refused {:?}, lost 0, \
         not yet delivered but listed {undelivered}, duplicate deliveries {duplicates} \
         ({:.2} a kill), drained in {:.1} s, slowest start {} ms",
        random.seed,
        ledger.acknowledged.len(),
        ledger.unanswered,
        ledger.refused,
        precise(duplicates) / precise(cycles),
        drain.as_secs_f64(),
        ready_max.as_millis(),
    );
    assert!(
        ledger.acknowledged.len() as u64 >= cycles,
        "hardly anything was acknowledged, so the run says nothing: {:?}",
        ledger.failures
    );
}

/// Kills the gateway inside the system calls that make data durable: at the n-th one of each
/// thread, for many n. strace delivers the signal, so that no luck is needed to hit the moment.
#[test]
fn kill_inside_a_write_or_sync_loses_nothing() {
    require_command("strace");
    let points = number_from("BECKET_CRASH_POINTS").unwrap_or(8);
    let sink = Sink::start(|_| 200);
    for call in ["pwrite64", "fsync,fdatasync"] {
        let place = Place::new();
        place.configure("", &place.data(), "segment_events = 40", &sources(&sink));
        let mut sequence = Sequence::new(place.address, "/in/github");
        let mut kills = 0;
        for point in 1..=points {
            // Uneven steps, so that different parts of a start and of a commit are hit.
            let when = point * point + 3 * point;
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let trace = format!("trace={call}");
            let arguments = ["-D", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let mut gateway = Gateway::spawn(&place, place.command_under("strace", &arguments));
            sequence.reconnect();
            let up = wait_until(Duration::from_secs(20), || {
                !gateway.is_running() || gateway.get("/readyz").is_ok_and(|it| it.status == 200)
            });
            assert!(up, "neither ready nor killed:\n{}", place.log_tail());
            let started = Instant::now();
            while sequence.try_send().is_ok() && started.elapsed() < Duration::from_secs(20) {}
            if wait_until(Duration::from_secs(1), || !gateway.is_running()) {
                kills += 1;
            }
        }
        let gateway = place.start();
        sequence.check_all_listed(&gateway.api_list(EVENTS));
        assert!(gateway.stop().success(), "the last gateway did not stop cleanly");
        check_files(&place);
        assert!(kills > 0, "{call} was never met, so the run says nothing");
        println!("{call}: {kills} of {points} starts killed, {}", sequence.summary());
    }
}

/// Every fifth attempt at `/flaky` fails, by a hash of event and attempt; `/slow` takes 30 ms.
fn behaviour() -> impl Fn(&Delivery) -> u16 {
    let attempts: Mutex<HashMap<u64, u64>> = Mutex::default();
    move |delivery| {
        let number = load::number_in(&delivery.body).unwrap_or_default();
        match delivery.path.as_str() {
            "/flaky" => {
                let mut attempts = attempts.lock().expect("no behaviour panicked");
                let attempt = attempts.entry(number).or_default();
                *attempt += 1;
                let mixed = (number * 31 + *attempt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                if mixed.is_multiple_of(5) { 500 } else { 200 }
            }
            "/slow" => {
                std::thread::sleep(Duration::from_millis(30));
                200
            }
            _ => 200,
        }
    }
}

fn sources(sink: &Sink) -> String {
    let mut text = format!(
        "[[source]]\nid = \"github\"\nprovider = \"github\"\nsecrets = [\"{}\"]\n",
        load::SECRET
    );
    for path in ENDPOINTS {
        text.push_str(&format!(
            "[[source.endpoint]]\nid = \"{}\"\nurl = \"{}\"\nsecret = \"{SIGNING_SECRET}\"\n\
             concurrency = 32\nretry = [\"500ms\", \"1s\", \"1s\", \"2s\", \"2s\", \"2s\", \"2s\", \"2s\"]\n",
            &path[1..],
            sink.url(path),
        ));
    }
    text
}

/// Waits until every acknowledged event has been taken by every endpoint, or time is up.
fn drain(sink: &Sink, ledger: &Ledger) -> Duration {
    let started = Instant::now();
    let mut checked = 0;
    let mut missing: BTreeSet<(&str, u64)> = ENDPOINTS
        .into_iter()
        .flat_map(|path| ledger.acknowledged.keys().map(move |number| (path, *number)))
        .collect();
    wait_until(DRAIN_MAX, || {
        let count = sink.count();
        if count > checked {
            for delivery in &sink.deliveries()[checked..] {
                if delivery.answered == 200 {
                    let number = load::number_in(&delivery.body).unwrap_or_default();
                    let path = ENDPOINTS.iter().find(|path| **path == delivery.path);
                    missing.remove(&(path.copied().unwrap_or_default(), number));
                }
            }
            checked = count;
        }
        missing.is_empty()
    });
    // The gateway must also have recorded the last results before it is asked about them.
    std::thread::sleep(Duration::from_millis(500));
    started.elapsed()
}

/// Every delivery carries the exact bytes, a signature that holds, and its event's one id.
fn check_deliveries(ledger: &Ledger, records: &[Delivery]) {
    let mut ids: BTreeMap<u64, String> = ledger.acknowledged.clone();
    let filling = Plan::new(([127, 0, 0, 1], 0).into(), "").filling;
    for delivery in records {
        let number =
            load::number_in(&delivery.body).expect("a body that nobody sent was delivered");
        assert_eq!(delivery.body, load::body(number, filling), "event {number} was changed");
        assert!(
            sign::standard_holds(SIGNING_SECRET, |name| delivery.header(name), &delivery.body),
            "the signature of event {number} does not hold"
        );
        let id = delivery.header("webhook-id");
        let first = ids.entry(number).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "event {number} was delivered under two ids");
    }
}

/// What was acknowledged and not delivered must be listed as pending or failed. Answers how many
/// deliveries that are.
fn check_nothing_is_missing(gateway: &Gateway, ledger: &Ledger, records: &[Delivery]) -> usize {
    let taken: BTreeSet<(&str, &str)> = records
        .iter()
        .filter(|delivery| delivery.answered == 200)
        .map(|delivery| (&delivery.path[1..], id_of(delivery)))
        .collect();
    let listed: HashMap<String, serde_json::Value> = gateway
        .api_list(EVENTS)
        .into_iter()
        .map(|event| (event["id"].as_str().expect("an event has an id").to_owned(), event))
        .collect();
    let mut undelivered = 0;
    let mut lost = Vec::new();
    for (number, id) in &ledger.acknowledged {
        let Some(event) = listed.get(id) else {
            lost.push(format!("event {number} ({id}) is not listed"));
            continue;
        };
        let deliveries = event["deliveries"].as_array().expect("an event lists its deliveries");
        for path in ENDPOINTS {
            let endpoint = &path[1..];
            let state = deliveries
                .iter()
                .find(|delivery| delivery["endpoint"] == endpoint)
                .and_then(|delivery| delivery["state"].as_str())
                .unwrap_or("absent");
            match (taken.contains(&(endpoint, id.as_str())), state) {
                (true, "delivered") => {}
                // The sink took it and the gateway was killed before it knew: it tries again.
                (_, "pending" | "failed") => undelivered += 1,
                (taken, state) => {
                    lost.push(format!(
                        "event {number} ({id}) at {endpoint}: taken {taken}, {state}"
                    ));
                }
            }
        }
    }
    let ids: BTreeSet<&String> = ledger.acknowledged.values().collect();
    assert_eq!(ids.len(), ledger.acknowledged.len(), "two events were acknowledged with one id");
    assert!(lost.is_empty(), "{} lost, such as {:?}", lost.len(), &lost[..lost.len().min(10)]);
    undelivered
}

fn id_of(delivery: &Delivery) -> &str {
    let found = delivery.headers.iter().find(|(name, _)| name == "webhook-id");
    found.map_or("", |(_, value)| value)
}

/// Deliveries that an endpoint took although it had taken them before.
fn count_duplicates(records: &[Delivery]) -> u64 {
    let mut seen = BTreeSet::new();
    let taken = records.iter().filter(|delivery| delivery.answered == 200);
    taken.filter(|delivery| !seen.insert((&delivery.path, id_of(delivery)))).count() as u64
}

/// SQLite finds nothing wrong with any file.
fn check_files(place: &Place) {
    let script = "import pathlib, sqlite3, sys\n\
        files = sorted(pathlib.Path(sys.argv[1]).rglob('*.db'))\n\
        assert files, 'no database files'\n\
        for file in files:\n\
        \x20   answer = sqlite3.connect(file).execute('PRAGMA integrity_check').fetchall()\n\
        \x20   assert answer == [('ok',)], (file, answer)\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(place.data())
        .output()
        .expect("python3 can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[allow(clippy::cast_precision_loss, reason = "counts of a test run are far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
