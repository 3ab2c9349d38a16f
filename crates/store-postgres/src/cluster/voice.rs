//! Telling the other nodes: NOTIFY, in a session of its own, the first at once and then ten a second
//! at most.
//!
//! Why throttled and apart: a commit with a notification takes a lock on the whole database, so one
//! for each event, or inside the transactions that accept events, would make them wait in line.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cluster::words::Said;
use crate::disk::hasty;
use crate::session::Session;
use crate::shared::Shared;

const AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// After a failure; the connecting itself waits longer each time.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// Whoever listens looks for itself when it missed something, so a lost message costs little and
/// nobody waits for the disk.
const TELL: &str = concat!("SELECT pg_notify($1, $2) WHERE ", hasty!());

/// What is to be told, until it has been.
pub(super) struct Voice {
    said: Mutex<Said>,
    wanted: Arc<Notify>,
    speaking: Mutex<bool>,
}

impl Voice {
    pub(super) fn new() -> Self {
        let wanted = Arc::new(Notify::new());
        Self { said: Mutex::default(), wanted, speaking: Mutex::new(false) }
    }

    /// Adds to what is told next.
    pub(super) fn say(&self, shared: &Arc<Shared>, what: impl FnOnce(&mut Said)) {
        what(&mut self.said.lock());
        let mut speaking = self.speaking.lock();
        if !*speaking && shared.open().is_ok() {
            *speaking = true;
            shared.spawn(speak(Arc::downgrade(shared), Arc::clone(&self.wanted)));
        }
        self.wanted.notify_one();
    }
}

/// The channel's name, which is that of the schema.
pub(super) fn channel(shared: &Shared) -> String {
    // A name has 63 bytes at most; a schema's is cut to that already.
    let schema: String = shared.schema.chars().take(50).collect();
    format!("becket:{schema}")
}

async fn speak(shared: Weak<Shared>, wanted: Arc<Notify>) {
    let mut session: Option<Session> = None;
    loop {
        wanted.notified().await;
        let Some(shared) = shared.upgrade() else { return };
        let voice = &shared.cluster.voice;
        let said = std::mem::take(&mut *voice.said.lock());
        if said.is_empty() {
            continue;
        }
        let wait = match tell(&shared, &mut session, &said).await {
            Ok(()) => AT_MOST_EVERY,
            Err(error) => {
                tracing::debug!(code = error.code(), %error, "other nodes could not be told");
                session = None;
                voice.said.lock().add(said);
                wanted.notify_one();
                AFTER_FAILURE
            }
        };
        if shared.open().is_err() {
            return;
        }
        drop(shared);
        tokio::time::sleep(wait).await;
    }
}

async fn tell(
    shared: &Shared,
    session: &mut Option<Session>,
    said: &Said,
) -> becket_store::Result<()> {
    let session = match session.take().filter(|session| !session.is_useless()) {
        Some(known) => session.insert(known),
        None => {
            let fresh = shared.connect_dedicated("tell the nodes").await?;
            session.insert(fresh)
        }
    };
    let message = said.message(shared.node());
    session.rows("tell the nodes", TELL, &[&channel(shared), &message]).await?;
    Ok(())
}
