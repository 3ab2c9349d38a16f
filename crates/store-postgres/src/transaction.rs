//! A transaction: statements that are committed together, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Row;

use crate::errors::{Failure, unavailable};
use crate::session::{Parameters, Session};

/// A transaction in a session. Dropped without [`Tx::commit`], it is rolled back.
pub(crate) struct Tx<'a> {
    session: &'a mut Session,
    operation: &'static str,
    /// A statement failed: the database would answer a commit with a rollback.
    failed: AtomicBool,
    over: bool,
}

impl<'a> Tx<'a> {
    pub(super) fn new(session: &'a mut Session, operation: &'static str) -> Self {
        Self { session, operation, failed: AtomicBool::new(false), over: false }
    }

    /// See [`Session::rows`].
    pub(crate) async fn rows(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let rows = self.session.rows(self.operation, sql, parameters).await;
        self.watch(rows)
    }

    /// See [`Session::row`].
    pub(crate) async fn row(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// See [`Session::run`].
    pub(crate) async fn run(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, Failure> {
        let count = self.session.run(self.operation, sql, parameters).await;
        self.watch(count)
    }

    /// See [`Session::batch`].
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        let done = self.session.batch(self.operation, sql).await;
        self.watch(done)
    }

    /// See [`Session::simple`].
    pub(crate) async fn simple(&self, sql: &str) -> Result<Vec<String>, Failure> {
        let row = self.session.simple(self.operation, sql).await;
        self.watch(row)
    }

    /// See [`Session::batch_long`].
    pub(crate) async fn batch_long(&self, sql: &str) -> Result<(), Failure> {
        let done = self.session.batch_long(self.operation, sql).await;
        self.watch(done)
    }

    /// See [`Session::client`]. What fails there has to end the transaction.
    pub(crate) fn client(&self) -> &tokio_postgres::Client {
        self.session.client()
    }

    /// Commits; an error says that it is not known to be committed safely.
    pub(crate) async fn commit(mut self) -> Result<(), Failure> {
        if self.failed.load(Ordering::Acquire) {
            let detail = "a statement of the transaction has failed";
            return Err(unavailable(self.operation, detail).into());
        }
        self.over = true;
        self.session.commit(self.operation).await
    }

    fn watch<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if outcome.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        outcome
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if !self.over && !self.session.is_useless() {
            self.session.roll_back();
        }
    }
}
