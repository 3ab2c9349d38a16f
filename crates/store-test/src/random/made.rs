//! The operations on what the API makes: applications, endpoints, documents, sealed secrets,
//! payloads and counts.

use super::operation::below;
use crate::noise::Numbers;

/// The names that are given to applications; some are names of the file as well.
pub(super) const APPLICATION_NAMES: [&str; 6] = ["alpha", "gamma", "acme", "Acme", "x", ""];
/// The names that are given to endpoints; some are names of the file as well.
pub(super) const ENDPOINT_NAMES: [&str; 5] = ["a1", "g1", "hook", "Hook", ""];
/// The names of documents.
pub(super) const DOCUMENT_NAMES: [&str; 4] = ["a.b", "a", "B", "ä"];
/// How many kinds of documents are used. The names of the last are unique in the store.
pub(super) const DOCUMENT_KINDS: usize = 3;

/// Something that is done to, or asked about, what the API makes.
///
/// Owners are 0 and 1; `foreign` takes the one whose it is not. Applications and endpoints are
/// those of the file by slot, and above that the last ones that came up.
#[derive(Debug, Clone)]
pub(super) enum Made {
    /// Makes an application.
    Application { owner: usize, kind: usize, name: Option<usize>, sealed: bool },
    /// Changes or removes an application.
    ChangeApplication {
        application: usize,
        foreign: bool,
        name: Option<Option<usize>>,
        settings: Option<u32>,
        sealed: bool,
        remove: bool,
    },
    /// Finds an application.
    FindApplication { application: usize, foreign: bool, kind: Option<usize>, by: By },
    /// Lists applications.
    Applications { owner: usize, kind: usize, cut: Cut },
    /// Makes an endpoint.
    Endpoint { application: usize, foreign: bool, name: Option<usize>, paused: bool, sealed: bool },
    /// Finds an endpoint, perhaps under another application.
    FindEndpoint { endpoint: usize, application: Option<usize>, foreign: bool, by: By },
    /// Lists endpoints.
    Endpoints { application: usize, foreign: bool, cut: Cut },
    /// Writes a document.
    Put { document: Doc, condition: Condition, sealed: bool, expires_in_ms: Option<i64> },
    /// Reads a document.
    Get(Doc),
    /// Finds a document whoever's it is.
    Find(Doc),
    /// Removes a document.
    Remove(Doc),
    /// Lists documents like this one.
    Documents { like: Doc, cut: Cut },
    /// Forgets expired documents.
    SweepDocuments { limit: usize },
    /// Lists sealed secrets and seals one of them again.
    Reseal { version: u8, place: usize, stale: bool },
    /// Overwrites a small value.
    Setting { owner: usize, name: u64, value: u8 },
    /// Removes a payload.
    Expunge { scope: u64, event: usize },
    /// Removes the payloads whose time has come.
    ExpungeDue,
    /// Replaces the details of an attempt.
    Rewrite { scope: u64, attempt: usize, detail: u8 },
    /// Counts events, with moments counted back from now.
    Events { scope: u64, since_ago_ms: i64, until_ago_ms: i64 },
    /// Counts deliveries, likewise.
    Deliveries { scope: u64, endpoint: usize, since_ago_ms: i64, until_ago_ms: i64 },
    /// Lists owners.
    Owners,
}

/// How something is named.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Id,
    /// By the beginning of its id.
    Short,
    /// By one of the names, which may be another's.
    Name(usize),
}

/// Which part of a list; `after` is another thing of the kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) limit: usize,
    pub(super) after: Option<usize>,
    pub(super) descending: bool,
}

/// Names a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doc {
    pub(super) owner: usize,
    pub(super) kind: usize,
    pub(super) application: Option<usize>,
    pub(super) name: usize,
}

/// When a document is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    Absent,
    Always,
    Revision(u64),
    /// The one that is there.
    Current,
}

pub(super) fn made(numbers: &mut Numbers) -> Made {
    match numbers.below(100) {
        0..16 => about_application(numbers),
        16..32 => about_endpoint(numbers),
        32..58 => about_document(numbers),
        58..63 => Made::Reseal {
            version: 1 + numbers.below(3) as u8,
            place: below(numbers, 9),
            stale: numbers.chance(20),
        },
        63..66 => Made::Setting {
            owner: below(numbers, 2),
            name: numbers.below(3),
            value: numbers.below(256) as u8,
        },
        66..74 => Made::Expunge { scope: scope(numbers), event: recent(numbers) },
        74..79 => Made::ExpungeDue,
        79..83 => Made::Rewrite {
            scope: scope(numbers),
            attempt: recent(numbers),
            detail: numbers.below(256) as u8,
        },
        83..90 => Made::Events {
            scope: scope(numbers),
            since_ago_ms: ago(numbers),
            until_ago_ms: ago(numbers) - 100,
        },
        90..98 => Made::Deliveries {
            scope: scope(numbers),
            endpoint: endpoint(numbers),
            since_ago_ms: ago(numbers),
            until_ago_ms: ago(numbers) - 100,
        },
        _ => Made::Owners,
    }
}

fn about_application(numbers: &mut Numbers) -> Made {
    match numbers.below(10) {
        0..3 => Made::Application {
            owner: below(numbers, 2),
            kind: below(numbers, 3),
            name: name(numbers, APPLICATION_NAMES.len()),
            sealed: numbers.chance(50),
        },
        3..6 => {
            let renames = numbers.chance(50);
            Made::ChangeApplication {
                application: below(numbers, 9),
                foreign: numbers.chance(10),
                name: renames.then(|| name(numbers, APPLICATION_NAMES.len())),
                settings: numbers.chance(30).then(|| numbers.below(5) as u32),
                sealed: numbers.chance(20),
                remove: numbers.chance(30),
            }
        }
        6..8 => Made::FindApplication {
            application: below(numbers, 9),
            foreign: numbers.chance(15),
            kind: numbers.chance(20).then(|| below(numbers, 3)),
            by: by(numbers, APPLICATION_NAMES.len()),
        },
        _ => Made::Applications {
            owner: below(numbers, 2),
            kind: below(numbers, 3),
            cut: cut(numbers),
        },
    }
}

fn about_endpoint(numbers: &mut Numbers) -> Made {
    match numbers.below(10) {
        0..4 => Made::Endpoint {
            application: below(numbers, 9),
            foreign: numbers.chance(10),
            name: name(numbers, ENDPOINT_NAMES.len()),
            paused: numbers.chance(20),
            sealed: numbers.chance(50),
        },
        4..7 => Made::FindEndpoint {
            endpoint: endpoint(numbers),
            application: numbers.chance(25).then(|| below(numbers, 9)),
            foreign: numbers.chance(15),
            by: by(numbers, ENDPOINT_NAMES.len()),
        },
        _ => Made::Endpoints {
            application: below(numbers, 9),
            foreign: numbers.chance(15),
            cut: cut(numbers),
        },
    }
}

fn about_document(numbers: &mut Numbers) -> Made {
    let document = Doc {
        owner: below(numbers, 2),
        kind: below(numbers, DOCUMENT_KINDS),
        application: numbers.chance(35).then(|| below(numbers, 9)),
        name: below(numbers, DOCUMENT_NAMES.len()),
    };
    match numbers.below(12) {
        0..5 => Made::Put {
            document,
            condition: match numbers.below(10) {
                0..3 => Condition::Absent,
                3..6 => Condition::Always,
                6..9 => Condition::Current,
                _ => Condition::Revision(numbers.below(4)),
            },
            sealed: numbers.chance(50),
            expires_in_ms: numbers.chance(40).then(|| numbers.below(8_000) as i64 - 200),
        },
        5..7 => Made::Get(document),
        7 => Made::Find(document),
        8 => Made::Remove(document),
        9..11 => Made::Documents { like: document, cut: cut(numbers) },
        _ => Made::SweepDocuments { limit: below(numbers, 6) },
    }
}

/// Any endpoint: mostly one of the file.
pub(super) fn endpoint(numbers: &mut Numbers) -> usize {
    if numbers.chance(60) { below(numbers, 7) } else { 7 + below(numbers, 6) }
}

/// Mostly one of the names, sometimes none.
fn name(numbers: &mut Numbers, names: usize) -> Option<usize> {
    numbers.chance(80).then(|| below(numbers, names))
}

fn by(numbers: &mut Numbers, names: usize) -> By {
    match numbers.below(5) {
        0 => By::Short,
        1..3 => By::Name(below(numbers, names)),
        _ => By::Id,
    }
}

fn cut(numbers: &mut Numbers) -> Cut {
    Cut {
        limit: below(numbers, 7),
        after: numbers.chance(40).then(|| below(numbers, 9)),
        descending: numbers.chance(50),
    }
}

fn scope(numbers: &mut Numbers) -> u64 {
    if numbers.chance(70) { numbers.below(2) } else { numbers.below(super::operation::SCOPES) }
}

fn recent(numbers: &mut Numbers) -> usize {
    let bound = if numbers.chance(60) { 12 } else { 1_000 };
    below(numbers, bound)
}

fn ago(numbers: &mut Numbers) -> i64 {
    let bound = [500, 20_000, 10_000_000][below(numbers, 3)];
    numbers.below(bound) as i64
}
