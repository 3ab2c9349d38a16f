//! Opening the store: a folder of this machine, or a database, which may not be up yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use becket_model::{Clock, Noise};
use becket_store::{Store, StoreError};
use becket_store_postgres::PostgresStore;
use becket_store_sqlite::SqliteStore;
use tokio::time::Instant;

use super::ServeError;
use super::node::DatabaseClock;
use super::watch::{Signals, told_to_stop};
use crate::config::{Config, StoreUrl};

/// How long a database is waited for at the start.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// A store that is open.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    /// The time that everything below goes by.
    pub(super) clock: Arc<dyn Clock>,
    /// The same, if it follows a database.
    pub(super) database_clock: Option<Arc<DatabaseClock>>,
}

/// Opens what the configuration names.
pub(super) async fn open(
    config: &Config,
    machine: Arc<dyn Clock>,
    noise: &Arc<dyn Noise>,
    signals: &mut Signals,
) -> Result<Opened, ServeError> {
    match &config.store.url {
        StoreUrl::Sqlite { folder } => {
            let store = sqlite(config, folder.clone(), &machine, noise)?;
            Ok(Opened { store, clock: machine, database_clock: None })
        }
        StoreUrl::Postgres { url } => {
            let database_clock = Arc::new(DatabaseClock::new(machine.as_ref()));
            let clock: Arc<dyn Clock> = Arc::clone(&database_clock) as _;
            let mut options = becket_store_postgres::Options::new(
                url.expose(),
                Arc::clone(noise),
                Arc::clone(&clock),
            );
            options.name = config.cluster.name.clone().unwrap_or_default();
            options.pool_max = config.store.connections as usize;
            let shown = config.store.url.shown();
            let store = tokio::select! {
                opened = patiently(options, &shown) => opened?,
                () = told_to_stop(signals) => return Err(ServeError::Stopped),
            };
            Ok(Opened { store, clock, database_clock: Some(database_clock) })
        }
    }
}

fn sqlite(
    config: &Config,
    folder: PathBuf,
    clock: &Arc<dyn Clock>,
    noise: &Arc<dyn Noise>,
) -> Result<Arc<dyn Store>, ServeError> {
    let mut options =
        becket_store_sqlite::Options::new(folder, Arc::clone(noise), Arc::clone(clock));
    options.min_free_bytes = config.store.min_free.0;
    options.cap_bytes = Some(config.store.cap.0);
    if let Some(events) = config.store.segment_events {
        options.segment_events = events.into();
    }
    if let Some(bytes) = &config.store.segment_bytes {
        options.segment_bytes = bytes.0;
    }
    Ok(Arc::new(SqliteStore::open(options)?))
}

/// Opens a database, and waits for it if it does not answer yet.
async fn patiently(
    options: becket_store_postgres::Options,
    shown: &str,
) -> Result<Arc<dyn Store>, ServeError> {
    let (began, mut pause) = (Instant::now(), AGAIN_MIN);
    loop {
        match PostgresStore::open(options.clone()).await {
            Ok(store) => {
                tracing::info!(database = shown, "store.open");
                return Ok(Arc::new(store));
            }
            Err(error @ StoreError::Unavailable { .. }) if began.elapsed() < PATIENCE => {
                tracing::warn!(
                    database = shown,
                    code = error.code(),
                    %error,
                    "store.waits: the database does not answer yet"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AGAIN_MAX);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
