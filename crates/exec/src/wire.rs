//! What gateway and guardian tell each other, over one socket: a plan, then orders one way and reports
//! the other. Plans and reports are lines of JSON, orders are single bytes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Ends the program gently: SIGTERM to its process group.
pub(crate) const ORDER_TERMINATE: u8 = b't';
/// Ends everything at once.
pub(crate) const ORDER_KILL: u8 = b'k';

/// What the guardian is to run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) confinement: Confinement,
    /// One of these has to be had first; none are needed if it is empty.
    pub(crate) locks: Vec<PathBuf>,
    /// How long there is between SIGTERM and SIGKILL when the gateway is gone, in milliseconds.
    pub(crate) grace_ms: u64,
    pub(crate) keep_background: bool,
}

/// What a process does to itself before it becomes the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// The guardian, which must still be there.
    #[serde(default)]
    pub(crate) guardian: i32,
    pub(crate) working_directory: String,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) umask: Option<u32>,
    pub(crate) nice: i32,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_s: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) processes: Option<u64>,
    pub(crate) file_size_bytes: Option<u64>,
    pub(crate) no_new_privileges: bool,
}

/// What the guardian reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// An earlier run has the lock; this one waits.
    Waiting {
        /// What that run wrote into the lock, such as the number of its process group.
        holder: String,
    },
    /// It runs.
    Started,
    /// It does not, and nothing happened.
    NotStarted {
        /// What is in the way.
        problem: String,
        /// Whether arguments and environment are more than the system allows.
        too_long: bool,
    },
    /// It ended, and so did everything that it had started.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
}
