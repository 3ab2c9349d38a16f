//! Runs a shard: waits for commands, attempts, the store and timers, all in one future.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::job::{AttemptEnded, Done, Tools, attempt, perform};
use crate::lane::Now;
use crate::shard::{Command, Shard};

/// How many pieces of news of a kind are taken up before anything new is begun.
const BATCH_MAX: usize = 64;
/// How long the store may still take after the time to stop is up and attempts are broken off.
const LAST_CALLS_MS: u64 = 2_000;

/// What has happened since the last look.
#[derive(Default)]
struct News {
    commands: Vec<Command>,
    attempts: Vec<AttemptEnded>,
    calls: Vec<Done>,
    /// Nobody is left to send commands.
    orphaned: bool,
}

impl News {
    fn is_none(&self) -> bool {
        self.commands.is_empty() && self.attempts.is_empty() && self.calls.is_empty()
    }
}

/// Runs until the shard has been stopped, or all who could command it are gone.
pub(crate) async fn run(
    mut shard: Shard,
    mut commands: UnboundedReceiver<Command>,
    tools: Tools,
    refresh: Arc<Notify>,
    started: Instant,
) {
    let tools = Rc::new(tools);
    let mut attempts = FuturesUnordered::new();
    let mut calls = FuturesUnordered::new();
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    let mut news = News::default();
    let mut last_calls_until_ms = None;
    loop {
        shard.close_idle.drain(..).for_each(|key| tools.door.close_endpoint(key));
        attempts.extend(shard.attempts.drain(..).map(|job| attempt(tools.clone(), job)));
        calls.extend(shard.jobs.drain(..).map(|job| perform(tools.clone(), job)));
        if std::mem::take(&mut shard.refresh) {
            refresh.notify_one();
        }
        let stopping = shard.stop_at_ms.is_some();
        if stopping && attempts.is_empty() && calls.is_empty() && commands.is_empty() {
            return;
        }
        let timer_ms = last_calls_until_ms.or_else(|| shard.next_timer_ms());
        let timer = timer_ms.map(|at_ms| started + Duration::from_millis(at_ms));
        if let Some(at) = timer
            && sleep.deadline() != at
        {
            sleep.as_mut().reset(at);
        }
        poll_fn(|cx| {
            take_commands(&mut commands, &mut news, cx);
            take_ended(&mut attempts, &mut news.attempts, cx);
            take_ended(&mut calls, &mut news.calls, cx);
            let fired = timer.is_some() && sleep.as_mut().poll(cx).is_ready();
            if fired || !news.is_none() || (news.orphaned && !stopping) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let now = now(&tools, started);
        if news.orphaned && !stopping {
            shard.command(Command::Stop { grace_ms: 0 }, now);
        }
        news.attempts.drain(..).for_each(|ended| shard.attempt_ended(ended, now));
        news.calls.drain(..).for_each(|done| shard.done(done, now));
        news.commands.drain(..).for_each(|command| shard.command(command, now));
        shard.timers_fire(now);
        if last_calls_until_ms.is_some_and(|until_ms| now.mono_ms >= until_ms) {
            break;
        }
        if last_calls_until_ms.is_none()
            && shard.stop_at_ms.is_some_and(|at_ms| now.mono_ms >= at_ms)
        {
            last_calls_until_ms = Some(now.mono_ms + LAST_CALLS_MS);
            attempts.clear();
            let broken_off = shard.broken_off(now);
            if broken_off > 0 {
                tracing::warn!(broken_off, "attempts took too long; they will be repeated");
            }
        }
    }
    let results = shard.shared().finishing.load(Ordering::Relaxed);
    tracing::error!(
        results,
        calls = calls.len(),
        "the store did not answer before the end; unrecorded attempts will be repeated"
    );
}

fn take_commands(commands: &mut UnboundedReceiver<Command>, news: &mut News, cx: &mut Context<'_>) {
    while !news.orphaned && news.commands.len() < BATCH_MAX {
        match commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => news.commands.push(command),
            Poll::Ready(None) => news.orphaned = true,
            Poll::Pending => return,
        }
    }
}

fn take_ended<F: Future>(
    running: &mut FuturesUnordered<F>,
    ended: &mut Vec<F::Output>,
    cx: &mut Context<'_>,
) {
    while ended.len() < BATCH_MAX
        && let Poll::Ready(Some(one)) = Pin::new(&mut *running).poll_next(cx)
    {
        ended.push(one);
    }
}

fn now(tools: &Tools, started: Instant) -> Now {
    let mono_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Now { wall_ms: tools.environment.clock.now_ms(), mono_ms }
}
