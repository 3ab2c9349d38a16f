//! What follows from an attempt's end: the breaker, the decision, the report, and the recording.

use std::sync::atomic::Ordering;

use becket_model::{
    Acted, Breaker, BreakerState, EndpointState, FailureReason, NextStep, decide_next,
};
use becket_store::{
    AttemptFinish, AttemptWrite, FinishOutcome, LeaseToken, LeasedDelivery, StoreError,
};

use crate::failing::FailingStep;
use crate::job::{AttemptEnded, ChangeJob, ConfirmJob, FinishJob, Job, Leased};
use crate::lane::changes::ChangeEnd;
use crate::lane::{Lane, Now, Surroundings};
use crate::observer::{AttemptReport, DisabledReason, EndpointEvent, EndpointNotice};
use crate::shared::Closed;
use crate::slots::Standing;

impl Lane {
    /// The exchange of an attempt is over: its slot is free, its result is to be recorded.
    pub(crate) fn attempt_ended(&mut self, ended: AttemptEnded, around: &mut Surroundings<'_>) {
        around.slots.give_back();
        let leased = (ended.key, ended.lease);
        if let Some(index) = self.in_flight.iter().position(|attempt| attempt.leased == leased) {
            self.in_flight.swap_remove(index);
        }
        if ended.withheld {
            self.withheld(leased, around);
            return;
        }
        let succeeded = ended.outcome.succeeded();
        self.standing = if succeeded { Standing::Quick } else { Standing::Doubtful };
        let next = self.decide(&ended, around);
        let acted = ended.outcome.acted;
        let lease = ended.lease;
        self.conclude(ended, next, around);
        // Under a lease of an earlier tenure it shows what others have seen since.
        let is_own = self.shared.shard.tenure.is_own(lease);
        // An event that an endpoint cannot use says nothing against the endpoint, and one that was
        // not ready says nothing at all.
        if acted != Some(Acted::NotReady) {
            let works = succeeded || acted == Some(Acted::GiveUp);
            self.breaker_record(works, around);
            if is_own {
                self.note_failing(works, lease, around);
            }
        }
        if is_own && next == NextStep::Failed(FailureReason::Gone) {
            self.disable(DisabledReason::Gone, lease, around);
        }
    }

    /// The tenure ended before anything was sent: the delivery is somebody else's now, or due again.
    fn withheld(&mut self, leased: Leased, around: &mut Surroundings<'_>) {
        if self.breaker.state() == BreakerState::Probing {
            self.breaker.probe_abandoned(around.now.mono());
        }
        self.release(vec![leased], around);
    }

    /// Ends a delivery whose payload was removed. Nothing is sent, and nothing learned about the
    /// endpoint.
    pub(super) fn expunged(&mut self, delivery: LeasedDelivery, around: &mut Surroundings<'_>) {
        let ended = AttemptEnded::expunged(&self.prepared, delivery, around.now.wall_ms);
        self.conclude(ended, NextStep::Failed(FailureReason::Expunged), around);
    }

    /// Reports a result and has it recorded.
    fn conclude(&mut self, ended: AttemptEnded, next: NextStep, around: &mut Surroundings<'_>) {
        let report = self.report(&ended, next);
        around.environment.observer.attempt(&report);
        let turned = report.turn().map(|_| Box::new(report));
        self.finishing += 1;
        self.shared.shard.finishing.fetch_add(1, Ordering::Relaxed);
        let finish = finish_of(ended, next);
        around.jobs.push(Job::Finish(FinishJob { finish, turned, failures: 0 }));
    }

    fn decide(&self, ended: &AttemptEnded, around: &Surroundings<'_>) -> NextStep {
        let retry = self.prepared.retry(ended.event_type.as_deref());
        let jitter = if ended.outcome.succeeded() {
            0.0
        } else {
            let mut bytes = [0_u8; 4];
            around.environment.noise.fill(&mut bytes);
            f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
        };
        decide_next(ended.outcome, retry, ended.number, ended.ended_at_ms, jitter)
    }

    fn report(&self, ended: &AttemptEnded, next: NextStep) -> AttemptReport {
        AttemptReport {
            delivery: ended.key,
            endpoint: self.prepared.runtime.id,
            url: self.prepared.ready().shown_url.clone(),
            owner: self.prepared.runtime.owner,
            application: ended.application,
            event_type: ended.event_type.clone(),
            number: ended.number,
            trigger: ended.trigger(),
            succeeded: ended.outcome.succeeded(),
            status: ended.outcome.status,
            error_code: ended.error.map(becket_egress::AttemptError::code),
            started_at_ms: ended.started_at_ms,
            duration_ms: ended.duration_ms(),
            timings: ended.timings,
            latency_ms: u64::try_from(ended.ended_at_ms - ended.received_at_ms).unwrap_or(0),
            next,
        }
    }

    fn notify(&self, change: EndpointEvent, around: &Surroundings<'_>) {
        let runtime = &self.prepared.runtime;
        around.environment.observer.endpoint_changed(&EndpointNotice {
            key: runtime.key,
            endpoint: runtime.id,
            owner: runtime.owner,
            application: runtime.application,
            at_ms: around.now.wall_ms,
            change,
        });
    }

    fn breaker_record(&mut self, succeeded: bool, around: &mut Surroundings<'_>) {
        let was_closed = self.breaker.state() == BreakerState::Closed;
        self.breaker.record(succeeded, around.now.mono());
        let is_closed = self.breaker.state() == BreakerState::Closed;
        if was_closed == is_closed {
            return;
        }
        self.breaker_shown(is_closed);
        let change =
            if is_closed { EndpointEvent::BreakerClosed } else { EndpointEvent::BreakerOpened };
        self.notify(change, around);
    }

    /// Starts afresh: the endpoint was moved or enabled by a person.
    pub(super) fn breaker_reset(&mut self) {
        let was_closed = self.breaker.state() == BreakerState::Closed;
        self.breaker = Breaker::closed();
        if !was_closed {
            self.breaker_shown(true);
        }
    }

    fn breaker_shown(&mut self, is_closed: bool) {
        self.shared.set(Closed::Breaker, !is_closed);
        if is_closed {
            // What came meanwhile waits in the store.
            self.set_backlog(true);
            self.shared.shard.breakers_open.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.shared.shard.breakers_open.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_failing(&mut self, succeeded: bool, lease: LeaseToken, around: &mut Surroundings<'_>) {
        let limit_ms = around.config.failing_limit_ms;
        match self.failing.record(succeeded, around.now.wall_ms, limit_ms) {
            FailingStep::Nothing | FailingStep::Began(_) => {}
            FailingStep::Warn { percent, since_ms } => {
                self.notify(EndpointEvent::Failing { percent, since_ms }, around);
            }
            FailingStep::GiveUp => self.disable(DisabledReason::FailingTooLong, lease, around),
            FailingStep::Recovered { since_ms } => {
                if std::mem::take(&mut self.failing_noted) {
                    self.changes.failing_since(None, lease);
                    self.notify(EndpointEvent::Recovered { since_ms }, around);
                }
            }
        }
        let noted_after_ms = around.config.failing_noted_after_ms;
        if let Some(since_ms) = self.failing.since_ms()
            && !self.failing_noted
            && around.now.wall_ms >= since_ms.saturating_add_unsigned(noted_after_ms)
        {
            self.failing_noted = true;
            self.changes.failing_since(Some(since_ms), lease);
        }
    }

    /// Switches the endpoint off, here at once and then in the store. What is pending waits there.
    fn disable(
        &mut self,
        reason: DisabledReason,
        lease: LeaseToken,
        around: &mut Surroundings<'_>,
    ) {
        if self.state == EndpointState::Enabled || self.state == EndpointState::Paused {
            self.set_state(EndpointState::Disabled, around);
            self.changes.disable(reason, self.failing.since_ms(), lease);
        }
    }

    /// A result has been recorded, or has to be tried again.
    pub(crate) fn finish_ended(
        &mut self,
        mut job: FinishJob,
        result: &Result<FinishOutcome, StoreError>,
        around: &mut Surroundings<'_>,
    ) {
        let shard = &self.shared.shard;
        let Ok(outcome) = result else {
            if job.failures == 0 {
                self.held += 1;
                shard.held.fetch_add(1, Ordering::Relaxed);
            }
            job.failures = job.failures.saturating_add(1);
            around.jobs.push(Job::Finish(job));
            return;
        };
        if job.failures > 0 {
            self.held = self.held.saturating_sub(1);
            shard.held.fetch_sub(1, Ordering::Relaxed);
        }
        self.finishing = self.finishing.saturating_sub(1);
        shard.finishing.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            FinishOutcome::Recorded(attempt) => {
                if let NextStep::RetryAt(due_ms) = job.finish.next {
                    self.due.insert(due_ms);
                }
                if let Some(report) = job.turned
                    && let Some(turn) = report.turn()
                {
                    around.environment.observer.delivery_turned(&report, turn, *attempt);
                }
            }
            FinishOutcome::Stale => {
                shard.stale.fetch_add(1, Ordering::Relaxed);
                let event = job.finish.delivery.event;
                let endpoint = self.prepared.runtime.id;
                let number = job.finish.attempt.number;
                tracing::warn!(%event, %endpoint, number, "an attempt was not recorded again: its delivery has moved on");
                self.look_again(around.now, around.config.lease_ms);
            }
        }
    }

    /// Whoever holds the delivery may have lost it: its lease ends by then.
    fn look_again(&mut self, now: Now, lease_ms: u64) {
        self.due.insert(now.wall_ms.saturating_add_unsigned(lease_ms));
        self.set_backlog(true);
        self.woken_while_leasing |= self.leasing;
    }

    /// A change of the endpoint has been written, or has to be tried again.
    pub(crate) fn change_ended(
        &mut self,
        job: ChangeJob,
        result: &Result<bool, StoreError>,
        around: &mut Surroundings<'_>,
    ) {
        let is_disabled = self.state == EndpointState::Disabled;
        match self.changes.ended(job, result, &self.prepared, around) {
            ChangeEnd::SwitchedOff if !is_disabled => self.confirm(around),
            ChangeEnd::NotSwitchedOff if is_disabled => self.confirm(around),
            _ => {}
        }
    }

    /// Drops changes that others know better about: of a removed lane, or shown in an earlier tenure.
    pub(super) fn withdraw_changes(&mut self, around: &mut Surroundings<'_>) {
        let is_removed = self.state == EndpointState::Removed;
        let tenure = &self.shared.shard.tenure;
        let disabling = self.changes.withdraw(|lease| !is_removed && tenure.is_own(lease));
        if disabling && self.state == EndpointState::Disabled {
            self.confirm(around);
        }
    }

    /// The lane was told a state while the engine switched the endpoint off, and nobody knows here
    /// what the store has heard last: asks it.
    pub(super) fn confirm(&mut self, around: &mut Surroundings<'_>) {
        let runtime = &self.prepared.runtime;
        around.jobs.push(Job::Confirm(ConfirmJob {
            endpoint: runtime.key,
            owner: runtime.owner,
            application: runtime.application,
            id: runtime.id,
            told: self.told_states,
            failures: 0,
        }));
    }

    /// The store has told the state, or has to be asked again.
    pub(crate) fn confirmed(
        &mut self,
        job: ConfirmJob,
        result: &Result<Option<EndpointState>, StoreError>,
        around: &mut Surroundings<'_>,
    ) {
        match result {
            Err(_) => {
                let failures = job.failures.saturating_add(1);
                around.jobs.push(Job::Confirm(ConfirmJob { failures, ..job }));
            }
            // Somebody has changed it meanwhile.
            Ok(_) if job.told != self.told_states => self.confirm(around),
            Ok(Some(state)) if self.state != EndpointState::Removed => {
                self.set_state(*state, around);
            }
            Ok(_) => {}
        }
    }
}

fn finish_of(ended: AttemptEnded, next: NextStep) -> AttemptFinish {
    AttemptFinish {
        delivery: ended.key,
        lease: ended.lease,
        attempt: AttemptWrite {
            number: ended.number,
            trigger: ended.trigger(),
            started_at_ms: ended.started_at_ms,
            duration_ms: ended.duration_ms(),
            status: ended.outcome.status,
            error_code: ended.error.map(|error| error.code().to_owned()),
            detail: ended.detail,
        },
        next,
    }
}
