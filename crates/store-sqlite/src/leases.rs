//! Leasing over the boundary: part of what is due is in the hot segment's memory, part in the tables
//! of older ones.

use std::sync::atomic::Ordering;

use becket_model::EndpointKey;
use becket_store::{EndpointDue, Result};

use crate::keeper::Task;
use crate::memory::{Memory, Taken};
use crate::store::SqliteStore;

impl SqliteStore {
    /// Works on the memory of the hot segment that began at `first`; `None` if that one is no longer
    /// hot, or is just being handed over.
    fn with_hot<T>(&self, first: i64, work: impl FnOnce(&mut Memory) -> T) -> Option<T> {
        let segment = self.shared.segments.holding(first)?;
        let mut guard = segment.memory.lock();
        guard.as_mut().filter(|memory| !memory.frozen).map(work)
    }

    /// Adds what is due in the hot segment; `false` if that is changing hands.
    pub(crate) fn add_hot_due(&self, first: i64, list: &mut Vec<EndpointDue>) -> bool {
        let added = self.with_hot(first, |memory| {
            for (endpoint, waiting, due_ms) in memory.summary() {
                match list.iter_mut().find(|due| due.endpoint.0 == endpoint) {
                    Some(due) => {
                        due.waiting += waiting;
                        due.due_ms = due.due_ms.min(due_ms);
                    }
                    None => {
                        let endpoint = EndpointKey(endpoint);
                        list.push(EndpointDue { endpoint, waiting, due_ms });
                    }
                }
            }
        });
        added.is_some()
    }

    /// Leases from the hot segment's memory; `None` if it is just being handed over.
    pub(crate) fn lease_hot(
        &self,
        first: i64,
        endpoint: EndpointKey,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Option<Vec<Taken>> {
        self.with_hot(first, |memory| {
            memory.lease(endpoint.0, now_ms, until_ms, limit, || self.shared.lease_token())
        })
    }

    /// Undoes leases that were taken only to find out what is due first.
    pub(crate) fn give_back(&self, surplus: Vec<Taken>) {
        let mut late = Vec::new();
        for taken in surplus {
            let holding = self.shared.segments.holding(taken.key.0);
            let released = holding.is_some_and(|segment| match segment.memory.lock().as_mut() {
                Some(memory) if !memory.frozen => {
                    memory.release(taken.key, taken.token, taken.due_ms)
                }
                _ => false,
            });
            if !released {
                late.push((taken.key, taken.token));
            }
        }
        if !late.is_empty() {
            self.shared.keeper.push(Task::Return(late));
        }
    }

    pub(crate) async fn lease_late(
        &self,
        endpoint: EndpointKey,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<Vec<Taken>> {
        let idle = self.shared.adopting.load(Ordering::Acquire) == 0
            && self.shared.late_leases.lock().is_empty()
            && !self.shared.late_waiting.lock().contains_key(&endpoint.0);
        if idle {
            return Ok(Vec::new());
        }
        self.ask_keeper(|reply| Task::Lease {
            endpoint: endpoint.0,
            now_ms,
            until_ms,
            limit,
            reply,
        })
        .await
    }
}
