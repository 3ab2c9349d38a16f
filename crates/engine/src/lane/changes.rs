//! Changes of an endpoint that the store has to learn, one after the other.
//!
//! Invariant: each names the lease of the attempt that has shown it. Once that lease is of an earlier
//! tenure, or the endpoint has been taken away, somebody else knows better: what has not been written by
//! then is withdrawn, and the store refuses what is on its way.

use std::collections::VecDeque;

use becket_model::EndpointState;
use becket_store::{EndpointChange, LeaseToken, StoreError};

use crate::endpoint::Prepared;
use crate::job::{ChangeJob, Job};
use crate::lane::Surroundings;
use crate::observer::{DisabledReason, EndpointEvent, EndpointNotice};

/// A change, with why it is made if people are to be told once the store knows it.
struct Pending {
    change: EndpointChange,
    /// Of the attempt that has shown it.
    lease: LeaseToken,
    disabled: Option<Disabled>,
}

#[derive(Clone, Copy)]
struct Disabled {
    reason: DisabledReason,
    failing_since_ms: Option<i64>,
}

/// The changes that the store does not know yet, oldest first.
#[derive(Default)]
pub(super) struct Changes {
    waiting: VecDeque<Pending>,
    under_way: bool,
    /// The one under way is not tried again.
    withdrawn: bool,
}

/// What the end of a change means for the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeEnd {
    Nothing,
    /// The endpoint has been switched off.
    SwitchedOff,
    /// It was to be switched off and has not been, as far as is known.
    NotSwitchedOff,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the endpoint is about to be switched off.
    pub(super) fn will_disable(&self) -> bool {
        self.waiting.iter().any(|pending| pending.disabled.is_some())
    }

    /// A person has enabled the endpoint: what has not been written yet is no longer wanted.
    pub(super) fn forget_disabling(&mut self) {
        let first = usize::from(self.under_way);
        let mut index = 0;
        self.waiting.retain(|pending| {
            index += 1;
            index <= first || pending.disabled.is_none()
        });
    }

    /// Drops what was shown under leases that are not good any more. Answers whether switching the
    /// endpoint off was among it.
    pub(super) fn withdraw(&mut self, is_good: impl Fn(LeaseToken) -> bool) -> bool {
        let first = usize::from(self.under_way);
        self.withdrawn |=
            self.under_way && self.waiting.front().is_some_and(|front| !is_good(front.lease));
        let (mut index, mut disabling) = (0, false);
        self.waiting.retain(|pending| {
            index += 1;
            let stays = index <= first || is_good(pending.lease);
            disabling |= !stays && pending.disabled.is_some();
            stays
        });
        disabling
    }

    pub(super) fn failing_since(&mut self, since_ms: Option<i64>, lease: LeaseToken) {
        // Only the newest counts, unless it is being written already.
        let replaceable = usize::from(self.under_way);
        let change = EndpointChange::FailingSince(since_ms);
        while self.waiting.len() > replaceable
            && self.waiting.back().is_some_and(|last| last.disabled.is_none())
        {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Pending { change, lease, disabled: None });
    }

    pub(super) fn disable(
        &mut self,
        reason: DisabledReason,
        failing_since_ms: Option<i64>,
        lease: LeaseToken,
    ) {
        let change = EndpointChange::State {
            state: EndpointState::Disabled,
            reason: reason.sentence().to_owned(),
        };
        let disabled = Some(Disabled { reason, failing_since_ms });
        self.waiting.push_back(Pending { change, lease, disabled });
    }

    /// Begins to write the next change.
    pub(super) fn advance(&mut self, prepared: &Prepared, around: &mut Surroundings<'_>) {
        if self.under_way {
            return;
        }
        let Some(next) = self.waiting.front() else { return };
        self.under_way = true;
        let runtime = &prepared.runtime;
        around.jobs.push(Job::Change(ChangeJob {
            endpoint: runtime.key,
            owner: runtime.owner,
            id: runtime.id,
            change: next.change.clone(),
            lease: next.lease,
            failures: 0,
        }));
    }

    /// A change has been written, was refused, or has to be tried again.
    pub(super) fn ended(
        &mut self,
        job: ChangeJob,
        result: &Result<bool, StoreError>,
        prepared: &Prepared,
        around: &mut Surroundings<'_>,
    ) -> ChangeEnd {
        if result.is_err() && !self.withdrawn {
            let failures = job.failures.saturating_add(1);
            around.jobs.push(Job::Change(ChangeJob { failures, ..job }));
            return ChangeEnd::Nothing;
        }
        self.under_way = false;
        self.withdrawn = false;
        let endpoint = prepared.runtime.id;
        let written = matches!(result, Ok(true));
        if !written {
            tracing::warn!(
                %endpoint,
                "a change of an endpoint was not written: it is gone, or another node delivers to it"
            );
        }
        let disabled = self.waiting.pop_front().and_then(|pending| pending.disabled);
        let Some(Disabled { reason, failing_since_ms }) = disabled else {
            return ChangeEnd::Nothing;
        };
        if !written {
            return ChangeEnd::NotSwitchedOff;
        }
        around.environment.observer.endpoint_changed(&EndpointNotice {
            key: prepared.runtime.key,
            endpoint,
            owner: prepared.runtime.owner,
            application: prepared.runtime.application,
            at_ms: around.now.wall_ms,
            change: EndpointEvent::Disabled { reason, failing_since_ms },
        });
        ChangeEnd::SwitchedOff
    }
}
