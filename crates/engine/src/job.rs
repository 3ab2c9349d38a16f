//! What a shard wants done outside of itself, and what came of it.
//!
//! A shard decides and never waits. What waits is an attempt, or a [`Job`] for the store; both are
//! run among all others of the shard on its one thread, without a task of their own.

use std::sync::Arc;
use std::time::Duration;

use becket_egress::{AttemptError, AttemptOutcome, Timings};
use becket_model::{
    Acted, ApplicationKey, DeliveryKey, EndpointId, EndpointKey, EndpointState, Outcome,
    RetryAfter, Trigger,
};
use becket_store::{
    AttemptFinish, Changed, EndpointChange, FinishOutcome, LeaseToken, LeasedDelivery, Name, Owner,
    StoreError,
};
use bytes::Bytes;

use crate::config::Environment;
use crate::door::Door;
use crate::endpoint::Prepared;
use crate::observer::AttemptReport;
use crate::request::{self, ByTransformation, Draft, Sent};
use crate::shared::ShardShared;

const BACKOFF_FIRST_MS: u64 = 100;
/// Short, because two of these may follow each other (a result, then the next lease) before an endpoint
/// flows again once the store is back, and what is asked meanwhile is asked together.
const BACKOFF_MAX_MS: u64 = 1_000;

/// How long to wait before a call to the store is repeated that has failed so often.
pub(crate) fn backoff_ms(failures: u32) -> u64 {
    match failures.checked_sub(1) {
        None => 0,
        Some(doublings) => (BACKOFF_FIRST_MS << doublings.min(10)).min(BACKOFF_MAX_MS),
    }
}

/// A call to the store.
pub(crate) enum Job {
    Lease(LeaseJob),
    Finish(FinishJob),
    Release { endpoint: EndpointKey, deliveries: Vec<Leased>, failures: u32 },
    Change(ChangeJob),
    Confirm(ConfirmJob),
}

/// A delivery under lease, by name.
pub(crate) type Leased = (DeliveryKey, LeaseToken);

pub(crate) struct AttemptJob {
    pub(crate) endpoint: Arc<Prepared>,
    pub(crate) delivery: LeasedDelivery,
    pub(crate) number: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct LeaseJob {
    pub(crate) endpoint: EndpointKey,
    pub(crate) now_ms: i64,
    pub(crate) lease_ms: u64,
    pub(crate) limit: usize,
}

/// A result to be recorded, and what people want to know once it is.
#[derive(Clone)]
pub(crate) struct FinishJob {
    pub(crate) finish: AttemptFinish,
    pub(crate) turned: Option<Box<AttemptReport>>,
    pub(crate) failures: u32,
}

#[derive(Clone)]
pub(crate) struct ChangeJob {
    pub(crate) endpoint: EndpointKey,
    pub(crate) owner: Owner,
    pub(crate) id: EndpointId,
    pub(crate) change: EndpointChange,
    /// Of the attempt that has shown it.
    pub(crate) lease: LeaseToken,
    pub(crate) failures: u32,
}

/// A look at the state that the store has for an endpoint.
#[derive(Clone, Copy)]
pub(crate) struct ConfirmJob {
    pub(crate) endpoint: EndpointKey,
    pub(crate) owner: Owner,
    pub(crate) application: ApplicationKey,
    pub(crate) id: EndpointId,
    /// How often the lane had been told a state when this was asked.
    pub(crate) told: u32,
    pub(crate) failures: u32,
}

pub(crate) enum Done {
    Lease {
        job: LeaseJob,
        result: Result<Vec<LeasedDelivery>, StoreError>,
    },
    Finish {
        job: FinishJob,
        result: Result<FinishOutcome, StoreError>,
    },
    Release {
        endpoint: EndpointKey,
        deliveries: Vec<Leased>,
        failures: u32,
        result: Result<(), StoreError>,
    },
    Change {
        job: ChangeJob,
        result: Result<bool, StoreError>,
    },
    Confirm {
        job: ConfirmJob,
        result: Result<Option<EndpointState>, StoreError>,
    },
}

/// What an attempt came to, reduced to what is decided on and recorded.
pub(crate) struct AttemptEnded {
    pub(crate) key: DeliveryKey,
    pub(crate) lease: LeaseToken,
    pub(crate) number: u32,
    pub(crate) application: ApplicationKey,
    pub(crate) event_type: Option<Arc<str>>,
    pub(crate) received_at_ms: i64,
    pub(crate) started_at_ms: i64,
    pub(crate) ended_at_ms: i64,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<AttemptError>,
    pub(crate) timings: Timings,
    pub(crate) detail: Bytes,
    /// Nothing was sent, because the tenure had ended; there is nothing to record.
    pub(crate) withheld: bool,
}

impl AttemptEnded {
    /// An attempt that sends nothing, because the payload was removed.
    pub(crate) fn expunged(endpoint: &Prepared, delivery: LeasedDelivery, now_ms: i64) -> Self {
        let outcome = AttemptOutcome::failed(AttemptError::PayloadExpunged);
        let number = delivery.attempts.saturating_add(1);
        let sent = Sent { number, ..Sent::default() };
        Self::of(endpoint, delivery, &sent, now_ms, now_ms, &outcome)
    }

    fn of(
        endpoint: &Prepared,
        delivery: LeasedDelivery,
        sent: &Sent,
        started_at_ms: i64,
        ended_at_ms: i64,
        outcome: &AttemptOutcome,
    ) -> Self {
        Self {
            key: delivery.key,
            lease: delivery.lease,
            number: sent.number,
            application: delivery.application,
            event_type: delivery.event_type,
            received_at_ms: delivery.received_at_ms,
            started_at_ms,
            ended_at_ms,
            outcome: reduced(outcome),
            error: outcome.error,
            timings: outcome.timings,
            detail: request::detail_json(endpoint, sent, outcome),
            withheld: false,
        }
    }

    pub(crate) fn trigger(&self) -> Trigger {
        if self.key.generation == 0 { Trigger::Receipt } else { Trigger::Replay }
    }

    pub(crate) fn duration_ms(&self) -> u32 {
        let by_clock = self.ended_at_ms.saturating_sub(self.started_at_ms).max(0).unsigned_abs();
        let measured = self.timings.total_us.div_ceil(1_000);
        u32::try_from(if measured > 0 { measured } else { by_clock }).unwrap_or(u32::MAX)
    }
}

/// What jobs are done with.
pub(crate) struct Tools {
    pub(crate) environment: Environment,
    pub(crate) door: Arc<dyn Door>,
    pub(crate) shared: Arc<ShardShared>,
}

/// Makes one call to the store.
pub(crate) async fn perform(tools: std::rc::Rc<Tools>, job: Job) -> Done {
    let store = &tools.environment.store;
    match job {
        Job::Lease(job) => {
            let LeaseJob { endpoint, now_ms, lease_ms, limit } = job;
            let result = store.delivery_lease(endpoint, now_ms, lease_ms, limit).await;
            Done::Lease { job, result }
        }
        Job::Finish(job) => {
            wait(job.failures).await;
            let result = store.attempt_finish(job.finish.clone()).await;
            Done::Finish { job, result }
        }
        Job::Release { endpoint, deliveries, failures } => {
            wait(failures).await;
            let due_ms = tools.environment.clock.now_ms();
            let result = store.delivery_release(deliveries.clone(), due_ms).await;
            Done::Release { endpoint, deliveries, failures, result }
        }
        Job::Change(job) => {
            wait(job.failures).await;
            // Somebody else knows better since.
            if !tools.shared.tenure.is_own(job.lease) {
                return Done::Change { job, result: Ok(false) };
            }
            let now_ms = tools.environment.clock.now_ms();
            let (owner, id, change) = (job.owner, job.id, job.change.clone());
            let changed = store.endpoint_conclude(owner, id, change, job.lease, now_ms);
            let result = changed.await.map(|changed| matches!(changed, Changed::Done(_)));
            Done::Change { job, result }
        }
        Job::Confirm(job) => {
            wait(job.failures).await;
            let found = store.endpoint_get(job.owner, job.application, Name::Id(job.id)).await;
            let result = found.map(|found| found.map(|endpoint| endpoint.state));
            Done::Confirm { job, result }
        }
    }
}

async fn wait(failures: u32) {
    if failures > 0 {
        tokio::time::sleep(Duration::from_millis(backoff_ms(failures))).await;
    }
}

/// Makes one attempt. Dropping the future breaks it off.
pub(crate) async fn attempt(tools: std::rc::Rc<Tools>, job: AttemptJob) -> AttemptEnded {
    let AttemptJob { endpoint, delivery, number } = job;
    let clock = &tools.environment.clock;
    let started_at_ms = clock.now_ms();
    let body_bytes = delivery.record.body().len() as u64;
    let mut sent = Sent { body_bytes, number, ..Sent::default() };
    let made = make(&endpoint, &delivery, &mut sent, started_at_ms).await;
    // Asked at the last moment: the process may have stood still since the attempt was begun.
    let tenure = &tools.shared.tenure;
    let withheld = !tenure.holds_now() || !tenure.is_own(delivery.lease);
    let outcome = match made {
        Ok(_) if withheld => AttemptOutcome::default(),
        Ok(draft) => {
            sent.headers = draft.headers.clone();
            sent.body_bytes = draft.body.len() as u64;
            send(&tools, &endpoint, &delivery, number, started_at_ms, draft).await
        }
        Err(outcome) => *outcome,
    };
    let ended_at_ms = clock.now_ms();
    let ended = AttemptEnded::of(&endpoint, delivery, &sent, started_at_ms, ended_at_ms, &outcome);
    AttemptEnded { withheld, ..ended }
}

/// Makes what is to be sent; an outcome if nothing is.
async fn make(
    endpoint: &Prepared,
    delivery: &LeasedDelivery,
    sent: &mut Sent,
    now_ms: i64,
) -> Result<Draft, Box<AttemptOutcome>> {
    let failed = |error| Box::new(AttemptOutcome::failed(error));
    let mut draft = request::draft(endpoint, delivery).map_err(failed)?;
    if let Some(transform) = &endpoint.runtime.transform {
        let made = transform.transform(draft.transform_input(endpoint, delivery)).await;
        let made = made.map_err(|failure| {
            sent.transformed = Some(Box::new(ByTransformation::failed(failure.log)));
            Box::new(AttemptOutcome::not_done(failure.error, failure.note))
        })?;
        sent.transformed = Some(Box::new(ByTransformation::made(&draft.body, &made)));
        if made.cancel {
            return Err(Box::new(AttemptOutcome::done("cancelled by the transformation")));
        }
        draft.take(endpoint, made).map_err(|error| {
            let note = "the transformation set a URL that may not be reached";
            Box::new(AttemptOutcome::not_done(error, note))
        })?;
    }
    draft.sign(endpoint, delivery, sent.number, now_ms).map_err(failed)?;
    Ok(draft)
}

async fn send(
    tools: &Tools,
    endpoint: &Prepared,
    delivery: &LeasedDelivery,
    number: u32,
    now_ms: i64,
    draft: Draft,
) -> AttemptOutcome {
    match (&endpoint.runtime.action, draft.outbound(endpoint)) {
        (Some(action), _) => action.act(draft.action(endpoint, delivery, number, now_ms)).await,
        (None, Some(request)) => tools.door.send(request).await,
        (None, None) => AttemptOutcome::failed(AttemptError::RequestInvalid),
    }
}

/// A status counts only with its whole response; a hint when to come back counts anyway.
fn reduced(outcome: &AttemptOutcome) -> Outcome {
    Outcome {
        status: outcome.status.filter(|_| outcome.error.is_none()),
        acted: outcome.acted.map(|acted| match acted {
            becket_egress::Acted::Done => Acted::Done,
            becket_egress::Acted::GiveUp => Acted::GiveUp,
            becket_egress::Acted::NotReady => Acted::NotReady,
        }),
        retry_after: outcome.retry_after.map(|hint| match hint {
            becket_egress::RetryAfter::Seconds(seconds) => RetryAfter::Seconds(seconds),
            becket_egress::RetryAfter::At(at_s) => {
                RetryAfter::At(i64::try_from(at_s).unwrap_or(i64::MAX))
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_a_limit() {
        let waits: Vec<u64> = (0..9).map(backoff_ms).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
        assert_eq!(backoff_ms(u32::MAX), BACKOFF_MAX_MS);
    }

    #[test]
    fn a_status_without_its_whole_response_does_not_count() {
        let mut outcome = AttemptOutcome { status: Some(200), ..AttemptOutcome::default() };
        assert!(reduced(&outcome).succeeded());
        outcome.error = Some(AttemptError::BodyReadFailed);
        outcome.retry_after = Some(becket_egress::RetryAfter::At(u64::MAX));
        let reduced = reduced(&outcome);
        assert!(!reduced.succeeded());
        assert_eq!(reduced.retry_after, Some(RetryAfter::At(i64::MAX)));
    }
}
