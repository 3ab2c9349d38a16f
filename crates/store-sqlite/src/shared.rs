//! What the threads of a store share, and how they talk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use becket_model::{Clock, EndpointKey, EventId, Noise};
use becket_store::{Application, Endpoint, LeaseToken, Owner, Result, StoreError};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::catalog::Catalog;
use crate::keeper::Task;
use crate::layout::Folder;
use crate::memory::{Held, Key};
use crate::release::Refused;
use crate::segment::Segments;
use crate::writer::Op;

/// How a store is kept.
#[derive(Clone)]
pub struct Options {
    /// The folder that holds all files; made if missing.
    pub folder: std::path::PathBuf,
    /// Where random numbers come from.
    pub noise: Arc<dyn Noise>,
    /// The time, for housekeeping only: what is stored carries the time it was given.
    pub clock: Arc<dyn Clock>,
    /// A segment is sealed at this many events (default 100 000).
    pub segment_events: u64,
    /// A segment is sealed at about this many bytes (default 256 MiB).
    pub segment_bytes: u64,
    /// Less free disk than this refuses new events (default 512 MiB).
    pub min_free_bytes: u64,
    /// The largest the store may grow; new events are refused at nine tenths of it.
    pub cap_bytes: Option<u64>,
    /// Writes that may wait at the same time (default 16 384).
    pub queue_max: usize,
}

impl Options {
    /// The defaults for a folder.
    #[must_use]
    pub fn new(
        folder: impl Into<std::path::PathBuf>,
        noise: Arc<dyn Noise>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            folder: folder.into(),
            noise,
            clock,
            segment_events: 100_000,
            segment_bytes: 256 << 20,
            min_free_bytes: 512 << 20,
            cap_bytes: None,
            queue_max: 16_384,
        }
    }
}

/// A queue from many threads to one, taken over whole.
pub(crate) struct Inbox<T> {
    waiting: Mutex<Vec<T>>,
    filled: Condvar,
    max: usize,
    closed: AtomicBool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            filled: Condvar::new(),
            max,
            closed: AtomicBool::new(false),
        }
    }

    /// Puts something in, unless the queue is full.
    pub(crate) fn offer(&self, item: T) -> Result<()> {
        let mut waiting = self.waiting.lock();
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Closed);
        }
        if waiting.len() >= self.max {
            return Err(StoreError::Busy { waiting: waiting.len() });
        }
        waiting.push(item);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Puts something in that must not be refused. Once closed it is dropped, and whoever waits
    /// for an answer learns from that.
    pub(crate) fn push(&self, item: T) {
        let mut waiting = self.waiting.lock();
        if self.closed.load(Ordering::Relaxed) {
            drop(waiting);
            drop(item);
            return;
        }
        waiting.push(item);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Takes what is left and nothing more from now on.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        self.closed.store(true, Ordering::Relaxed);
        std::mem::take(&mut *waiting)
    }

    /// Takes all that waits into `batch`, waiting until there is something.
    pub(crate) fn take(&self, batch: &mut Vec<T>) {
        let mut waiting = self.waiting.lock();
        while waiting.is_empty() {
            self.filled.wait(&mut waiting);
        }
        std::mem::swap(&mut *waiting, batch);
    }

    /// Takes all that waits, without waiting.
    pub(crate) fn take_now(&self, batch: &mut Vec<T>) {
        std::mem::swap(&mut *self.waiting.lock(), batch);
    }
}

/// What all threads of a store know.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) folder: Folder,
    pub(crate) catalog: Catalog,
    pub(crate) segments: Segments,
    /// Where the hot segment begins.
    pub(crate) hot_first: AtomicI64,
    /// Segments handed to the keeper whose deliveries are not yet in their tables.
    pub(crate) adopting: AtomicUsize,
    /// Deliveries of older segments that have not ended, by endpoint.
    pub(crate) late_waiting: Mutex<HashMap<u32, u64>>,
    /// Leases on deliveries of older segments.
    pub(crate) late_leases: Mutex<BTreeMap<Key, Held>>,
    pub(crate) owners: RwLock<HashMap<u32, Owner>>,
    /// Which source each endpoint belongs to.
    pub(crate) endpoint_sources: RwLock<HashMap<u32, u32>>,
    pub(crate) writer: Inbox<Op>,
    pub(crate) keeper: Inbox<Task>,
    /// Why new events are refused at the moment.
    pub(crate) trouble: Mutex<Option<StoreError>>,
    pub(crate) closed: AtomicBool,
    /// Refused requests that are events and may still be in quarantine, with their events.
    pub(crate) let_out: Mutex<HashMap<Refused, EventId>>,
    /// Refused requests are let out one at a time.
    pub(crate) letting_out: tokio::sync::Mutex<()>,
    lease_tokens: AtomicU64,
}

impl Shared {
    pub(crate) fn new(options: Options, folder: Folder, catalog: Catalog) -> Self {
        let queue_max = options.queue_max;
        let mut first_token = [0; 8];
        options.noise.fill(&mut first_token);
        Self {
            options,
            folder,
            catalog,
            segments: Segments::default(),
            hot_first: AtomicI64::new(0),
            adopting: AtomicUsize::new(1),
            late_waiting: Mutex::new(HashMap::new()),
            late_leases: Mutex::new(BTreeMap::new()),
            owners: RwLock::new(HashMap::new()),
            endpoint_sources: RwLock::new(HashMap::new()),
            writer: Inbox::new(queue_max),
            keeper: Inbox::new(usize::MAX),
            trouble: Mutex::new(None),
            closed: AtomicBool::new(false),
            let_out: Mutex::default(),
            letting_out: tokio::sync::Mutex::default(),
            // Tokens of an earlier process must not be mistaken for this one's.
            lease_tokens: AtomicU64::new(u64::from_le_bytes(first_token) << 24),
        }
    }

    pub(crate) fn lease_token(&self) -> LeaseToken {
        LeaseToken(self.lease_tokens.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    pub(crate) fn is_hot(&self, event: &EventId) -> bool {
        event.seq().0 >= self.hot_first.load(Ordering::Acquire)
    }

    /// Takes note of applications and endpoints, whose they are.
    pub(crate) fn know(&self, applications: &[Application], endpoints: &[Endpoint]) {
        if !applications.is_empty() {
            let mut owners = self.owners.write();
            owners.extend(applications.iter().map(|known| (known.key.0, known.owner)));
        }
        if !endpoints.is_empty() {
            let mut sources = self.endpoint_sources.write();
            sources.extend(endpoints.iter().map(|known| (known.key.0, known.application.0)));
        }
    }

    /// Whether older segments, and the hot one, have payloads whose time has come, or a log that
    /// still holds removed ones.
    pub(crate) fn has_due_payloads(&self, now_ms: i64) -> (bool, bool) {
        let hot = self.hot_first.load(Ordering::Acquire);
        let wanting = self.segments.find(|segment| {
            segment.expiring_ms.load(Ordering::Relaxed) <= now_ms
                || segment.unclean.load(Ordering::Relaxed)
        });
        (wanting.iter().any(|first| *first < hot), wanting.iter().any(|first| *first >= hot))
    }

    /// About how many deliveries of each endpoint wait, without asking any file.
    pub(crate) fn waiting(&self) -> Vec<(EndpointKey, u64)> {
        let mut waiting: BTreeMap<u32, u64> = BTreeMap::new();
        for segment in self.segments.all() {
            // In this order: taking over fills the one before it clears the other.
            if let Some(memory) = &*segment.memory.lock() {
                for (endpoint, count, _) in memory.summary() {
                    *waiting.entry(endpoint).or_default() += count;
                }
                continue;
            }
            for (endpoint, count) in &*segment.waiting.lock() {
                *waiting.entry(*endpoint).or_default() += count;
            }
        }
        waiting.into_iter().map(|(endpoint, count)| (EndpointKey(endpoint), count)).collect()
    }

    /// Adds to the deliveries of older segments that have not ended.
    pub(crate) fn late_add(&self, endpoint: u32, count: u64) {
        *self.late_waiting.lock().entry(endpoint).or_insert(0) += count;
    }

    /// Takes from the deliveries of older segments that have not ended.
    pub(crate) fn late_remove(&self, endpoint: u32, count: u64) {
        let mut waiting = self.late_waiting.lock();
        if let Some(number) = waiting.get_mut(&endpoint) {
            *number = number.saturating_sub(count);
            if *number == 0 {
                waiting.remove(&endpoint);
            }
        }
    }
}
