//! Where requests are answered while the gateway leaves: here, or by the process that takes its place.
//!
//! A connection cannot change its process, least of all an encrypted one, but a request can: the
//! process that leaves reads it, passes it on over a Unix socket and hands back the answer. So a
//! connection that rests is never closed because of a restart: it is closed with its next answer, or
//! when it would have been closed anyway.
//!
//! Invariants: a request counts from before it is decided where it is answered until its answer has
//! been made, so that "nothing is in flight" cannot be seen between the two; a request that was
//! passed on is answered where it arrives and never passed on again, so it counts from the moment its
//! connection is taken, and "nothing is in flight" is final only when none is taken any more.
//!
//! Where next: `forward` for how a request is passed on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What all threads of a server know about its leaving.
#[derive(Debug, Default)]
pub(super) struct Flow {
    parting: AtomicBool,
    /// Somebody else takes what is passed on.
    handed: AtomicBool,
    /// The socket of whoever answers from now on.
    forward: OnceLock<PathBuf>,
    /// Loops that still take connections with requests that are passed on.
    taking: AtomicUsize,
    per_thread: OnceLock<Vec<Arc<Tally>>>,
}

/// One thread's requests. Apart from the others', so that counting costs no cache line's travel.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicUsize; 3]);

/// Takes connections with requests that are passed on, for as long as it is held.
#[derive(Debug)]
pub(super) struct Taking(Arc<Flow>);

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.taking.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What kind of request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Receiving = 0,
    Managing = 1,
    /// Came from another process's connection.
    Forwarded = 2,
}

/// How many requests are being answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Webhooks on connections of this process.
    pub receiving: usize,
    /// Other requests on connections of this process.
    pub managing: usize,
    /// Requests that another process passed on, or this one to itself while it leaves.
    pub forwarded: usize,
}

impl InFlight {
    /// Whether there are none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.receiving + self.managing + self.forwarded == 0
    }
}

/// Counts one request for as long as it is held.
#[derive(Debug)]
pub(crate) struct Stay {
    tally: Arc<Tally>,
    kind: Kind,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.tally.0[self.kind as usize].fetch_sub(1, Ordering::SeqCst);
    }
}

impl Flow {
    pub(super) fn new(threads: usize) -> Self {
        let flow = Self::default();
        let tallies = (0..threads).map(|_| Arc::default()).collect();
        // Just made: nobody has set it.
        let _ = flow.per_thread.set(tallies);
        flow
    }

    pub(super) fn tally(&self, thread: usize) -> Arc<Tally> {
        let known = self.per_thread.get().and_then(|all| all.get(thread));
        known.cloned().unwrap_or_default()
    }

    /// From now on each answer is the last one of its connection; with a path, requests that begin
    /// from now on are passed on to it.
    pub(super) fn part(&self, forward: Option<PathBuf>) {
        if let Some(path) = forward {
            // A server leaves once; the first path stays.
            let _ = self.forward.set(path);
        }
        self.parting.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_parting(&self) -> bool {
        self.parting.load(Ordering::Relaxed)
    }

    /// Counts a request that is answered here; or the socket that it has to be passed on to.
    pub(super) fn enter(&self, tally: &Arc<Tally>, kind: Kind) -> Result<Stay, &PathBuf> {
        // Counted first: whoever sees nothing in flight after `part` misses nobody.
        tally.0[kind as usize].fetch_add(1, Ordering::SeqCst);
        let stay = Stay { tally: Arc::clone(tally), kind };
        if kind == Kind::Forwarded || !self.parting.load(Ordering::SeqCst) {
            return Ok(stay);
        }
        match self.forward.get() {
            Some(path) => Err(path),
            None => Ok(stay),
        }
    }

    /// Says that somebody else takes from now on what is passed on.
    pub(super) fn hand_over(&self) {
        self.handed.store(true, Ordering::SeqCst);
    }

    /// Counts a request that is passed on before all of it is there, as long as this process is the
    /// one that takes it: it is still occupied by whoever sends slowly.
    pub(super) fn occupy(&self, tally: &Arc<Tally>) -> Option<Stay> {
        // Counted first, as in `enter`.
        tally.0[Kind::Receiving as usize].fetch_add(1, Ordering::SeqCst);
        let stay = Stay { tally: Arc::clone(tally), kind: Kind::Receiving };
        (!self.handed.load(Ordering::SeqCst)).then_some(stay)
    }

    /// Counts a request whose connection has just been taken: it has been passed on to here, and has
    /// to be answered here whatever is decided before it is read.
    pub(super) fn arrive(tally: &Arc<Tally>) -> Stay {
        tally.0[Kind::Forwarded as usize].fetch_add(1, Ordering::SeqCst);
        Stay { tally: Arc::clone(tally), kind: Kind::Forwarded }
    }

    /// Says that connections with requests that are passed on are being taken.
    pub(super) fn take(self: &Arc<Self>) -> Taking {
        self.taking.fetch_add(1, Ordering::SeqCst);
        Taking(Arc::clone(self))
    }

    /// Whether a request may still arrive that has to be answered here.
    pub(super) fn is_taking(&self) -> bool {
        self.taking.load(Ordering::SeqCst) > 0
    }

    pub(super) fn in_flight(&self) -> InFlight {
        let sum = |kind: Kind| -> usize {
            let all = self.per_thread.get().map(Vec::as_slice).unwrap_or_default();
            all.iter().map(|tally| tally.0[kind as usize].load(Ordering::SeqCst)).sum()
        };
        InFlight {
            receiving: sum(Kind::Receiving),
            managing: sum(Kind::Managing),
            forwarded: sum(Kind::Forwarded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_until_they_are_answered_and_go_elsewhere_after_parting() {
        let flow = Flow::new(2);
        let (one, two) = (flow.tally(0), flow.tally(1));
        let webhook = flow.enter(&one, Kind::Receiving).unwrap();
        let call = flow.enter(&two, Kind::Managing).unwrap();
        let counted = InFlight { receiving: 1, managing: 1, forwarded: 0 };
        assert_eq!(flow.in_flight(), counted);
        flow.part(None);
        assert!(flow.is_parting());
        drop(flow.enter(&one, Kind::Receiving).expect("answered here while nobody else is there"));
        flow.part(Some("/there".into()));
        let elsewhere = flow.enter(&one, Kind::Receiving).unwrap_err();
        assert_eq!(elsewhere, &PathBuf::from("/there"));
        let passed_on = flow.enter(&two, Kind::Forwarded).expect("never passed on twice");
        assert_eq!(flow.in_flight().forwarded, 1);
        drop((webhook, call, passed_on));
        assert!(flow.in_flight().is_none());
        let slow = flow.occupy(&one).expect("taken by this process");
        assert_eq!(flow.in_flight().receiving, 1);
        flow.hand_over();
        drop(slow);
        assert!(flow.occupy(&one).is_none() && flow.in_flight().is_none(), "taken by another");
        let (flow, arrived) = (Arc::new(flow), Flow::arrive(&two));
        assert_eq!(flow.in_flight().forwarded, 1, "before it has been read");
        let loops = [flow.take(), flow.take()];
        drop(arrived);
        assert!(flow.in_flight().is_none() && flow.is_taking());
        drop(loops);
        assert!(!flow.is_taking());
    }
}
