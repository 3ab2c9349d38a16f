//! Moving a store out of a schema, or into one.
//!
//! Works with one session of its own, which holds a lock that keeps other moves and new nodes away;
//! nodes that were there before must not be using the schema. Items are read in the order of their
//! keys, a few megabytes at a time, and written by COPY, a chunk in one transaction, so that what a
//! target holds is always a beginning of its source. What is derived from events (repeats that may
//! come, counts of days) is made at the end in one transaction, which also takes away the mark of an
//! unfinished move and comes last.
//!
//! Where next: `nodes` for who else uses the schema, `small` for configuration and quarantine,
//! `events` for reading events, `load` for writing them, `finish` for the end.

mod columns;
mod copy;
mod events;
mod finish;
mod load;
mod nodes;
mod small;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use becket_model::Noise;
use becket_postgres::Server;
use becket_store::transfer::{
    Chunk, Kind, MOVING_SETTING, Moving, OWN_SETTINGS, Place, Tally, Transfer,
};
use becket_store::{Result, StoreError};
use tokio::sync::Mutex;

use crate::connect;
use crate::migrate;
use crate::options::Options;
use crate::session::Session;
use nodes::Seen;

pub(crate) use self::nodes::refuse_moving;

const MOVE: &str = "move";
/// Counting and indexing much takes long; a server that is gone is noticed by the connection itself.
const ANSWER_MAX: Duration = Duration::from_secs(6 * 3_600);

/// A schema that is being moved.
pub struct PostgresTransfer {
    name: String,
    parts: Mutex<Option<Parts>>,
}

/// What is open.
struct Parts {
    session: Session,
    /// Days that have partitions.
    days: HashSet<i32>,
    noise: Arc<dyn Noise>,
    /// The nodes when it was opened.
    seen: Seen,
}

impl PostgresTransfer {
    /// Opens a schema that holds a store, or a part of one. Refused while nodes use it, unless `force`
    /// says that they are dead; whether nodes live that were all silent is watched for the length of a
    /// membership.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if there is none or it is in use, [`StoreError::Unavailable`] if no
    /// server answers.
    pub async fn open(options: Options, force: bool) -> Result<Self> {
        Self::start(options, false, force).await
    }

    /// Opens a schema, making it if it is missing.
    ///
    /// # Errors
    /// As [`Self::open`], but for a missing schema.
    pub async fn open_or_make(options: Options, force: bool) -> Result<Self> {
        Self::start(options, true, force).await
    }

    async fn start(mut options: Options, make: bool, force: bool) -> Result<Self> {
        options.answer_max = ANSWER_MAX;
        options.commit_max = ANSWER_MAX;
        let arrival = connect::arrive(&options).await?;
        let schema = arrival.schema;
        let name = name_of(&options.url, &schema);
        let mut session = arrival.door.connect(MOVE, None).await?;
        let patience = "SET statement_timeout TO 0; SET lock_timeout TO 0;
                        SET idle_in_transaction_session_timeout TO 0";
        session.batch(MOVE, patience).await?;
        if !make && !has_store(&session).await? {
            let detail = format!("there is no store in the schema `{schema}`");
            return Err(StoreError::Unusable { path: name, detail });
        }
        migrate::migrate(&mut session, &schema, true).await?;
        nodes::lock(&session, &name).await?;
        let seen = if force {
            Seen::now(&session).await?
        } else {
            nodes::refuse_in_use(&session, &name).await?
        };
        let parts = Parts { session, days: HashSet::new(), noise: options.noise, seen };
        Ok(Self { name, parts: Mutex::new(Some(parts)) })
    }
}

/// The database and schema, without user and password.
fn name_of(url: &str, schema: &str) -> String {
    match Server::parse(url, &["schema"]) {
        Ok((server, _)) => {
            let database = server.config.get_dbname().unwrap_or_default();
            format!("postgres://{}/{database}?schema={schema}", server.place())
        }
        Err(_) => format!("the schema `{schema}`"),
    }
}

async fn has_store(session: &Session) -> Result<bool> {
    let sql = "SELECT to_regclass('installation') IS NOT NULL";
    Ok(session.row(MOVE, sql, &[]).await?.is_some_and(|row| row.get(0)))
}

/// The mark of a move that has not been finished.
async fn moving(session: &Session, name: &str) -> Result<Option<Moving>> {
    let sql = "SELECT value FROM setting WHERE owner = $1 AND name = $2";
    let owner = OWN_SETTINGS.cast_signed();
    match session.row(MOVE, sql, &[&owner, &MOVING_SETTING]).await? {
        Some(row) => Moving::from_bytes(row.get(0), name).map(Some),
        None => Ok(None),
    }
}

/// Refuses to use a schema as a store that holds only a part of another one.
pub(crate) async fn refuse_half(session: &Session, schema: &str) -> Result<()> {
    let name = format!("the schema `{schema}`");
    match moving(session, &name).await? {
        Some(moving) => Err(moving.refusal(&name)),
        None => Ok(()),
    }
}

#[async_trait]
impl Transfer for PostgresTransfer {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn tally(&self) -> Result<Tally> {
        let parts = self.parts.lock().await;
        small::tally(&parts.as_ref().ok_or(StoreError::Closed)?.session).await
    }

    async fn read(&self, kind: Kind, after: Option<Place>) -> Result<Chunk> {
        let parts = self.parts.lock().await;
        let session = &parts.as_ref().ok_or(StoreError::Closed)?.session;
        let number = Place::number(after.as_ref());
        match kind {
            Kind::Application => small::applications(session, number).await,
            Kind::Endpoint => small::endpoints(session, number).await,
            Kind::Document => small::documents(session, number).await,
            Kind::Setting => small::settings(session, Place::named(after.as_ref())).await,
            Kind::Event => events::read(session, number).await,
            Kind::Refused => small::refused(session, number).await,
        }
    }

    async fn moving(&self) -> Result<Option<Moving>> {
        let parts = self.parts.lock().await;
        moving(&parts.as_ref().ok_or(StoreError::Closed)?.session, &self.name).await
    }

    async fn begin(&self, moving: &Moving) -> Result<()> {
        let parts = self.parts.lock().await;
        let session = &parts.as_ref().ok_or(StoreError::Closed)?.session;
        let sql = "INSERT INTO setting (owner, name, value) VALUES ($1, $2, $3)";
        let (owner, mark) = (OWN_SETTINGS.cast_signed(), moving.to_bytes()?);
        session.run(MOVE, sql, &[&owner, &MOVING_SETTING, &mark]).await?;
        Ok(())
    }

    async fn last(&self, kind: Kind) -> Result<Option<Place>> {
        let parts = self.parts.lock().await;
        small::last(&parts.as_ref().ok_or(StoreError::Closed)?.session, kind).await
    }

    async fn write(&self, chunk: Chunk) -> Result<()> {
        let mut parts = self.parts.lock().await;
        let Parts { session, days, .. } = parts.as_mut().ok_or(StoreError::Closed)?;
        match chunk {
            Chunk::Events(list) => load::write(session, days, &list).await,
            chunk => small::write(session, &chunk).await,
        }
    }

    async fn finish(&self, source: &Tally, now_ms: i64) -> Result<()> {
        let mut parts = self.parts.lock().await;
        let parts = parts.as_mut().ok_or(StoreError::Closed)?;
        finish::finish(&mut parts.session, source, now_ms, &*parts.noise).await
    }

    /// By a node that was heard of, has come or has gone.
    async fn was_used(&self) -> Result<bool> {
        let parts = self.parts.lock().await;
        let parts = parts.as_ref().ok_or(StoreError::Closed)?;
        Ok(Seen::now(&parts.session).await? != parts.seen)
    }

    async fn close(&self) -> Result<()> {
        let Some(parts) = self.parts.lock().await.take() else { return Ok(()) };
        nodes::unlock(&parts.session).await
    }
}
