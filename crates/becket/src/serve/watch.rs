//! Signals and files: SIGHUP or a changed file applies the configuration again, SIGTERM ends, SIGUSR2
//! starts the process that follows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use becket_api::Directory as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ServeError;
use super::gateway::Gateway;
use super::handover::control::{Control, Conversation};
use super::tls::{self, Served};
use crate::config::Tls;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is looked at to see that a file has changed.
type Looks = BTreeMap<PathBuf, Option<(u64, std::time::SystemTime)>>;

/// The signals that are answered.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user2: Signal,
    /// Ready when standard input closes, if that is to end it.
    input: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Signals {
    pub(super) fn new(until_stdin_closes: bool) -> Result<Self, ServeError> {
        let open = |kind| signal(kind).map_err(|error| ServeError::system("signals", &error));
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hang_up: open(SignalKind::hangup())?,
            user2: open(SignalKind::user_defined2())?,
            input: until_stdin_closes.then(input_closed),
        })
    }
}

/// Ready when standard input closes, because the process that holds its other end has ended.
fn input_closed() -> tokio::sync::oneshot::Receiver<()> {
    let (sender, closed) = tokio::sync::oneshot::channel();
    // A thread, because reading standard input cannot be broken off; nobody waits for it.
    std::thread::spawn(move || {
        // Whatever comes is thrown away, and an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = sender.send(());
    });
    closed
}

/// Ready once, when standard input has closed.
async fn closed(input: &mut Option<tokio::sync::oneshot::Receiver<()>>) {
    match input {
        // A sender that is gone means the same as one that says so.
        Some(closed) => drop(closed.await),
        None => std::future::pending().await,
    }
    *input = None;
}

/// Why a gateway serves no longer.
pub(super) enum Ended {
    /// It was told to stop.
    Stop,
    /// Another process is ready.
    HandOver(Box<Conversation>),
}

/// Ready when this process is told to stop, also if that was while nobody was looking.
pub(super) async fn told_to_stop(signals: &mut Signals) {
    tokio::select! {
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
        () = closed(&mut signals.input) => {}
    }
}

/// Applies changes until the gateway is asked to stop.
pub(super) async fn until_stopped(
    gateway: &Arc<Gateway>,
    signals: &mut Signals,
    control: &mut Control,
    certificate: Option<(Tls, Served)>,
) -> Ended {
    let mut seen = look(&gateway.current.load().loaded.watched);
    let mut certificate_seen =
        certificate.as_ref().map(|(files, _)| look(&certificate_files(files)));
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ended::Stop,
            _ = signals.interrupt.recv() => return Ended::Stop,
            () = closed(&mut signals.input) => return Ended::Stop,
            _ = signals.user2.recv() => control.restart(None),
            happened = control.next() => {
                if let Some(conversation) = control.take(happened) {
                    return Ended::HandOver(Box::new(conversation));
                }
            }
            _ = signals.hang_up.recv() => {
                let now = look(&gateway.current.load().loaded.watched);
                seen = reload(gateway, "SIGHUP", now).await;
                if let Some((files, served)) = &certificate {
                    reload_certificate(files, served);
                }
            }
            _ = tick.tick() => {
                let now = look(&gateway.current.load().loaded.watched);
                if now != seen {
                    // An editor may still be writing: apply what has been still for a moment.
                    tokio::time::sleep(LOOK_EVERY / 5).await;
                    seen = look(&gateway.current.load().loaded.watched);
                    if seen == now {
                        seen = reload(gateway, "the file has changed", now).await;
                    } else {
                        seen = Looks::new();
                    }
                }
                if let (Some((files, served)), Some(before)) = (&certificate, &mut certificate_seen) {
                    let now = look(&certificate_files(files));
                    if now != *before {
                        *before = now;
                        reload_certificate(files, served);
                    }
                }
            }
        }
    }
}

fn certificate_files(files: &Tls) -> Vec<PathBuf> {
    vec![files.cert_file.clone(), files.key_file.clone()]
}

fn look(files: &[PathBuf]) -> Looks {
    let facts = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    files.iter().map(|file| (file.clone(), facts(file))).collect()
}

/// What has been dealt with when everything was read after the first look. Whatever has changed since
/// may have been read before or after that, so it counts as not seen yet.
fn dealt_with(before: Looks, watched: &[PathBuf]) -> Looks {
    let mut seen = look(watched);
    for (file, facts) in before {
        if let Some(known) = seen.get_mut(&file) {
            *known = facts;
        }
    }
    seen
}

/// Applies the configuration as it is now, which looked like this; answers with what has been dealt with.
async fn reload(gateway: &Gateway, why: &str, before: Looks) -> Looks {
    match gateway.reload().await {
        Ok(warnings) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(why, "the configuration was applied");
            let told = ("configuration.reloaded", "configuration", Some(why.to_owned()));
            let (now_ms, kept_ms) = (gateway.clock.now_ms(), gateway.audit_kept_ms());
            let (store, noise) = (gateway.store.as_ref(), gateway.noise.as_ref());
            becket_api::audit_by_gateway(store, noise, now_ms, kept_ms, told).await;
        }
        Err(error) if error.try_again => {
            tracing::error!(
                why,
                error = %error.detail,
                "the new configuration could not be applied; it is tried again"
            );
            // As if nothing had been seen yet.
            return Looks::new();
        }
        Err(error) => tracing::error!(
            why,
            error = %error.detail,
            "the new configuration is wrong and was not applied; the old one stays in force"
        ),
    }
    dealt_with(before, &gateway.current.load().loaded.watched)
}

fn reload_certificate(files: &Tls, served: &Served) {
    match tls::from_files(&files.cert_file, &files.key_file) {
        Ok(config) => {
            served.store(Arc::new(config));
            tracing::info!("the certificate was read again");
        }
        Err(error) => {
            tracing::error!(error = %error, "the new certificate is wrong; the old one stays in force");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let [old, gone, new] = ["old", "gone", "new"].map(|name| folder.path().join(name));
        std::fs::write(&old, "1").unwrap();
        std::fs::write(&gone, "1").unwrap();
        let before = look(&[old.clone(), gone]);
        // Somebody writes while everything is read, and what is read names another file.
        std::fs::write(&old, "12").unwrap();
        std::fs::write(&new, "1").unwrap();
        let watched = [old.clone(), new.clone()];
        let seen = dealt_with(before, &watched);
        let now = look(&watched);
        assert_ne!(seen[&old], now[&old]);
        assert_eq!(seen[&new], now[&new]);
        assert_eq!(seen.len(), 2, "what is named no more is not watched");
        assert_eq!(dealt_with(now.clone(), &watched), now, "nothing has changed");
    }
}
