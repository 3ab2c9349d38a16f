//! Deliveries to a developer's `becket listen`: the engine's side of the API's relay.
//!
//! Invariants: what a handler refused is not tried again by itself (a person replays it); what was
//! under way on a lost connection is, as soon as somebody is connected.

use std::sync::Arc;

use async_trait::async_trait;
use becket_api::{Relay, RelayAnswer, RelayDelivery, Relayed};
use becket_egress::action::{Action, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome, Timings};
use becket_model::{EndpointKey, EndpointKind, EndpointState};
use becket_store::Endpoint;

/// Hands the deliveries of one endpoint to whoever listens.
pub(super) struct ListenAction {
    relay: Arc<Relay>,
    endpoint: EndpointKey,
}

impl ListenAction {
    pub(super) fn new(relay: &Arc<Relay>, endpoint: EndpointKey) -> Self {
        Self { relay: Arc::clone(relay), endpoint }
    }
}

/// The state of an endpoint as the engine has it: nothing is attempted while nobody listens.
pub(super) fn state_of(relay: &Relay, endpoint: &Endpoint) -> EndpointState {
    let listens =
        endpoint.settings.kind != EndpointKind::Listen || relay.is_connected(endpoint.key);
    match endpoint.state {
        EndpointState::Enabled if !listens => EndpointState::Paused,
        state => state,
    }
}

#[async_trait]
impl Action for ListenAction {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        let delivery = RelayDelivery {
            event_id: request.event_id,
            event_type: request.event_type,
            source: request.source,
            endpoint_id: request.endpoint,
            attempt: request.attempt,
            received_at_ms: request.received_at_ms,
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            timeout_ms: request.timeout_ms,
        };
        match self.relay.deliver(self.endpoint, delivery).await {
            Relayed::Answered(answer) => outcome(*answer),
            Relayed::Gone => AttemptOutcome::not_ready(
                AttemptError::ListenerGone,
                "delivered again as soon as somebody listens",
            ),
        }
    }
}

/// What a handler answered, as an attempt came to it.
fn outcome(answer: RelayAnswer) -> AttemptOutcome {
    let known = |code: &str| AttemptError::ALL.into_iter().find(|error| error.code() == code);
    let error = match (&answer.error, answer.status) {
        (Some(code), _) => Some(known(code).unwrap_or(AttemptError::ConnectFailed)),
        (None, Some(_)) => None,
        (None, None) => Some(AttemptError::ClosedEarly),
    };
    let [dns_us, connect_us, tls_us, first_byte_us, total_us] = answer.timings_us;
    let timings =
        Timings { dns_us, connect_us, tls_us, first_byte_us, total_us, reused: answer.reused };
    let mut outcome = AttemptOutcome {
        status: answer.status,
        error,
        headers: answer.headers,
        body: answer.body,
        body_truncated: answer.body_truncated,
        timings,
        note: answer.note,
        ..AttemptOutcome::default()
    };
    if !outcome.is_success() {
        outcome.acted = Some(Acted::GiveUp);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_refuses_is_final_and_keeps_its_status() {
        let answer = |status, error: Option<&str>| RelayAnswer {
            status,
            error: error.map(str::to_owned),
            ..RelayAnswer::default()
        };
        let fine = outcome(answer(Some(204), None));
        assert!(fine.is_success() && fine.acted.is_none());
        let refused = outcome(answer(Some(410), None));
        assert_eq!((refused.status, refused.acted), (Some(410), Some(Acted::GiveUp)));
        let down = outcome(answer(None, Some("connect_refused")));
        assert_eq!(down.error, Some(AttemptError::ConnectRefused));
        assert_eq!(down.acted, Some(Acted::GiveUp));
        let odd = outcome(answer(None, Some("something else")));
        assert_eq!(odd.error, Some(AttemptError::ConnectFailed));
        assert_eq!(outcome(answer(None, None)).error, Some(AttemptError::ClosedEarly));
    }
}
