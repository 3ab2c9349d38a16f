//! What deliveries and requests tell in passing: only of failures, and only what fits.
//!
//! Invariant: a request that is accepted and an attempt that succeeds cost nothing here.

use std::collections::HashMap;

use becket_engine::{AttemptReport, DeliveryTurn, EndpointEvent, EndpointNotice};
use becket_model::{ApplicationKey, EndpointId, NextStep};
use becket_store::{Owner, Scope};
use parking_lot::Mutex;

/// How many sources and how many endpoints are noted between two looks.
const NOTED_MAX: usize = 5_000;
/// Earlier attempts are nobody's last but one.
const NUMBER_MIN: u32 = 2;

/// What was noted of an endpoint since the last look.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    pub(super) owner: Owner,
    pub(super) application: ApplicationKey,
    /// It fails, by more than a single attempt.
    pub(super) failing: bool,
    /// Why it was switched off.
    pub(super) disabled: Option<&'static str>,
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
            noted.disabled = noted.disabled.or(disabled);
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
