//! Doing it: a move, which may go on where an earlier one stopped, and the comparison.

use sha2::{Digest as _, Sha256};
use tokio::try_join;

use super::encode::Encoded;
use super::{Chunk, Kind, Moving, Place, Tally, Transfer, TransferError};

type Result<T> = std::result::Result<T, TransferError>;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Items are written to the target.
    Copy,
    /// Items of both sides are compared.
    Verify,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// With items of which kind.
    pub kind: Kind,
    /// How many are done, those of an earlier run included.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What was found to be the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Items of which kind.
    pub kind: Kind,
    /// How many.
    pub items: u64,
    /// The SHA-256 over all of them in order, in hex.
    pub sha256: String,
}

/// What a move came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the source held.
    pub tally: Tally,
    /// How many items were written by this run, by kind.
    pub written: Vec<(Kind, u64)>,
    /// Whether an earlier run had begun.
    pub resumed: bool,
    /// What was compared.
    pub verified: Vec<Verified>,
}

/// Moves everything from `source` to `target`, verifies it and makes the target a store. Broken off
/// at any moment, it goes on when it is called again with the same source; broken off behind its very
/// end, it compares once more.
///
/// # Errors
/// When the target holds anything else, the source has been used meanwhile, an item is not the same
/// afterwards, the source's own counts say otherwise, or either store fails.
pub async fn move_store(
    source: &dyn Transfer,
    target: &dyn Transfer,
    now_ms: i64,
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<Report> {
    let tally = source.tally().await?;
    refuse_half(source).await?;
    let fingerprint = fingerprint(source, &tally).await?;
    let found = target.tally().await?;
    let resumed = match target.moving().await? {
        Some(moving) => {
            check_same(&moving, &fingerprint, source, target)?;
            true
        }
        None if found.is_empty() => {
            let source = source.name();
            let moving = Moving { source, fingerprint: fingerprint.clone(), started_at_ms: now_ms };
            target.begin(&moving).await?;
            false
        }
        None => {
            let verified = moved_before(source, target, (&tally, &found), watch).await?;
            refuse_used(source, target, &fingerprint).await?;
            let written = Kind::ALL.map(|kind| (kind, 0)).to_vec();
            return Ok(Report { tally, written, resumed: true, verified });
        }
    };
    let mut written = Vec::new();
    for kind in Kind::ALL {
        let count = copy(source, target, kind, (found.of(kind), tally.of(kind)), watch).await?;
        written.push((kind, count));
    }
    refuse_used(source, target, &fingerprint).await?;
    let verified = compare(source, target, &tally, watch).await?;
    // Comparing takes as long as copying: what came meanwhile would be missing, and nobody would know.
    refuse_used(source, target, &fingerprint).await?;
    target.finish(&tally, now_ms).await?;
    Ok(Report { tally, written, resumed, verified })
}

/// What a target without a mark has in common with the source: everything, if an earlier run has made
/// a store of it and nobody has heard of that.
async fn moved_before(
    source: &dyn Transfer,
    target: &dyn Transfer,
    (tally, found): (&Tally, &Tally),
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Verified>> {
    if !found.holds_as_much_as(tally) {
        return Err(filled(found, target));
    }
    match compare(source, target, tally, watch).await {
        Err(TransferError::Differs { .. } | TransferError::Missing { .. }) => {
            Err(filled(found, target))
        }
        compared => compared,
    }
}

/// Whoever has used the source meanwhile has changed at least one of its numbers or documents, or is a
/// node that was seen.
async fn refuse_used(
    source: &dyn Transfer,
    target: &dyn Transfer,
    fingerprint: &str,
) -> Result<()> {
    let tally = source.tally().await?;
    let same = self::fingerprint(source, &tally).await? == fingerprint;
    if same && !source.was_used().await? {
        return Ok(());
    }
    Err(TransferError::SourceChanged { source_name: source.name(), target_name: target.name() })
}

/// Half of a store is none that could be moved on.
async fn refuse_half(source: &dyn Transfer) -> Result<()> {
    match source.moving().await? {
        Some(moving) => Err(moving.refusal(&source.name()).into()),
        None => Ok(()),
    }
}

fn check_same(
    moving: &Moving,
    fingerprint: &str,
    source: &dyn Transfer,
    target: &dyn Transfer,
) -> Result<()> {
    let (source_name, target_name) = (source.name(), target.name());
    if moving.fingerprint == fingerprint {
        return Ok(());
    }
    if moving.source == source_name {
        return Err(TransferError::SourceChanged { source_name, target_name });
    }
    Err(TransferError::OtherSource { target_name, source_name: moving.source.clone() })
}

fn filled(found: &Tally, target: &dyn Transfer) -> TransferError {
    let parts = Kind::ALL.into_iter().filter(|kind| found.of(*kind) > 0);
    let what: Vec<String> =
        parts.map(|kind| format!("{} {}", found.of(kind), kind.plural())).collect();
    TransferError::TargetFilled { target_name: target.name(), what: what.join(", ") }
}

/// Copies what the target does not have yet of a kind; how many items. Reads the next chunk while
/// the last one is written.
async fn copy(
    source: &dyn Transfer,
    target: &dyn Transfer,
    kind: Kind,
    (mut done, total): (u64, u64),
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<u64> {
    let before = done;
    watch(Progress { step: Step::Copy, kind, done, total });
    let after = target.last(kind).await?;
    let mut chunk = source.read(kind, after).await?;
    while let Some(last) = chunk.last() {
        let count = chunk.len() as u64;
        let (next, ()) = try_join!(source.read(kind, Some(last)), target.write(chunk))?;
        chunk = next;
        done += count;
        watch(Progress { step: Step::Copy, kind, done, total });
    }
    Ok(done - before)
}

/// Compares every item of both stores, in order.
///
/// # Errors
/// The first item that is not the same, or is on one side only; a source of which more or less could be
/// read than it counts; or what either store says.
pub async fn verify(
    source: &dyn Transfer,
    target: &dyn Transfer,
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Verified>> {
    let tally = source.tally().await?;
    compare(source, target, &tally, watch).await
}

/// Compares with a source that holds as much as `tally` says. Both sides are read in the same way, so
/// what the source does not tell is missing on both and noticed by the counts alone.
async fn compare(
    source: &dyn Transfer,
    target: &dyn Transfer,
    tally: &Tally,
    watch: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Verified>> {
    let mut verified = Vec::new();
    let mut pending = 0_u64;
    for kind in Kind::ALL {
        let total = tally.of(kind);
        let (mut left, mut right) = (Walk::new(source, kind), Walk::new(target, kind));
        let (mut mine, mut theirs) = (Encoded::new(), Encoded::new());
        let (mut hash, mut items) = (Sha256::new(), 0_u64);
        watch(Progress { step: Step::Verify, kind, done: 0, total });
        loop {
            try_join!(left.fill(), right.fill())?;
            let (Some(here), Some(there)) = (left.place(), right.place()) else { break };
            if here != there {
                break;
            }
            left.encode(&mut mine);
            right.encode(&mut theirs);
            if let Some(part) = mine.difference(&theirs) {
                return Err(TransferError::Differs {
                    item: left.name(),
                    part,
                    source_name: source.name(),
                    target_name: target.name(),
                });
            }
            hash.update((mine.bytes().len() as u64).to_be_bytes());
            hash.update(mine.bytes());
            items += 1;
            pending += left.pending();
            left.at += 1;
            right.at += 1;
            if items.is_multiple_of(1_000) {
                watch(Progress { step: Step::Verify, kind, done: items, total });
            }
        }
        one_sided(&left, &right)?;
        counted(source, kind.plural(), total, items)?;
        watch(Progress { step: Step::Verify, kind, done: items, total: items });
        verified.push(Verified { kind, items, sha256: hex(&hash.finalize()) });
    }
    counted(source, "pending deliveries", tally.pending, pending)?;
    Ok(verified)
}

/// As many have to be told as are counted.
fn counted(source: &dyn Transfer, what: &'static str, counted: u64, read: u64) -> Result<()> {
    if counted == read {
        return Ok(());
    }
    Err(TransferError::Miscounted { source_name: source.name(), what, counted, read })
}

/// Both sides have to end together.
fn one_sided(left: &Walk<'_>, right: &Walk<'_>) -> Result<()> {
    let missing = |there: &Walk<'_>, not: &Walk<'_>| {
        Err(TransferError::Missing {
            item: there.name(),
            there: there.store.name(),
            missing_in: not.store.name(),
        })
    };
    match (left.place(), right.place()) {
        (None, None) => Ok(()),
        (Some(here), Some(there)) if there < here => missing(right, left),
        (Some(_), _) => missing(left, right),
        (None, Some(_)) => missing(right, left),
    }
}

/// Reads the items of a kind one after the other.
struct Walk<'a> {
    store: &'a dyn Transfer,
    kind: Kind,
    chunk: Option<Chunk>,
    at: usize,
}

impl<'a> Walk<'a> {
    const fn new(store: &'a dyn Transfer, kind: Kind) -> Self {
        Self { store, kind, chunk: None, at: 0 }
    }

    /// Makes sure that the next item, if there is one, is in memory.
    async fn fill(&mut self) -> Result<()> {
        let after = match &self.chunk {
            None => None,
            Some(chunk) if chunk.is_empty() || self.at < chunk.len() => return Ok(()),
            Some(chunk) => chunk.last(),
        };
        // What was read goes before the next is read.
        self.chunk = None;
        self.chunk = Some(self.store.read(self.kind, after).await?);
        self.at = 0;
        Ok(())
    }

    fn place(&self) -> Option<Place> {
        self.chunk.as_ref()?.place(self.at)
    }

    fn name(&self) -> String {
        self.chunk.as_ref().map(|chunk| chunk.name(self.at)).unwrap_or_default()
    }

    fn pending(&self) -> u64 {
        self.chunk.as_ref().map_or(0, |chunk| chunk.pending(self.at) as u64)
    }

    fn encode(&self, into: &mut Encoded) {
        if let Some(chunk) = &self.chunk {
            into.set(chunk, self.at);
        }
    }
}

/// What a store holds, as a hash: all of its small things, and the numbers of the rest.
async fn fingerprint(store: &dyn Transfer, tally: &Tally) -> Result<String> {
    let mut hash = Sha256::new();
    let numbers = serde_json::to_vec(tally).map_err(|error| crate::StoreError::Database {
        operation: "compare stores",
        detail: error.to_string(),
    })?;
    hash.update(numbers);
    for kind in [Kind::Application, Kind::Endpoint, Kind::Document, Kind::Setting] {
        let mut walk = Walk::new(store, kind);
        let mut encoded = Encoded::new();
        loop {
            walk.fill().await?;
            if walk.place().is_none() {
                break;
            }
            walk.encode(&mut encoded);
            hash.update((encoded.bytes().len() as u64).to_be_bytes());
            hash.update(encoded.bytes());
            walk.at += 1;
        }
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
