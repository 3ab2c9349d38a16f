//! Hearing the other nodes: LISTEN, in a session of its own that is made anew when it breaks.
//!
//! Invariants: with each session, the first included, readers are told that they may have missed something; a server
//! that hangs is noticed, because the session is asked something now and then.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_store::cluster::News;
use tokio::time::timeout;

use crate::cluster::voice::channel;
use crate::cluster::words::understand;
use crate::shared::Shared;

/// After so long without a word the session is asked whether it is still there.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// After a failure; the connecting itself waits longer each time.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Starts to listen, unless that has been done.
pub(super) fn listen(shared: &Arc<Shared>) {
    if !shared.cluster.listening.swap(true, Ordering::AcqRel) && shared.open().is_ok() {
        shared.spawn(keep_listening(Arc::downgrade(shared)));
    }
}

async fn keep_listening(weak: Weak<Shared>) {
    while let Some(shared) = weak.upgrade() {
        if shared.open().is_err() {
            return;
        }
        if let Err(error) = hear(shared, &weak).await {
            tracing::debug!(code = error.code(), %error, "other nodes are not heard");
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

/// Listens until the session breaks.
async fn hear(shared: Arc<Shared>, weak: &Weak<Shared>) -> becket_store::Result<()> {
    let (session, mut messages) = shared.connect_listening("hear the nodes").await?;
    let sql = format!("LISTEN \"{}\"", channel(&shared).replace('"', "\"\""));
    session.batch("hear the nodes", &sql).await?;
    pass_on(&shared, News::Reconnected);
    drop(shared);
    loop {
        let message = timeout(SILENCE_MAX, messages.recv()).await;
        let Some(shared) = weak.upgrade() else { return Ok(()) };
        match message {
            Ok(Some(message)) => {
                let told = understand(message.payload());
                for news in
                    told.into_iter().filter(|told| told.0 != shared.node()).flat_map(|told| told.1)
                {
                    pass_on(&shared, news);
                }
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                session.rows("hear the nodes", "SELECT 1", &[]).await?;
            }
        }
    }
}

fn pass_on(shared: &Shared, news: News) {
    // Without a reader there is nobody to tell.
    let _ = shared.cluster.news.send(news);
}
