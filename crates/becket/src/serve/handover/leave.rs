//! The old process: in which order everything ends, so that nobody notices.
//!
//! A stop goes on receiving while attempts in flight are finished, and answers end their connections
//! meanwhile; only then it closes. So a sender that keeps its connection hears of it with an answer,
//! and whoever starts the next process on the same sockets (systemd) makes nobody wait for a slow
//! endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use becket_engine::Engine;
use becket_ingress::server::Server;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::control::{Conversation, answer};
use super::wire::Message;
use super::{Back, Doors, FAILING_MAX, Left, Place, Remaining, ended};
use crate::serve::gateway::Gateway;
use crate::serve::telemetry::Telemetry;
use crate::serve::watch::{Signals, told_to_stop};
use crate::serve::{ENGINE_GRACE_EXTRA, ServeError, finish, listen};

/// How long connections that rest are given to hear with an answer that they end.
const PARTING: Duration = Duration::from_secs(1);
/// How long requests that are being stored may take before the store is closed.
const STORING: Duration = Duration::from_secs(5);
/// How long connections live on in the old process: the rest that they are granted anyway, and a
/// request after it.
const LINGER: Duration = Duration::from_secs(75 + 30);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Everything that has to end.
pub(in crate::serve) struct Leaving<'g> {
    pub(in crate::serve) server: Server,
    pub(in crate::serve) doors: Arc<Doors>,
    pub(in crate::serve) engine: Engine,
    pub(in crate::serve) closing: watch::Sender<bool>,
    pub(in crate::serve) tasks: Vec<JoinHandle<()>>,
    pub(in crate::serve) grace: Duration,
    pub(in crate::serve) gateway: &'g Gateway,
    pub(in crate::serve) telemetry: &'g Telemetry,
}

impl Leaving<'_> {
    /// Stops: what has been begun is finished, then everything is closed.
    pub(in crate::serve) async fn stop(self) -> Result<Left, ServeError> {
        tracing::info!("stopping: finishing what is in flight");
        listen::notify("STOPPING=1");
        self.gateway.leaving.store(true, Ordering::Relaxed);
        self.server.part(None);
        let ingress = self.gateway.ingress.get();
        let none_open = || ingress.is_none_or(|ingress| ingress.connection_count() == 0);
        tokio::join!(self.end_engine(), until(none_open, PARTING));
        self.closing.send_replace(true);
        let Self { server, doors, tasks, gateway, telemetry, .. } = self;
        // Its copies of the sockets would keep them open behind the accept loops.
        drop(doors);
        let joined = tokio::task::spawn_blocking(move || server.join()).await;
        joined.map_err(|error| ServeError::system("stopping the listeners", &error))?;
        tasks.iter().for_each(JoinHandle::abort);
        finish(gateway, telemetry).await?;
        tracing::info!("stopped");
        Ok(Left::Stopped)
    }

    /// Makes room for a process that is ready.
    pub(in crate::serve) async fn hand_over(
        self,
        conversation: Conversation,
    ) -> Result<Left, ServeError> {
        let place = self.doors.meeting.as_ref().map(|meeting| meeting.place.clone());
        match conversation.serving {
            true => self.let_serve(conversation, place).await,
            false => self.change_places(conversation, place).await,
        }
    }

    /// The new process serves already, on the same store.
    async fn let_serve(
        self,
        mut conversation: Conversation,
        place: Option<Place>,
    ) -> Result<Left, ServeError> {
        tracing::info!(
            pid = conversation.pid,
            "the new process serves; finishing what is in flight"
        );
        self.server.hand_over();
        self.server.part(place.as_ref().map(Place::forward));
        become_of(&mut conversation, 0).await;
        self.closing.send_replace(true);
        tokio::join!(self.end_engine(), until(|| self.has_stored(), self.grace));
        let Self { server, tasks, gateway, telemetry, .. } = self;
        tasks.iter().for_each(JoinHandle::abort);
        finish(gateway, telemetry).await?;
        tracing::info!("everything is finished; waiting for connections to end");
        Ok(Left::Lingering(Remaining { server, _place: place }))
    }

    /// The new process can only serve when this one has closed the store.
    async fn change_places(
        self,
        mut conversation: Conversation,
        place: Option<Place>,
    ) -> Result<Left, ServeError> {
        tracing::info!(
            pid = conversation.pid,
            "the new process is ready; finishing what is in flight"
        );
        // From now on a request occupies this process only when it has arrived whole.
        self.server.part(place.as_ref().map(Place::forward));
        self.end_engine().await;
        self.closing.send_replace(true);
        let whole = || {
            let in_flight = self.server.in_flight();
            in_flight.receiving + in_flight.managing == 0
        };
        until(whole, self.grace).await;
        let paused = Instant::now();
        self.server.hand_over();
        until(|| self.has_stored(), STORING).await;
        let loaded = self.gateway.current.load().loaded.as_ref().clone();
        let Self { server, doors, tasks, gateway, telemetry, .. } = self;
        tasks.iter().for_each(JoinHandle::abort);
        finish(gateway, telemetry).await?;
        let remaining = Remaining { server, _place: place };
        match turn(&mut conversation).await {
            Ok(()) => {
                let pause_ms = u64::try_from(paused.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    pid = conversation.pid,
                    pause_ms,
                    "the new process serves; waiting for connections to end"
                );
                become_of(&mut conversation, pause_ms).await;
                Ok(Left::Lingering(remaining))
            }
            Err(why) => {
                tracing::error!("restart.failed: {why}; this process goes on");
                answer(conversation.asker.take(), why);
                // Until its process has ended, it may hold the store.
                ended(conversation.pid, FAILING_MAX).await;
                Ok(Left::Back(Box::new(Back { loaded, doors, remaining })))
            }
        }
    }

    /// Whether nothing is being answered or stored, and nothing will be.
    fn has_stored(&self) -> bool {
        let ingress = self.gateway.ingress.get();
        // In this order: a request whose sender has gone is unfinished when it ceases to be in flight.
        self.server.has_settled() && ingress.is_none_or(|ingress| ingress.unfinished_count() == 0)
    }

    /// Other nodes may go on with everything else while attempts under way are finished.
    async fn end_engine(&self) {
        self.gateway.give_back().await;
        let grace = self.grace + ENGINE_GRACE_EXTRA;
        self.engine.shutdown(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).await;
    }
}

/// Lets the new process open the store, and waits until it serves.
async fn turn(conversation: &mut Conversation) -> Result<(), String> {
    let gone = |error: std::io::Error| format!("the new process ended before it served ({error})");
    conversation.wire.say(&Message::Yours).await.map_err(gone)?;
    // It may have to bring the tables up to date, and holds the store: there is nothing to do but wait.
    match conversation.wire.hear().await.map_err(gone)? {
        Message::Serving => Ok(()),
        Message::Failed { why } => Err(why),
        other => Err(format!("the new process said {other:?}")),
    }
}

/// Tells everybody that the service is another process now.
async fn become_of(conversation: &mut Conversation, pause_ms: u64) {
    let pid = conversation.pid;
    listen::notify(&format!("MAINPID={pid}\nREADY=1"));
    let took_ms = conversation.begun.elapsed().as_millis();
    tracing::info!(pid, took_ms, "handed over");
    // Whoever is gone needs no telling.
    let _ = conversation.wire.say(&Message::Bye).await;
    if let Some(asker) = &mut conversation.asker {
        let restarted = Message::Restarted { old_pid: std::process::id(), pid, pause_ms };
        let _ = asker.say(&restarted).await;
    }
}

async fn until(holds: impl Fn() -> bool, longest: Duration) {
    let begun = Instant::now();
    while !holds() && begun.elapsed() < longest {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Stays until the connections that are left have ended, or it is told to stop: then those that rest
/// are closed, and what is being answered still is.
pub(in crate::serve) fn linger(all: Vec<Remaining>, mut signals: Signals) {
    let until = Instant::now() + LINGER;
    let told = Arc::new(AtomicBool::new(false));
    let enough = {
        let told = Arc::clone(&told);
        move || told.load(Ordering::Relaxed) || Instant::now() >= until
    };
    let rest = move || {
        for Remaining { server, _place } in all {
            server.linger(&enough);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        // Nothing can be heard then; the time is limited all the same.
        Err(_) => return rest(),
    };
    runtime.block_on(async {
        let resting = tokio::task::spawn_blocking(rest);
        tokio::pin!(resting);
        tokio::select! {
            _ = &mut resting => return,
            () = told_to_stop(&mut signals) => told.store(true, Ordering::Relaxed),
        }
        tokio::select! {
            _ = &mut resting => {}
            // Whoever says it twice means at once.
            () = told_to_stop(&mut signals) => {}
        }
    });
    runtime.shutdown_background();
}
