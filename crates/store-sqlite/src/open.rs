//! Opening a store: the lock, the files, what is in memory, the threads.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use becket_store::{Result, StoreError};

use crate::catalog::{Catalog, SealedRow};
use crate::dedupe::{DedupeIndex, SealedFilter};
use crate::errors::database;
use crate::keeper::{Keeper, Late, Task};
use crate::layout::{
    Folder, Role, has_events, log_bytes, open_segment, remove_file, with_companions,
};
use crate::load;
use crate::memory::Memory;
use crate::quarantine::Quarantine;
use crate::release;
use crate::segment::Segment;
use crate::shared::{Options, Shared};
use crate::transfer::refuse_half;
use crate::writer::Writer;

/// A left-over segment goes on being the hot one if it holds at most this part of its maximum.
const REUSE_PART: u64 = 25;

/// A running store's parts.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    /// Held as long as the store is open.
    pub(crate) lock: File,
}

/// Opens the folder, making it if it is missing.
pub(crate) fn open(options: Options) -> Result<Parts> {
    let folder = Folder(options.folder.clone());
    let unusable = |error: std::io::Error| StoreError::Unusable {
        path: folder.0.display().to_string(),
        detail: error.to_string(),
    };
    make_private(&folder.segments()).map_err(unusable)?;
    let lock = lock(&folder)?;
    remove_leftovers(&folder)?;
    let catalog = Catalog::open(&folder.catalog())?;
    refuse_half(&catalog, &folder.0)?;
    let sealed = catalog.segments()?;
    let owners = catalog.owners()?;
    let endpoint_sources = catalog.endpoint_sources()?;
    let quarantine = Arc::new(Quarantine::open(&folder.quarantine())?);
    let shared = Arc::new(Shared::new(options, folder, catalog));
    *shared.owners.write() = owners;
    *shared.endpoint_sources.write() = endpoint_sources;

    let mut dedupe = DedupeIndex::default();
    let now_ms = shared.options.clock.now_ms();
    let mut last = 0;
    let firsts = shared.folder.segment_firsts()?;
    for row in sealed {
        last = last.max(row.last);
        if firsts.binary_search(&row.first).is_err() {
            tracing::warn!(first = row.first, "a listed segment has no file; its events are gone");
            shared.catalog.segment_remove(row.first)?;
            continue;
        }
        insert_sealed(&shared, &mut dedupe, row, now_ms);
    }
    let unsealed: Vec<i64> = firsts
        .into_iter()
        .filter(|first| {
            shared.segments.holding(*first).is_none_or(|segment| segment.first != *first)
        })
        .collect();
    let mut late = Vec::new();
    let mut reused = None;
    for first in &unsealed {
        let segment = Arc::new(Segment::new(&shared.folder, *first));
        // One that is older than a sealed segment cannot become the hot one again.
        let reusable = unsealed.last() == Some(first) && *first > last;
        let (top, reuse) = load_segment(&shared, &segment, &mut dedupe, reusable)?;
        release::settle(&open_segment(&segment.path, Role::Reader)?, &quarantine)?;
        last = last.max(top);
        if reuse {
            reused = Some(segment);
        } else {
            late.push(Late::found(segment));
        }
    }
    let dropped = drop_hiding(&shared, &mut dedupe)?;
    late.retain(|left_over| !dropped.contains(&left_over.segment.first));
    let hot = match reused {
        Some(segment) => segment,
        None => {
            let first = (now_ms.max(0) << 20).max(last + 1);
            let segment = Arc::new(Segment::new(&shared.folder, first));
            last = last.max(load_segment(&shared, &segment, &mut dedupe, true)?.0);
            segment
        }
    };
    let first = hot.first;
    last = last.max(first);
    shared.hot_first.store(first, Ordering::Release);

    let threads = start_threads(&shared, hot, dedupe, last)?;
    for left_over in late {
        shared.adopting.fetch_add(1, Ordering::AcqRel);
        shared.keeper.push(Task::Adopt(left_over));
    }
    shared.keeper.push(Task::Count);
    Ok(Parts { shared, quarantine, threads, lock })
}

/// Makes a folder, and those above it, for its owner only: it will hold people's data.
pub(crate) fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes sure that nobody else uses a folder, as long as the answer lives.
pub(crate) fn lock(folder: &Folder) -> Result<File> {
    let unusable =
        |detail: String| StoreError::Unusable { path: folder.0.display().to_string(), detail };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.lock())
        .map_err(|error| unusable(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(unusable(
            "another becket process is using this folder; stop it or give another folder"
                .to_owned(),
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(error.to_string())),
    }
}

/// Removes files that a crash left in the middle of a rewrite.
fn remove_leftovers(folder: &Folder) -> Result<()> {
    let unusable = |error: std::io::Error| StoreError::Unusable {
        path: folder.segments().display().to_string(),
        detail: error.to_string(),
    };
    for entry in std::fs::read_dir(folder.segments()).map_err(unusable)? {
        let path: PathBuf = entry.map_err(unusable)?.path();
        if path.to_string_lossy().contains(".db.new") {
            std::fs::remove_file(&path).map_err(unusable)?;
        }
    }
    Ok(())
}

/// Drops empty segments that begin within another one and would hide its later events. Such a file is
/// left where a new segment could not be begun, and could not be removed either.
fn drop_hiding(shared: &Shared, dedupe: &mut DedupeIndex) -> Result<Vec<i64>> {
    let (mut last, mut dropped) = (i64::MIN, Vec::new());
    for segment in shared.segments.all() {
        let within = segment.first <= last && segment.events.load(Ordering::Relaxed) == 0;
        if within && !has_events(&open_segment(&segment.path, Role::Reader)?)? {
            shared.catalog.segment_remove(segment.first)?;
            shared.segments.remove(segment.first);
            dedupe.remove(segment.first);
            for file in with_companions(&segment.path) {
                if let Err(error) = remove_file(&file) {
                    // Out of sight it does no harm.
                    tracing::warn!(error = %error, "an empty segment is left behind");
                }
            }
            tracing::warn!(path = %segment.path.display(), "an empty segment within another one was dropped");
            dropped.push(segment.first);
        } else {
            last = last.max(segment.last.load(Ordering::Relaxed));
        }
    }
    Ok(dropped)
}

fn insert_sealed(shared: &Shared, dedupe: &mut DedupeIndex, row: SealedRow, now_ms: i64) {
    let segment = Segment::new(&shared.folder, row.first);
    segment.last.store(row.last, Ordering::Relaxed);
    segment.events.store(row.events, Ordering::Relaxed);
    segment.bytes.store(row.bytes, Ordering::Relaxed);
    segment.received_min_ms.store(row.received_min_ms, Ordering::Relaxed);
    segment.received_max_ms.store(row.received_max_ms, Ordering::Relaxed);
    segment.dedupe_until_ms.store(row.dedupe_until_ms, Ordering::Relaxed);
    segment.compacted_at_ms.store(row.compacted_at_ms, Ordering::Relaxed);
    segment.expiring_ms.store(row.expiring_ms.unwrap_or(i64::MAX), Ordering::Relaxed);
    segment.sealed.store(true, Ordering::Release);
    segment.adopted.store(true, Ordering::Release);
    segment.unclean.store(log_bytes(&segment.path) > 0, Ordering::Relaxed);
    *segment.kinds.lock() = row.kinds;
    shared.segments.insert(Arc::new(segment));
    if row.dedupe_until_ms > now_ms {
        dedupe.seal(row.first, SealedFilter::from_bytes(&row.filter, row.dedupe_until_ms));
    }
}

/// Reads a segment that is not sealed into memory; answers with its last place and whether it can
/// go on being the hot one. Only a short one can: the deliveries of a longer one are read later, by
/// the keeper, so that the time to start does not depend on how full the last segment was.
fn load_segment(
    shared: &Shared,
    segment: &Arc<Segment>,
    dedupe: &mut DedupeIndex,
    reusable: bool,
) -> Result<(i64, bool)> {
    // What a crash has left in the log may have been removed.
    segment.unclean.store(log_bytes(&segment.path) > 0, Ordering::Relaxed);
    let role = if reusable { Role::HotWriter } else { Role::Writer };
    let connection = open_segment(&segment.path, role)?;
    let count: i64 = connection
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .map_err(database("read segment"))?;
    let short = count.unsigned_abs() * REUSE_PART <= shared.options.segment_events;
    let reuse = reusable && (short || count == 0);
    let loaded = if reuse { load::load(&connection)? } else { load::load_keys(&connection)? };
    let last = loaded.last.max(segment.first);
    segment.last.store(last, Ordering::Relaxed);
    segment.events.store(loaded.events, Ordering::Relaxed);
    segment.bytes.store(loaded.bytes, Ordering::Relaxed);
    segment.received_min_ms.store(loaded.received_min_ms, Ordering::Relaxed);
    segment.received_max_ms.store(loaded.received_max_ms, Ordering::Relaxed);
    segment.dedupe_until_ms.store(loaded.dedupe_until_ms, Ordering::Relaxed);
    segment.expiring_ms.store(loaded.expiring_ms, Ordering::Relaxed);
    *segment.kinds.lock() = loaded.kinds;
    *segment.memory.lock() = reuse.then_some(loaded.memory);
    dedupe.insert_set(segment.first, loaded.keys);
    shared.segments.insert(Arc::clone(segment));
    Ok((last, reuse))
}

fn start_threads(
    shared: &Arc<Shared>,
    hot: Arc<Segment>,
    dedupe: DedupeIndex,
    last: i64,
) -> Result<Vec<JoinHandle<()>>> {
    hot.memory.lock().get_or_insert_with(Memory::default);
    let (ask, asked) = sync_channel(1);
    let writer = Writer::new(Arc::clone(shared), hot, dedupe, last, ask)?;
    let keeper = Keeper::new(Arc::clone(shared));
    Ok(vec![
        spawn("becket-writer", move || writer.run())?,
        spawn("becket-keeper", move || keeper.run())?,
        spawn("becket-checkpoint", move || write_back(&asked))?,
    ])
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        StoreError::Unusable {
            path: name.to_owned(),
            detail: format!("no thread could be started: {error}"),
        }
    })
}

/// Writes the hot segment's log back beside the writer, so that it stays short.
fn write_back(asked: &Receiver<PathBuf>) {
    let mut open: Option<(PathBuf, rusqlite::Connection)> = None;
    while let Ok(path) = asked.recv() {
        if open.as_ref().is_none_or(|(of, _)| *of != path) {
            open = None;
            match open_segment(&path, Role::HotWriter) {
                Ok(connection) => open = Some((path, connection)),
                Err(error) => {
                    tracing::warn!(error = %error, "the log cannot be written back yet");
                    continue;
                }
            }
        }
        if let Some((_, connection)) = &open
            && let Err(error) = connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                .map_err(database("checkpoint"))
        {
            tracing::warn!(error = %error, "the log cannot be written back yet");
            open = None;
        }
    }
}
