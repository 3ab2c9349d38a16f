//! What flows in a drill: the sources, their endpoints, and how the receivers behave.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::support::load;

/// A source with its endpoints.
pub struct Source {
    /// Its id, also in its receiving path.
    pub id: &'static str,
    /// Where its events go.
    pub endpoints: &'static [Endpoint],
}

/// An endpoint and how its receiver behaves.
pub struct Endpoint {
    /// Its id.
    pub id: &'static str,
    /// How many attempts it takes at a time.
    pub concurrency: u32,
    /// How many it takes in a second, if that is limited.
    pub rate_per_s: Option<u32>,
    /// How long an answer takes, in milliseconds.
    pub hold_ms: u64,
    /// One of so many attempts fails; none if 0.
    pub fails_one_in: u64,
}

const PLAIN: Endpoint =
    Endpoint { id: "", concurrency: 10, rate_per_s: None, hold_ms: 0, fails_one_in: 0 };

/// Each endpoint tries another thing: nothing, retries, slowness, a narrow door, a rate.
pub const SOURCES: [Source; 3] = [
    Source {
        id: "alpha",
        endpoints: &[
            Endpoint { id: "steady", ..PLAIN },
            Endpoint { id: "flaky", fails_one_in: 5, ..PLAIN },
        ],
    },
    Source {
        id: "beta",
        endpoints: &[
            Endpoint { id: "slow", hold_ms: 60, concurrency: 8, ..PLAIN },
            Endpoint { id: "narrow", hold_ms: 10, concurrency: 2, ..PLAIN },
        ],
    },
    Source {
        id: "gamma",
        endpoints: &[
            Endpoint { id: "rated", rate_per_s: Some(60), ..PLAIN },
            Endpoint { id: "even", hold_ms: 5, ..PLAIN },
        ],
    },
];

/// All endpoints with their sources.
pub fn endpoints() -> impl Iterator<Item = (&'static Source, &'static Endpoint)> {
    SOURCES
        .iter()
        .flat_map(|source| source.endpoints.iter().map(move |endpoint| (source, endpoint)))
}

/// The path under which a receiver knows an endpoint.
pub fn path_of(source: &Source, endpoint: &Endpoint) -> String {
    format!("/{}/{}", source.id, endpoint.id)
}

/// The endpoint of a path.
pub fn at_path(path: &str) -> Option<&'static Endpoint> {
    endpoints().find(|(source, endpoint)| path_of(source, endpoint) == path).map(|(_, found)| found)
}

/// Whether an attempt fails, the same in every run: by event and attempt, so that retries succeed.
pub fn fails(endpoint: &Endpoint, number: u64, attempt: u64) -> bool {
    let mixed = (number * 31 + attempt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    endpoint.fails_one_in > 0 && mixed.is_multiple_of(endpoint.fails_one_in)
}

/// The sources as a configuration declares them.
pub fn configuration(receivers: SocketAddr) -> String {
    let mut text = String::new();
    for source in &SOURCES {
        let id = source.id;
        // Infallible: a String takes everything.
        let _ = writeln!(
            text,
            "[[source]]\nid = \"{id}\"\nprovider = \"github\"\nsecrets = [\"{}\"]",
            load::SECRET
        );
        for endpoint in source.endpoints {
            let _ = writeln!(
                text,
                "[[source.endpoint]]\nid = \"{}\"\nurl = \"http://{receivers}{}\"\ntimeout = \"10s\"\n\
                 concurrency = {}\nretry = [\"500ms\", {}]",
                endpoint.id,
                path_of(source, endpoint),
                endpoint.concurrency,
                ["\"1s\""; 20].join(", "),
            );
            if let Some(rate) = endpoint.rate_per_s {
                let _ = writeln!(text, "rate_limit = \"{rate}/s\"");
            }
        }
    }
    text
}
