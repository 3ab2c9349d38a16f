//! Runs a shard: waits for commands, jobs and timers, all in one future on one thread.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::job::{Done, Tools, perform};
use crate::lane::Now;
use crate::shard::{Command, Shard};

/// How many commands or finished jobs are taken up before new jobs are begun.
const BATCH_MAX: usize = 64;
/// How long the store may take to take back leases when attempts are broken off at the end.
const LAST_RELEASE_MS: u64 = 2_000;

/// Runs until the shard has been stopped, or all who could command it are gone.
pub(crate) async fn run(
    mut shard: Shard,
    mut commands: UnboundedReceiver<Command>,
    tools: Tools,
    refresh: Arc<Notify>,
) {
    let tools = Rc::new(tools);
    let started = Instant::now();
    let mut running = FuturesUnordered::new();
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    let mut taken: Vec<Command> = Vec::new();
    let mut ended: Vec<Done> = Vec::new();
    let mut orphaned = false;
    loop {
        shard.close_idle.drain(..).for_each(|key| tools.door.close_endpoint(key));
        running.extend(shard.jobs.drain(..).map(|job| perform(tools.clone(), job)));
        if std::mem::take(&mut shard.refresh) {
            refresh.notify_one();
        }
        if shard.stop_at_ms.is_some() && running.is_empty() && commands.is_empty() {
            return;
        }
        let timer = shard.next_timer_ms().map(|at_ms| started + Duration::from_millis(at_ms));
        if let Some(at) = timer
            && sleep.deadline() != at
        {
            sleep.as_mut().reset(at);
        }
        poll_fn(|cx| {
            orphaned = take_commands(&mut commands, &mut taken, orphaned, cx);
            while ended.len() < BATCH_MAX
                && let Poll::Ready(Some(done)) = running.poll_next_unpin(cx)
            {
                ended.push(done);
            }
            let fired = timer.is_some() && sleep.as_mut().poll(cx).is_ready();
            let news = fired || !taken.is_empty() || !ended.is_empty();
            if news || (orphaned && shard.stop_at_ms.is_none()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let now = now(&tools, started);
        if orphaned && shard.stop_at_ms.is_none() {
            shard.command(Command::Stop { grace_ms: 0 }, now);
        }
        ended.drain(..).for_each(|done| shard.done(done, now));
        taken.drain(..).for_each(|command| shard.command(command, now));
        shard.timers_fire(now);
        if shard.stop_at_ms.is_some_and(|at_ms| now.mono_ms >= at_ms)
            && !(running.is_empty() && shard.jobs.is_empty())
        {
            break;
        }
    }
    running.clear();
    give_up(&shard, &tools).await;
}

/// Takes up to a batch of commands; answers whether nobody is left to send any.
fn take_commands(
    commands: &mut UnboundedReceiver<Command>,
    taken: &mut Vec<Command>,
    orphaned: bool,
    cx: &mut Context<'_>,
) -> bool {
    if orphaned {
        return true;
    }
    while taken.len() < BATCH_MAX {
        match commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => taken.push(command),
            Poll::Ready(None) => return true,
            Poll::Pending => break,
        }
    }
    false
}

fn now(tools: &Tools, started: Instant) -> Now {
    let mono_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Now { wall_ms: tools.environment.clock.now_ms(), mono_ms }
}

/// The time to stop is up: broken-off attempts are given back, lost results are named.
async fn give_up(shard: &Shard, tools: &Tools) {
    let lost = shard.shared().finishing.load(Ordering::Relaxed);
    if lost > 0 {
        tracing::error!(
            results = lost,
            "results of attempts were not recorded in time; these deliveries will be repeated"
        );
    }
    let deliveries = shard.leases_in_flight();
    if deliveries.is_empty() {
        return;
    }
    let attempts = deliveries.len();
    let release = tools
        .environment
        .store
        .delivery_release(deliveries, tools.environment.clock.now_ms());
    let released = tokio::time::timeout(Duration::from_millis(LAST_RELEASE_MS), release).await;
    let error = match released {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    };
    tracing::warn!(attempts, error, "attempts were broken off; these deliveries will be repeated");
}
