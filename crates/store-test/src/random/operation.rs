//! The operations: plain values that follow from a seed alone. Events, leases and attempts are
//! named by how far back they are, so that a list stays meaningful when parts of it are left out.

use becket_model::{DeliveryState, Disposition, EndpointState};

use super::made::{ENDPOINT_NAMES, Made, endpoint, made};
use crate::noise::Numbers;

/// The sources by slot, with their owners (0 or 1) and endpoints; endpoint slots count through.
pub(super) const SOURCES: [(usize, &str, &[&str]); 3] =
    [(0, "alpha", &["a1", "a2", "a3"]), (0, "beta", &["b1", "b2"]), (1, "gamma", &["g1", "g2"])];
/// The first endpoint slot of each source, and the end.
pub(super) const SLOTS: [usize; 4] = [0, 3, 5, 7];
/// How many scopes there are to choose from, foreign ones included.
pub(super) const SCOPES: u64 = 13;
/// The channels and tags in use.
pub(super) const LABELS: [&str; 3] = ["eu", "us", "e"];
/// The event types in use; the first stands for none.
pub(super) const TYPES: [&str; 4] = ["", "push", "ping", "invoice.paid"];

/// Something that is done to a store.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Declares an owner's sources without the endpoints (and, if told so, the source) in the mask.
    Declare { owner: usize, left_out: u64, without_source: bool, timeout_ms: u64 },
    /// Changes an endpoint.
    Change { endpoint: usize, change: Change },
    /// Sets a small value and reads it back.
    Setting { owner: usize, name: u64, value: u8 },
    /// Does something with what the API makes.
    Made(Made),
    /// Accepts an event that was received a little before now.
    Accept(Accept),
    /// Leases deliveries.
    Lease { endpoint: usize, lease_ms: u64, limit: usize },
    /// Finishes an attempt under a lease.
    Finish { lease: usize, next: Next },
    /// Gives deliveries back.
    Release { leases: Vec<usize>, in_ms: i64 },
    /// Replays an event to all planned or some endpoints of its source.
    Replay { scope: u64, event: usize, endpoints: Vec<usize> },
    /// Reads everything about an event.
    Read { scope: u64, event: usize, limit: usize },
    /// Lists events.
    List { scope: u64, filter: Filter, limit: usize, before: Option<usize>, after: Option<usize> },
    /// Reads an attempt by its id.
    Attempt { scope: u64, attempt: usize },
    /// Asks which endpoints have something to do.
    Due,
    /// Counts.
    Stats,
    /// Lists the configuration.
    Config { owner: usize },
    /// Keeps a refused request.
    Quarantine { scope: u64, status: u16 },
    /// Lists refused requests.
    Quarantined { scope: u64, codes: Vec<u16>, limit: usize },
    /// Accepts a refused request after all.
    LetOut { scope: u64, refused: usize, accept: Accept },
    /// Lets time pass.
    Pass { ms: i64 },
    /// Sweeps.
    Sweep { delivered_ms: u64, failed_ms: u64 },
    /// Gives the store up and opens it again.
    Crash,
    /// Closes the store and opens it again.
    Restart,
}

/// An event to be accepted.
#[derive(Debug, Clone)]
pub(super) struct Accept {
    /// One of the file by slot, or above that one that the API made.
    pub(super) source: usize,
    pub(super) ago_ms: i64,
    /// The number of the key, and whether it is a body's hash.
    pub(super) key: Option<(u32, bool)>,
    pub(super) event_type: usize,
    pub(super) disposition: Disposition,
    pub(super) channels: Vec<usize>,
    pub(super) tags: Vec<usize>,
    pub(super) payload_for_ms: Option<i64>,
    pub(super) due_in_ms: Option<i64>,
    /// Offsets within the source's endpoints, and whether the caller takes them.
    pub(super) planned: Vec<(usize, bool)>,
    pub(super) lease_ms: i64,
    pub(super) body_bytes: usize,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    Delivered,
    RetryIn(i64),
    Exhausted,
    Gone,
}

/// A change of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    State(EndpointState),
    Failing(bool),
    Rotate { old_expire_in_ms: i64 },
    Edit { name: Option<usize>, timeout_ms: u64 },
    Headers { sealed: bool },
}

/// A filter, with moments counted back from now.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) event_types: Vec<usize>,
    pub(super) state: Option<DeliveryState>,
    pub(super) endpoint: Option<usize>,
    pub(super) disposition: Option<Disposition>,
    pub(super) since_ago_ms: Option<i64>,
    pub(super) until_ago_ms: Option<i64>,
    pub(super) key: Option<u32>,
    pub(super) channel: Option<usize>,
    pub(super) tag: Option<usize>,
}

/// The operations of a seed.
pub(super) fn generate(seed: u64, steps: usize) -> Vec<Operation> {
    let mut numbers = Numbers::new(seed);
    (0..steps).map(|_| operation(&mut numbers)).collect()
}

fn operation(numbers: &mut Numbers) -> Operation {
    if numbers.chance(25) {
        return Operation::Made(made(numbers));
    }
    match numbers.below(100) {
        0..17 => Operation::Accept(accept(numbers)),
        17..32 => Operation::Lease {
            endpoint: busy_endpoint(numbers),
            lease_ms: 1 + numbers.below(4_000),
            limit: 1 + below(numbers, 5),
        },
        32..58 => Operation::Finish { lease: back(numbers), next: next(numbers) },
        58..61 => Operation::Release {
            leases: (0..1 + numbers.below(4)).map(|_| back(numbers)).collect(),
            in_ms: numbers.below(2_000) as i64 - 200,
        },
        61..65 => Operation::Replay {
            scope: scope(numbers),
            event: back(numbers),
            endpoints: some(numbers, 50, 4),
        },
        65..70 => Operation::Read {
            scope: scope(numbers),
            event: back(numbers),
            limit: below(numbers, 8),
        },
        70..78 => Operation::List {
            scope: scope(numbers),
            filter: filter(numbers),
            limit: below(numbers, 25),
            before: numbers.chance(30).then(|| back(numbers)),
            after: None,
        },
        78..80 => Operation::List {
            scope: scope(numbers),
            filter: filter(numbers),
            limit: below(numbers, 25),
            before: None,
            after: Some(back(numbers)),
        },
        80..82 => Operation::Attempt { scope: scope(numbers), attempt: back(numbers) },
        82..85 => Operation::Due,
        85..94 => Operation::Pass { ms: pass(numbers) },
        _ => rare(numbers),
    }
}

fn rare(numbers: &mut Numbers) -> Operation {
    match numbers.below(17) {
        0 => Operation::Stats,
        1 => Operation::Config { owner: below(numbers, 2) },
        2 => Operation::Declare {
            owner: below(numbers, 2),
            left_out: if numbers.chance(40) { numbers.below(1 << SLOTS[3]) } else { 0 },
            without_source: numbers.chance(30),
            timeout_ms: 1_000 * (1 + numbers.below(3)),
        },
        3..5 => Operation::Change { endpoint: endpoint(numbers), change: change(numbers) },
        5 => Operation::Setting {
            owner: below(numbers, 2),
            name: numbers.below(3),
            value: numbers.below(256) as u8,
        },
        6..8 | 13 => {
            Operation::Quarantine { scope: scope(numbers), status: numbers.below(1_000) as u16 }
        }
        8 => Operation::Quarantined {
            scope: scope(numbers),
            codes: some(numbers, 30, 3).into_iter().map(|code| code as u16).collect(),
            limit: below(numbers, 9),
        },
        14..16 => Operation::LetOut {
            scope: scope(numbers),
            refused: back(numbers),
            accept: accept(numbers),
        },
        9..11 => {
            let delivered_ms = [3_000, 60_000, 1_000_000][below(numbers, 3)];
            Operation::Sweep { delivered_ms, failed_ms: delivered_ms * (1 + numbers.below(3)) }
        }
        11..13 => Operation::Crash,
        _ => Operation::Restart,
    }
}

fn accept(numbers: &mut Numbers) -> Accept {
    let source = if numbers.chance(75) { below(numbers, 3) } else { 3 + below(numbers, 4) };
    let due_in_ms = numbers.chance(15).then(|| numbers.below(6_000) as i64 - 500);
    let key = match numbers.below(100) {
        0..40 => Some((numbers.below(16) as u32, false)),
        40..60 => Some((1_000 + numbers.below(6) as u32, true)),
        _ => None,
    };
    let leased_percent = numbers.below(3) * 50;
    let mut planned = Vec::new();
    for offset in 0..4 {
        if numbers.chance(55) {
            planned.push((offset, numbers.chance(leased_percent) && due_in_ms.is_none()));
        }
    }
    if numbers.chance(30) {
        planned.reverse();
    }
    let largest = if numbers.chance(2) { 40_000 } else { 200 };
    Accept {
        source,
        ago_ms: if numbers.chance(8) { numbers.below(3_000) as i64 } else { 0 },
        key,
        event_type: below(numbers, TYPES.len()),
        disposition: match numbers.below(10) {
            0 => Disposition::Filtered,
            1 => Disposition::Invalid,
            _ => Disposition::Accepted,
        },
        channels: some(numbers, 40, LABELS.len()),
        tags: some(numbers, 40, LABELS.len()),
        payload_for_ms: numbers.chance(30).then(|| numbers.below(8_000) as i64),
        due_in_ms,
        planned,
        lease_ms: 1 + numbers.below(4_000) as i64,
        body_bytes: below(numbers, largest),
    }
}

fn next(numbers: &mut Numbers) -> Next {
    match numbers.below(100) {
        0..33 => Next::Delivered,
        33..60 => Next::RetryIn(numbers.below(400) as i64 - 100),
        60..70 => Next::RetryIn(numbers.below(5_000) as i64),
        70..93 => Next::Exhausted,
        _ => Next::Gone,
    }
}

fn change(numbers: &mut Numbers) -> Change {
    match numbers.below(9) {
        6 => Change::State(EndpointState::Removed),
        7 => Change::Edit {
            name: numbers.chance(80).then(|| below(numbers, ENDPOINT_NAMES.len())),
            timeout_ms: numbers.below(5),
        },
        8 => Change::Headers { sealed: numbers.chance(70) },
        0 => Change::State(EndpointState::Paused),
        1 => Change::State(EndpointState::Disabled),
        2 => Change::State(EndpointState::Enabled),
        3 => Change::Failing(numbers.chance(60)),
        _ => Change::Rotate { old_expire_in_ms: numbers.below(100_000) as i64 },
    }
}

fn filter(numbers: &mut Numbers) -> Filter {
    let states = [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
    ];
    let dispositions = [Disposition::Accepted, Disposition::Filtered, Disposition::Invalid];
    Filter {
        event_types: some(numbers, 20, TYPES.len()),
        state: numbers.chance(30).then(|| states[below(numbers, 4)]),
        endpoint: numbers.chance(20).then(|| endpoint(numbers)),
        disposition: numbers.chance(15).then(|| dispositions[below(numbers, 3)]),
        since_ago_ms: numbers.chance(15).then(|| numbers.below(20_000) as i64),
        until_ago_ms: numbers.chance(15).then(|| numbers.below(10_000) as i64),
        key: numbers.chance(10).then(|| numbers.below(16) as u32),
        channel: numbers.chance(15).then(|| below(numbers, LABELS.len())),
        tag: numbers.chance(15).then(|| below(numbers, LABELS.len())),
    }
}

/// Mostly a little, sometimes past leases and retries, rarely past the dedupe windows.
fn pass(numbers: &mut Numbers) -> i64 {
    let bound = match numbers.below(100) {
        0..70 => 300,
        70..95 => 6_000,
        95..99 => 400_000,
        _ => 300_000_000,
    };
    numbers.below(bound) as i64
}

/// Any endpoint, but half the time the same one, so that some deliveries come far.
fn busy_endpoint(numbers: &mut Numbers) -> usize {
    if numbers.chance(50) { 0 } else { endpoint(numbers) }
}

/// How far back: mostly to something recent.
fn back(numbers: &mut Numbers) -> usize {
    let bound = if numbers.chance(75) { 8 } else { 1_000 };
    below(numbers, bound)
}

fn scope(numbers: &mut Numbers) -> u64 {
    if numbers.chance(70) { numbers.below(2) } else { numbers.below(SCOPES) }
}

/// In so many cases of a hundred some of the numbers below a bound, otherwise none.
fn some(numbers: &mut Numbers, percent: u64, bound: usize) -> Vec<usize> {
    if !numbers.chance(percent) {
        return Vec::new();
    }
    (0..bound).filter(|_| numbers.chance(50)).collect()
}

pub(super) fn below(numbers: &mut Numbers, bound: usize) -> usize {
    numbers.below(bound as u64) as usize
}
