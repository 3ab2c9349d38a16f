//! One connection to the database with its prepared statements.
//!
//! Invariants: every wait for an answer has an end, behind which the statement is cancelled and the
//! session is useless; a useless session is never used again, and where the server itself hangs, stops
//! or has become a standby, neither is any that was made before. Whoever stops waiting leaves no
//! statement running and no transaction open: the session serves nobody before that is over and rolled
//! back, and if it takes longer it is cancelled, and the session useless. A warning that comes with a commit
//! makes it not acknowledged: that is how a cancelled wait for a synchronous standby is told.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use becket_postgres::Tls;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Connection, NoTls, Notification, Row, SimpleQueryMessage,
    Statement,
};

use crate::disk::durable;
use crate::errors::{self, Failure, unavailable};
use crate::gauges::Meters;
use crate::transaction::Tx;

/// So many statements are kept prepared; there are fewer in the program than that.
const STATEMENTS_MAX: usize = 256;
/// How long a change of the layout may take.
const LONG_MAX: Duration = Duration::from_secs(3_600);
/// How long a cancellation may take, which is a connection of its own.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// What commits a transaction, in one message.
const COMMIT: &str = concat!("SELECT ", durable!(), "; COMMIT");

/// A statement for which nobody waits may go on for so long before it is cancelled.
const ENDING_MAX: Duration = Duration::from_millis(100);

/// The parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Counts how often sessions turned out to lead to a server that is of no more use: those made before
/// lead there too.
#[derive(Debug, Default)]
pub(crate) struct Trust(AtomicU64);

impl Trust {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Sessions of this age and older are not to be used again.
    fn lose(&self, age: u64) {
        // Many that find out the same count as one.
        let _ = self.0.compare_exchange(age, age + 1, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What the connection's own task tells the session.
#[derive(Debug, Default)]
pub(super) struct State {
    useless: AtomicBool,
    /// A warning has come that a commit may not be on the standby.
    warned: AtomicBool,
}

/// How long a session waits for the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) answer: Duration,
    pub(crate) commit: Duration,
}

/// A connection that is ready for statements.
pub(crate) struct Session {
    client: Arc<Client>,
    statements: Mutex<HashMap<Box<str>, Statement>>,
    state: Arc<State>,
    meters: Arc<Meters>,
    patience: Patience,
    tls: Option<Tls>,
    trust: Arc<Trust>,
    age: u64,
    dedicated: bool,
    /// Ends under way of statements for whose answers nobody waits any more.
    abandoned: Mutex<Vec<JoinHandle<()>>>,
}

impl Session {
    pub(super) fn new(
        client: Client,
        state: Arc<State>,
        meters: Arc<Meters>,
        patience: Patience,
        tls: Option<Tls>,
        trust: Arc<Trust>,
    ) -> Self {
        let (statements, abandoned, age) = (Mutex::default(), Mutex::default(), trust.now());
        let (client, dedicated) = (Arc::new(client), false);
        Self { client, statements, state, meters, patience, tls, trust, age, dedicated, abandoned }
    }

    /// A session outside the pool, counted as such.
    pub(super) fn dedicated(mut self) -> Self {
        self.meters.dedicate(1);
        self.dedicated = true;
        self
    }

    /// Whether it must not be used any more.
    pub(crate) fn is_useless(&self) -> bool {
        self.state.useless.load(Ordering::Acquire)
            || self.client.is_closed()
            || self.age < self.trust.now()
            || !self.abandoned.lock().is_empty()
    }

    /// Whether it can serve somebody else. What its last user left behind is over by then.
    pub(super) async fn settle(&mut self) -> bool {
        for ending in std::mem::take(self.abandoned.get_mut()) {
            if ending.await.is_err() {
                self.give_up();
            }
        }
        !self.is_useless()
    }

    /// Somebody has sent a statement and does not wait for the answer.
    fn abandon(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.give_up() };
        let (client, state, tls) =
            (Arc::clone(&self.client), Arc::clone(&self.state), self.tls.clone());
        let ending = runtime.spawn(async move {
            // Nobody knows whether a transaction was begun; without one this does nothing.
            let rolled_back = client.batch_execute("ROLLBACK");
            if !matches!(tokio::time::timeout(ENDING_MAX, rolled_back).await, Ok(Ok(()))) {
                // A cancellation may reach the server late, so nothing else may run in the session.
                state.useless.store(true, Ordering::Release);
                cancel(client.cancel_token(), tls).await;
            }
        });
        self.abandoned.lock().push(ending);
    }

    /// Says that it must not be used any more.
    pub(crate) fn give_up(&self) {
        self.state.useless.store(true, Ordering::Release);
    }

    /// A statement that is prepared once for each session.
    pub(crate) async fn prepare_cached(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Statement, Failure> {
        let known = self.statements.lock().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let prepared = self.client.prepare(sql);
        let statement = self.within(operation, self.patience.answer, prepared).await?;
        let mut statements = self.statements.lock();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// The rows that a statement answers with.
    pub(crate) async fn rows(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare_cached(operation, sql).await?;
        let query = self.client.query(&statement, parameters);
        self.within(operation, self.patience.answer, query).await
    }

    /// The first row, if there is one.
    pub(crate) async fn row(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(operation, sql, parameters).await?.into_iter().next())
    }

    /// How many rows a statement touched. Outside a transaction it is committed when this returns.
    pub(crate) async fn run(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, Failure> {
        let statement = self.prepare_cached(operation, sql).await?;
        self.state.warned.store(false, Ordering::Release);
        let query = self.client.execute(&statement, parameters);
        let count = self.within(operation, self.patience.commit, query).await?;
        self.check_warning(operation)?;
        Ok(count)
    }

    /// The rows of one statement that is a transaction of its own; it is committed when this returns.
    pub(crate) async fn commit_rows(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare_cached(operation, sql).await?;
        self.state.warned.store(false, Ordering::Release);
        let started = Instant::now();
        let query = self.client.query(&statement, parameters);
        let outcome = self.within(operation, self.patience.commit, query).await;
        self.meters.commit(started.elapsed());
        let rows = outcome?;
        self.check_warning(operation)?;
        Ok(rows)
    }

    /// The driver's client, for what this type has no word for, such as COPY. Whoever uses it waits
    /// with an end of their own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Runs statements without parameters or answers, such as those that define tables.
    pub(crate) async fn batch(&self, operation: &'static str, sql: &str) -> Result<(), Failure> {
        self.within(operation, self.patience.answer, self.client.batch_execute(sql)).await
    }

    /// The first row of a query without parameters, as texts; nothing is prepared.
    pub(crate) async fn simple(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Vec<String>, Failure> {
        let query = self.client.simple_query(sql);
        let answer = self.within(operation, self.patience.answer, query).await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let Some(row) = row else { return Ok(Vec::new()) };
        Ok((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
    }

    /// Like [`Self::batch`], for what may take long, such as an index on a large table.
    pub(crate) async fn batch_long(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Failure> {
        self.within(operation, LONG_MAX, self.client.batch_execute(sql)).await
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    pub(crate) async fn begin(&mut self, operation: &'static str) -> Result<Tx<'_>, Failure> {
        // The wait for a standby must not end by the server's own timer: the answer would be a
        // commit that is not safe.
        let tx = Tx::new(self, operation);
        tx.batch("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0").await?;
        Ok(tx)
    }

    pub(super) async fn commit(&self, operation: &'static str) -> Result<(), Failure> {
        self.state.warned.store(false, Ordering::Release);
        let started = Instant::now();
        let commit = self.client.batch_execute(COMMIT);
        let outcome = self.within(operation, self.patience.commit, commit).await;
        self.meters.commit(started.elapsed());
        if outcome.is_err() && !self.is_useless() {
            self.roll_back();
        }
        outcome?;
        self.check_warning(operation)
    }

    /// Sends a rollback and waits for nothing: what follows in this session comes behind it.
    pub(super) fn roll_back(&self) {
        use futures_util::FutureExt as _;
        if let Some(Err(error)) = self.client.batch_execute("ROLLBACK").now_or_never() {
            tracing::debug!(%error, "a transaction could not be rolled back");
            self.give_up();
        }
    }

    fn check_warning(&self, operation: &'static str) -> Result<(), Failure> {
        if self.state.warned.swap(false, Ordering::AcqRel) {
            let detail = "a synchronous standby has not confirmed the commit";
            return Err(unavailable(operation, detail).into());
        }
        Ok(())
    }

    /// Waits for an answer, but not for ever.
    async fn within<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let mut waiting = Waiting(Some(self));
        let answer = tokio::time::timeout(limit, answer).await;
        waiting.0 = None;
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if errors::ends_session(&error) {
                    self.give_up();
                }
                if errors::ends_server(&error) {
                    self.trust.lose(self.age);
                }
                Err(errors::of(operation, &error))
            }
            Err(_) => {
                self.give_up();
                self.trust.lose(self.age);
                tokio::spawn(cancel(self.client.cancel_token(), self.tls.clone()));
                let detail = format!("no answer within {} s", limit.as_secs_f32());
                Err(unavailable(operation, detail).into())
            }
        }
    }
}

/// Somebody who waits in a session; dropped before the answer has come, it ends the statement.
struct Waiting<'a>(Option<&'a Session>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.0 {
            session.abandon();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.dedicated {
            self.meters.dedicate(-1);
        }
    }
}

/// Asks the server to break off what a session waits for, so that nothing is left running there.
async fn cancel(token: CancelToken, tls: Option<Tls>) {
    let asked = tokio::time::timeout(CANCEL_MAX, async {
        match tls {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    });
    if !matches!(asked.await, Ok(Ok(()))) {
        tracing::debug!("a statement could not be cancelled");
    }
}

/// Does the connection's own work in the background until the session is dropped or broken.
pub(super) fn drive<S, T>(
    mut connection: Connection<S, T>,
    meters: Arc<Meters>,
    news: Option<mpsc::Sender<Notification>>,
) -> Arc<State>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let state = Arc::new(State::default());
    let told = Arc::clone(&state);
    tokio::spawn(async move {
        loop {
            let next = std::future::poll_fn(|context| connection.poll_message(context)).await;
            match next {
                Some(Ok(AsyncMessage::Notice(notice))) => note(&told, &notice),
                Some(Ok(AsyncMessage::Notification(message))) => {
                    // Who does not keep up has to look for itself: it sees the session end.
                    if news.as_ref().is_some_and(|news| news.try_send(message).is_err()) {
                        told.useless.store(true, Ordering::Release);
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    told.useless.store(true, Ordering::Release);
                    meters.lost();
                    tracing::info!(%error, "database.connection_lost");
                    return;
                }
                None => {
                    told.useless.store(true, Ordering::Release);
                    return;
                }
            }
        }
    });
    state
}

fn note(state: &State, notice: &DbError) {
    // The severity is not translated, the message may be.
    if notice.parsed_severity() != Some(Severity::Warning) {
        return;
    }
    let code = notice.code().code();
    // There was no transaction to roll back, which is asked for where that is not known.
    if code == "25P01" {
        return;
    }
    if code == "01000" || code.starts_with("57") {
        state.warned.store(true, Ordering::Release);
    }
    tracing::warn!(code, warning = notice.message(), "database.warning");
}
