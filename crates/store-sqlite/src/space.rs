//! Whether there is room: free space of the disk, and the store's own cap.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use becket_store::StoreError;

use crate::segment::Segment;
use crate::shared::Shared;

const EVERY: Duration = Duration::from_millis(200);

/// Remembers the last look for a moment, because looking costs a system call.
pub(crate) struct Space {
    looked_at: Option<Instant>,
    refusal: Option<StoreError>,
}

impl Space {
    pub(crate) fn new(shared: &Shared) -> Self {
        let mut space = Self { looked_at: None, refusal: None };
        space.look(shared, None);
        space
    }

    /// Why new events are refused at the moment, if they are.
    pub(crate) fn refusal(&mut self, shared: &Shared, hot: &Segment) -> Option<StoreError> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= EVERY) {
            self.look(shared, Some(hot));
        }
        self.refusal.clone()
    }

    /// Looks again at the next question.
    pub(crate) fn recheck(&mut self) {
        self.looked_at = None;
    }

    fn look(&mut self, shared: &Shared, hot: Option<&Segment>) {
        self.looked_at = Some(Instant::now());
        let before = self.refusal.is_some();
        self.refusal = no_room(shared, hot);
        match (&self.refusal, before) {
            (Some(refusal), false) => {
                tracing::error!(error = %refusal, "new events are refused until there is room");
                *shared.trouble.lock() = Some(refusal.clone());
            }
            (None, true) => {
                tracing::info!("there is room again");
                *shared.trouble.lock() = None;
            }
            _ => {}
        }
    }
}

fn no_room(shared: &Shared, hot: Option<&Segment>) -> Option<StoreError> {
    let options = &shared.options;
    match rustix::fs::statvfs(&shared.folder.0) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free < options.min_free_bytes {
                return Some(StoreError::Full {
                    detail: format!(
                        "{} MiB are free on the disk of {}, {} MiB have to stay free",
                        free >> 20,
                        shared.folder.0.display(),
                        options.min_free_bytes >> 20
                    ),
                });
            }
        }
        Err(error) => tracing::warn!(error = %error, "free disk space cannot be read"),
    }
    let cap = options.cap_bytes?;
    let hot_bytes = hot.map_or(0, |segment| segment.bytes.load(Ordering::Relaxed));
    let used: u64 = hot_bytes
        + shared
            .segments
            .all()
            .iter()
            .filter(|segment| hot.is_none_or(|hot| hot.first != segment.first))
            .map(|segment| segment.bytes.load(Ordering::Relaxed))
            .sum::<u64>();
    (used >= cap / 10 * 9).then(|| StoreError::Full {
        detail: format!(
            "the store holds {} MiB, nine tenths of its cap of {} MiB",
            used >> 20,
            cap >> 20
        ),
    })
}
