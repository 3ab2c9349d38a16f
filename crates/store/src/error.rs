//! What can go wrong in a store, in words for the operator and with stable codes.

/// A store could not do what it was asked. Nothing was acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or the store has reached its cap; it recovers by itself when there is room.
    #[error(
        "no room to store more: {detail}; free some space or raise the cap, no restart is needed"
    )]
    Full {
        /// Which limit was met.
        detail: String,
    },
    /// The disk failed in the middle of a write; the store is being reopened and checked.
    #[error(
        "the store had to stop after a disk error: {detail}; it accepts again once it has been reopened and checked"
    )]
    Broken {
        /// What the disk said.
        detail: String,
    },
    /// The database cannot be reached, or takes no writes now (it restarts, or another one is being
    /// made the primary); it is tried again by itself.
    #[error(
        "the database is not available for {operation}: {detail}; it is tried again, no restart is needed"
    )]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What is known of the reason.
        detail: String,
    },
    /// More is waiting to be written than the store takes on.
    #[error("the store is busy: {waiting} writes are waiting")]
    Busy {
        /// How many writes wait.
        waiting: usize,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// What is on disk cannot be read as this version's data.
    #[error("{path} cannot be used: {detail}")]
    Unusable {
        /// The file or folder.
        path: String,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The database answered with an error that has no better name.
    #[error("the database failed at {operation}: {detail}")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// What the database said.
        detail: String,
    },
    /// A secret could not be opened with the master key.
    #[error(
        "a stored secret cannot be opened: {detail}; give the master key that it was sealed with (BECKET_MASTER_KEY)"
    )]
    Sealed {
        /// What did not fit.
        detail: String,
    },
}

impl StoreError {
    /// A stable code for logs, metrics and answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store_full",
            Self::Broken { .. } => "store_broken",
            Self::Unavailable { .. } => "store_unavailable",
            Self::Busy { .. } => "store_busy",
            Self::Closed => "store_closed",
            Self::Unusable { .. } => "store_unusable",
            Self::Database { .. } => "store_database",
            Self::Sealed { .. } => "store_sealed",
        }
    }

    /// How long a sender should wait before it tries again, in seconds.
    #[must_use]
    pub const fn retry_after_s(&self) -> u64 {
        match self {
            Self::Busy { .. } => 1,
            Self::Full { .. } => 30,
            _ => 5,
        }
    }
}
