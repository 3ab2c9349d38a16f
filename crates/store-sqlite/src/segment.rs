//! What is known in memory of each segment, and the connections that read them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use becket_store::Result;
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;

use crate::layout::{Folder, Role, open_segment};
use crate::memory::Memory;

/// More kinds than this in one segment are not counted; such a segment is always looked into.
const KINDS_MAX: usize = 2_000;
/// Idle reading connections kept, over all segments.
const READERS_MAX: usize = 24;

/// How many events of each application and type a segment holds; `None` if there are too many kinds.
pub(crate) type Kinds = Option<HashMap<(u32, String), u64>>;

/// Counts one more event of a kind.
pub(crate) fn count_kind(kinds: &mut Kinds, application: u32, event_type: Option<&str>) {
    let Some(counts) = kinds else { return };
    let name = event_type.unwrap_or_default();
    // Most events are of a kind that is there already: look before making a string of it.
    if let Some(count) = counts.get_mut(&(application, name) as &dyn KindKey) {
        *count += 1;
    } else if counts.len() >= KINDS_MAX {
        *kinds = None;
    } else {
        counts.insert((application, name.to_owned()), 1);
    }
}

/// Lets a map keyed by owned kinds be asked with borrowed ones.
trait KindKey {
    fn parts(&self) -> (u32, &str);
}

impl KindKey for (u32, String) {
    fn parts(&self) -> (u32, &str) {
        (self.0, &self.1)
    }
}

impl KindKey for (u32, &str) {
    fn parts(&self) -> (u32, &str) {
        (self.0, self.1)
    }
}

impl std::hash::Hash for dyn KindKey + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn KindKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn KindKey + '_ {}

impl<'a> std::borrow::Borrow<dyn KindKey + 'a> for (u32, String) {
    fn borrow(&self) -> &(dyn KindKey + 'a) {
        self
    }
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: i64,
    pub(crate) path: PathBuf,
    pub(crate) last: AtomicI64,
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) received_min_ms: AtomicI64,
    pub(crate) received_max_ms: AtomicI64,
    pub(crate) dedupe_until_ms: AtomicI64,
    /// When the first payload is to be removed, or before; `i64::MAX` if never.
    pub(crate) expiring_ms: AtomicI64,
    /// Whether what was removed may still stand in its log.
    pub(crate) unclean: AtomicBool,
    /// When retention could last not read or rewrite it, in milliseconds since 1970.
    pub(crate) unswept_at_ms: AtomicI64,
    /// When it was last rewritten without what had become too old, in milliseconds since 1970.
    pub(crate) compacted_at_ms: AtomicI64,
    pub(crate) sealed: AtomicBool,
    /// Whether its own tables say what is pending.
    pub(crate) adopted: AtomicBool,
    /// Whether a delivery has ended since retention last looked.
    pub(crate) ended_since_look: AtomicBool,
    pub(crate) kinds: Mutex<Kinds>,
    /// The hot segment's deliveries; `None` once they are in the segment's own tables.
    pub(crate) memory: Mutex<Option<Memory>>,
    /// Whether `waiting` says what the tables say; until then nobody knows what is pending.
    pub(crate) counted: AtomicBool,
    /// How many deliveries have not ended, by endpoint, once they are in the tables.
    pub(crate) waiting: Mutex<HashMap<u32, u64>>,
}

impl Segment {
    pub(crate) fn new(folder: &Folder, first: i64) -> Self {
        Self {
            first,
            path: folder.segment(first),
            last: AtomicI64::new(first),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            received_min_ms: AtomicI64::new(i64::MAX),
            received_max_ms: AtomicI64::new(i64::MIN),
            dedupe_until_ms: AtomicI64::new(i64::MIN),
            expiring_ms: AtomicI64::new(i64::MAX),
            unclean: AtomicBool::new(false),
            unswept_at_ms: AtomicI64::new(i64::MIN),
            compacted_at_ms: AtomicI64::new(0),
            sealed: AtomicBool::new(false),
            adopted: AtomicBool::new(false),
            ended_since_look: AtomicBool::new(false),
            kinds: Mutex::new(Some(HashMap::new())),
            memory: Mutex::new(None),
            counted: AtomicBool::new(false),
            waiting: Mutex::new(HashMap::new()),
        }
    }

    /// Takes note of an event.
    pub(crate) fn note(&self, seq: i64, received_at_ms: i64, dedupe_until_ms: i64, bytes: u64) {
        self.last.fetch_max(seq, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.received_min_ms.fetch_min(received_at_ms, Ordering::Relaxed);
        self.received_max_ms.fetch_max(received_at_ms, Ordering::Relaxed);
        self.dedupe_until_ms.fetch_max(dedupe_until_ms, Ordering::Relaxed);
    }

    /// When the first payload is to be removed, or before.
    pub(crate) fn expiring(&self) -> Option<i64> {
        Some(self.expiring_ms.load(Ordering::Relaxed)).filter(|at_ms| *at_ms != i64::MAX)
    }

    /// How many deliveries have not ended.
    pub(crate) fn pending(&self) -> u64 {
        match &*self.memory.lock() {
            Some(memory) => memory.pending.len() as u64,
            None => self.waiting.lock().values().sum(),
        }
    }

    /// How many events of an application, or of a type, it holds at most.
    pub(crate) fn count_of(&self, application: Option<u32>, event_type: Option<&str>) -> u64 {
        let kinds = self.kinds.lock();
        let Some(kinds) = kinds.as_ref() else { return self.events.load(Ordering::Relaxed) };
        let of = kinds.iter().filter(|((known, name), _)| {
            application.is_none_or(|wanted| wanted == *known)
                && event_type.is_none_or(|wanted| wanted == name)
        });
        of.map(|(_, count)| count).sum()
    }

    /// Whether it can hold events of this application and one of these types (any, if empty).
    pub(crate) fn may_hold(&self, application: Option<u32>, event_types: &[String]) -> bool {
        self.kinds.lock().as_ref().is_none_or(|kinds| {
            kinds.keys().any(|(known, event_type)| {
                application.is_none_or(|wanted| wanted == *known)
                    && (event_types.is_empty() || event_types.contains(event_type))
            })
        })
    }
}

/// All segments, and the reading connections.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    map: RwLock<BTreeMap<i64, Arc<Segment>>>,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    idle: Vec<(i64, u64, Connection)>,
    /// Grows when a segment's file is replaced or removed, so that old connections are dropped.
    editions: HashMap<i64, u64>,
}

impl Segments {
    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        self.map.write().insert(segment.first, segment);
    }

    pub(crate) fn remove(&self, first: i64) {
        self.map.write().remove(&first);
        self.retire_readers(first);
    }

    /// Makes sure that nobody starts reading the segment's old file.
    pub(crate) fn retire_readers(&self, first: i64) {
        let mut readers = self.readers.lock();
        *readers.editions.entry(first).or_insert(0) += 1;
        readers.idle.retain(|(of, ..)| *of != first);
    }

    /// The segment that holds this place.
    pub(crate) fn holding(&self, seq: i64) -> Option<Arc<Segment>> {
        self.map.read().range(..=seq).next_back().map(|(_, segment)| Arc::clone(segment))
    }

    /// Where the segments begin of which something is true.
    pub(crate) fn find(&self, wanted: impl Fn(&Segment) -> bool) -> Vec<i64> {
        let map = self.map.read();
        map.values().filter(|segment| wanted(segment)).map(|segment| segment.first).collect()
    }

    /// All segments, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.map.read().values().cloned().collect()
    }

    /// Reads a segment with one of the kept connections, or a new one.
    pub(crate) fn read<T>(
        &self,
        segment: &Segment,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let (edition, idle) = {
            let mut readers = self.readers.lock();
            let edition = readers.editions.get(&segment.first).copied().unwrap_or(0);
            let at = readers.idle.iter().position(|(first, ..)| *first == segment.first);
            (edition, at.map(|at| readers.idle.remove(at).2))
        };
        let connection = match idle {
            Some(connection) => connection,
            None => open_segment(&segment.path, Role::Reader)?,
        };
        let result = work(&connection);
        let mut readers = self.readers.lock();
        let current = readers.editions.get(&segment.first).copied().unwrap_or(0);
        // After an error the connection may be in a bad state; it is cheap to open another.
        if result.is_ok() && current == edition {
            if readers.idle.len() >= READERS_MAX {
                readers.idle.remove(0);
            }
            readers.idle.push((segment.first, edition, connection));
        }
        result
    }

    /// Closes all idle connections.
    pub(crate) fn close_readers(&self) {
        self.readers.lock().idle.clear();
    }
}
