//! The thread that owns the processes: takes calls in, gives them processes in the order that the
//! schedule says, and keeps the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::child::{self, Broken, Child, Wear};
use super::schedule::{Ended, Overdue, Rules, RunId, Schedule, Start};
use super::{Answer, Job, NoAnswer, PoolConfig};
use crate::limits;
use crate::script::shown_headers;
use crate::wire::{self, Request};

/// A process is replaced after it has worked for so long, well before its own limit.
const BUSY_MAX: Duration = Duration::from_secs(20);

/// Runs until nobody is left to send jobs.
pub(super) fn run(config: PoolConfig, jobs: mpsc::UnboundedReceiver<(u64, Job)>) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(Manager::new(config).work(jobs)),
        // The jobs are dropped, and whoever waits for them is told.
        Err(error) => tracing::error!(%error, "the sandboxes cannot be managed"),
    }
}

/// How a call came back from its process.
struct Returned {
    run: RunId,
    /// The process, if it is still of use.
    child: Option<Child>,
    busy: Duration,
    /// The processor time of the call, in microseconds, if there was an answer.
    used_us: Option<u64>,
    ended: Ended<Job>,
}

/// A hold on a call under way.
struct Hold {
    kill: Option<oneshot::Sender<()>>,
    process: Option<u32>,
    /// The processor time that the process had used before.
    before_us: u64,
    slowed: bool,
}

struct Idle {
    child: Child,
    since: Instant,
}

struct Manager {
    config: PoolConfig,
    started: Instant,
    schedule: Schedule<Job>,
    holds: HashMap<RunId, Hold>,
    returned: JoinSet<Returned>,
    /// Processes with nothing to do, the last one used last.
    idle: Vec<Idle>,
}

impl Manager {
    fn new(config: PoolConfig) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let rules = Rules {
            quick: config.quick.max(1),
            slow: config.slow.max(1),
            quantum_us: us(config.quantum),
            wait_max_us: us(config.wait_max),
        };
        Self {
            config,
            started: Instant::now(),
            schedule: Schedule::new(rules),
            holds: HashMap::new(),
            returned: JoinSet::new(),
            idle: Vec::new(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    async fn work(mut self, mut jobs: mpsc::UnboundedReceiver<(u64, Job)>) {
        loop {
            let sleep = tokio::time::sleep(self.sleep());
            tokio::select! {
                biased;
                Some(returned) = self.returned.join_next(), if !self.returned.is_empty() => {
                    self.take_back(returned);
                }
                job = jobs.recv() => match job {
                    Some((endpoint, job)) => self.take_in(endpoint, job),
                    None => return,
                },
                () = sleep => {}
            }
            self.look_after();
            self.begin();
        }
    }

    fn sleep(&self) -> Duration {
        let now_us = self.now_us();
        let schedule = self.schedule.wake_at_us();
        let schedule = schedule.map(|at_us| Duration::from_micros(at_us.saturating_sub(now_us)));
        let idle = self.idle.iter().map(|idle| idle.since).min();
        let idle = idle.map(|since| self.config.idle_max.saturating_sub(since.elapsed()));
        let soonest = schedule.into_iter().chain(idle).min().unwrap_or(Duration::from_secs(3_600));
        soonest.max(Duration::from_micros(500))
    }

    fn take_in(&mut self, endpoint: u64, job: Job) {
        let now_us = self.now_us();
        if let Err(job) = self.schedule.push(endpoint, job, now_us) {
            answer(job, Err(NoAnswer::TooMany));
        }
    }

    fn take_back(&mut self, returned: Result<Returned, tokio::task::JoinError>) {
        let returned = match returned {
            Ok(returned) => returned,
            Err(error) => {
                // Its place is lost; that must not happen, and must be seen if it does.
                tracing::error!(%error, "a call to a sandbox broke");
                return;
            }
        };
        let now_us = self.now_us();
        self.schedule.ended(returned.run, returned.ended, returned.used_us, now_us);
        let slowed = self.holds.remove(&returned.run).is_some_and(|hold| hold.slowed);
        let Some(mut child) = returned.child else { return };
        child.add_busy(returned.busy);
        if slowed && !child.is_slowed() {
            child.slow_down();
        }
        let wear = Wear { calls_max: self.config.calls_max, busy_max: BUSY_MAX };
        let alike = self.idle.iter().filter(|idle| idle.child.is_slowed() == child.is_slowed());
        let room = if child.is_slowed() { self.config.slow } else { self.config.quick + 1 };
        if child.is_fresh(wear) && alike.count() < room {
            self.idle.push(Idle { child, since: Instant::now() });
        } else {
            tokio::spawn(child.kill());
        }
    }

    /// Keeps the time: of calls in quick places, of calls that wait, of processes without work.
    fn look_after(&mut self) {
        let now_us = self.now_us();
        let holds = &self.holds;
        let used_us = |run| {
            let hold: &Hold = holds.get(&run)?;
            Some(child::processor_us(hold.process)?.saturating_sub(hold.before_us))
        };
        for verdict in self.schedule.overdue(now_us, used_us) {
            match verdict {
                Overdue::Moved(run) => {
                    if let Some(hold) = self.holds.get_mut(&run) {
                        hold.slowed = true;
                        child::slow_down(hold.process);
                    }
                }
                Overdue::Kill(run) => {
                    let kill = self.holds.get_mut(&run).and_then(|hold| hold.kill.take());
                    // Nobody listens if the call has just ended by itself.
                    kill.map(|kill| kill.send(()));
                }
            }
        }
        for job in self.schedule.expired(now_us) {
            answer(job, Err(NoAnswer::Waited(self.config.wait_max)));
        }
        let idle_max = self.config.idle_max;
        self.idle.retain(|idle| idle.since.elapsed() < idle_max);
    }

    /// Begins whatever has a place, and sees to it that a process is ready for the next one.
    fn begin(&mut self) {
        while let Some(start) = self.schedule.next(self.now_us()) {
            self.begin_one(start);
        }
        let quick_idle = self.idle.iter().any(|idle| !idle.child.is_slowed());
        if self.schedule.running() > 0 && !quick_idle {
            match Child::start(&self.config.launcher) {
                Ok(child) => self.idle.push(Idle { child, since: Instant::now() }),
                Err(error) => tracing::warn!(%error, "no spare sandbox"),
            }
        }
    }

    fn begin_one(&mut self, Start { run, slow, job }: Start<Job>) {
        let child =
            match self.idle_child(slow).map_or_else(|| Child::start(&self.config.launcher), Ok) {
                Ok(child) => child,
                Err(error) => {
                    answer(job, Err(NoAnswer::Broken(error.to_string())));
                    let now_us = self.now_us();
                    return self.schedule.ended(run, Ended::Done, None, now_us);
                }
            };
        let (kill, killed) = oneshot::channel();
        let (process, before_us) = (child.id(), child.processor_us());
        let hold = Hold { kill: Some(kill), process, before_us, slowed: slow };
        if slow {
            child::slow_down(hold.process);
        }
        self.holds.insert(run, hold);
        self.returned.spawn(perform(run, child, job, killed, self.config.wall));
    }

    /// A process with nothing to do that is alive. A quick call needs one that does not give way; a
    /// slow one takes what there is, but leaves the last quick one alone.
    fn idle_child(&mut self, slow: bool) -> Option<Child> {
        loop {
            let index = self.idle.iter().rposition(|idle| idle.child.is_slowed() == slow)?;
            let mut child = self.idle.remove(index).child;
            if child.is_alive() {
                return Some(child);
            }
        }
    }
}

/// One call, from its first byte to its answer.
async fn perform(
    run: RunId,
    mut child: Child,
    mut job: Job,
    killed: oneshot::Receiver<()>,
    wall: Duration,
) -> Returned {
    let (began, before_us) = (Instant::now(), child.processor_us());
    let body = job.input.as_ref().map(|input| input.body.clone()).unwrap_or_default();
    let front = match front(&job, wall) {
        Ok(front) => front,
        Err(error) => {
            answer(job, Err(NoAnswer::Broken(error.to_string())));
            let (child, ended) = (Some(child), Ended::Done);
            return Returned { run, child, busy: began.elapsed(), used_us: None, ended };
        }
    };
    let output_bytes = limits::output_bytes(body.len());
    let result = tokio::select! {
        biased;
        result = child.call(&front, &body, output_bytes) => result.map_err(|broken| match broken {
            Broken::Ended(_) | Broken::NotStarted(_) | Broken::Nonsense => {
                NoAnswer::Broken(broken.to_string())
            }
        }),
        () = tokio::time::sleep(wall) => Err(NoAnswer::TimedOut(wall)),
        Ok(()) = killed => {
            tokio::spawn(child.kill());
            let ended = Ended::Again(job);
            return Returned { run, child: None, busy: began.elapsed(), used_us: None, ended };
        }
        () = job.reply.closed() => Err(NoAnswer::Gone),
    };
    let kept = match &result {
        Ok(_) => Some(child),
        Err(_) => {
            tokio::spawn(child.kill());
            None
        }
    };
    let result = result.map(|(reply, body)| Answer { outcome: reply.result, log: reply.log, body });
    answer(job, result);
    let used_us = kept.as_ref().map(|child| child.processor_us().saturating_sub(before_us));
    Returned { run, child: kept, busy: began.elapsed(), used_us, ended: Ended::Done }
}

/// Whoever asked may have gone; then nobody needs the answer.
fn answer(job: Job, result: Result<Answer, NoAnswer>) {
    drop(job.reply.send(result));
}

/// The message of a call, up to its body.
fn front(job: &Job, wall: Duration) -> Result<Vec<u8>, serde_json::Error> {
    let body_bytes = job.input.as_ref().map_or(0, |input| input.body.len());
    let interrupt_ms = limits::interrupt_after(wall).as_millis();
    let input = job.input.as_ref();
    let request = Request {
        code: job.program.code.as_str().into(),
        variables: job.program.variables.clone(),
        check: input.is_none(),
        method: input.map_or("POST", |input| &input.method).into(),
        url: input.map_or("", |input| &input.url).into(),
        headers: input.map(|input| shown_headers(&input.headers)).unwrap_or_default(),
        event_type: input.and_then(|input| input.event_type.clone()),
        interrupt_ms: u64::try_from(interrupt_ms).unwrap_or(u64::MAX),
        heap_bytes: limits::heap_bytes(body_bytes),
        output_bytes: limits::output_bytes(body_bytes),
    };
    wire::front(&request, body_bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The body is sent after the front, which must say how long it is.
    #[test]
    fn a_message_says_how_long_its_parts_are() {
        let (reply, _answer) = oneshot::channel();
        let input = becket_egress::action::TransformInput {
            event_type: None,
            method: "POST".to_owned(),
            url: "http://localhost/".to_owned(),
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        let job = Job { program: Default::default(), input: Some(input), reply };
        let front = front(&job, Duration::from_secs(1)).expect("JSON");
        let prefix = front[..wire::PREFIX_BYTES].try_into().expect("long enough");
        assert_eq!(wire::lengths(prefix), (front.len() - wire::PREFIX_BYTES, 2));
    }
}
