//! Reading the audit log, newest first.
//!
//! Entries are found by time; every other filter looks at one entry after the other, and a call looks
//! at [`SCANNED_MAX`] of them at most: a page may be short, or empty, and still not be the last.

use becket_store::{Document, DocumentKind, Slice};
use serde::Serialize;

use crate::audit::{self, By, Entry};
use crate::call::{Answer, Call, Listed};
use crate::problem::{ApiError, Result};
use crate::times;

/// Entries looked at in one call.
const SCANNED_MAX: usize = 5_000;
const SLICE: usize = 500;

/// An entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditOut {
    id: String,
    at: String,
    by: By,
    action: String,
    subject: String,
    address: Option<String>,
    detail: Option<String>,
}

/// Which entries are asked for.
struct Wanted<'c> {
    action: Option<&'c str>,
    by: Option<&'c str>,
    subject: Option<String>,
}

impl Wanted<'_> {
    fn keeps(&self, entry: &Entry) -> bool {
        let by = &entry.by;
        let words = [Some(&by.kind), by.name.as_ref(), by.token_id.as_ref()];
        let lower = |text: &str| text.to_lowercase();
        self.action.is_none_or(|action| {
            // `endpoint.` and `endpoint` mean everything that is done to endpoints.
            let rest = entry.action.strip_prefix(action);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('.') || action.ends_with('.')
            })
        }) && self.by.is_none_or(|wanted| words.into_iter().flatten().any(|word| word == wanted))
            && self.subject.as_ref().is_none_or(|subject| {
                let detail = entry.detail.as_deref().unwrap_or_default();
                lower(&entry.subject).contains(subject) || lower(detail).contains(subject)
            })
    }
}

/// `GET /api/v1/becket/audit`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<AuditOut>>> {
    let limit = call.limit()?;
    let wanted = Wanted {
        action: call.text("action"),
        by: call.text("by"),
        subject: call.text("subject").map(str::to_lowercase),
    };
    let since = call.time("since")?.map(|since_ms| audit::id(since_ms, [0; 14]));
    let until = call.time("until")?.map(|until_ms| audit::id(until_ms, [0; 14]));
    let iterator = call.text("iterator").map(str::to_owned);
    if let Some(text) = iterator.as_deref().filter(|text| !audit::is_id(text)) {
        return Err(ApiError::query("iterator", format!("`{text}` is no iterator of this list")));
    }
    let mut after = match (iterator, until) {
        (Some(iterator), Some(until)) => Some(iterator.min(until)),
        (iterator, until) => iterator.or(until),
    };
    let mut data = Vec::new();
    let mut scanned = 0;
    let done = 'list: loop {
        let slice = Slice { limit: SLICE, after: after.clone(), descending: true };
        let (owner, now_ms, kind) = (call.owner, call.now_ms(), DocumentKind::Audit);
        let found = call.store().document_list(owner, kind, None, slice, now_ms).await?;
        let more = found.len() == SLICE;
        for document in found {
            if since.as_ref().is_some_and(|since| document.name.name < *since) {
                break 'list true;
            }
            if data.len() == limit || scanned == SCANNED_MAX {
                break 'list false;
            }
            scanned += 1;
            after = Some(document.name.name.clone());
            data.extend(shown(document, &wanted));
        }
        if !more {
            break true;
        }
    };
    Ok(Answer::ok(Listed::new(data, after, done)))
}

/// An entry that is wanted; one that cannot be read is told as such.
fn shown(document: Document, wanted: &Wanted<'_>) -> Option<AuditOut> {
    let entry: Entry = match serde_json::from_str(&document.content.body) {
        Ok(entry) => entry,
        Err(error) => {
            tracing::error!(entry = document.name.name, %error, "audit.unreadable");
            return None;
        }
    };
    wanted.keeps(&entry).then(|| AuditOut {
        id: document.name.name,
        at: times::text(document.created_at_ms),
        by: entry.by,
        action: entry.action,
        subject: entry.subject,
        address: entry.address,
        detail: entry.detail,
    })
}
