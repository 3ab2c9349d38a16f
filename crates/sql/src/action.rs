//! The action itself: a thread of its own for each endpoint, so that neither a slow disk nor a slow
//! server holds up the gateway's other deliveries.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use becket_egress::action::{Action, ActionRequest};
use becket_egress::{AttemptError, AttemptOutcome};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::SqlError;
use crate::plan::SqlPlan;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::url::Database;

/// How often applied events that are old enough are forgotten.
pub(crate) const FORGET_EVERY_MS: i64 = 3_600_000;

/// Writes a row for each delivery.
pub struct SqlAction {
    plan: Arc<SqlPlan>,
    endpoint: String,
    backend: OnceLock<Result<Backend, SqlError>>,
}

enum Backend {
    Postgres {
        server: Arc<Postgres>,
        runtime: Handle,
        /// Ends the thread when it is dropped.
        _stop: oneshot::Sender<()>,
    },
    Sqlite(Sqlite),
}

impl SqlAction {
    /// An action that has not begun: no thread, no connection. `endpoint` is its name in the log.
    #[must_use]
    pub fn new(plan: SqlPlan, endpoint: &str) -> Self {
        Self { plan: Arc::new(plan), endpoint: endpoint.to_owned(), backend: OnceLock::new() }
    }

    /// Starts the endpoint's thread, which looks at the table first; the first delivery does it too.
    /// A database that is not there is logged and tried again with the first delivery.
    ///
    /// # Errors
    /// [`SqlError::Thread`] if the thread cannot be started.
    pub fn begin(&self) -> Result<(), SqlError> {
        self.backend().map(|_| ())
    }

    fn backend(&self) -> Result<&Backend, SqlError> {
        self.backend.get_or_init(|| self.start()).as_ref().map_err(Clone::clone)
    }

    fn start(&self) -> Result<Backend, SqlError> {
        let plan = Arc::clone(&self.plan);
        match &self.plan.database {
            Database::Sqlite(path) => {
                Sqlite::start(plan, path.clone(), &self.endpoint).map(Backend::Sqlite)
            }
            Database::Postgres(server) => {
                let server = Arc::new(Postgres::new(plan, (**server).clone(), &self.endpoint));
                let (runtime, stop) = start_runtime()?;
                let checking = Arc::clone(&server);
                // Nobody waits for it: what it finds is logged, and told by the first attempt.
                drop(runtime.spawn(async move { checking.check().await }));
                Ok(Backend::Postgres { server, runtime, _stop: stop })
            }
        }
    }
}

/// A thread that runs the connections of one endpoint until the sender is dropped.
fn start_runtime() -> Result<(Handle, oneshot::Sender<()>), SqlError> {
    let failed = |error: std::io::Error| SqlError::Thread(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    std::thread::Builder::new()
        .name("becket-sql".to_owned())
        .spawn(move || {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })
        .map_err(failed)?;
    Ok((handle, stop))
}

#[async_trait]
impl Action for SqlAction {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        let limit = Duration::from_millis(request.timeout_ms);
        let backend = match self.backend() {
            Ok(backend) => backend,
            Err(error) => {
                let error = error.to_string();
                return AttemptOutcome::not_done(AttemptError::DatabaseUnreachable, error);
            }
        };
        match backend {
            Backend::Sqlite(sqlite) => sqlite.write(request, limit).await,
            Backend::Postgres { server, runtime, .. } => {
                let server = Arc::clone(server);
                let task = runtime.spawn(async move {
                    tokio::time::timeout(limit, server.write(&request)).await
                });
                let mut task = Aborting(task);
                match (&mut task.0).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(_)) => late(),
                    Err(_) => AttemptOutcome::not_done(
                        AttemptError::DatabaseUnreachable,
                        "The gateway broke the attempt off.",
                    ),
                }
            }
        }
    }
}

pub(crate) fn late() -> AttemptOutcome {
    AttemptOutcome::not_done(
        AttemptError::DatabaseUnreachable,
        "The database did not answer in the endpoint's time.",
    )
}

/// Breaks the task off when nobody waits for it any more.
struct Aborting<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What became of an event that was written without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// A row was inserted or changed.
    Row,
    /// Inserting: a row with this key is there.
    AlreadyThere,
    /// Upserting: this event has been applied before.
    AlreadyApplied,
    /// Upserting: the row is newer than the event.
    Older,
}

impl Written {
    pub(crate) fn outcome(self) -> AttemptOutcome {
        AttemptOutcome::done(match self {
            Self::Row => "row written",
            Self::AlreadyThere => "nothing written: a row with this key is there already",
            Self::AlreadyApplied => "nothing written: the event has been applied before",
            Self::Older => "nothing written: the row is newer than the event",
        })
    }
}

/// Logs what is wrong with a table or a database once, until it is right again.
pub(crate) struct Told {
    endpoint: String,
    table: String,
    last: Mutex<Option<String>>,
}

impl Told {
    pub(crate) fn new(endpoint: &str, plan: &SqlPlan) -> Self {
        Self { endpoint: endpoint.to_owned(), table: plan.table.sql(), last: Mutex::new(None) }
    }

    /// Logs a failure that is not about one event alone.
    pub(crate) fn log(&self, outcome: &AttemptOutcome) {
        let Some(error) = outcome.error.filter(|error| *error != AttemptError::RowInvalid) else {
            return;
        };
        let mut last = self.last.lock();
        if last.as_ref() != Some(&outcome.note) {
            tracing::warn!(
                endpoint = self.endpoint,
                table = self.table,
                code = error.code(),
                problem = outcome.note,
                "sql.not_ready"
            );
            *last = Some(outcome.note.clone());
        }
    }

    /// Remembers that rows can be written.
    pub(crate) fn fits(&self) {
        if self.last.lock().take().is_some() {
            tracing::info!(endpoint = self.endpoint, table = self.table, "sql.ready_again");
        }
    }
}
