//! The action itself: a thread of its own for each endpoint with the broker's connection on it, and
//! one attempt with as many tries as its time allows.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use becket_egress::action::{Action, ActionRequest};
use becket_egress::{AttemptError, AttemptOutcome};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::Message;
use crate::plan::{QueueError, QueuePlan};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a message was not confirmed. The texts are sentences.
#[cfg_attr(
    not(any(feature = "nats", feature = "amqp", feature = "redis")),
    expect(dead_code, reason = "without brokers nothing can fail")
)]
pub(crate) enum Trouble {
    /// The broker cannot be reached, or the connection broke: worth another try at once.
    Unreachable(String),
    /// It does not take the message now; somebody may have to set something up.
    Refused(String),
    /// It will never take this message.
    Never(String),
}

/// A broker that messages are published to. It connects when first needed, and again when its
/// connection broke.
#[async_trait]
pub(crate) trait Broker: Send + Sync + 'static {
    /// Publishes once, and waits for the broker's word. What it answers ends "published ...".
    async fn publish(&self, message: &Message, until: Instant) -> Result<String, Trouble>;
}

/// Publishes a message for each delivery.
pub struct QueueAction {
    plan: QueuePlan,
    running: OnceLock<Result<Running, QueueError>>,
}

struct Running {
    broker: Arc<dyn Broker>,
    runtime: Handle,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl QueueAction {
    /// An action that has not begun: its thread and its connection come with the first delivery.
    ///
    /// # Errors
    /// [`QueueError::Url`] if the broker's library cannot read the URL.
    pub fn new(plan: QueuePlan) -> Result<Self, QueueError> {
        broker(&plan)?;
        Ok(Self { plan, running: OnceLock::new() })
    }

    fn running(&self) -> Result<&Running, QueueError> {
        let start = || {
            let (runtime, stop) = start_runtime()?;
            Ok(Running { broker: broker(&self.plan)?, runtime, _stop: stop })
        };
        self.running.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

/// The broker of a plan, not connected yet.
fn broker(plan: &QueuePlan) -> Result<Arc<dyn Broker>, QueueError> {
    match plan.kind {
        #[cfg(feature = "nats")]
        crate::BrokerKind::Nats => Ok(Arc::new(crate::nats::Nats::new(&plan.settings)?)),
        #[cfg(feature = "amqp")]
        crate::BrokerKind::Amqp => Ok(Arc::new(crate::amqp::Amqp::new(&plan.settings)?)),
        #[cfg(feature = "redis")]
        crate::BrokerKind::Redis => Ok(Arc::new(crate::redis::Redis::new(&plan.settings)?)),
        #[cfg(not(all(feature = "nats", feature = "amqp", feature = "redis")))]
        kind => Err(QueueError::NotBuiltIn { kind }),
    }
}

/// A thread that runs the connection of one endpoint until the sender is dropped.
fn start_runtime() -> Result<(Handle, oneshot::Sender<()>), QueueError> {
    let failed = |error: std::io::Error| QueueError::Thread(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    std::thread::Builder::new()
        .name("becket-queue".to_owned())
        .spawn(move || {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })
        .map_err(failed)?;
    Ok((handle, stop))
}

#[async_trait]
impl Action for QueueAction {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        let until = Instant::now() + Duration::from_millis(request.timeout_ms);
        let message = match Message::of(&self.plan, &request) {
            Ok(message) => message,
            Err(problem) => return AttemptOutcome::given_up(AttemptError::QueueRefused, problem),
        };
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => return unreachable(error.to_string()),
        };
        let broker = Arc::clone(&running.broker);
        let endpoint = request.endpoint;
        let task = running
            .runtime
            .spawn(async move { publish(broker.as_ref(), &message, until, &endpoint).await });
        let mut task = Aborting(task);
        match (&mut task.0).await {
            Ok(outcome) => outcome,
            Err(_) => unreachable("The gateway broke the attempt off."),
        }
    }
}

/// Publishes until the broker answers or the time is over, with growing pauses between the tries.
async fn publish(
    broker: &dyn Broker,
    message: &Message,
    until: Instant,
    endpoint: &str,
) -> AttemptOutcome {
    let mut pause = FIRST_PAUSE;
    let mut last = "The broker did not answer in the endpoint's time.".to_owned();
    loop {
        let Ok(tried) = tokio::time::timeout_at(until, broker.publish(message, until)).await else {
            return unreachable(last);
        };
        match tried {
            Ok(note) => return AttemptOutcome::done(format!("published {note}")),
            Err(Trouble::Refused(problem)) => {
                return AttemptOutcome::not_done(AttemptError::QueueRefused, problem);
            }
            Err(Trouble::Never(problem)) => {
                return AttemptOutcome::given_up(AttemptError::QueueRefused, problem);
            }
            Err(Trouble::Unreachable(problem)) => {
                tracing::debug!(endpoint, problem, "queue.try_again");
                last = problem;
            }
        }
        if Instant::now() + pause >= until {
            return unreachable(last);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn unreachable(note: impl Into<String>) -> AttemptOutcome {
    AttemptOutcome::not_done(AttemptError::QueueUnreachable, note)
}

/// Breaks the task off when nobody waits for it any more.
struct Aborting<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
