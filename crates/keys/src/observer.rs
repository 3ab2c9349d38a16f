//! What is told about fetches: counts by outcome, and one line of log each.

use std::time::Duration;

/// What came of a fetch, a visit, or a wish for one. Closed, so that it may label a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchOutcome {
    /// Keys arrived and are usable.
    Fetched,
    /// The provider says that there is no such key.
    Unknown,
    /// Nothing usable arrived.
    Failed,
    /// Nothing was asked, because the source has asked too often.
    Limited,
    /// A confirmation address was visited.
    Visited,
    /// A confirmation address could not be visited.
    VisitFailed,
}

impl FetchOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Fetched,
        Self::Unknown,
        Self::Failed,
        Self::Limited,
        Self::Visited,
        Self::VisitFailed,
    ];

    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Unknown => "unknown_key",
            Self::Failed => "failed",
            Self::Limited => "limited",
            Self::Visited => "visited",
            Self::VisitFailed => "visit_failed",
        }
    }
}

/// One fetch, told once. Without a query, credentials or key material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReport<'a> {
    /// What came of it.
    pub outcome: FetchOutcome,
    /// From where, without its query; empty if the URL was none.
    pub from: &'a str,
    /// Why nothing came: the code of the trouble.
    pub code: Option<&'static str>,
    /// More about it, for the operator.
    pub detail: Option<&'a str>,
    /// How long it took.
    pub took: Duration,
}

/// Is told of every fetch.
pub trait FetchObserver: Send + Sync + 'static {
    /// Called once for each.
    fn fetched(&self, report: &FetchReport<'_>);
}
