//! What a store on PostgreSQL is opened with.

use std::sync::Arc;
use std::time::Duration;

use becket_model::{Clock, Noise};

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Where the database is: `postgres://user@host1,host2/db?sslmode=verify-full&schema=becket`. With
    /// several hosts the one that takes writes is found.
    pub url: String,
    /// The node's name for people, which the database's list of connections shows.
    pub name: String,
    /// The most connections for calls, besides the writers' own and two for news.
    pub pool_max: usize,
    /// How many batches of accepted events may be committed at the same time, and as many of results.
    pub writers: usize,
    /// How many calls may wait for their batch before others are refused as busy.
    pub queue_max: usize,
    /// How long a call waits for a connection before it is answered that there is none.
    pub wait_max: Duration,
    /// How long the answer to a statement may take; a longer one means that the server hangs.
    pub answer_max: Duration,
    /// How long a commit may take, which includes the wait for a synchronous standby.
    pub commit_max: Duration,
    /// Random bytes.
    pub noise: Arc<dyn Noise>,
    /// The time, where no call gives it.
    pub clock: Arc<dyn Clock>,
    /// How many refused requests are kept.
    pub quarantine_rows: u64,
    /// Whether opening may bring the schema to this program's layout; otherwise an older one is an
    /// error.
    pub migrate: bool,
}

impl Options {
    /// The usual options for a database.
    #[must_use]
    pub fn new(url: impl Into<String>, noise: Arc<dyn Noise>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url: url.into(),
            name: "becket".to_owned(),
            pool_max: 16,
            writers: 2,
            queue_max: 20_000,
            wait_max: Duration::from_secs(3),
            answer_max: Duration::from_secs(10),
            commit_max: Duration::from_secs(10),
            noise,
            clock,
            quarantine_rows: 10_000,
            migrate: true,
        }
    }
}
