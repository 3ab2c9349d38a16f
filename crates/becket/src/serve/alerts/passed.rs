//! What nodes tell the one that looks after alerts for all: what they noted in passing, and what only
//! they can see.
//!
//! It goes through the store, as documents that are removed when they have been read; nobody reads them
//! after an hour. What was read and not removed, because the reader ended in between, is read again:
//! that makes no second alert, because it is the same trouble.

use becket_model::EndpointId;
use becket_store::{
    DocumentContent, DocumentKind, DocumentName, Owner, Slice, StoreError, WriteIf,
};
use serde::{Deserialize, Serialize};

use super::super::gateway::Gateway;
use super::episodes::Seen;
use super::signals::Noted;

/// Where these documents stand among the counts over time: behind all of them.
const PREFIX: &str = "~signals/";
const KEPT_MS: i64 = 3_600_000;
/// How many are read at once.
const READ_MAX: usize = 200;

/// What a node has to tell.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Passed {
    /// Owner and source of requests that were refused, with their number.
    pub(super) refused: Vec<(u32, Option<u32>, u64)>,
    pub(super) endpoints: Vec<(EndpointId, Noted)>,
    /// What the node has looked at itself.
    pub(super) seen: Vec<Seen>,
}

impl Passed {
    fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.endpoints.is_empty() && self.seen.is_empty()
    }

    /// Leaves it for the node that looks after alerts.
    pub(super) async fn leave(&self, gateway: &Gateway) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        let now_ms = gateway.clock.now_ms();
        let mut random = [0; 8];
        gateway.noise.fill(&mut random);
        let name = format!("{PREFIX}{now_ms:014}/{}", hex::encode(random));
        let body = serde_json::to_string(self).map_err(|error| StoreError::Database {
            operation: "document_put",
            detail: error.to_string(),
        })?;
        let content = DocumentContent { body, sealed: None, expires_at_ms: Some(now_ms + KEPT_MS) };
        let name = DocumentName::of_owner(DocumentKind::Activity, name);
        gateway.store.document_put(Owner::MAIN, name, content, WriteIf::Always, now_ms).await?;
        Ok(())
    }
}

/// Takes what others have left.
pub(super) async fn take(gateway: &Gateway) -> Result<Vec<Passed>, StoreError> {
    let now_ms = gateway.clock.now_ms();
    let slice = Slice { limit: READ_MAX, after: Some(PREFIX.to_owned()), descending: false };
    let (owner, kind) = (Owner::MAIN, DocumentKind::Activity);
    let mut all = Vec::new();
    for document in gateway.store.document_list(owner, kind, None, slice, now_ms).await? {
        if !document.name.name.starts_with(PREFIX) {
            break;
        }
        match serde_json::from_str(&document.content.body) {
            Ok(passed) => all.push(passed),
            // Another version of the program may have written it.
            Err(error) => tracing::warn!(%error, "alerts.unreadable"),
        }
        if let Err(error) = gateway.store.document_remove(owner, document.name).await {
            // What was removed before stands nowhere else any more.
            tracing::warn!(code = error.code(), %error, "alerts.left: it is read again");
            break;
        }
    }
    Ok(all)
}
