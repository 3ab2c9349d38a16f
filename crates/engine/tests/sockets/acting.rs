//! Endpoints that act, and transformations, through the engine.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use becket_egress::action::Transformed;
use becket_egress::action::{Action, ActionRequest, Transform, TransformFailure, TransformInput};
use becket_egress::{AttemptError, AttemptOutcome};
use becket_model::{
    DeliveryState, EndpointKind, EndpointSettings, EventId, KeptBody, RetrySchedule,
};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{BODY, Gateway, receiver, signing_key};

/// Answers with what it was given, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<AttemptOutcome>>,
    asked: Mutex<Vec<ActionRequest>>,
}

#[async_trait]
impl Action for Scripted {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        self.asked.lock().push(request);
        self.answers.lock().pop_front().expect("an answer for every attempt")
    }
}

async fn acting(answers: Vec<AttemptOutcome>) -> (Gateway, Arc<Scripted>) {
    let scripted =
        Arc::new(Scripted { answers: Mutex::new(answers.into()), ..Scripted::default() });
    let settings = EndpointSettings {
        kind: EndpointKind::Exec,
        retry: RetrySchedule { delays_ms: vec![5, 5] },
        ..EndpointSettings::for_url("exec:deploy")
    };
    let action: Arc<dyn Action> = scripted.clone();
    let gateway = Gateway::start_changed(vec![settings], |runtime| {
        runtime.action = Some(Arc::clone(&action));
    })
    .await;
    (gateway, scripted)
}

async fn ended(gateway: &Gateway, event: EventId, state: DeliveryState) {
    assert_eq!(gateway.ended(event).await.deliveries[0].state, state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_is_asked_until_it_is_done() {
    let failed = AttemptOutcome::not_done(AttemptError::ProgramFailed, "exit code 3");
    let absent = AttemptOutcome::not_ready(AttemptError::ListenerGone, "");
    let mut done = AttemptOutcome::done("exit code 0");
    done.body = Bytes::from_static(b"deployed\n");
    let (gateway, scripted) = acting(vec![absent, failed, done]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    ended(&gateway, event, DeliveryState::Delivered).await;
    let asked = std::mem::take(&mut *scripted.asked.lock());
    assert_eq!(asked.iter().map(|request| request.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let first = &asked[0];
    assert_eq!((first.event_id.as_str(), &first.body[..]), (event.to_string().as_str(), BODY));
    assert_eq!((first.method.as_str(), first.source.as_str()), ("POST", "shop"));
    assert_eq!(first.headers["webhook-id"], event.to_string().as_str());
    let attempts = gateway.attempts(event).await;
    let codes: Vec<_> = attempts.iter().map(|row| row.attempt.error_code.as_deref()).collect();
    assert_eq!(codes, [Some("listener_gone"), Some("program_failed"), None]);
    let detail = super::detail_of(&attempts[2]);
    assert_eq!((detail.url.as_str(), detail.note.as_str()), ("exec:deploy", "exit code 0"));
    assert_eq!(detail.output.expect("kept").body, KeptBody::Text("deployed\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_may_give_up_and_the_endpoint_stays_in_use() {
    let mut answers: Vec<_> = (0..20)
        .map(|_| AttemptOutcome::given_up(AttemptError::RowInvalid, "no column fits"))
        .collect();
    answers.push(AttemptOutcome::done(""));
    let (gateway, scripted) = acting(answers).await;
    for _ in 0..20 {
        let event = gateway.receive(gateway.keys[0]).await;
        ended(&gateway, event, DeliveryState::Failed).await;
    }
    let event = gateway.receive(gateway.keys[0]).await;
    ended(&gateway, event, DeliveryState::Delivered).await;
    assert_eq!(scripted.asked.lock().len(), 21, "one attempt each, and no breaker in between");
}

/// What a transformation is to make of every delivery.
struct Making(Mutex<VecDeque<Result<Transformed, TransformFailure>>>);

#[async_trait]
impl Transform for Making {
    async fn transform(&self, input: TransformInput) -> Result<Transformed, TransformFailure> {
        assert_eq!((&input.body[..], input.event_type.as_deref()), (BODY, Some("order.paid")));
        assert!(!input.headers.contains_key("webhook-signature"), "signed afterwards");
        let made = self.0.lock().pop_front().expect("one for every attempt");
        made.map(|made| Transformed { headers: input.headers, ..made })
    }
}

async fn transforming(url: &str, made: Vec<Result<Transformed, TransformFailure>>) -> Gateway {
    let settings = EndpointSettings {
        retry: RetrySchedule { delays_ms: vec![5] },
        ..EndpointSettings::for_url(url)
    };
    let transform: Arc<dyn Transform> = Arc::new(Making(Mutex::new(made.into())));
    Gateway::start_changed(vec![settings], |runtime| {
        runtime.transform = Some(Arc::clone(&transform));
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transformed_delivery_is_signed_as_it_is_sent() {
    let (port, mut arrived) =
        receiver(Some(("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0))).await;
    let failure = TransformFailure {
        error: AttemptError::TransformFailed,
        note: "line 1: no".to_owned(),
        log: String::new(),
    };
    let made = Transformed {
        body: Bytes::from_static(b"{}"),
        url: Some(format!("http://127.0.0.1:{port}/elsewhere")),
        method: Some(http::Method::PUT),
        ..Transformed::default()
    };
    let gateway =
        transforming(&format!("http://127.0.0.1:{port}/"), vec![Err(failure), Ok(made)]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    ended(&gateway, event, DeliveryState::Delivered).await;
    let request = arrived.recv().await.expect("one");
    assert!(request.head.starts_with("PUT /elsewhere "), "{}", request.head);
    assert_eq!(request.body, b"{}");
    let at_s: i64 = request.header("webhook-timestamp").expect("signed").parse().expect("number");
    let signature = becket_signature::standard_webhooks::sign_headers(
        &[signing_key()],
        &event.to_string(),
        at_s,
        b"{}",
    );
    assert_eq!(request.header("webhook-signature"), Some(signature.as_str()));
    let attempts = gateway.attempts(event).await;
    assert_eq!(attempts[0].attempt.error_code.as_deref(), Some("transform_failed"));
    assert_eq!(super::detail_of(&attempts[0]).note, "line 1: no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_delivery_is_done_and_sends_nothing() {
    let (port, mut arrived) =
        receiver(Some(("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0))).await;
    let made = Transformed { cancel: true, ..Transformed::default() };
    let gateway = transforming(&format!("http://127.0.0.1:{port}/"), vec![Ok(made)]).await;
    let event = gateway.receive(gateway.keys[0]).await;
    ended(&gateway, event, DeliveryState::Delivered).await;
    assert!(arrived.try_recv().is_err(), "nothing was sent");
}
