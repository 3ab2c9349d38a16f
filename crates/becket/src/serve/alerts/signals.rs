//! What deliveries and requests tell in passing: only of failures, and only what fits.
//!
//! Invariant: a request that is accepted and an attempt that succeeds cost nothing here.

use std::collections::HashMap;

use becket_engine::{AttemptReport, DeliveryTurn, EndpointEvent, EndpointNotice};
use becket_model::{ApplicationKey, EndpointId, NextStep};
use becket_store::{Owner, Scope};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::passed::Passed;

/// How many sources and how many endpoints are noted between two looks.
const NOTED_MAX: usize = 5_000;
/// Earlier attempts are nobody's last but one.
const NUMBER_MIN: u32 = 2;

/// What was noted of an endpoint since the last look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Noted {
    #[serde(with = "owner_number")]
    pub(super) owner: Owner,
    #[serde(with = "application_number")]
    pub(super) application: ApplicationKey,
    /// It fails, by more than a single attempt.
    pub(super) failing: bool,
    /// Why it was switched off.
    pub(super) disabled: Option<String>,
    /// How many deliveries were given up.
    pub(super) exhausted: u64,
    /// The highest number of a failed attempt that will be followed by another.
    pub(super) number_max: u32,
    /// What the last failed attempt came to.
    pub(super) said: Option<String>,
}

/// Where it is noted.
#[derive(Default)]
pub(crate) struct Signals {
    refused: Mutex<HashMap<Scope, u64>>,
    endpoints: Mutex<HashMap<EndpointId, Noted>>,
}

impl Signals {
    pub(super) fn take_refused(&self) -> HashMap<Scope, u64> {
        std::mem::take(&mut self.refused.lock())
    }

    pub(super) fn take_endpoints(&self) -> HashMap<EndpointId, Noted> {
        std::mem::take(&mut self.endpoints.lock())
    }

    /// Takes everything that was noted, for another node.
    pub(super) fn take_all(&self) -> Passed {
        let refused = self.take_refused().into_iter();
        let refused =
            refused.map(|(at, count)| (at.owner.number(), at.application.map(|key| key.0), count));
        Passed {
            refused: refused.collect(),
            endpoints: self.take_endpoints().into_iter().collect(),
            seen: Vec::new(),
        }
    }

    /// Notes what another node has noted.
    pub(super) fn add(&self, passed: Passed) {
        for (owner, application, count) in passed.refused {
            let at =
                Scope { owner: Owner::new(owner), application: application.map(ApplicationKey) };
            *self.refused.lock().entry(at).or_insert(0) += count;
        }
        for (endpoint, other) in passed.endpoints {
            self.note(other.owner, other.application, endpoint, |noted| {
                noted.failing |= other.failing;
                noted.exhausted += other.exhausted;
                noted.number_max = noted.number_max.max(other.number_max);
                noted.said = other.said.or(noted.said.take());
                noted.disabled = noted.disabled.take().or(other.disabled);
            });
        }
    }

    /// A source refused a request because it could not be verified.
    pub(crate) fn refused(&self, source: Scope) {
        let mut refused = self.refused.lock();
        if refused.len() < NOTED_MAX || refused.contains_key(&source) {
            *refused.entry(source).or_insert(0) += 1;
        }
    }

    /// An attempt has failed.
    pub(crate) fn failed(&self, report: &AttemptReport) {
        let comes_again = matches!(report.next, NextStep::RetryAt(_));
        // One that was not ready has neither status nor error.
        let has_failed = report.status.is_some() || report.error_code.is_some();
        if !has_failed || (comes_again && report.number < NUMBER_MIN) {
            return;
        }
        self.note(report.owner, report.application, report.endpoint, |noted| {
            if comes_again {
                noted.number_max = noted.number_max.max(report.number);
            }
            noted.said = said(report);
        });
    }

    /// A delivery took a turn.
    pub(crate) fn turned(&self, report: &AttemptReport, turn: DeliveryTurn) {
        if turn == DeliveryTurn::Recovered {
            return;
        }
        self.note(report.owner, report.application, report.endpoint, |noted| {
            noted.said = said(report);
            match turn {
                DeliveryTurn::Failing => noted.failing = true,
                DeliveryTurn::Exhausted => noted.exhausted += 1,
                DeliveryTurn::Recovered => {}
            }
        });
    }

    /// The engine has changed an endpoint, or noticed something about it.
    pub(crate) fn endpoint_changed(&self, notice: &EndpointNotice) {
        let disabled = match &notice.change {
            EndpointEvent::Disabled { reason, .. } => Some(reason.sentence()),
            EndpointEvent::Failing { .. } | EndpointEvent::BreakerOpened => None,
            EndpointEvent::Recovered { .. } | EndpointEvent::BreakerClosed => return,
        };
        self.note(notice.owner, notice.application, notice.endpoint, |noted| {
            noted.failing |= disabled.is_none();
            if noted.disabled.is_none() {
                noted.disabled = disabled.map(str::to_owned);
            }
        });
    }

    fn note(
        &self,
        owner: Owner,
        application: ApplicationKey,
        endpoint: EndpointId,
        change: impl FnOnce(&mut Noted),
    ) {
        let mut endpoints = self.endpoints.lock();
        if endpoints.len() >= NOTED_MAX && !endpoints.contains_key(&endpoint) {
            return;
        }
        change(endpoints.entry(endpoint).or_insert(Noted {
            owner,
            application,
            failing: false,
            disabled: None,
            exhausted: 0,
            number_max: 0,
            said: None,
        }));
    }
}

fn said(report: &AttemptReport) -> Option<String> {
    match (report.status, report.error_code) {
        (Some(status), _) => Some(format!("HTTP status {status}")),
        (None, Some(code)) => Some(code.to_owned()),
        (None, None) => None,
    }
}

mod owner_number {
    use becket_store::Owner;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(owner: &Owner, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(owner.number())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Owner, D::Error> {
        u32::deserialize(from).map(Owner::new)
    }
}

mod application_number {
    use becket_model::ApplicationKey;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &ApplicationKey, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(key.0)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<ApplicationKey, D::Error> {
        u32::deserialize(from).map(ApplicationKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_nodes_noted_is_added_up() {
        let (here, there) = (Signals::default(), Signals::default());
        let source = Scope::of(Owner::new(3), ApplicationKey(7));
        (0..2).for_each(|_| here.refused(source));
        (0..3).for_each(|_| there.refused(source));
        let id = EndpointId::new(1, [2; 14]);
        let note = |signals: &Signals, exhausted, disabled: Option<&str>| {
            signals.note(Owner::MAIN, ApplicationKey(1), id, |noted| {
                noted.exhausted += exhausted;
                noted.disabled = disabled.map(str::to_owned);
            });
        };
        note(&here, 1, None);
        note(&there, 4, Some("gone"));
        let passed = serde_json::to_string(&there.take_all()).unwrap();
        assert!(there.take_refused().is_empty() && there.take_endpoints().is_empty());
        here.add(serde_json::from_str(&passed).unwrap());
        assert_eq!(here.take_refused()[&source], 5);
        let noted = &here.take_endpoints()[&id];
        assert_eq!((noted.exhausted, noted.disabled.as_deref()), (5, Some("gone")));
    }
}
