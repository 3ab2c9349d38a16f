//! Notices deliveries in trouble and tells the owner's operational endpoints about them.
//!
//! The binary hands in what the engine reports; calls return at once and never wait.
//!
//! Invariants: what is told about has been recorded; at most
//! [`QUEUE_MAX`](crate::operational::QUEUE_MAX) reports wait, and what does not fit is counted and
//! logged; nothing is told about operational endpoints themselves.
//!
//! Deliberately absent: the shapes of the events (`operational`), and engine types.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, Clock, EndpointId, EventId,
};
use becket_store::accept::Handoff;
use becket_store::{Application, Endpoint, Name, Owner, Scope, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::operational::{
    self, AttemptFacts, EndpointFacts, OperationalEvent, QUEUE_MAX, listeners,
};
use crate::posting::Poster;

/// How long after everything was read an unknown application may cause it to be read again.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// What happened to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its fourth attempt failed; there will be more.
    Failing,
    /// It has been given up.
    Exhausted,
    /// It succeeded after at least four failed attempts.
    Recovered,
}

/// An attempt, already recorded, with which a delivery took a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptReported {
    /// Whose it is.
    pub owner: Owner,
    /// The application or source of the event.
    pub application: ApplicationKey,
    /// The endpoint's public id.
    pub endpoint: EndpointId,
    /// The event.
    pub event: EventId,
    /// The recorded attempt.
    pub attempt: AttemptId,
    /// The HTTP status, if a whole response arrived.
    pub status: Option<u16>,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// What it means.
    pub trouble: Trouble,
}

#[derive(Debug, Clone, Copy)]
enum Report {
    Attempt(AttemptReported),
    Disabled {
        owner: Owner,
        application: ApplicationKey,
        endpoint: EndpointId,
        fail_since_ms: Option<i64>,
    },
}

/// Takes the engine's reports; a clone reports to the same queue. Its task ends with the last clone.
#[derive(Debug, Clone)]
pub struct OperationalReporter {
    queue: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

impl OperationalReporter {
    /// Begins the task that tells. Needs a runtime. `lease_ms`, `unfinished` and `activity` are
    /// those of [`crate::ApiState`].
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        handoff: Arc<dyn Handoff>,
        clock: Arc<dyn Clock>,
        lease_ms: u64,
        unfinished: Arc<AtomicUsize>,
        activity: Arc<Activity>,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let poster = Poster::new(Arc::clone(&store), handoff, lease_ms, unfinished, activity);
        let teller = Teller { store, clock, poster, known: HashMap::new(), read_at: None };
        tokio::spawn(teller.run(receiver));
        Self { queue, dropped: Arc::default() }
    }

    /// A delivery took a turn.
    pub fn attempt(&self, reported: AttemptReported) {
        self.put(Report::Attempt(reported));
    }

    /// The engine has switched an endpoint off; `fail_since_ms` is since when every attempt had
    /// failed, in milliseconds since 1970.
    pub fn endpoint_disabled(
        &self,
        owner: Owner,
        application: ApplicationKey,
        endpoint: EndpointId,
        fail_since_ms: Option<i64>,
    ) {
        self.put(Report::Disabled { owner, application, endpoint, fail_since_ms });
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
        let (owner, application, endpoint) = match &report {
            Report::Attempt(reported) => (reported.owner, reported.application, reported.endpoint),
            Report::Disabled { owner, application, endpoint, .. } => {
                (*owner, *application, *endpoint)
            }
        };
        let Some(whose) = self.whose(owner, application).await? else { return Ok(()) };
        let store = self.store.as_ref();
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
            Report::Attempt(reported) => {
                let facts = self.facts(&found, &endpoint, &reported).await?;
                match reported.trouble {
                    Trouble::Failing => OperationalEvent::AttemptFailing(facts),
                    Trouble::Exhausted => OperationalEvent::AttemptExhausted(facts),
                    Trouble::Recovered => OperationalEvent::AttemptRecovered(facts),
                }
            }
        };
        operational::deliver(store, self.clock.as_ref(), &self.poster, owner, &event).await;
        Ok(())
    }

    /// What is known of an application. One that was made lately is found by reading the owner's
    /// again.
    async fn whose(
        &mut self,
        owner: Owner,
        key: ApplicationKey,
    ) -> becket_store::Result<Option<Whose>> {
        if let Some(whose) = self.known.get(&key) {
            return Ok(Some(*whose));
        }
        if let Some(read_at) = self.read_at {
            tokio::time::sleep_until(read_at + READ_PAUSE).await;
        }
        self.read_at = Some(Instant::now());
        for application in self.store.config_list(owner).await?.applications {
            let Application { kind, id, key, .. } = application;
            self.known.insert(key, Whose { kind, id });
        }
        Ok(self.known.get(&key).copied())
    }

    async fn facts(
        &self,
        application: &Application,
        endpoint: &Endpoint,
        reported: &AttemptReported,
    ) -> becket_store::Result<AttemptFacts> {
        let scope = Scope::of(application.owner, application.key);
        let event = self.store.event_get(scope, reported.event).await?;
        Ok(AttemptFacts {
            endpoint: EndpointFacts::of(application, endpoint),
            message: reported.event.to_string(),
            event_id: event.and_then(|event| event.labels.event_id),
            attempt: reported.attempt.to_string(),
            response_status: reported.status.unwrap_or_default(),
            started_at_ms: reported.started_at_ms,
        })
    }
}
