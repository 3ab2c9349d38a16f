//! Moving stores in tests: in small chunks, broken off where a test wants it, and stores that are
//! moved at every restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use becket_model::Clock;
use becket_store::transfer::{
    Chunk, Kind, Moving, Place, Report, Tally, Transfer, TransferError, Verified, move_store,
    verify,
};
use becket_store::{Result, Store, StoreError};
use becket_store_postgres::PostgresTransfer;
use becket_store_sqlite::{Options, SqliteStore, SqliteTransfer};
use becket_store_test::{Capabilities, FixedNoise, Harness};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::support::Schema;

static OPENED: AtomicU64 = AtomicU64::new(1);

/// Housekeeping's time.
struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        0
    }
}

/// Options for a folder, with segments of a few events.
pub fn files(folder: &Path, segment_events: u64) -> Options {
    let noise = Arc::new(FixedNoise::new(OPENED.fetch_add(1, Ordering::Relaxed)));
    let mut options = Options::new(folder, noise, Arc::new(Standing));
    options.segment_events = segment_events;
    options.min_free_bytes = 0;
    options
}

/// Opens a folder as a store.
pub fn open_files(folder: &Path, segment_events: u64) -> Result<SqliteStore> {
    SqliteStore::open(files(folder, segment_events))
}

/// One side of a move.
#[derive(Clone, Copy)]
pub enum At<'a> {
    /// A folder.
    Files(&'a Path),
    /// A schema.
    Database(&'a Schema),
}

impl At<'_> {
    /// Opens it for being moved.
    pub async fn open(self, make: bool) -> Result<Box<dyn Transfer>> {
        Ok(match self {
            At::Files(folder) if make => Box::new(SqliteTransfer::open_or_make(&files(folder, 5))?),
            At::Files(folder) => Box::new(SqliteTransfer::open(&files(folder, 5))?),
            At::Database(schema) if make => {
                Box::new(PostgresTransfer::open_or_make(schema.options(), false).await?)
            }
            At::Database(schema) => {
                Box::new(PostgresTransfer::open(schema.options(), false).await?)
            }
        })
    }
}

/// Moves everything at once.
pub async fn move_all(from: At<'_>, to: At<'_>) -> Result<Report, TransferError> {
    let (source, target) = (from.open(false).await?, to.open(true).await?);
    let report = move_store(&*source, &*target, 0, &|_| {}).await?;
    source.close().await?;
    target.close().await?;
    Ok(report)
}

/// Compares two stores.
pub async fn compare(one: At<'_>, other: At<'_>) -> Result<Vec<Verified>, TransferError> {
    let (one, other) = (one.open(false).await?, other.open(false).await?);
    let verified = verify(&*one, &*other, &|_| {}).await;
    one.close().await?;
    other.close().await?;
    verified
}

/// What a side does not tell, as one with a defect would.
pub enum Hidden {
    /// Events behind this place.
    EventsBehind(Place),
    /// Deliveries that have not ended.
    Pending,
}

/// A side that tells little at a time, and breaks off before or after so many writes.
pub struct Fragile {
    /// The side itself.
    pub inner: Box<dyn Transfer>,
    /// So many items are told at a time.
    pub items: usize,
    /// So many writes work.
    pub writes: AtomicUsize,
    /// Whether the last write is done although nobody hears of it.
    pub done_unheard: bool,
    /// Whether its end is reached although nobody hears of it.
    pub finished_unheard: bool,
    /// What is there but not told.
    pub hidden: Option<Hidden>,
}

impl Fragile {
    /// Tells a few items at a time and never breaks off.
    pub fn slow(inner: Box<dyn Transfer>, items: usize) -> Self {
        Self {
            inner,
            items,
            writes: AtomicUsize::new(usize::MAX),
            done_unheard: false,
            finished_unheard: false,
            hidden: None,
        }
    }

    fn hide(&self, chunk: Chunk) -> Chunk {
        match (chunk, &self.hidden) {
            (Chunk::Events(mut list), Some(Hidden::EventsBehind(last))) => {
                list.retain(|event| Place::Number(event.id.seq().0) <= *last);
                Chunk::Events(list)
            }
            (Chunk::Events(mut list), Some(Hidden::Pending)) => {
                list.iter_mut().for_each(|event| event.pending.clear());
                Chunk::Events(list)
            }
            (chunk, _) => chunk,
        }
    }
}

fn shortened(chunk: Chunk, items: usize) -> Chunk {
    fn first<T>(mut list: Vec<T>, items: usize) -> Vec<T> {
        list.truncate(items);
        list
    }
    match chunk {
        Chunk::Applications(list) => Chunk::Applications(first(list, items)),
        Chunk::Endpoints(list) => Chunk::Endpoints(first(list, items)),
        Chunk::Documents(list) => Chunk::Documents(first(list, items)),
        Chunk::Settings(list) => Chunk::Settings(first(list, items)),
        Chunk::Events(list) => Chunk::Events(first(list, items)),
        Chunk::Refused(list) => Chunk::Refused(first(list, items)),
    }
}

#[async_trait]
impl Transfer for Fragile {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn tally(&self) -> Result<Tally> {
        self.inner.tally().await
    }

    async fn read(&self, kind: Kind, after: Option<Place>) -> Result<Chunk> {
        Ok(self.hide(shortened(self.inner.read(kind, after).await?, self.items)))
    }

    async fn moving(&self) -> Result<Option<Moving>> {
        self.inner.moving().await
    }

    async fn begin(&self, moving: &Moving) -> Result<()> {
        self.inner.begin(moving).await
    }

    async fn last(&self, kind: Kind) -> Result<Option<Place>> {
        self.inner.last(kind).await
    }

    async fn write(&self, chunk: Chunk) -> Result<()> {
        let left = self.writes.load(Ordering::Relaxed);
        if left > 0 {
            self.writes.store(left - 1, Ordering::Relaxed);
            return self.inner.write(chunk).await;
        }
        if self.done_unheard {
            self.inner.write(chunk).await?;
        }
        Err(StoreError::Closed)
    }

    async fn finish(&self, source: &Tally, now_ms: i64) -> Result<()> {
        self.inner.finish(source, now_ms).await?;
        if self.finished_unheard { Err(StoreError::Closed) } else { Ok(()) }
    }

    async fn was_used(&self) -> Result<bool> {
        self.inner.was_used().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// A store in files that goes through a database at every restart.
pub struct ThroughDatabase {
    folder: TempDir,
    store: Option<Arc<dyn Store>>,
}

impl Harness for ThroughDatabase {
    fn capabilities() -> Capabilities {
        Capabilities {
            durable: true,
            keeps_leases: false,
            keeps_released_due: true,
            backup: false,
            sweep_lag_ms: 86_400_000,
            cap_lag: usize::MAX,
            quarantine_rows: 10_000,
        }
    }

    async fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Some(Arc::new(open_files(folder.path(), 4).expect("it opens")) as _);
        Self { folder, store }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("the store is open"))
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        let schema = Schema::new();
        let back = tempfile::tempdir().expect("a folder");
        let (here, there) = (At::Files(self.folder.path()), At::Database(&schema));
        move_all(here, there).await.unwrap_or_else(|error| panic!("there: {error}"));
        move_all(there, At::Files(back.path())).await.unwrap_or_else(|e| panic!("back: {e}"));
        compare(here, At::Files(back.path())).await.unwrap_or_else(|error| panic!("{error}"));
        self.folder = back;
        self.store = Some(Arc::new(open_files(self.folder.path(), 4).expect("it opens")));
    }

    fn backup_folder(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("no backup is made at {}", folder.display())
    }
}

/// A store in a database that goes through files at every restart.
pub struct ThroughFiles {
    schema: Schema,
    store: Option<Arc<dyn Store>>,
}

impl Harness for ThroughFiles {
    fn capabilities() -> Capabilities {
        ThroughDatabase::capabilities()
    }

    async fn fresh() -> Self {
        let schema = Schema::new();
        let store: Arc<dyn Store> = Arc::new(schema.open().await);
        Self { store: Some(store), schema }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("the store is open"))
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        let folder = tempfile::tempdir().expect("a folder");
        let schema = Schema::new();
        let (here, there) = (At::Database(&self.schema), At::Files(folder.path()));
        move_all(here, there).await.unwrap_or_else(|error| panic!("there: {error}"));
        move_all(there, At::Database(&schema)).await.unwrap_or_else(|e| panic!("back: {e}"));
        compare(here, At::Database(&schema)).await.unwrap_or_else(|error| panic!("{error}"));
        self.schema = schema;
        self.store = Some(Arc::new(self.schema.open().await));
    }

    fn backup_folder(&self) -> PathBuf {
        std::env::temp_dir().join(&self.schema.name)
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("no backup is made at {}", folder.display())
    }
}

/// What the last [`Kept`] has left behind.
static LEFT: Mutex<Option<TempDir>> = Mutex::new(None);

/// A store in files that leaves its folder behind.
pub struct Kept {
    folder: Option<TempDir>,
    store: Option<Arc<dyn Store>>,
}

impl Kept {
    /// The folder of a store to which random things were done.
    pub async fn filled(seed: u64, steps: usize) -> TempDir {
        becket_store_test::random_operations::<Self>(seed, steps).await;
        LEFT.lock().take().expect("a folder was left behind")
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().expect("it has a folder").path()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.store.take());
        *LEFT.lock() = self.folder.take();
    }
}

impl Harness for Kept {
    fn capabilities() -> Capabilities {
        ThroughDatabase::capabilities()
    }

    async fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Some(Arc::new(open_files(folder.path(), 7).expect("it opens")) as _);
        Self { folder: Some(folder), store }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("the store is open"))
    }

    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(Arc::new(open_files(self.path(), 7).expect("it opens")));
    }

    fn backup_folder(&self) -> PathBuf {
        self.path().join("backup")
    }

    async fn open_backup(&self, folder: &Path) -> Arc<dyn Store> {
        panic!("no backup is made at {}", folder.display())
    }
}
