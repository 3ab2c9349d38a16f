//! The pending deliveries of the hot segment, in memory.
//!
//! What is pending follows from what is on disk (planned, and without a final attempt), so this is
//! a cache that is rebuilt at start. It is bounded, because a hot segment is. Leases live only
//! here: a process that ends holds none.

use std::collections::{BTreeSet, HashMap};

use becket_store::LeaseToken;

/// A delivery: event, endpoint, generation.
pub(crate) type Key = (i64, u32, u16);

/// A held lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) token: LeaseToken,
    pub(crate) until_ms: i64,
}

/// A delivery that has not ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) attempts: u32,
    pub(crate) due_ms: i64,
    pub(crate) lease: Option<Lease>,
}

/// A delivery of an older segment under lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) due_ms: i64,
    pub(crate) attempts: u32,
}

/// A delivery that was just leased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) key: Key,
    pub(crate) token: LeaseToken,
    pub(crate) attempts: u32,
    pub(crate) due_ms: i64,
}

/// The deliveries of one segment that have not ended, and those that failed.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Set while the segment is handed over; nothing may be changed then.
    pub(crate) frozen: bool,
    pub(crate) pending: HashMap<Key, Waiting>,
    due: HashMap<u32, BTreeSet<(i64, i64, u16)>>,
    pub(crate) failed: BTreeSet<Key>,
    /// No lease ends before this moment.
    lease_floor_ms: i64,
}

impl Memory {
    /// Adds a delivery that is to be made.
    pub(crate) fn add(&mut self, key: Key, waiting: Waiting) {
        match waiting.lease {
            Some(lease) => self.lease_floor_ms = self.lease_floor_ms.min(lease.until_ms),
            None => self.insert_due(key, waiting.due_ms),
        }
        self.pending.insert(key, waiting);
    }

    /// How many attempts have ended, if the lease holds.
    pub(crate) fn check(&self, key: Key, token: LeaseToken) -> bool {
        self.pending
            .get(&key)
            .is_some_and(|waiting| waiting.lease.is_some_and(|lease| lease.token == token))
    }

    /// Puts a delivery back after a failed attempt.
    pub(crate) fn retry(&mut self, key: Key, due_ms: i64, attempts: u32) {
        if let Some(waiting) = self.pending.get_mut(&key) {
            *waiting = Waiting { attempts, due_ms, lease: None };
            self.insert_due(key, due_ms);
        }
    }

    /// Ends a delivery.
    pub(crate) fn end(&mut self, key: Key, failed: bool) {
        if let Some(waiting) = self.pending.remove(&key)
            && waiting.lease.is_none()
        {
            self.remove_due(key, waiting.due_ms);
        }
        if failed {
            self.failed.insert(key);
        }
    }

    /// Gives a leased delivery back; `false` if the lease no longer holds.
    pub(crate) fn release(&mut self, key: Key, token: LeaseToken, due_ms: i64) -> bool {
        if !self.check(key, token) {
            return false;
        }
        let attempts = self.pending.get(&key).map_or(0, |waiting| waiting.attempts);
        self.retry(key, due_ms, attempts);
        true
    }

    /// Makes a waiting delivery due; one under lease is left alone. `false` if it has ended.
    pub(crate) fn make_due(&mut self, key: Key, due_ms: i64) -> bool {
        let Some(waiting) = self.pending.get_mut(&key) else { return false };
        if waiting.lease.is_none() {
            let before = std::mem::replace(&mut waiting.due_ms, due_ms);
            self.remove_due(key, before);
            self.insert_due(key, due_ms);
        }
        true
    }

    /// Leases what is due of an endpoint, oldest due first.
    pub(crate) fn lease(
        &mut self,
        endpoint: u32,
        now_ms: i64,
        until_ms: i64,
        limit: usize,
        mut token: impl FnMut() -> LeaseToken,
    ) -> Vec<Taken> {
        self.expire(now_ms);
        let Some(queue) = self.due.get_mut(&endpoint) else { return Vec::new() };
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(&(due_ms, seq, generation)) = queue.first() else { break };
            if due_ms > now_ms {
                break;
            }
            queue.pop_first();
            let key = (seq, endpoint, generation);
            if let Some(waiting) = self.pending.get_mut(&key) {
                let token = token();
                waiting.lease = Some(Lease { token, until_ms });
                taken.push(Taken { key, token, attempts: waiting.attempts, due_ms });
            }
        }
        if queue.is_empty() {
            self.due.remove(&endpoint);
        }
        if !taken.is_empty() {
            self.lease_floor_ms = self.lease_floor_ms.min(until_ms);
        }
        taken
    }

    /// How many wait without a lease, and the earliest due, by endpoint.
    pub(crate) fn summary(&self) -> impl Iterator<Item = (u32, u64, i64)> + '_ {
        self.due.iter().filter_map(|(endpoint, queue)| {
            queue.first().map(|(due_ms, ..)| (*endpoint, queue.len() as u64, *due_ms))
        })
    }

    /// Takes over the leases that were held before the segment was read again.
    pub(crate) fn keep_leases_of(&mut self, before: &Self) {
        for (key, waiting) in &before.pending {
            if let Some(lease) = waiting.lease
                && let Some(now) = self.pending.get(key).copied()
                && now.attempts == waiting.attempts
            {
                self.remove_due(*key, now.due_ms);
                self.add(*key, Waiting { lease: Some(lease), ..now });
            }
        }
    }

    /// Ends leases whose time is over. Looks at all of them, but only when the earliest can be over.
    fn expire(&mut self, now_ms: i64) {
        if now_ms < self.lease_floor_ms {
            return;
        }
        let mut floor_ms = i64::MAX;
        let mut over = Vec::new();
        for (key, waiting) in &mut self.pending {
            match waiting.lease {
                Some(lease) if lease.until_ms <= now_ms => {
                    waiting.lease = None;
                    over.push((*key, waiting.due_ms));
                }
                Some(lease) => floor_ms = floor_ms.min(lease.until_ms),
                None => {}
            }
        }
        self.lease_floor_ms = floor_ms;
        over.into_iter().for_each(|(key, due_ms)| self.insert_due(key, due_ms));
    }

    fn insert_due(&mut self, (seq, endpoint, generation): Key, due_ms: i64) {
        self.due.entry(endpoint).or_default().insert((due_ms, seq, generation));
    }

    fn remove_due(&mut self, (seq, endpoint, generation): Key, due_ms: i64) {
        if let Some(queue) = self.due.get_mut(&endpoint) {
            queue.remove(&(due_ms, seq, generation));
            if queue.is_empty() {
                self.due.remove(&endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(due_ms: i64) -> Waiting {
        Waiting { attempts: 0, due_ms, lease: None }
    }

    #[test]
    fn leases_oldest_due_first_and_expires() {
        let mut memory = Memory::default();
        memory.add((1, 7, 0), waiting(30));
        memory.add((2, 7, 0), waiting(10));
        memory.add((3, 7, 0), waiting(99));
        let mut next = 0;
        let mut token = || {
            next += 1;
            LeaseToken(next)
        };
        let taken = memory.lease(7, 50, 60, 10, &mut token);
        assert_eq!(taken.iter().map(|taken| taken.key.0).collect::<Vec<_>>(), [2, 1]);
        assert!(memory.lease(7, 59, 70, 10, &mut token).is_empty());
        assert_eq!(memory.lease(7, 60, 70, 10, &mut token).len(), 2, "both leases are over");
        assert!(!memory.check((1, 7, 0), taken[1].token), "the old lease is stale");
        assert_eq!(memory.summary().collect::<Vec<_>>(), [(7, 1, 99)]);
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut memory = Memory::default();
        memory.add((1, 7, 0), waiting(1));
        assert!(memory.make_due((1, 7, 0), 0));
        memory.end((1, 7, 0), true);
        assert!(memory.pending.is_empty() && memory.due.is_empty());
        assert!(memory.failed.contains(&(1, 7, 0)));
    }
}
