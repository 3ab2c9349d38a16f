//! Writes rows into PostgreSQL: a few connections, each with its statements prepared once.
//!
//! Invariants: a session that failed in any way is thrown away, so that nothing half done is left in
//! it; one that was kept and turns out to be dead is replaced within the same attempt. Values travel
//! as text and are cast to the column's own type by the server.

mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use becket_egress::action::ActionRequest;
use becket_egress::action::template::Fields;
use becket_egress::{AttemptError, AttemptOutcome};
use becket_postgres::{Server, Tls};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::action::{FORGET_EVERY_MS, Told, Written};
use crate::plan::SqlPlan;
use session::Session;

/// Why nothing was written.
pub(crate) enum Failure {
    /// The mapping does not fit the table.
    Table(Vec<String>),
    /// The event does not fit the mapping.
    Row(String),
    /// The server, or the way to it.
    Server(tokio_postgres::Error),
    /// The connection cannot even be tried.
    Tls(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// One server and one table.
pub(crate) struct Postgres {
    plan: Arc<SqlPlan>,
    server: Server,
    told: Told,
    tls: OnceCell<Tls>,
    idle: Mutex<Vec<Session>>,
    permits: Semaphore,
    /// Only one at a time makes tables and looks at them.
    preparing: tokio::sync::Mutex<()>,
    forgot_at_ms: AtomicI64,
}

impl Postgres {
    pub(crate) fn new(plan: Arc<SqlPlan>, server: Server, endpoint: &str) -> Self {
        Self {
            server,
            told: Told::new(endpoint, &plan),
            tls: OnceCell::new(),
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(plan.connections),
            preparing: tokio::sync::Mutex::new(()),
            forgot_at_ms: AtomicI64::new(0),
            plan,
        }
    }

    /// Looks at the table before the first event comes.
    pub(crate) async fn check(&self) {
        match self.open().await {
            Ok(session) => self.idle.lock().push(session),
            Err(failure) => self.told.log(&judge(&failure)),
        }
    }

    pub(crate) async fn write(&self, request: &ActionRequest) -> AttemptOutcome {
        // The semaphore is never closed.
        let Ok(_permit) = self.permits.acquire().await else {
            return unreachable("The gateway is stopping.");
        };
        let fields = Fields::of(request);
        match self.try_write(request, &fields).await {
            Ok(written) => {
                self.told.fits();
                written.outcome()
            }
            Err(failure) => {
                let outcome = judge(&failure);
                self.told.log(&outcome);
                outcome
            }
        }
    }

    async fn try_write(
        &self,
        request: &ActionRequest,
        fields: &Fields<'_>,
    ) -> Result<Written, Failure> {
        let kept = self.idle.lock().pop().filter(Session::is_usable);
        if let Some(mut session) = kept {
            match session.write(&self.plan, request, fields).await {
                Ok(written) => return Ok(self.keep(session, written, request).await),
                // The server may have restarted, or somebody changed the table: see it anew.
                Err(Failure::Server(error)) if session::is_stale(&error) => {}
                Err(failure @ Failure::Row(_)) => {
                    self.idle.lock().push(session);
                    return Err(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        let mut session = self.open().await?;
        let written = session.write(&self.plan, request, fields).await?;
        Ok(self.keep(session, written, request).await)
    }

    /// Keeps a session that worked for the next event, and tidies up now and then.
    async fn keep(&self, session: Session, written: Written, request: &ActionRequest) -> Written {
        let now_ms = request.started_at_ms;
        let last_ms = self.forgot_at_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(last_ms) >= FORGET_EVERY_MS {
            self.forgot_at_ms.store(now_ms, Ordering::Relaxed);
            let before_ms = now_ms.saturating_sub(self.plan.remember_ms);
            if let Err(error) = session.forget(&self.plan, &request.endpoint, before_ms).await {
                tracing::warn!(
                    endpoint = request.endpoint,
                    error = explain(&error),
                    "sql.forget_failed"
                );
                return written;
            }
        }
        self.idle.lock().push(session);
        written
    }

    async fn open(&self) -> Result<Session, Failure> {
        let tls = self
            .tls
            .get_or_try_init(|| async { Tls::new(self.server.root_certificate()) })
            .await
            .map_err(Failure::Tls)?;
        let client = session::connect(&self.server.config, tls.clone()).await?;
        let _only_one = self.preparing.lock().await;
        Session::prepare(client, &self.plan).await
    }
}

fn unreachable(note: impl Into<String>) -> AttemptOutcome {
    AttemptOutcome::not_done(AttemptError::DatabaseUnreachable, note)
}

/// What a failure means for the delivery.
fn judge(failure: &Failure) -> AttemptOutcome {
    let error = match failure {
        Failure::Table(problems) => {
            return AttemptOutcome::not_done(AttemptError::DatabaseRefused, problems.join(" "));
        }
        Failure::Row(problem) => {
            return AttemptOutcome::given_up(AttemptError::RowInvalid, problem.clone());
        }
        Failure::Tls(problem) => return unreachable(problem.clone()),
        Failure::Server(error) => error,
    };
    let note = explain(error);
    let Some(told) = error.as_db_error() else {
        return unreachable(note);
    };
    let code = told.code().code();
    match (&code[..2], code) {
        // A row that this one refers to may be on its way.
        (_, "23503") => AttemptOutcome::not_done(AttemptError::DatabaseRefused, note),
        ("22" | "23", _) => AttemptOutcome::given_up(AttemptError::RowInvalid, note),
        ("08" | "57", _) => unreachable(note),
        _ => AttemptOutcome::not_done(AttemptError::DatabaseRefused, note),
    }
}

/// A sentence about an error of the driver or the server, without any value of the event: what the
/// server says about data repeats the data.
fn explain(error: &tokio_postgres::Error) -> String {
    let Some(told) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let cause = cause.unwrap_or_default();
        if cause.contains("does not support TLS") {
            return "The server offers no TLS; if the way to it is trusted, add `sslmode=disable` to \
                    the URL."
                .to_owned();
        }
        return format!("The database cannot be used: {error}{cause}.");
    };
    let code = told.code().code();
    let named = |what: &str, name: Option<&str>| {
        name.map_or_else(String::new, |name| format!(", {what} `{name}`"))
    };
    let place = named("column", told.column()) + &named("constraint", told.constraint());
    match (&code[..2], code) {
        (_, "23502") => format!("A value is missing (NOT NULL){place}."),
        (_, "23505") => format!("Another row has the same values{place}."),
        (_, "23503") => format!("The row that this one refers to is not there (yet){place}."),
        (_, "23514") => format!("The values break a CHECK{place}."),
        (_, "22001") => format!("A text is too long for its column{place}."),
        (_, "22003") => format!("A number is out of its column's range{place}."),
        ("22" | "23", _) => format!("The values do not fit the table (SQLSTATE {code}){place}."),
        ("28", _) => format!("The server refused the user or its password (SQLSTATE {code})."),
        _ => format!("The server refused: {} (SQLSTATE {code}).", told.message()),
    }
}
