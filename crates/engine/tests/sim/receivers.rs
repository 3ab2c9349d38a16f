//! Scripted receivers behind a [`Door`]: they answer, fail, hang, ask for time or want no more; and
//! they notice when they are called too often or twice at once.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use becket_egress::{AttemptError, AttemptOutcome, OutboundRequest, RetryAfter};
use becket_engine::Door;
use becket_model::{Clock, EndpointKey, EventId};
use parking_lot::Mutex;
use tokio::time::{Duration, sleep};

use crate::world::{Dice, Seen, Shared, VirtualClock};

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers 200 within so many milliseconds.
    Good(u64),
    /// Answers 500 in so many cases of a hundred.
    Flaky(u64),
    /// Never answers.
    Hangs,
    /// Nothing listens there.
    Refuses,
    /// Answers 503 and asks for so many seconds.
    AsksForTime(u64),
    /// Answers 410.
    Gone,
    /// Redirects, which is a failure.
    Redirects,
}

/// All receivers of a world.
pub struct Receivers {
    pub dice: Dice,
    pub clock: Arc<VirtualClock>,
    pub record: Shared,
    pub manners: Arc<Mutex<HashMap<EndpointKey, Manner>>>,
    pub caps: Arc<Mutex<HashMap<EndpointKey, usize>>>,
    pub cap_in_all: usize,
    /// Whether the clock never steps, so that a lease cannot end under an attempt.
    pub steady: bool,
    under_way: Mutex<Vec<(EndpointKey, EventId, usize)>>,
}

impl Receivers {
    pub fn new(
        dice: Dice,
        clock: Arc<VirtualClock>,
        record: Shared,
        manners: Arc<Mutex<HashMap<EndpointKey, Manner>>>,
        caps: Arc<Mutex<HashMap<EndpointKey, usize>>>,
        cap_in_all: usize,
        steady: bool,
    ) -> Self {
        let under_way = Mutex::default();
        Self { dice, clock, record, manners, caps, cap_in_all, steady, under_way }
    }

    /// Notes the beginning of a request, and whatever is wrong about it.
    fn begin(&self, request: &OutboundRequest) -> usize {
        let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        let event: EventId = text("webhook-id").and_then(|id| id.parse().ok()).expect("an id");
        let number = text("becket-attempt").and_then(|text| text.parse().ok()).expect("a number");
        let endpoint = EndpointKey(u32::try_from(request.pool_key).expect("a key"));
        let now_ms = self.clock.now_ms();
        let mut record = self.record.lock();
        let mut under_way = self.under_way.lock();
        let mut wrong = |what: &str| {
            let text = format!("{what}: {event} to {endpoint:?}, attempt {number}");
            record.wrong.push(text);
        };
        let same = |other: &(EndpointKey, EventId, usize)| (other.0, other.1) == (endpoint, event);
        if self.steady && under_way.iter().any(same) {
            wrong("two attempts at once");
        }
        if under_way.len() >= self.cap_in_all {
            wrong("more attempts than there may be in all");
        }
        let beside_it = under_way.iter().filter(|other| other.0 == endpoint).count();
        if self.caps.lock().get(&endpoint).is_some_and(|cap| beside_it >= *cap) {
            wrong("more attempts than the endpoint allows");
        }
        if request.body.as_ref() != b"{\"simulated\":true}" {
            wrong("not the exact body");
        }
        if text("webhook-signature").is_none_or(|value| !value.starts_with("v1,")) {
            wrong("not signed");
        }
        let timeout_ms = i64::try_from(request.timeout_ms).expect("a short timeout");
        let lease_until_ms = record.leases.get(&(event, endpoint)).copied();
        if lease_until_ms.is_none_or(|(until_ms, _)| until_ms < now_ms + timeout_ms) {
            record.wrong.push(format!("no valid lease: {event} to {endpoint:?} at {now_ms}"));
        }
        let life = record.life;
        let returns = record.returns.get(&endpoint).copied().unwrap_or(0);
        record.seen.push(Seen {
            life,
            returns,
            event,
            endpoint,
            number,
            started_mono_ms: self.clock.mono_ms(),
            status: None,
            ended_mono_ms: None,
        });
        let index = record.seen.len() - 1;
        under_way.push((endpoint, event, index));
        index
    }

    fn end(&self, index: usize, outcome: &AttemptOutcome) {
        let mut record = self.record.lock();
        self.under_way.lock().retain(|other| other.2 != index);
        record.finished_at_receivers += 1;
        record.seen[index].status = Some(outcome.status.ok_or(()));
        record.seen[index].ended_mono_ms = Some(self.clock.mono_ms());
    }

    async fn answer(&self, manner: Manner, timeout_ms: u64) -> AttemptOutcome {
        let quick_ms = self.dice.below(40);
        let status = |code| AttemptOutcome { status: Some(code), ..AttemptOutcome::default() };
        match manner {
            Manner::Good(slowest_ms) => {
                let wait_ms = self.dice.below(slowest_ms + 1);
                if wait_ms >= timeout_ms {
                    sleep(Duration::from_millis(timeout_ms)).await;
                    return AttemptOutcome::failed(AttemptError::Timeout);
                }
                sleep(Duration::from_millis(wait_ms)).await;
                status(200)
            }
            Manner::Flaky(percent) => {
                sleep(Duration::from_millis(quick_ms)).await;
                status(if self.dice.chance(percent) { 500 } else { 204 })
            }
            Manner::Hangs => {
                sleep(Duration::from_millis(timeout_ms)).await;
                AttemptOutcome::failed(AttemptError::Timeout)
            }
            Manner::Refuses => AttemptOutcome::failed(AttemptError::ConnectRefused),
            Manner::AsksForTime(seconds) => {
                sleep(Duration::from_millis(quick_ms)).await;
                let hint = if self.dice.chance(50) {
                    RetryAfter::Seconds(seconds)
                } else {
                    RetryAfter::At(self.clock.now_ms().unsigned_abs() / 1_000 + seconds)
                };
                AttemptOutcome { retry_after: Some(hint), ..status(503) }
            }
            Manner::Gone => status(410),
            Manner::Redirects => status(302),
        }
    }
}

#[async_trait]
impl Door for Receivers {
    async fn send(&self, request: OutboundRequest) -> AttemptOutcome {
        let index = self.begin(&request);
        let key = EndpointKey(u32::try_from(request.pool_key).expect("a key"));
        let manner = self.manners.lock().get(&key).copied().unwrap_or(Manner::Refuses);
        let started_ms = self.clock.mono_ms();
        let mut outcome = self.answer(manner, request.timeout_ms).await;
        outcome.timings.total_us = (self.clock.mono_ms() - started_ms) * 1_000;
        self.end(index, &outcome);
        outcome
    }

    fn close_endpoint(&self, _pool_key: u64) {}
}
