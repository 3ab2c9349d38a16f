//! Accepting events: calls that come together share a commit.
//!
//! Calls stand in one bounded queue. A few writers, each with a session of its own, take what stands
//! there and store it with one statement. The first writer never waits for company; another one joins
//! while the others are at work, if enough stands there or something has stood there for
//! [`PATIENCE`]. So a lone event is committed at once, and many share few commits.
//!
//! Invariants: what a call was told is committed, and confirmed without a warning. Every call gets its
//! own answer: what is wrong with one event fails that one only. An outcome that is not known is told
//! as unavailable; the sender's retry is recognised as a repeat by then, if it was stored after all.
//!
//! Where next: `statement` for the one statement, `writer` for batches and what can go wrong with
//! them, `repeat` for events that have come before, `restart` for those of them that have failed,
//! `doubt` for commits whose outcome was not told.

mod doubt;
mod repeat;
mod restart;
mod statement;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use becket_store::{Accepted, EventAccept, Result, Scope, StoreError};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use self::doubt::Doubts;
pub(crate) use self::repeat::repeat_in;
use self::restart::Restarts;
pub(crate) use self::statement::{Drawn, labels_column, store_in};
use crate::options::Options;
use crate::shared::Shared;

/// The most events in one commit.
const BATCH_EVENTS: usize = 256;
/// The most bytes of requests in one commit; a single larger event goes alone.
const BATCH_BYTES: usize = 4 << 20;
/// The most deliveries in one commit; an event with more goes alone.
const BATCH_DELIVERIES: usize = 4_096;
/// The most bytes of requests that may stand in the queue.
const QUEUE_BYTES: usize = 64 << 20;
/// So many events for each writer at work are enough for another one to join.
const COMPANY: usize = 128;
/// Nothing stands in the queue for longer than this while a writer is free.
const PATIENCE: Duration = Duration::from_millis(3);

/// An event that waits to be stored.
pub(crate) struct Job {
    accept: EventAccept,
    reply: oneshot::Sender<Result<Accepted>>,
    /// How often it was taken for a repeat of what was gone then.
    rounds: u8,
}

impl Job {
    fn bytes(&self) -> usize {
        self.accept.record.packed().len()
    }

    fn answer(self, answer: Result<Accepted>) {
        // Who gave up waiting needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// What waits to be accepted.
pub(crate) struct Accepting {
    queue: Mutex<Queue>,
    /// Something for a writer to look at.
    work: Notify,
    /// Something for whoever starts failed events again.
    failed: Notify,
    /// Nothing is left to do.
    rest: Notify,
    events_max: usize,
    /// Writers that have a session.
    connected: AtomicUsize,
    /// Leases of commits whose outcome is not known.
    pub(crate) doubts: Doubts,
}

struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// When what stands there began to.
    since: Instant,
    /// Writers at work.
    busy: usize,
    /// Repeats of what may have failed.
    restarts: Restarts,
    /// The store is being closed and the last one has been answered: nobody looks here any more.
    closed: bool,
}

impl Queue {
    fn new() -> Self {
        let (jobs, since, restarts) = (VecDeque::new(), Instant::now(), Restarts::default());
        Self { jobs, bytes: 0, since, busy: 0, restarts, closed: false }
    }

    /// Ends the queue if nothing is left in it.
    fn close(&mut self) -> bool {
        self.closed |= self.is_finished();
        self.closed
    }

    fn is_finished(&self) -> bool {
        self.busy == 0 && self.jobs.is_empty() && self.restarts.is_empty()
    }
}

/// What a free writer should do.
enum Next {
    Write(Vec<Job>),
    /// There is something to write: get able to.
    Prepare,
    /// Look again then.
    WaitUntil(Instant),
    Wait,
}

impl Accepting {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            queue: Mutex::new(Queue::new()),
            work: Notify::new(),
            failed: Notify::new(),
            rest: Notify::new(),
            events_max: options.queue_max,
            connected: AtomicUsize::new(0),
            doubts: Doubts::default(),
        }
    }

    fn push(&self, job: Job) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        let bytes = queue.bytes + job.bytes();
        let waiting = queue.jobs.len();
        if waiting >= self.events_max || (waiting > 0 && bytes > QUEUE_BYTES) {
            return Err(StoreError::Busy { waiting });
        }
        if waiting == 0 {
            queue.since = Instant::now();
        }
        queue.bytes = bytes;
        queue.jobs.push_back(job);
        // Whoever is at work looks again afterwards.
        let call = waiting == 0 || queue.jobs.len() == COMPANY * queue.busy;
        drop(queue);
        if call {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Puts back what has to be tried again, before everything else.
    fn again(&self, job: Job) {
        let mut queue = self.queue.lock();
        queue.bytes += job.bytes();
        queue.jobs.push_front(job);
        drop(queue);
        self.work.notify_one();
    }

    /// What a free writer should do. One that is not `able` takes nothing.
    fn next(&self, able: bool) -> Next {
        let mut queue = self.queue.lock();
        if queue.jobs.is_empty() {
            return Next::Wait;
        }
        let patience = queue.since + PATIENCE;
        let enough = queue.busy == 0 || queue.jobs.len() >= COMPANY * queue.busy;
        if !enough && Instant::now() < patience {
            return Next::WaitUntil(patience);
        }
        if !able {
            drop(queue);
            // Another one may be free.
            self.work.notify_one();
            return Next::Prepare;
        }
        let mut batch = Vec::with_capacity(queue.jobs.len().min(BATCH_EVENTS));
        let (mut bytes, mut deliveries) = (0, 0);
        while batch.len() < BATCH_EVENTS
            && let Some(job) = queue.jobs.front()
        {
            bytes += job.bytes();
            deliveries += job.accept.planned.len();
            let full = bytes > BATCH_BYTES || deliveries > BATCH_DELIVERIES;
            if full && !batch.is_empty() {
                break;
            }
            queue.bytes -= job.bytes();
            batch.extend(queue.jobs.pop_front());
        }
        queue.since = Instant::now();
        queue.busy += 1;
        let others = !queue.jobs.is_empty();
        drop(queue);
        if others {
            self.work.notify_one();
        }
        Next::Write(batch)
    }

    /// A writer has finished its batch.
    fn done(&self) {
        let mut queue = self.queue.lock();
        queue.busy -= 1;
        if queue.is_finished() {
            self.rest.notify_waiters();
        }
    }

    /// Waits until nothing is queued or being written; what comes afterwards is told so.
    async fn finished(&self) {
        loop {
            let rest = self.rest.notified();
            if self.queue.lock().close() {
                return;
            }
            rest.await;
        }
    }
}

/// Starts the writers.
pub(crate) fn start(shared: &Arc<Shared>) {
    for _ in 0..shared.options.writers.max(1) {
        shared.spawn(writer::work(Arc::clone(shared)));
    }
    shared.spawn(restart::work(Arc::clone(shared)));
    shared.spawn(doubt::work(Arc::clone(shared)));
}

/// Waits until what is queued is written.
pub(crate) async fn close(shared: &Arc<Shared>) {
    shared.accepting.finished().await;
}

/// See [`becket_store::Store::event_accept`].
pub(crate) async fn event_accept(
    shared: &Arc<Shared>,
    scope: Scope,
    accept: EventAccept,
) -> Result<Accepted> {
    shared.open()?;
    if !shared.in_scope(scope, accept.application).await? {
        let (application, owner) = (accept.application.0, scope.owner.number());
        let detail = format!("source {application} is not one of owner {owner}");
        return Err(StoreError::Database { operation: "event_accept", detail });
    }
    let (reply, answer) = oneshot::channel();
    shared.accepting.push(Job { accept, reply, rounds: 0 })?;
    let _waiting = shared.meters.wait();
    // No answer: the writers ended with the store.
    answer.await.unwrap_or(Err(StoreError::Closed))
}

#[cfg(test)]
mod tests {
    use becket_model::{
        ApplicationKey, Disposition, EndpointKey, EventLabels, EventRecord, PackedHeaders,
    };
    use becket_store::Planned;

    use super::*;

    fn queue() -> Accepting {
        Accepting {
            queue: Mutex::new(Queue::new()),
            work: Notify::new(),
            failed: Notify::new(),
            rest: Notify::new(),
            events_max: 1_000,
            connected: AtomicUsize::new(0),
            doubts: Doubts::default(),
        }
    }

    fn job(bytes: usize) -> Job {
        let record = PackedHeaders::with_capacity(0).finish(&vec![0; bytes]);
        let accept = EventAccept {
            application: ApplicationKey(1),
            received_at_ms: 0,
            event_type: None,
            dedupe: None,
            disposition: Disposition::Accepted,
            labels: EventLabels::default(),
            record: EventRecord::from_packed(record).unwrap(),
            planned: Vec::new(),
            due_ms: None,
            lease_until_ms: 0,
        };
        Job { accept, reply: oneshot::channel().0, rounds: 0 }
    }

    fn taken(next: Next) -> Option<usize> {
        match next {
            Next::Write(batch) => Some(batch.len()),
            Next::Prepare | Next::WaitUntil(_) | Next::Wait => None,
        }
    }

    #[test]
    fn a_lone_event_goes_at_once_and_later_ones_wait_for_company() {
        let queue = queue();
        assert!(matches!(queue.next(true), Next::Wait));
        queue.push(job(1)).unwrap();
        assert_eq!(taken(queue.next(true)), Some(1));
        queue.push(job(1)).unwrap();
        assert!(matches!(queue.next(true), Next::WaitUntil(_)), "one writer is at work");
        for _ in 1..COMPANY {
            queue.push(job(1)).unwrap();
        }
        assert_eq!(taken(queue.next(true)), Some(COMPANY), "these are enough for a second one");
        queue.push(job(1)).unwrap();
        queue.done();
        std::thread::sleep(PATIENCE * 2);
        assert_eq!(taken(queue.next(true)), Some(1), "it has waited long enough");
    }

    #[test]
    fn a_writer_without_a_session_leaves_everything_to_the_others() {
        let queue = queue();
        assert!(matches!(queue.next(false), Next::Wait));
        queue.push(job(1)).unwrap();
        assert!(matches!(queue.next(false), Next::Prepare));
        assert_eq!(taken(queue.next(true)), Some(1));
    }

    #[tokio::test]
    async fn nothing_is_queued_behind_the_end() {
        let queue = queue();
        queue.push(job(1)).unwrap();
        assert_eq!(taken(queue.next(true)), Some(1));
        queue.done();
        queue.finished().await;
        assert!(matches!(queue.push(job(1)), Err(StoreError::Closed)));
    }

    #[tokio::test]
    async fn the_end_comes_also_when_all_that_waits_is_refused() {
        let queue = Arc::new(queue());
        queue.push(job(1)).unwrap();
        let ending = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.finished().await }
        });
        tokio::time::sleep(PATIENCE).await;
        assert!(!ending.is_finished(), "something waits");
        queue.refuse(&StoreError::Closed);
        tokio::time::timeout(Duration::from_secs(30), ending).await.expect("it ends").unwrap();
    }

    #[test]
    fn batches_and_the_queue_are_bounded() {
        let queue = queue();
        for _ in 0..BATCH_EVENTS + 10 {
            queue.push(job(1)).unwrap();
        }
        assert_eq!(taken(queue.next(true)), Some(BATCH_EVENTS));
        queue.done();
        assert_eq!(taken(queue.next(true)), Some(10));
        queue.done();
        for bytes in [3 << 20, 1 << 20, 5 << 20, 1 << 20] {
            queue.push(job(bytes)).unwrap();
        }
        for expected in [1, 1, 1, 1] {
            assert_eq!(taken(queue.next(true)), Some(expected));
            queue.done();
        }
        for planned in [1_000; 5].into_iter().chain([9_000, 1]) {
            let mut job = job(1);
            let planned =
                (0..planned).map(|key| Planned { endpoint: EndpointKey(key), leased: true });
            job.accept.planned = planned.collect();
            queue.push(job).unwrap();
        }
        for expected in [4, 1, 1, 1] {
            assert_eq!(taken(queue.next(true)), Some(expected), "deliveries are bounded too");
            queue.done();
        }
        for _ in 0..1_000 {
            queue.push(job(1)).unwrap();
        }
        assert!(matches!(queue.push(job(1)), Err(StoreError::Busy { waiting: 1_000 })));
        let queue = self::queue();
        for _ in 0..63 {
            queue.push(job(1 << 20)).unwrap();
        }
        assert!(queue.push(job(2 << 20)).is_err(), "so many bytes do not fit");
    }
}
