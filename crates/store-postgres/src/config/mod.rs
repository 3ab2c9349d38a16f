//! Applications and endpoints, and what the operator's file declares.
//!
//! Invariants: every change first takes the row of `installation` and leaves it with a higher
//! revision, which the changed rows carry. So changes of all nodes stand in one order, a name has one
//! winner, and whoever knows a revision finds what has changed since.
//!
//! Where next: `applications`, `endpoints`, `declare`; `columns` for how values stand in the tables.

mod applications;
pub(crate) mod columns;
mod declare;
mod endpoints;
mod listed;

use std::sync::Arc;

use becket_store::{Result, StoreError};
use tokio_postgres::Row;

pub(crate) use applications::{
    application_change, application_create, application_get, application_list, owner_list,
    select as select_applications,
};
pub(crate) use declare::config_declare;
pub(crate) use endpoints::{
    endpoint_change, endpoint_create, endpoint_get, endpoint_list, select as select_endpoints,
};
pub(crate) use listed::{Listed, Standing, config_list};

use crate::errors::Failure;
use crate::session::Parameters;
use crate::shared::{Conn, Shared};
use crate::transaction::Tx;

/// So often a change that met other transactions is tried again.
const TRIES_MAX: u32 = 5;

/// Where rows are read: in a transaction or outside.
pub(crate) trait Ask: Sync {
    /// The rows that a statement answers with.
    fn ask(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, Failure>> + Send;
}

impl Ask for Tx<'_> {
    async fn ask(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Failure> {
        self.rows(sql, parameters).await
    }
}

/// A connection for one kind of reading.
pub(crate) struct Reading {
    conn: Conn,
    operation: &'static str,
}

impl Reading {
    /// A connection of the pool.
    pub(crate) async fn new(shared: &Shared, operation: &'static str) -> Result<Self> {
        Ok(Self { conn: shared.read(operation).await?, operation })
    }
}

impl Ask for Reading {
    async fn ask(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Failure> {
        self.conn.rows(self.operation, sql, parameters).await
    }
}

/// The right to change the configuration, until the transaction ends.
pub(crate) struct Revision {
    /// What the changed rows carry.
    pub(crate) next: i64,
}

impl Revision {
    /// Waits until nobody else changes the configuration.
    pub(crate) async fn take(tx: &Tx<'_>) -> Result<Self, Failure> {
        let rows = tx.rows("SELECT revision FROM installation FOR UPDATE", &[]).await?;
        let row = rows.first().ok_or_else(|| {
            crate::errors::unusable("the table `installation` is empty; restore a backup")
        })?;
        Ok(Self { next: row.get::<_, i64>(0) + 1 })
    }

    /// Makes the change known to who asks what has changed.
    pub(crate) async fn raise(self, tx: &Tx<'_>) -> Result<(), Failure> {
        tx.run("UPDATE installation SET revision = $1", &[&self.next]).await.map(drop)
    }
}

/// What a try of a change came to.
pub(crate) enum Tried<T> {
    /// This is the answer.
    Answer(T),
    /// It met another transaction and should be tried again.
    Again,
}

/// Counts the tries of a change.
pub(crate) struct Tries(u32);

impl Tries {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Passes on what worked, and what cannot be tried again.
    pub(crate) fn judge<T>(
        &mut self,
        shared: &Arc<Shared>,
        outcome: Result<(T, bool), Failure>,
    ) -> Result<Tried<T>> {
        match outcome {
            Ok((value, changed)) => {
                if changed {
                    shared.cluster.config_changed(shared);
                }
                Ok(Tried::Answer(value))
            }
            Err(failure) if failure.is_conflict() || failure.is_unique() => {
                self.0 += 1;
                if self.0 >= TRIES_MAX { Err(failure.into()) } else { Ok(Tried::Again) }
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Settings as they stand in a column.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Database {
        operation: "write settings",
        detail: error.to_string(),
    })
}

/// Settings from a column of the row called `whose`.
fn from_json<T: serde::de::DeserializeOwned>(text: &str, whose: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        crate::errors::unusable(format!(
            "the settings of {whose} cannot be read: {error}; restore a backup"
        ))
    })
}
