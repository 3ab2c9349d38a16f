//! What tasks do: one variant for each kind, with its parameters, and a step function for each.
//!
//! To add a kind: a variant of [`TaskWork`] (its parameters are kept as JSON: names of things, not
//! their numbers in the store where an id exists), a row in [`TaskKind`], and an arm in
//! [`TaskWork::step`].
//!
//! Invariants: a step is bounded (some hundreds of items), and answers with the cursor at which the
//! next one begins, or `None` at the end; a step that is done twice does no harm.

use becket_model::{ApplicationId, ApplicationKind, EndpointId};
use becket_store::Owner;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{counting, purge, replay};
use crate::call::Shared;
use crate::problem::Result;

/// What a task is called, in the specification's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Recover,
    ReplayMissing,
    BulkReplay,
    ApplicationStats,
    EventTypeAggregate,
    PurgeContent,
}

impl TaskKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::ReplayMissing => "endpoint.replay",
            Self::BulkReplay => "endpoint.bulk-replay",
            Self::ApplicationStats => "application.stats",
            Self::EventTypeAggregate => "event-type.aggregate",
            Self::PurgeContent => "application.purge_content",
        }
    }
}

/// What a task does, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum TaskWork {
    /// Starts deliveries to an endpoint again.
    Replay(ReplayWork),
    /// Counts deliveries by application.
    ApplicationStats {
        /// Received at or after, in milliseconds since 1970.
        since_ms: i64,
        /// Received before, in milliseconds since 1970.
        until_ms: i64,
        /// Only these applications; `None` counts all.
        applications: Option<Vec<ApplicationId>>,
    },
    /// Collects the event types that each application's endpoints ask for.
    EventTypeAggregate {},
    /// Removes the payloads of an application's events.
    PurgeContent {
        /// Whose events.
        application: ApplicationId,
        /// Received before, in milliseconds since 1970.
        until_ms: i64,
    },
}

/// An endpoint by ids that outlive a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointRef {
    pub application_kind: ApplicationKind,
    pub application: ApplicationId,
    pub endpoint: EndpointId,
}

/// Which events go to the endpoint again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayWhich {
    /// Those whose last delivery to it has failed, or waits for its next attempt after a failed one.
    Failed,
    /// Those that it would take and never got.
    Missing,
    /// Those that were planned for it, however their last delivery stands.
    Sent,
}

/// A replay of many events to one endpoint. Every given filter has to match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplayWork {
    #[serde(flatten)]
    pub to: EndpointRef,
    pub which: ReplayWhich,
    /// Received at or after, in milliseconds since 1970.
    pub since_ms: i64,
    /// Received before, in milliseconds since 1970.
    pub until_ms: i64,
    #[serde(default)]
    pub event_types: Vec<String>,
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    /// How the last delivery stands, as the specification counts.
    #[serde(default)]
    pub status: Option<u8>,
    /// The hundreds of the last attempt's HTTP status; 0 if no response came.
    #[serde(default)]
    pub status_code_class: Option<u16>,
}

/// What a step works with.
pub(crate) struct Step<'s> {
    pub shared: &'s Shared,
    pub owner: Owner,
    /// Where the step before stopped; `None` at the beginning.
    pub cursor: Option<&'s str>,
    /// What the task shows of itself; a step adds to it.
    pub data: &'s mut Map<String, Value>,
}

impl Step<'_> {
    /// Adds to a figure of the task.
    pub fn count(&mut self, name: &str, more: u64) {
        let known = self.data.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.data.insert(name.to_owned(), (known + more).into());
    }
}

impl TaskWork {
    /// The application to whose endpoint it replays.
    pub const fn replays_to(&self) -> Option<ApplicationId> {
        match self {
            Self::Replay(work) => Some(work.to.application),
            Self::ApplicationStats { .. }
            | Self::EventTypeAggregate {}
            | Self::PurgeContent { .. } => None,
        }
    }

    /// What the task is called.
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::Replay(work) => match work.which {
                ReplayWhich::Failed => TaskKind::Recover,
                ReplayWhich::Missing => TaskKind::ReplayMissing,
                ReplayWhich::Sent => TaskKind::BulkReplay,
            },
            Self::ApplicationStats { .. } => TaskKind::ApplicationStats,
            Self::EventTypeAggregate {} => TaskKind::EventTypeAggregate,
            Self::PurgeContent { .. } => TaskKind::PurgeContent,
        }
    }

    /// Does the next step; answers with where the one after it begins, or `None` at the end.
    pub async fn step(&self, step: Step<'_>) -> Result<Option<String>> {
        match self {
            Self::Replay(work) => replay::step(work, step).await,
            Self::ApplicationStats { since_ms, until_ms, applications } => {
                counting::applications(*since_ms, *until_ms, applications.as_deref(), step).await
            }
            Self::EventTypeAggregate {} => counting::event_types(step).await,
            Self::PurgeContent { application, until_ms } => {
                purge::step(*application, *until_ms, step).await
            }
        }
    }
}
