//! A limit on attempts that several lanes keep together: the rate of an application.
//!
//! A token bucket for how many, and a line for who is next. A lane that may not start stands in line
//! and is told when to come again; once it has started it goes to the end, so that all of them take
//! turns whatever their shards do. Nobody is called: a lane that does not come when it said it would
//! (its shard has broken down, or it has no slot now) keeps its place and holds nobody up.
//!
//! Invariant: in no stretch of time do more attempts start than it refills, plus one burst (a
//! second's worth, at least one).
//!
//! Time is that of the engine, whose shards share one clock: a rate belongs to one engine.

use std::collections::VecDeque;

use becket_model::Rate;
use parking_lot::Mutex;

/// Lanes ask again after this time or an eighth of their wait, whatever is later: those before them
/// may have gone away.
const ASK_AGAIN_MS: u64 = 2_000;
const ASK_AGAIN_PART: u64 = 8;
/// How late a lane may come and still have the others wait for it, in milliseconds.
const LATE_MS: u64 = 1_000;

/// At most so many attempts in a period, over all endpoints that are given the same one.
#[derive(Debug)]
pub struct SharedRate {
    line: Mutex<Line>,
}

/// A lane's place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Line {
    rate: Rate,
    /// Tokens times the period, so that refilling stays in whole numbers.
    level: u64,
    refilled_at_ms: u64,
    /// In the order of their tickets.
    waiting: VecDeque<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// Until when the others wait for this one; 0 if it has stepped aside.
    present_until_ms: u64,
}

impl SharedRate {
    /// A rate with its burst at hand.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let mut line =
            Line { rate, level: 0, refilled_at_ms: 0, waiting: VecDeque::new(), next: 0 };
        line.level = line.full();
        Self { line: Mutex::new(line) }
    }

    /// The rate that holds now.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.line.lock().rate
    }

    /// Replaces the rate for all who share it; what has been used up stays used up.
    pub fn rate_set(&self, rate: Rate) {
        let mut line = self.line.lock();
        let tokens = line.level / line.rate.period_ms.max(1);
        line.rate = rate;
        line.level = tokens.saturating_mul(rate.period_ms).min(line.full());
    }

    /// Takes a token and gives up the place in the line, or takes a place there and tells in how
    /// many milliseconds to ask again.
    pub(crate) fn take(&self, ticket: &mut Option<Ticket>, now_ms: u64) -> Result<(), u64> {
        let mut line = self.line.lock();
        line.refill(now_ms);
        let place = ticket.and_then(|ticket| line.find(ticket));
        let before = place.unwrap_or(line.waiting.len());
        let present = |waiting: &&Waiting| waiting.present_until_ms > now_ms;
        let ahead = line.waiting.iter().take(before).filter(present).count() as u64;
        let wait_ms = line.wait_ms(ahead + 1);
        if wait_ms == 0 {
            line.level = line.level.saturating_sub(line.rate.period_ms);
            place.and_then(|place| line.waiting.remove(place));
            *ticket = None;
            return Ok(());
        }
        let ask_ms = wait_ms.min(ASK_AGAIN_MS.max(wait_ms / ASK_AGAIN_PART));
        let present_until_ms = now_ms + ask_ms + LATE_MS;
        if let Some(waiting) = place.and_then(|place| line.waiting.get_mut(place)) {
            waiting.present_until_ms = present_until_ms;
        } else {
            let new = Ticket(line.next);
            line.next += 1;
            line.waiting.push_back(Waiting { ticket: new, present_until_ms });
            *ticket = Some(new);
        }
        Err(ask_ms)
    }

    /// Keeps the place and lets the others pass: something else has to happen first.
    pub(crate) fn step_aside(&self, ticket: Ticket) {
        let mut line = self.line.lock();
        let place = line.find(ticket);
        if let Some(waiting) = place.and_then(|place| line.waiting.get_mut(place)) {
            waiting.present_until_ms = 0;
        }
    }

    /// Gives the place up: there is nothing to wait for any more.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut line = self.line.lock();
        let place = line.find(ticket);
        place.and_then(|place| line.waiting.remove(place));
    }

    /// How many attempts a lane can expect to start within a while.
    pub(crate) fn expected(&self, within_ms: u64) -> u64 {
        let line = self.line.lock();
        let tokens =
            u64::from(line.rate.count).saturating_mul(within_ms) / line.rate.period_ms.max(1);
        tokens / (line.waiting.len() as u64 + 1)
    }
}

impl Line {
    /// The burst: a second's worth, so that a rate per hour does not come all at once.
    fn full(&self) -> u64 {
        let per_second = u64::from(self.rate.count) * 1_000 / self.rate.period_ms.max(1);
        per_second.max(1).saturating_mul(self.rate.period_ms)
    }

    fn refill(&mut self, now_ms: u64) {
        // Shards read the clock before they get the lock: the time of one may be past already.
        let elapsed_ms = now_ms.saturating_sub(self.refilled_at_ms);
        self.refilled_at_ms = self.refilled_at_ms.max(now_ms);
        let gained = elapsed_ms.saturating_mul(u64::from(self.rate.count));
        self.level = self.level.saturating_add(gained).min(self.full());
    }

    /// Until there are so many tokens, the burst left aside.
    fn wait_ms(&self, tokens: u64) -> u64 {
        let missing = tokens.saturating_mul(self.rate.period_ms).saturating_sub(self.level);
        missing.div_ceil(u64::from(self.rate.count.max(1)))
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, period_ms: u64) -> SharedRate {
        SharedRate::new(Rate { count, period_ms })
    }

    #[test]
    fn whoever_waits_longest_is_next() {
        let rate = rate(1, 1_000);
        let mut tickets = [None; 3];
        assert_eq!(rate.take(&mut tickets[0], 0), Ok(()));
        assert_eq!(rate.take(&mut tickets[2], 0), Err(1_000));
        assert_eq!(rate.take(&mut tickets[1], 0), Err(2_000));
        assert_eq!(rate.take(&mut tickets[0], 500), Err(2_000), "asks again before its turn");
        // All come at once; those who have just had their turn stand behind.
        let mut turns = Vec::new();
        for second in 1..=6 {
            for (lane, ticket) in tickets.iter_mut().enumerate() {
                if rate.take(ticket, second * 1_000) == Ok(()) {
                    turns.push(lane);
                }
            }
        }
        assert_eq!(turns, [2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn who_stays_away_holds_nobody_up_and_keeps_the_place() {
        let rate = rate(1, 1_000);
        let mut tickets = [None; 3];
        assert_eq!(rate.take(&mut tickets[0], 0), Ok(()));
        assert_eq!(rate.take(&mut tickets[1], 0), Err(1_000));
        assert_eq!(rate.take(&mut tickets[2], 0), Err(2_000));
        // The first in line neither comes nor says anything, as if its shard were gone.
        assert_eq!(rate.take(&mut tickets[2], 1_000), Err(1_000));
        assert_eq!(rate.take(&mut tickets[2], 2_000), Ok(()));
        assert_eq!(rate.take(&mut tickets[2], 2_100), Err(900));
        rate.step_aside(tickets[2].unwrap());
        assert_eq!(rate.take(&mut tickets[1], 3_000), Ok(()), "before one who came later");
        assert_eq!(rate.take(&mut tickets[1], 3_000), Err(1_000), "the other has stepped aside");
        rate.leave(tickets[1].unwrap());
        rate.leave(tickets[2].unwrap());
        assert!(rate.line.lock().waiting.is_empty());
    }

    #[test]
    fn a_line_that_has_gone_away_is_noticed_soon() {
        let rate = rate(1, 1_000);
        let mut tickets = vec![None; 100];
        tickets.iter_mut().for_each(|ticket| {
            let _ask_again = rate.take(ticket, 0);
        });
        let ask_ms = rate.take(&mut tickets[99], 0).unwrap_err();
        assert_eq!(ask_ms, 99_000 / 8);
        tickets[..99].iter().flatten().for_each(|ticket| rate.leave(*ticket));
        assert_eq!(rate.take(&mut tickets[99], ask_ms), Ok(()));
    }

    #[test]
    fn never_more_than_it_refills_and_one_burst() {
        let rate = rate(30, 10_000);
        let mut tickets = [None; 7];
        let mut starts: Vec<u64> = Vec::new();
        for now_ms in (0..60_000).step_by(7) {
            // One shard is a little behind the other.
            for (lane, ticket) in tickets.iter_mut().enumerate() {
                let late_ms = lane as u64 % 2 * 3;
                while rate.take(ticket, (now_ms + 3_u64).saturating_sub(late_ms)).is_ok() {
                    starts.push(now_ms);
                }
            }
        }
        for (first, from_ms) in starts.iter().enumerate() {
            for (last, until_ms) in starts.iter().enumerate().skip(first) {
                let refilled = (until_ms - from_ms) * 30 / 10_000;
                assert!((last - first) as u64 <= 3 + refilled);
            }
        }
        assert!(starts.len() >= 180, "{}: nothing is wasted", starts.len());
    }

    #[test]
    fn a_new_rate_gives_no_second_burst() {
        let rate = rate(5, 1_000);
        let mut ticket = None;
        (0..5).for_each(|_| assert_eq!(rate.take(&mut ticket, 0), Ok(())));
        rate.rate_set(Rate { count: 10, period_ms: 1_000 });
        assert_eq!(rate.rate().count, 10);
        assert_eq!(rate.take(&mut ticket, 0), Err(100));
        assert_eq!(rate.expected(30_000), 150);
    }
}
