//! Groups of sealed segments for finding repeats: one filter over the keys of many.
//!
//! Groups are made beside the work, one segment at a time, and are not kept on disk: after a start
//! they are made again. Until then, and for the newest segments, each segment's own filter is asked.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::Keeper;
use crate::dedupe::SealedFilter;
use crate::seal;
use crate::shared::Shared;
use crate::writer::Op;

/// Segments in a group.
const GROUP: usize = 16;

/// What has been put together so far.
#[derive(Default)]
pub(super) struct Grouping {
    done: HashSet<i64>,
    /// The members of the group that is being made, and their fingerprints so far.
    members: Vec<i64>,
    read: usize,
    fingerprints: Vec<u64>,
    until_ms: i64,
}

impl Grouping {
    /// Sealed segments within the window that are in no group, oldest first.
    fn waiting(&self, shared: &Shared) -> Vec<i64> {
        let now_ms = shared.options.clock.now_ms();
        let segments = shared.segments.all();
        let wanted = segments.iter().filter(|segment| {
            segment.sealed.load(Ordering::Acquire)
                && segment.dedupe_until_ms.load(Ordering::Relaxed) > now_ms
                && !self.done.contains(&segment.first)
        });
        wanted.map(|segment| segment.first).collect()
    }

    /// Whether there is nothing to put together.
    pub(super) fn is_idle(&self, shared: &Shared) -> bool {
        self.members.is_empty() && self.waiting(shared).len() < GROUP
    }
}

impl Keeper {
    /// Reads one more segment of the group that is being made, and hands it over when it is whole.
    pub(super) fn group_a_little(&mut self) {
        if self.grouping.members.is_empty() {
            let mut waiting = self.grouping.waiting(&self.shared);
            if waiting.len() < GROUP {
                return;
            }
            waiting.truncate(GROUP);
            self.grouping.members = waiting;
            (self.grouping.read, self.grouping.until_ms) = (0, i64::MIN);
        }
        if let Some(first) = self.grouping.members.get(self.grouping.read).copied() {
            self.grouping.read += 1;
            // One that retention has removed meanwhile has no keys to add.
            let segment = self.shared.segments.holding(first).filter(|found| found.first == first);
            let Some(segment) = segment else { return };
            let read = self.shared.segments.read(&segment, seal::fingerprints);
            match read {
                Ok(fingerprints) => {
                    let until_ms = segment.dedupe_until_ms.load(Ordering::Relaxed);
                    self.grouping.until_ms = self.grouping.until_ms.max(until_ms);
                    self.grouping.fingerprints.extend(fingerprints);
                }
                Err(error) => {
                    // Its own filter is asked on; the others are put together later.
                    tracing::warn!(error = %error, path = %segment.path.display(), "a segment stays out of its group");
                    self.grouping.done.insert(first);
                    self.grouping.members.clear();
                    self.grouping.fingerprints.clear();
                }
            }
            return;
        }
        let fingerprints = std::mem::take(&mut self.grouping.fingerprints);
        let members = std::mem::take(&mut self.grouping.members);
        self.grouping.done.extend(members.iter().copied());
        let filter = SealedFilter::build(fingerprints, self.grouping.until_ms);
        self.shared.writer.push(Op::Grouped(members, filter));
    }
}
