//! What is wrong at the moment, worst first.

use becket_model::{ApplicationKey, EndpointId};
use serde::Serialize;

use crate::call::{Answer, Call};
use crate::names::{Names, public_id};
use crate::problem::Result;
use crate::times;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StandingKind {
    /// New events are refused.
    NotAccepting,
    /// A source cannot be used: what it verifies with cannot be read, or makes no sense.
    SourceUnusable,
    /// An endpoint has been switched off by the gateway.
    EndpointDisabled,
    /// Deliveries have been given up.
    RetriesExhausted,
    /// Something about the database puts data or service at risk.
    DatabaseAtRisk,
    /// The disk, or the store's part of it, is filling up.
    DiskFilling,
    /// Deliveries to an endpoint keep failing.
    EndpointFailing,
    /// A delivery is near its last attempt.
    RetriesRunningOut,
    /// A source refuses more than it accepts.
    SignaturesRefused,
    /// A source has sent nothing for longer than usual.
    SourceQuiet,
    /// The certificate of the listener ends soon.
    CertificateExpiring,
    /// A secret or token ends soon.
    SecretExpiring,
}

impl StandingKind {
    /// Whether events are lost, held back or given up already.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::NotAccepting
                | Self::SourceUnusable
                | Self::EndpointDisabled
                | Self::RetriesExhausted
                | Self::DatabaseAtRisk
                | Self::DiskFilling
        )
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What.
    pub kind: StandingKind,
    /// Since when, in milliseconds since 1970, if that is known.
    pub since_ms: Option<i64>,
    /// In a few words.
    pub title: String,
    /// In one or two sentences.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// The source or application that it is about.
    pub application: Option<ApplicationKey>,
    /// The endpoint that it is about.
    pub endpoint: Option<EndpointId>,
    /// How many deliveries wait or were given up, or requests were refused.
    pub count: Option<u64>,
}

/// The same as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StandingOut {
    kind: StandingKind,
    severity: &'static str,
    since: Option<String>,
    title: String,
    detail: String,
    hint: String,
    source_id: Option<String>,
    source: Option<String>,
    endpoint_id: Option<String>,
    endpoint: Option<String>,
    count: Option<u64>,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct StandingsOut {
    data: Vec<StandingOut>,
}

/// `GET /api/v1/becket/problem`
pub(crate) async fn list(call: Call) -> Result<Answer<StandingsOut>> {
    let mut standing = call.shared.api.control.problems(call.owner).await?;
    standing.sort_by_key(|one| (!one.kind.is_error(), one.kind, one.since_ms));
    if standing.is_empty() {
        return Ok(Answer::ok(StandingsOut { data: Vec::new() }));
    }
    let names = Names::load(&call).await?;
    let shown = |one: Standing| {
        let source = one.application.and_then(|key| names.source_of(key));
        let endpoint =
            one.endpoint.and_then(|id| names.endpoints().iter().find(|one| one.id == id));
        StandingOut {
            kind: one.kind,
            severity: if one.kind.is_error() { "error" } else { "warning" },
            since: one.since_ms.map(times::text),
            title: one.title,
            detail: one.detail,
            hint: one.hint,
            source_id: source.map(public_id),
            source: source.map(becket_store::Application::name),
            endpoint_id: one.endpoint.map(|id| id.to_string()),
            endpoint: endpoint.map(becket_store::Endpoint::name),
            count: one.count,
        }
    };
    Ok(Answer::ok(StandingsOut { data: standing.into_iter().map(shown).collect() }))
}
