//! Who runs when: a state machine without processes and clocks.
//!
//! Two kinds of places. Every endpoint begins in the quick ones, where calls come and go in a
//! millisecond. A call that has run for a quantum is moved to a slow place if one is free, and goes on
//! there; if none is free and somebody waits, its process is killed and the call starts again later in
//! a slow place. That is allowed because a call has no effect but its result. An endpoint whose call
//! was slow waits for slow places from then on, until it has behaved for a while.
//!
//! Invariants: an endpoint has one call under way at a time; the quick places are never held for longer
//! than a quantum while somebody waits; endpoints that wait for quick places take turns, and those that
//! wait for slow ones are served by who has used least; everything that waits has an end.

use std::collections::{HashMap, VecDeque};

/// How many calls in a row must be quick before an endpoint is trusted again.
const GOOD_CALLS: u32 = 8;
/// How many calls of one endpoint may wait.
const WAITING_MAX: usize = 1_024;
/// How many endpoints are remembered for having been slow.
const REMEMBERED_MAX: usize = 4_096;
/// How many quanta a call may hold a quick place if it gets hardly any processor time.
const PATIENCE: u64 = 8;
/// How soon a call that is past its quantum while nobody waits is looked at again, in microseconds.
const LOOK_AGAIN_US: u64 = 5_000;
/// What an endpoint has used counts half after so long, in microseconds.
const USAGE_HALVES_US: u64 = 10_000_000;

/// A call under way.
pub(super) type RunId = u64;

/// How many places there are, and how long a call may hold them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) quick: usize,
    pub(super) slow: usize,
    pub(super) quantum_us: u64,
    pub(super) wait_max_us: u64,
}

/// A call that begins now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start<J> {
    pub(super) run: RunId,
    pub(super) slow: bool,
    pub(super) job: J,
}

/// What becomes of a call that has used up its quantum.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It goes on in a slow place.
    Moved(RunId),
    /// Its process is to be killed; the job comes back through [`Schedule::ended`].
    Kill(RunId),
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended<J> {
    /// It is answered.
    Done,
    /// It was killed to make room, and starts again.
    Again(J),
}

#[derive(Debug)]
struct Waiting<J> {
    since_us: u64,
    job: J,
}

#[derive(Debug)]
struct Lane<J> {
    waiting: VecDeque<Waiting<J>>,
    running: bool,
    slow: bool,
    good_calls: u32,
    used_us: u64,
    used_at_us: u64,
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            running: false,
            slow: false,
            good_calls: 0,
            used_us: 0,
            used_at_us: 0,
        }
    }
}

impl<J> Lane<J> {
    /// What it has used lately.
    fn used(&self, now_us: u64) -> u64 {
        let halvings = now_us.saturating_sub(self.used_at_us) / USAGE_HALVES_US;
        self.used_us.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0)
    }
}

#[derive(Debug)]
struct Running {
    endpoint: u64,
    slow: bool,
    /// It was asked to be killed.
    doomed: bool,
    started_us: u64,
    /// When it is time to look whether its quantum is used up.
    look_us: u64,
}

impl Running {
    /// When it is time to look at it, if ever.
    fn look_us(&self) -> u64 {
        if self.slow || self.doomed { u64::MAX } else { self.look_us }
    }
}

/// All endpoints that have calls.
#[derive(Debug)]
pub(super) struct Schedule<J> {
    rules: Rules,
    lanes: HashMap<u64, Lane<J>>,
    /// Endpoints with waiting calls and none under way, in turn.
    quick: VecDeque<u64>,
    slow: Vec<u64>,
    running: HashMap<RunId, Running>,
    last_run: RunId,
}

impl<J> Schedule<J> {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            lanes: HashMap::new(),
            quick: VecDeque::new(),
            slow: Vec::new(),
            running: HashMap::new(),
            last_run: 0,
        }
    }

    /// Takes a call in; given back if too many of its endpoint wait.
    pub(super) fn push(&mut self, endpoint: u64, job: J, now_us: u64) -> Result<(), J> {
        let lane = self.lanes.entry(endpoint).or_default();
        if lane.waiting.len() >= WAITING_MAX {
            return Err(job);
        }
        lane.waiting.push_back(Waiting { since_us: now_us, job });
        self.queue(endpoint);
        Ok(())
    }

    /// The next call to begin, if there is one and a place for it.
    pub(super) fn next(&mut self, now_us: u64) -> Option<Start<J>> {
        let held = |slow| self.running.values().filter(|run| run.slow == slow).count();
        let (quick_held, slow_held) = (held(false), held(true));
        let endpoint = if quick_held < self.rules.quick && !self.quick.is_empty() {
            self.quick.pop_front()
        } else if slow_held < self.rules.slow {
            let lanes = &self.lanes;
            let least = self.slow.iter().enumerate().min_by_key(|(_, endpoint)| {
                lanes.get(endpoint).map_or(0, |lane| lane.used(now_us))
            });
            least.map(|(index, _)| index).map(|index| self.slow.remove(index))
        } else {
            None
        }?;
        let lane = self.lanes.get_mut(&endpoint)?;
        let waiting = lane.waiting.pop_front()?;
        lane.running = true;
        let slow = lane.slow;
        self.last_run += 1;
        let run = self.last_run;
        let look_us = now_us + self.rules.quantum_us;
        let running = Running { endpoint, slow, doomed: false, started_us: now_us, look_us };
        self.running.insert(run, running);
        Some(Start { run, slow, job: waiting.job })
    }

    /// Calls that have used up their quantum, and what becomes of them. `used_us` tells the processor
    /// time of a call: on a busy machine a call that has hardly begun is not to blame.
    pub(super) fn overdue(
        &mut self,
        now_us: u64,
        used_us: impl Fn(RunId) -> Option<u64>,
    ) -> Vec<Overdue> {
        let quantum_us = self.rules.quantum_us;
        let mut late: Vec<(u64, RunId)> = Vec::new();
        for (id, run) in self.running.iter_mut().filter(|(_, run)| run.look_us() <= now_us) {
            let took_us = now_us.saturating_sub(run.started_us);
            let left_us = quantum_us.saturating_sub(used_us(*id).unwrap_or(took_us));
            if left_us == 0 || took_us >= quantum_us * PATIENCE {
                late.push((run.started_us, *id));
            } else {
                run.look_us = now_us + left_us;
            }
        }
        late.sort_unstable();
        let mut slow_held = self.running.values().filter(|run| run.slow).count();
        let mut wanted = self.quick.len();
        let mut verdicts = Vec::new();
        for (_, id) in late {
            let Some(run) = self.running.get_mut(&id) else { continue };
            if slow_held < self.rules.slow {
                run.slow = true;
                slow_held += 1;
                verdicts.push(Overdue::Moved(id));
            } else if wanted > 0 {
                run.doomed = true;
                wanted -= 1;
                verdicts.push(Overdue::Kill(id));
            } else {
                // Nobody waits now; that may change at any moment.
                run.look_us = now_us + LOOK_AGAIN_US;
            }
        }
        verdicts
    }

    /// A call has ended, after so much processor time if that is known.
    pub(super) fn ended(&mut self, run: RunId, ended: Ended<J>, used_us: Option<u64>, now_us: u64) {
        let Some(run) = self.running.remove(&run) else { return };
        let took_us = now_us.saturating_sub(run.started_us);
        let used_us = used_us.unwrap_or(took_us).max(took_us / PATIENCE);
        let Some(lane) = self.lanes.get_mut(&run.endpoint) else { return };
        lane.running = false;
        lane.used_us = lane.used(now_us).saturating_add(used_us);
        lane.used_at_us = now_us;
        if used_us >= self.rules.quantum_us {
            lane.slow = true;
            lane.good_calls = 0;
        } else {
            lane.good_calls = lane.good_calls.saturating_add(1);
            lane.slow &= lane.good_calls < GOOD_CALLS;
        }
        if let Ended::Again(job) = ended {
            lane.slow = true;
            lane.waiting.push_front(Waiting { since_us: now_us, job });
        }
        self.queue(run.endpoint);
        self.forget(run.endpoint);
    }

    /// Calls that have waited too long.
    pub(super) fn expired(&mut self, now_us: u64) -> Vec<J> {
        let wait_max_us = self.rules.wait_max_us;
        let mut expired = Vec::new();
        for lane in self.lanes.values_mut() {
            let late = |one: &Waiting<J>| now_us.saturating_sub(one.since_us) >= wait_max_us;
            while lane.waiting.front().is_some_and(late) {
                expired.extend(lane.waiting.pop_front().map(|one| one.job));
            }
        }
        if !expired.is_empty() {
            let lanes = &self.lanes;
            let waits =
                |endpoint: &u64| lanes.get(endpoint).is_some_and(|lane| !lane.waiting.is_empty());
            self.quick.retain(waits);
            self.slow.retain(waits);
            self.lanes.retain(|_, lane| lane.running || lane.slow || !lane.waiting.is_empty());
        }
        expired
    }

    /// When to look again at what is overdue or expired, if anything could be.
    pub(super) fn wake_at_us(&self) -> Option<u64> {
        let looks = self.running.values().map(Running::look_us);
        let quantum = looks.min().filter(|at_us| *at_us < u64::MAX);
        let waiting = self.lanes.values().filter_map(|lane| lane.waiting.front());
        let patience = waiting.map(|one| one.since_us + self.rules.wait_max_us).min();
        quantum.into_iter().chain(patience).min()
    }

    /// How many calls are under way.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Lets an endpoint wait for a place, if it has a call and none under way.
    fn queue(&mut self, endpoint: u64) {
        let Some(lane) = self.lanes.get(&endpoint) else { return };
        if lane.running || lane.waiting.is_empty() {
            return;
        }
        if lane.slow {
            self.quick.retain(|one| *one != endpoint);
            if !self.slow.contains(&endpoint) {
                self.slow.push(endpoint);
            }
        } else if !self.quick.contains(&endpoint) {
            self.slow.retain(|one| *one != endpoint);
            self.quick.push_back(endpoint);
        }
    }

    /// Forgets an endpoint that has nothing to do, and that was slow for so long that others matter more.
    fn forget(&mut self, endpoint: u64) {
        let idle = |lane: &Lane<J>| !lane.running && lane.waiting.is_empty();
        if self.lanes.get(&endpoint).is_some_and(|lane| idle(lane) && !lane.slow) {
            self.lanes.remove(&endpoint);
        }
        if self.lanes.len() > REMEMBERED_MAX {
            let oldest = self.lanes.iter().filter(|(_, lane)| idle(lane));
            let oldest = oldest.min_by_key(|(_, lane)| lane.used_at_us).map(|(key, _)| *key);
            oldest.and_then(|key| self.lanes.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { quick: 2, slow: 1, quantum_us: 30_000, wait_max_us: 10_000_000 };

    fn started(schedule: &mut Schedule<&'static str>, now_us: u64) -> Vec<Start<&'static str>> {
        std::iter::from_fn(|| schedule.next(now_us)).collect()
    }

    fn jobs(started: &[Start<&'static str>]) -> Vec<(&'static str, bool)> {
        started.iter().map(|start| (start.job, start.slow)).collect()
    }

    #[test]
    fn one_call_of_an_endpoint_at_a_time_and_endpoints_take_turns() {
        let mut schedule = Schedule::new(RULES);
        for (endpoint, job) in [(1, "a1"), (1, "a2"), (2, "b1"), (3, "c1"), (1, "a3")] {
            schedule.push(endpoint, job, 0).expect("room");
        }
        let first = started(&mut schedule, 0);
        assert_eq!(jobs(&first), [("a1", false), ("b1", false)]);
        schedule.ended(first[0].run, Ended::Done, None, 1_000);
        let second = started(&mut schedule, 1_000);
        assert_eq!(jobs(&second), [("c1", false)], "the other endpoint comes first");
        schedule.ended(first[1].run, Ended::Done, None, 2_000);
        assert_eq!(jobs(&started(&mut schedule, 2_000)), [("a2", false)]);
        assert!(schedule.overdue(2_000, |_| None).is_empty());
    }

    #[test]
    fn a_slow_call_moves_to_a_slow_place_or_makes_room() {
        let mut schedule = Schedule::new(RULES);
        for (endpoint, job) in [(1, "evil1"), (2, "evil2"), (3, "good")] {
            schedule.push(endpoint, job, 0).expect("room");
        }
        let begun = started(&mut schedule, 0);
        assert_eq!(begun.len(), 2);
        assert_eq!(schedule.wake_at_us(), Some(30_000));
        assert!(schedule.overdue(29_999, |_| None).is_empty());
        // One goes on in the slow place, and that makes room for the one who waits.
        let verdicts = schedule.overdue(30_000, |_| None);
        assert_eq!(verdicts[0], Overdue::Moved(begun[0].run));
        assert_eq!(verdicts[1], Overdue::Kill(begun[1].run));
        assert_eq!(jobs(&started(&mut schedule, 30_000)), [("good", false)]);
        schedule.ended(begun[1].run, Ended::Again("evil2"), None, 31_000);
        assert!(started(&mut schedule, 31_000).is_empty(), "the slow place is taken");
        schedule.ended(begun[0].run, Ended::Done, None, 1_000_000);
        assert_eq!(jobs(&started(&mut schedule, 1_000_000)), [("evil2", true)]);
    }

    #[test]
    fn nobody_is_killed_while_nobody_waits() {
        let mut schedule = Schedule::new(Rules { slow: 0, ..RULES });
        schedule.push(1, "long", 0).expect("room");
        let begun = started(&mut schedule, 0);
        assert!(schedule.overdue(500_000, |_| None).is_empty());
        schedule.ended(begun[0].run, Ended::Done, None, 600_000);
        assert_eq!(schedule.running(), 0);
    }

    #[test]
    fn the_slow_are_served_by_least_use_and_forgiven_after_good_calls() {
        let mut schedule = Schedule::new(Rules { quick: 1, slow: 1, ..RULES });
        let mut now_us = 0;
        for (endpoint, job, took_us) in [(1, "hog", 900_000), (2, "once", 40_000)] {
            schedule.push(endpoint, job, now_us).expect("room");
            let begun = started(&mut schedule, now_us);
            now_us += took_us;
            schedule.ended(begun[0].run, Ended::Done, None, now_us);
        }
        schedule.push(1, "hog", now_us).expect("room");
        schedule.push(2, "once", now_us).expect("room");
        let begun = started(&mut schedule, now_us);
        assert_eq!(jobs(&begun), [("once", true)]);
        schedule.ended(begun[0].run, Ended::Done, None, now_us + 1_000);
        let begun = started(&mut schedule, now_us + 1_000);
        assert_eq!(jobs(&begun), [("hog", true)]);
        schedule.ended(begun[0].run, Ended::Done, None, now_us + 800_000);
        now_us += 800_000;
        for _ in 0..GOOD_CALLS - 1 {
            schedule.push(2, "once", now_us).expect("room");
            let begun = started(&mut schedule, now_us);
            assert_eq!(jobs(&begun), [("once", true)]);
            now_us += 1_000;
            schedule.ended(begun[0].run, Ended::Done, None, now_us);
        }
        schedule.push(2, "once", now_us).expect("room");
        assert_eq!(jobs(&started(&mut schedule, now_us)), [("once", false)]);
    }

    #[test]
    fn waiting_has_an_end_and_leaves_nothing_behind() {
        let mut schedule = Schedule::new(Rules { quick: 0, slow: 0, ..RULES });
        schedule.push(1, "a", 0).expect("room");
        schedule.push(1, "b", 5_000_000).expect("room");
        assert_eq!(schedule.wake_at_us(), Some(10_000_000));
        assert_eq!(schedule.expired(10_000_000), ["a"]);
        assert_eq!(schedule.expired(15_000_000), ["b"]);
        assert!(schedule.lanes.is_empty() && schedule.quick.is_empty());
        for _ in 0..WAITING_MAX {
            schedule.push(1, "a", 0).expect("room");
        }
        assert_eq!(schedule.push(1, "refused", 0), Err("refused"));
    }

    #[test]
    fn a_call_that_gets_no_processor_is_not_to_blame_for_long() {
        let mut schedule = Schedule::new(Rules { quick: 1, slow: 1, ..RULES });
        schedule.push(1, "starved", 0).expect("room");
        let begun = started(&mut schedule, 0);
        assert!(schedule.overdue(30_000, |_| Some(10_000)).is_empty());
        assert_eq!(schedule.wake_at_us(), Some(50_000));
        assert!(schedule.overdue(50_000, |_| Some(29_000)).is_empty());
        assert_eq!(schedule.overdue(51_000, |_| Some(30_000)), [Overdue::Moved(begun[0].run)]);
        schedule.ended(begun[0].run, Ended::Done, Some(29_000), 60_000);
        schedule.push(1, "again", 60_000).expect("room");
        let begun = started(&mut schedule, 60_000);
        assert_eq!(jobs(&begun), [("again", false)], "it used less than a quantum");
        let late_us = 60_000 + 30_000 * PATIENCE;
        assert_eq!(schedule.overdue(late_us, |_| Some(0)), [Overdue::Moved(begun[0].run)]);
    }
}
