//! Notices deliveries in trouble and tells the owner's operational endpoints about them.
//!
//! The binary hands in what the engine reports; calls return at once and never wait.
//!
//! Invariants: a delivery is told to be failing once, at its fourth failed attempt, to be exhausted
//! once, and to have recovered only if it had failed at least four times; at most
//! [`QUEUE_MAX`](crate::operational::QUEUE_MAX) reports wait, and what does not fit is counted and
//! logged; nothing is told about operational endpoints themselves.
//!
//! Deliberately absent: the shapes of the events (`operational`), and engine types.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, Clock, DeliveryKey, EndpointId, FailureReason,
    NextStep,
};
use becket_store::accept::Handoff;
use becket_store::{Application, AttemptRow, Endpoint, Name, Owner, Scope, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::operational::{
    self, AttemptFacts, EndpointFacts, OperationalEvent, QUEUE_MAX, listeners,
};
use crate::posting::Poster;

/// The failed attempt at which a delivery is told to be failing.
const FAILING_ATTEMPT: u32 = 4;
/// How often, and how long apart, a report's attempt is looked for: it is recorded after the report.
const LOOKS: u32 = 40;
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How long after everything was read an unknown application may cause it to be read again.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// A finished attempt, as the engine reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptReported {
    /// The application or source of the event.
    pub application: ApplicationKey,
    /// The endpoint's public id.
    pub endpoint: EndpointId,
    /// Which delivery.
    pub delivery: DeliveryKey,
    /// Counted from 1 within its delivery.
    pub number: u32,
    /// The HTTP status, if a whole response arrived.
    pub status: Option<u16>,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// What becomes of the delivery.
    pub next: NextStep,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Failing,
    Exhausted,
    Recovered,
}

impl AttemptReported {
    fn trouble(&self) -> Option<Trouble> {
        match self.next {
            NextStep::Delivered if self.number > FAILING_ATTEMPT => Some(Trouble::Recovered),
            NextStep::RetryAt(_) if self.number == FAILING_ATTEMPT => Some(Trouble::Failing),
            NextStep::Failed(FailureReason::Exhausted) => Some(Trouble::Exhausted),
            NextStep::Delivered | NextStep::RetryAt(_) | NextStep::Failed(_) => None,
        }
    }
}

#[derive(Debug)]
enum Report {
    Attempt(AttemptReported, Trouble),
    Disabled { application: ApplicationKey, endpoint: EndpointId, fail_since_ms: Option<i64> },
}

/// Takes the engine's reports; a clone reports to the same queue. Its task ends with the last clone.
#[derive(Debug, Clone)]
pub struct OperationalReporter {
    queue: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

impl OperationalReporter {
    /// Begins the task that tells. Needs a runtime. `lease_ms` and `unfinished` are those of
    /// [`crate::ApiState`].
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        handoff: Arc<dyn Handoff>,
        clock: Arc<dyn Clock>,
        lease_ms: u64,
        unfinished: Arc<AtomicUsize>,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let poster = Poster::new(Arc::clone(&store), handoff, lease_ms, unfinished);
        let teller = Teller { store, clock, poster, known: HashMap::new(), read_at: None };
        tokio::spawn(teller.run(receiver));
        Self { queue, dropped: Arc::default() }
    }

    /// An attempt has ended.
    pub fn attempt(&self, reported: AttemptReported) {
        if let Some(trouble) = reported.trouble() {
            self.put(Report::Attempt(reported, trouble));
        }
    }

    /// The engine has switched an endpoint off; `fail_since_ms` is since when every attempt had
    /// failed, in milliseconds since 1970.
    pub fn endpoint_disabled(
        &self,
        application: ApplicationKey,
        endpoint: EndpointId,
        fail_since_ms: Option<i64>,
    ) {
        self.put(Report::Disabled { application, endpoint, fail_since_ms });
    }

    /// How many reports did not fit into the queue.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn put(&self, report: Report) {
        if self.queue.try_send(report).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // One line for each power of two says enough.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "operational.reports_dropped");
            }
        }
    }
}

/// What never changes about an application.
#[derive(Debug, Clone, Copy)]
struct Whose {
    owner: Owner,
    kind: ApplicationKind,
    id: ApplicationId,
}

struct Teller {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    poster: Poster,
    known: HashMap<ApplicationKey, Whose>,
    read_at: Option<Instant>,
}

impl Teller {
    async fn run(mut self, mut reports: mpsc::Receiver<Report>) {
        while let Some(report) = reports.recv().await {
            match self.tell(report).await {
                Ok(()) => {}
                Err(becket_store::StoreError::Closed) => return,
                Err(error) => tracing::error!(%error, "operational.report_failed"),
            }
        }
    }

    async fn tell(&mut self, report: Report) -> becket_store::Result<()> {
        let (application, endpoint) = match &report {
            Report::Attempt(reported, _) => (reported.application, reported.endpoint),
            Report::Disabled { application, endpoint, .. } => (*application, *endpoint),
        };
        let Some(whose) = self.whose(application).await? else { return Ok(()) };
        let (store, owner) = (self.store.as_ref(), whose.owner);
        if whose.kind == ApplicationKind::Operational || listeners(store, owner).await?.is_none() {
            return Ok(());
        }
        let found = store.application_get(owner, whose.kind, Name::Id(whose.id)).await?;
        let Some(found) = found else { return Ok(()) };
        let Some(endpoint) = store.endpoint_get(owner, found.key, Name::Id(endpoint)).await? else {
            return Ok(());
        };
        let event = match report {
            Report::Disabled { fail_since_ms, .. } => OperationalEvent::EndpointDisabled {
                endpoint: EndpointFacts::of(&found, &endpoint),
                fail_since_ms: fail_since_ms.or(endpoint.failing_since_ms),
                automatic: true,
            },
            Report::Attempt(reported, trouble) => {
                let facts = self.facts(&found, &endpoint, &reported).await?;
                let Some(facts) = facts else {
                    tracing::warn!(event = %reported.delivery.event, "operational.attempt_missing");
                    return Ok(());
                };
                match trouble {
                    Trouble::Failing => OperationalEvent::AttemptFailing(facts),
                    Trouble::Exhausted => OperationalEvent::AttemptExhausted(facts),
                    Trouble::Recovered => OperationalEvent::AttemptRecovered(facts),
                }
            }
        };
        operational::deliver(store, self.clock.as_ref(), &self.poster, owner, &event).await;
        Ok(())
    }

    /// Whose application it is. One that was made lately is found by reading everything again.
    async fn whose(&mut self, key: ApplicationKey) -> becket_store::Result<Option<Whose>> {
        if let Some(whose) = self.known.get(&key) {
            return Ok(Some(*whose));
        }
        if let Some(read_at) = self.read_at {
            tokio::time::sleep_until(read_at + READ_PAUSE).await;
        }
        self.read_at = Some(Instant::now());
        for owner in self.store.owner_list().await? {
            for application in self.store.config_list(owner).await?.applications {
                let Application { kind, id, key, .. } = application;
                self.known.insert(key, Whose { owner, kind, id });
            }
        }
        Ok(self.known.get(&key).copied())
    }

    async fn facts(
        &self,
        application: &Application,
        endpoint: &Endpoint,
        reported: &AttemptReported,
    ) -> becket_store::Result<Option<AttemptFacts>> {
        let scope = Scope::of(application.owner, application.key);
        let Some(attempt) = self.recorded(scope, reported).await? else { return Ok(None) };
        let event = self.store.event_get(scope, reported.delivery.event).await?;
        Ok(Some(AttemptFacts {
            endpoint: EndpointFacts::of(application, endpoint),
            message: reported.delivery.event.to_string(),
            event_id: event.and_then(|event| event.labels.event_id),
            attempt: attempt.id.to_string(),
            response_status: reported.status.unwrap_or_default(),
            started_at_ms: reported.started_at_ms,
        }))
    }

    /// The attempt as it was recorded, which happens shortly after it was reported.
    async fn recorded(
        &self,
        scope: Scope,
        reported: &AttemptReported,
    ) -> becket_store::Result<Option<AttemptRow>> {
        for _ in 0..LOOKS {
            let rows = self.store.attempt_list(scope, reported.delivery.event).await?;
            let found = rows.into_iter().find(|row| {
                row.delivery == reported.delivery && row.attempt.number == reported.number
            });
            if found.is_some() {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use becket_model::{EndpointKey, EventId};

    use super::*;

    #[test]
    fn only_trouble_is_told() {
        let reported = |number, next| AttemptReported {
            application: ApplicationKey(1),
            endpoint: EndpointId::from_bytes([0; 20]),
            delivery: DeliveryKey {
                event: EventId::from_bytes([0; 20]),
                endpoint: EndpointKey(1),
                generation: 0,
            },
            number,
            status: None,
            started_at_ms: 0,
            next,
        };
        let told = |number, next| reported(number, next).trouble().is_some();
        let exhausted = NextStep::Failed(FailureReason::Exhausted);
        for (number, next, expected) in [
            (1, NextStep::Delivered, false),
            (4, NextStep::Delivered, false),
            (5, NextStep::Delivered, true),
            (3, NextStep::RetryAt(1), false),
            (4, NextStep::RetryAt(1), true),
            (5, NextStep::RetryAt(1), false),
            (1, exhausted, true),
            (12, exhausted, true),
            (2, NextStep::Failed(FailureReason::Gone), false),
        ] {
            assert_eq!(told(number, next), expected, "{number} {next:?}");
        }
    }
}
