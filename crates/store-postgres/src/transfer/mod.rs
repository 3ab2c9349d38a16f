//! Moving a store out of a schema, or into one.
//!
//! Works with one session of its own, which holds a lock that keeps other moves away; nodes must not
//! be using the schema. Items are read in the order of their keys, a few megabytes at a time, and
//! written by COPY, a chunk in one transaction, so that what a target holds is always a beginning of
//! its source. What is derived from events (repeats that may come, counts of days) is made at the end
//! in one transaction, which also takes away the mark of an unfinished move.
//!
//! Where next: `small` for configuration and quarantine, `events` for reading events, `load` for
//! writing them, `finish` for the end.

mod columns;
mod copy;
mod events;
mod finish;
mod load;
mod small;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

const MOVE: &str = "move";
/// Counting and indexing much takes long; a server that is gone is noticed by the connection itself.
const ANSWER_MAX: Duration = Duration::from_secs(6 * 3_600);
/// What a process that was killed has left behind is noticed by the server within this time.
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_EVERY: Duration = Duration::from_millis(100);

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
}

impl PostgresTransfer {
    /// Opens a schema that holds a store, or a part of one. Refused while nodes use it, unless `force`
    /// says that they are dead.
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
        lock(&session, &name).await?;
        if !force {
            refuse_in_use(&session, &name).await?;
        }
        let parts = Parts { session, days: HashSet::new(), noise: options.noise };
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

/// Keeps other moves away as long as the session lives.
async fn lock(session: &Session, name: &str) -> Result<()> {
    let sql = "SELECT pg_try_advisory_lock(hashtext('becket move ' || current_schema()))";
    let started = Instant::now();
    loop {
        if session.row(MOVE, sql, &[]).await?.is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        if started.elapsed() >= LOCK_MAX {
            break;
        }
        tokio::time::sleep(LOCK_EVERY).await;
    }
    Err(StoreError::Unusable {
        path: name.to_owned(),
        detail: "another `becket migrate-store` is at work on it; wait until that has ended"
            .to_owned(),
    })
}

/// Refuses a schema that nodes are using.
async fn refuse_in_use(session: &Session, name: &str) -> Result<()> {
    let sql = "SELECT name, host FROM node WHERE expires_at > clock_timestamp() ORDER BY number";
    let rows = session.rows(MOVE, sql, &[]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let nodes: Vec<String> = rows
        .iter()
        .map(|row| format!("`{}` on {}", row.get::<_, &str>(0), row.get::<_, &str>(1)))
        .collect();
    Err(StoreError::Unusable {
        path: name.to_owned(),
        detail: format!(
            "nodes are using it: {}; stop them first (a node that was killed counts until its \
             membership has expired; --force does not wait for that)",
            nodes.join(", ")
        ),
    })
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

    async fn close(&self) -> Result<()> {
        let Some(parts) = self.parts.lock().await.take() else { return Ok(()) };
        // It would go with the session, but only when the server has noticed its end.
        let sql = "SELECT pg_advisory_unlock(hashtext('becket move ' || current_schema()))";
        parts.session.rows(MOVE, sql, &[]).await?;
        Ok(())
    }
}
