//! Keeps account of what is received and delivered, for charts: on the way of every event, in
//! documents of the store, and back.
//!
//! Notes are taken in memory and written every few seconds, as one document for each level, stretch of
//! time and part ([`becket_store::activity`]). After a restart the stretch that was begun is gone on
//! with; a crash loses what was noted since the last writing. That is never an event, only its count.
//!
//! Invariants: a note is one short lock that threads do not share, and never waits for the store; what
//! is read holds what was noted before the call, once; several nodes on one store write documents of
//! their own, which reading adds up.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use becket_model::ApplicationKey;
use becket_store::activity::{
    Bucket, Counts, Level, Part, Place, Tally, document_name, document_start_ms,
};
use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, StoreError, WriteIf,
};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::RwLock;

/// More threads than this share.
const SHARDS: usize = 16;
/// How long a stretch that is over stays in memory, for what comes a little late.
const LATE_MS: i64 = 60_000;
/// More stretches than this are not held while the store takes nothing: the oldest are forgotten.
const OPEN_MAX: usize = 10_000;
/// Documents written at the same time; they share a commit.
const WRITES_MAX: usize = 16;
/// Documents read at once.
const SLICE: usize = 500;

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Which stretch of whose time.
type Stretch = (Owner, Level, i64);

/// A stretch that is still added to, or not yet written.
#[derive(Debug, Default)]
struct Open {
    bucket: Bucket,
    /// Whether something has been added since it was written.
    changed: bool,
    /// Whether it holds what an earlier process has written.
    whole: bool,
}

/// Counts of requests, attempts and deliveries over time.
#[derive(Debug)]
pub struct Activity {
    /// Tells the documents of several gateways on one store apart.
    node: String,
    shards: [Mutex<Tally>; SHARDS],
    open: Mutex<BTreeMap<Stretch, Open>>,
    /// How many deliveries waited when it was last said.
    last_pending: Mutex<HashMap<Owner, u64>>,
    /// Held by whoever writes; readers share it.
    gate: RwLock<()>,
}

impl Activity {
    /// Nothing noted yet. `node` is the gateway's name among those that share a store: letters, digits
    /// and hyphens, the same after a restart.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            shards: Default::default(),
            open: Mutex::default(),
            last_pending: Mutex::default(),
            gate: RwLock::default(),
        }
    }

    /// Notes something at a moment, in milliseconds since 1970.
    pub fn note(&self, at_ms: i64, place: &Place<'_>, change: impl FnOnce(&mut Counts)) {
        let shard = SHARD.with(|own| {
            if own.get() == usize::MAX {
                own.set(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            own.get()
        });
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(at_ms, place, change);
    }

    /// Writes what was noted. `pending` says how many deliveries of each owner wait now, if that is
    /// known. What could not be written is written the next time.
    ///
    /// # Errors
    /// What the store had against it.
    pub async fn flush(
        &self,
        store: &dyn Store,
        pending: Option<&HashMap<Owner, u64>>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let _alone = self.gate.write().await;
        self.fold();
        if let Some(pending) = pending {
            self.note_pending(pending, now_ms);
        }
        let written = self.write(store, now_ms).await;
        match &written {
            Ok(failed) => self.settle(|stretch| failed.contains_key(stretch), now_ms),
            Err(_) => self.settle(|_| true, now_ms),
        }
        written.and_then(|failed| failed.into_values().next().map_or(Ok(()), Err))
    }

    /// Writes what has changed; what could not be written, and why.
    async fn write(
        &self,
        store: &dyn Store,
        now_ms: i64,
    ) -> Result<HashMap<Stretch, StoreError>, StoreError> {
        for stretch in self.begun() {
            let earlier = self.earlier(store, stretch, now_ms).await?;
            let mut open = self.open();
            if let Some(known) = open.get_mut(&stretch) {
                for (part, text) in earlier {
                    known.bucket.take_in(part, &text)?;
                }
                known.whole = true;
            }
        }
        let writes = self.changed()?;
        let put = |(stretch, name, content): (Stretch, DocumentName, DocumentContent)| async move {
            let written = store.document_put(stretch.0, name, content, WriteIf::Always, now_ms);
            (stretch, written.await.map(drop))
        };
        let done: Vec<_> =
            stream::iter(writes).map(put).buffer_unordered(WRITES_MAX).collect().await;
        Ok(done
            .into_iter()
            .filter_map(|(stretch, written)| Some((stretch, written.err()?)))
            .collect())
    }

    /// Moves what was noted into the stretches of every level.
    fn fold(&self) {
        let mut open = self.open();
        for shard in &self.shards {
            let taken = shard.lock().unwrap_or_else(PoisonError::into_inner).take();
            for (minute_ms, kept, counts) in taken {
                let place = kept.place();
                for level in Level::ALL {
                    let stretch = (place.owner, level, level.floor_ms(minute_ms));
                    let known = open.entry(stretch).or_default();
                    known.bucket.add(&place, &counts);
                    known.changed = true;
                }
            }
        }
        open.values_mut().filter(|known| known.changed).for_each(|known| known.bucket.prune());
    }

    fn note_pending(&self, pending: &HashMap<Owner, u64>, now_ms: i64) {
        let mut open = self.open();
        let mut last = self.last_pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (owner, count) in pending {
            // While nothing waits and nothing happens, nothing has to be written.
            let is_news = last.insert(*owner, *count) != Some(*count);
            for level in Level::ALL {
                let known = open.entry((*owner, level, level.floor_ms(now_ms))).or_default();
                if known.bucket.totals.pending != Some(*count) {
                    known.changed |= *count > 0 || is_news;
                    known.bucket.totals.pending = Some(*count);
                }
            }
        }
    }

    /// The stretches that are to be written for the first time.
    fn begun(&self) -> Vec<Stretch> {
        let open = self.open();
        let begun = open.iter().filter(|(_, known)| known.changed && !known.whole);
        begun.map(|(stretch, _)| *stretch).collect()
    }

    /// What this node has written of a stretch before.
    async fn earlier(
        &self,
        store: &dyn Store,
        (owner, level, start_ms): Stretch,
        now_ms: i64,
    ) -> Result<Vec<(Part, String)>, StoreError> {
        let mut earlier = Vec::new();
        for part in Part::ALL {
            let name = document_name(level, part, start_ms, &self.node);
            if let Some(document) = store.document_get(owner, name, now_ms).await? {
                earlier.push((part, document.content.body));
            }
        }
        Ok(earlier)
    }

    fn changed(&self) -> Result<Vec<(Stretch, DocumentName, DocumentContent)>, StoreError> {
        let mut writes = Vec::new();
        for (stretch, known) in self.open().iter().filter(|(_, known)| known.changed) {
            let (_, level, start_ms) = *stretch;
            for part in Part::ALL {
                let Some(body) = known.bucket.text(part)? else { continue };
                let expires_at_ms = start_ms + level.step_ms() + level.kept_ms();
                let content =
                    DocumentContent { body, sealed: None, expires_at_ms: Some(expires_at_ms) };
                writes.push((*stretch, document_name(level, part, start_ms, &self.node), content));
            }
        }
        Ok(writes)
    }

    /// Takes note of what is written, and lets go of what is over.
    fn settle(&self, has_failed: impl Fn(&Stretch) -> bool, now_ms: i64) {
        let mut open = self.open();
        open.retain(|stretch, known| {
            known.changed &= has_failed(stretch);
            let (_, level, start_ms) = *stretch;
            known.changed || start_ms + level.step_ms() + LATE_MS > now_ms
        });
        let surplus = open.len().saturating_sub(OPEN_MAX);
        if surplus > 0 {
            tracing::warn!(forgotten = surplus, "activity.forgotten");
            let mut oldest: Vec<Stretch> = open.keys().copied().collect();
            oldest.sort_unstable_by_key(|(_, _, start_ms)| *start_ms);
            oldest[..surplus].iter().for_each(|stretch| drop(open.remove(stretch)));
        }
    }

    /// Reads one part of an owner's stretches that begin at `since_ms` or later and before `until_ms`:
    /// `each` is told where a stretch begins and some of what is in it; several times for one if several
    /// nodes or processes have counted.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        asked: &Asked,
        mut each: impl FnMut(i64, &Bucket) + Send,
    ) -> Result<(), StoreError> {
        let _shared = self.gate.read().await;
        self.fold();
        let Asked { owner, level, part, since_ms, until_ms, now_ms } = *asked;
        let mut after = document_name(level, part, since_ms, "").name;
        loop {
            let slice = Slice { limit: SLICE, after: Some(after), descending: false };
            let found =
                store.document_list(owner, DocumentKind::Activity, None, slice, now_ms).await?;
            let full = found.len() == SLICE;
            let mut beyond = None;
            for document in found {
                let name = document.name.name;
                let Some((start_ms, node)) = document_start_ms(level, part, &name)
                    .filter(|(start_ms, _)| *start_ms < until_ms)
                else {
                    beyond = None;
                    break;
                };
                if !(node == self.node && self.is_whole((owner, level, start_ms))) {
                    let mut bucket = Bucket::default();
                    match bucket.take_in(part, &document.content.body) {
                        Ok(()) => each(start_ms, &bucket),
                        Err(error) => tracing::warn!(name, %error, "activity.unreadable"),
                    }
                }
                beyond = Some(name);
            }
            match beyond {
                Some(name) if full => after = name,
                _ => break,
            }
        }
        let range = (owner, level, since_ms)..(owner, level, until_ms);
        for ((.., start_ms), known) in self.open().range(range) {
            each(*start_ms, &known.bucket);
        }
        Ok(())
    }

    /// How many events each source and application of an owner received in each hour of a stretch of
    /// time (its beginning and end in milliseconds since 1970), by the beginning of the hour.
    ///
    /// # Errors
    /// What the store had against it.
    pub async fn received_by_hour(
        &self,
        store: &dyn Store,
        owner: Owner,
        (since_ms, until_ms): (i64, i64),
        now_ms: i64,
    ) -> Result<HashMap<ApplicationKey, BTreeMap<i64, u64>>, StoreError> {
        let (level, part) = (Level::Hour, Part::Source);
        let asked = Asked { owner, level, part, since_ms, until_ms, now_ms };
        let mut found: HashMap<ApplicationKey, BTreeMap<i64, u64>> = HashMap::new();
        let each = |start_ms: i64, bucket: &Bucket| {
            for (name, counts) in bucket.detail(part).iter().flat_map(|detail| &detail.names) {
                if let Ok(number) = name.parse() {
                    let hours = found.entry(ApplicationKey(number)).or_default();
                    *hours.entry(start_ms).or_default() += counts.received;
                }
            }
        };
        self.read(store, &asked, each).await?;
        Ok(found)
    }

    /// How many deliveries waited when it was last looked before a moment.
    pub(crate) async fn pending_before(
        &self,
        store: &dyn Store,
        asked: &Asked,
    ) -> Result<Option<u64>, StoreError> {
        let Asked { owner, level, since_ms, now_ms, .. } = *asked;
        let after = Some(document_name(level, Part::Totals, since_ms, "").name);
        let slice = Slice { limit: 1, after, descending: true };
        let found = store.document_list(owner, DocumentKind::Activity, None, slice, now_ms).await?;
        let Some(document) = found.first() else { return Ok(None) };
        if document_start_ms(level, Part::Totals, &document.name.name).is_none() {
            return Ok(None);
        }
        let mut bucket = Bucket::default();
        bucket.take_in(Part::Totals, &document.content.body)?;
        Ok(bucket.totals.pending)
    }

    fn is_whole(&self, stretch: Stretch) -> bool {
        self.open().get(&stretch).is_some_and(|known| known.whole)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Stretch, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub owner: Owner,
    pub level: Level,
    pub part: Part,
    pub since_ms: i64,
    pub until_ms: i64,
    pub now_ms: i64,
}
