//! Changes of an endpoint that the store has to learn, one after the other.

use std::collections::VecDeque;

use becket_model::EndpointState;
use becket_store::{EndpointChange, StoreError};

use crate::endpoint::Prepared;
use crate::job::{ChangeJob, Job};
use crate::lane::Surroundings;
use crate::observer::{DisabledReason, EndpointEvent, EndpointNotice};

/// A change, with why it is made if people are to be told once the store knows it.
struct Pending {
    change: EndpointChange,
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

    pub(super) fn failing_since(&mut self, since_ms: Option<i64>) {
        // Only the newest counts, unless it is being written already.
        let replaceable = usize::from(self.under_way);
        let change = EndpointChange::FailingSince(since_ms);
        while self.waiting.len() > replaceable
            && self.waiting.back().is_some_and(|last| last.disabled.is_none())
        {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Pending { change, disabled: None });
    }

    pub(super) fn disable(&mut self, reason: DisabledReason, failing_since_ms: Option<i64>) {
        let change = EndpointChange::State {
            state: EndpointState::Disabled,
            reason: reason.sentence().to_owned(),
        };
        self.waiting
            .push_back(Pending { change, disabled: Some(Disabled { reason, failing_since_ms }) });
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
            failures: 0,
        }));
    }

    /// A change has been written, or has to be tried again. Answers whether the endpoint has been
    /// switched off with it.
    pub(super) fn ended(
        &mut self,
        job: ChangeJob,
        result: &Result<bool, StoreError>,
        prepared: &Prepared,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let Ok(found) = result else {
            let failures = job.failures.saturating_add(1);
            around.jobs.push(Job::Change(ChangeJob { failures, ..job }));
            return false;
        };
        self.under_way = false;
        let endpoint = prepared.runtime.id;
        if !found {
            tracing::warn!(%endpoint, "the store does not know the endpoint that is to be changed");
        }
        let disabled = self.waiting.pop_front().and_then(|pending| pending.disabled);
        if let Some(Disabled { reason, failing_since_ms }) = disabled {
            around.environment.observer.endpoint_changed(&EndpointNotice {
                key: prepared.runtime.key,
                endpoint,
                owner: prepared.runtime.owner,
                application: prepared.runtime.application,
                at_ms: around.now.wall_ms,
                change: EndpointEvent::Disabled { reason, failing_since_ms },
            });
        }
        disabled.is_some()
    }
}
