//! Hands the results of a batch back to the threads that wait for them, one wake-up per thread.
//!
//! Waking a runtime from another thread costs a system call; doing it for every request of a batch
//! would cost more than storing them. So each calling thread has a hub: a task that takes a whole
//! batch of answers and wakes its neighbours from within.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use becket_store::{Accepted, FinishOutcome, Result, StoreError};
use tokio::sync::{mpsc, oneshot};

static HUB_NUMBER: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static HUB: RefCell<Option<Hub>> = const { RefCell::new(None) };
}

/// Where the answers for one thread go.
#[derive(Clone)]
pub(crate) struct Hub {
    number: u64,
    answers: mpsc::UnboundedSender<Vec<Answer>>,
}

impl Hub {
    /// The hub of this thread's runtime. Has to be called inside a runtime.
    pub(crate) fn here() -> Self {
        HUB.with_borrow_mut(|slot| match slot {
            Some(hub) if !hub.answers.is_closed() => hub.clone(),
            _ => {
                let hub = Self::start();
                *slot = Some(hub.clone());
                hub
            }
        })
    }

    fn start() -> Self {
        let (answers, mut batches) = mpsc::unbounded_channel::<Vec<Answer>>();
        tokio::spawn(async move {
            while let Some(batch) = batches.recv().await {
                batch.into_iter().for_each(Answer::give);
            }
        });
        Self { number: HUB_NUMBER.fetch_add(1, Ordering::Relaxed), answers }
    }
}

/// A promise to somebody who waits.
pub(crate) struct Promise<T> {
    hub: Hub,
    slot: oneshot::Sender<Result<T>>,
}

impl<T> Promise<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<T>>) {
        let (slot, receiver) = oneshot::channel();
        (Self { hub: Hub::here(), slot }, receiver)
    }
}

/// Waits for a promise; a writer that is gone means a closed store.
pub(crate) async fn kept<T>(receiver: oneshot::Receiver<Result<T>>) -> Result<T> {
    receiver.await.unwrap_or(Err(StoreError::Closed))
}

/// A result on its way to whoever waits for it. One who no longer waits is no error.
pub(crate) enum Answer {
    Accepted(oneshot::Sender<Result<Accepted>>, Result<Accepted>),
    Finished(oneshot::Sender<Result<FinishOutcome>>, Result<FinishOutcome>),
}

impl Answer {
    fn give(self) {
        match self {
            Self::Accepted(slot, result) => drop(slot.send(result)),
            Self::Finished(slot, result) => drop(slot.send(result)),
        }
    }
}

/// The answers of a batch, sorted by the thread that waits.
#[derive(Default)]
pub(crate) struct Answers(HashMap<u64, (Hub, Vec<Answer>)>);

impl Answers {
    pub(crate) fn accepted(&mut self, promise: Promise<Accepted>, result: Result<Accepted>) {
        self.push(promise.hub, Answer::Accepted(promise.slot, result));
    }

    pub(crate) fn finished(
        &mut self,
        promise: Promise<FinishOutcome>,
        result: Result<FinishOutcome>,
    ) {
        self.push(promise.hub, Answer::Finished(promise.slot, result));
    }

    fn push(&mut self, hub: Hub, answer: Answer) {
        self.0.entry(hub.number).or_insert_with(|| (hub, Vec::new())).1.push(answer);
    }

    /// Sends everything off.
    pub(crate) fn send(&mut self) {
        for (_, (hub, answers)) in self.0.drain() {
            // A closed hub belongs to a runtime that has ended, and with it everybody who waited.
            drop(hub.answers.send(answers));
        }
    }
}
