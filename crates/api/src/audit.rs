//! The audit log: who did what, when and from where; kept as documents of kind
//! [`DocumentKind::Audit`] and told as lines (target `becket::audit`).
//!
//! The gate in front of every route writes it (`gate`), so that nothing can be forgotten: a change
//! that succeeds, a secret that is shown. Handlers that know better what happened say it by
//! [`Call::audit`](crate::call::Call::audit), and that is written instead.
//!
//! Invariants: never a secret, a payload or a header's value; one entry for one call and one kind of
//! thing, however many things there were; failed sign-ins are bounded, with their number; an entry that
//! cannot be written is told as an error and stops nothing.
//!
//! Deliberately absent: posting events and answers of listeners, which are counted elsewhere; reading
//! (`handlers/audit`).

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use becket_model::{Noise, Rate, TokenBucket, TokenId};
use becket_store::{DocumentContent, DocumentKind, DocumentName, Owner, Store, WriteIf};
use serde::{Deserialize, Serialize};

use crate::access::{Access, Role};
use crate::call::Shared;
use crate::routes::Route;

/// So many failed sign-ins are noted at once, and then one for each period; the rest are counted.
const FAILURES_BURST: u32 = 30;
const FAILURES: Rate = Rate { count: 1, period_ms: 60_000 };
/// The longest text of an entry, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// The longest list of things that one call did something to, in bytes: a thousand ids.
const LIST_BYTES_MAX: usize = 64 * 1024;
const PREFIX: &str = "audit_";
/// Counts the entries of this process.
static WRITTEN: AtomicU32 = AtomicU32::new(0);

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct By {
    /// `operator`, `token`, `session`, `portal`, `sign-in` or `gateway`.
    pub kind: String,
    pub name: Option<String>,
    pub token_id: Option<String>,
}

impl By {
    fn of(access: &Access) -> Self {
        let kind = match (&access.role, &access.session) {
            (_, Some(_)) => "session",
            (Role::Portal { .. }, None) => "portal",
            _ if access.operator => "operator",
            _ => "token",
        };
        let operator = || access.operator.then(|| "operator".to_owned());
        Self {
            kind: kind.to_owned(),
            name: access.name.as_deref().map(str::to_owned).or_else(operator),
            token_id: access.token.map(|id| id.to_string()),
        }
    }

    fn nobody(kind: &str) -> Self {
        Self { kind: kind.to_owned(), name: None, token_id: None }
    }
}

/// One entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub by: By,
    pub action: String,
    pub subject: String,
    pub address: Option<String>,
    pub detail: Option<String>,
}

/// What a handler says about one thing that it did.
#[derive(Debug, Clone)]
struct Note {
    action: &'static str,
    subject: String,
}

/// What the handlers of one call say about what they did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    /// Notes that something was done to something.
    pub fn add(&self, action: &'static str, subject: &dyn Display) {
        let note = Note { action, subject: subject.to_string() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// What was noted, one entry for each action: its subject, and all of them if there are several.
    fn taken(&self) -> Vec<(&'static str, String, Option<String>)> {
        let notes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut actions: Vec<(&'static str, Vec<String>)> = Vec::new();
        for note in notes {
            match actions.iter_mut().find(|(action, _)| *action == note.action) {
                Some((_, subjects)) => subjects.push(note.subject),
                None => actions.push((note.action, vec![note.subject])),
            }
        }
        let entries = actions.into_iter().map(|(action, mut subjects)| match subjects.len() {
            1 => (action, subjects.remove(0), None),
            many => (action, format!("{many} things"), Some(subjects.join(", "))),
        });
        entries.collect()
    }
}

/// Bounds how many failed sign-ins are written.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Option<(TokenBucket, u64)>>);

impl Failures {
    /// Whether one more may be written, and how many before it were not.
    fn take(&self, now_ms: i64) -> Option<u64> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (TokenBucket::full(FAILURES, FAILURES_BURST, now_ms), 0);
        let (bucket, left_out) = held.get_or_insert_with(fresh);
        match bucket.take(now_ms) {
            Ok(()) => Some(std::mem::take(left_out)),
            Err(_) => {
                *left_out += 1;
                None
            }
        }
    }
}

/// A call that has been answered.
pub(crate) struct Answered<'c> {
    pub route: &'static Route,
    /// Who asked; `None` where nobody has to show who they are.
    pub access: Option<&'c Access>,
    pub address: Option<IpAddr>,
    /// The parts of the path that name things.
    pub path: String,
    pub succeeded: bool,
    /// Whether it was a repeat that got the first answer again.
    pub repeated: bool,
    pub notes: &'c Notes,
}

impl Shared {
    /// Writes down what a call did, if it is one of those that are.
    pub async fn audit(&self, answered: Answered<'_>) {
        let Answered { route, access, .. } = answered;
        let by = access.map_or_else(|| By::nobody("sign-in"), By::of);
        let owner = access.map_or(Owner::MAIN, |access| access.owner);
        let address = answered.address.map(|address| address.to_string());
        let mut said = answered.notes.taken();
        // A first answer that is given again changes nothing, but shows its secret again.
        let counts = answered.succeeded && (!answered.repeated || route.secret);
        if said.is_empty() && route.audited && counts {
            let detail = answered.repeated.then(|| "the first answer again".to_owned());
            said.push((action(route), answered.path, detail));
        }
        for (action, subject, detail) in said {
            let (by, address) = (by.clone(), address.clone());
            let action = action.to_owned();
            self.audit_write(owner, Entry { by, action, subject, address, detail }).await;
        }
    }

    /// Writes down that somebody has signed in or out.
    pub async fn audit_sign_in(
        &self,
        access: &Access,
        address: Option<IpAddr>,
        action: &str,
        detail: Option<String>,
    ) {
        let entry = Entry {
            by: By::of(access),
            action: action.to_owned(),
            subject: access.name.as_deref().unwrap_or("operator").to_owned(),
            address: address.map(|address| address.to_string()),
            detail,
        };
        self.audit_write(access.owner, entry).await;
    }

    /// Writes down that somebody could not sign in, unless that happens all the time.
    pub async fn audit_failed_sign_in(&self, address: Option<IpAddr>, how: &str, why: &str) {
        let Some(left_out) = self.failures.take(self.api.clock.now_ms()) else { return };
        let detail = match left_out {
            0 => why.to_owned(),
            more => format!("{why}; {more} more before were only counted"),
        };
        let entry = Entry {
            by: By::nobody("sign-in"),
            action: "sign_in.failed".to_owned(),
            subject: how.to_owned(),
            address: address.map(|address| address.to_string()),
            detail: Some(detail),
        };
        self.audit_write(Owner::MAIN, entry).await;
    }

    async fn audit_write(&self, owner: Owner, entry: Entry) {
        let (api, now_ms) = (&self.api, self.api.clock.now_ms());
        let (store, noise) = (api.store.as_ref(), api.noise.as_ref());
        write(store, noise, owner, now_ms, api.directory.audit_kept_ms(), entry).await;
    }
}

/// Writes down what the gateway did by itself, such as applying a changed configuration file. The
/// texts are for people and hold no secret; times in milliseconds since 1970.
pub async fn audit_by_gateway(
    store: &dyn Store,
    noise: &dyn Noise,
    now_ms: i64,
    kept_ms: i64,
    said: (&str, &str, Option<String>),
) {
    let (action, subject, detail) = said;
    let entry = Entry {
        by: By::nobody("gateway"),
        action: action.to_owned(),
        subject: subject.to_owned(),
        address: None,
        detail,
    };
    write(store, noise, Owner::MAIN, now_ms, kept_ms, entry).await;
}

/// The id of an entry; ids sort by time.
pub(crate) fn id(at_ms: i64, tail: [u8; 14]) -> String {
    let id = TokenId::new(at_ms, tail).to_string();
    format!("{PREFIX}{}", id.trim_start_matches("key_"))
}

/// Whether a text has the form of an entry's id.
pub(crate) fn is_id(text: &str) -> bool {
    let characters = text.strip_prefix(PREFIX);
    characters.is_some_and(|characters| format!("key_{characters}").parse::<TokenId>().is_ok())
}

async fn write(
    store: &dyn Store,
    noise: &dyn Noise,
    owner: Owner,
    now_ms: i64,
    kept_ms: i64,
    mut entry: Entry,
) {
    cut(&mut entry.subject, TEXT_BYTES_MAX);
    if let Some(detail) = &mut entry.detail {
        cut(detail, LIST_BYTES_MAX);
    }
    tracing::info!(
        target: "becket::audit",
        owner = owner.number(),
        action = entry.action,
        object = entry.subject,
        by = entry.by.kind,
        name = entry.by.name,
        token = entry.by.token_id,
        address = entry.address,
        "audit"
    );
    let mut tail = [0; 14];
    noise.fill(&mut tail);
    // What happens within a millisecond stays in its order.
    let order = WRITTEN.fetch_add(1, Ordering::Relaxed);
    tail[..4].copy_from_slice(&order.to_be_bytes());
    let written = match serde_json::to_string(&entry) {
        Ok(body) => {
            let expires_at_ms = Some(now_ms.saturating_add(kept_ms));
            let content = DocumentContent { body, sealed: None, expires_at_ms };
            let name = DocumentName::of_owner(DocumentKind::Audit, id(now_ms, tail));
            let written = store.document_put(owner, name, content, WriteIf::Absent, now_ms).await;
            written.map(|_| ()).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = written {
        tracing::error!(%error, action = entry.action, "audit.not_written");
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

/// What operations do, by the last word of their ids.
const DONE: &[(&str, &str)] = &[
    ("accept", "accepted"),
    ("app-portal-access", "access_given"),
    ("backup", "backed_up"),
    ("begin", "begun"),
    ("bulk-expunge-content", "contents_expunged"),
    ("bulk-replay", "bulk_replayed"),
    ("consumer-portal-access", "access_given"),
    ("create", "created"),
    ("delete", "deleted"),
    ("disable", "disabled"),
    ("enable", "enabled"),
    ("end", "ended"),
    ("exchange", "exchanged"),
    ("expire-all", "access_ended"),
    ("expunge-all-contents", "contents_expunged"),
    ("expunge-content", "content_expunged"),
    ("export", "exported"),
    ("forget", "forgotten"),
    ("get", "shown"),
    ("get-secret", "secret.shown"),
    ("import", "imported"),
    ("import-openapi", "imported"),
    ("logout", "logged_out"),
    ("make", "made"),
    ("patch", "changed"),
    ("patch-headers", "headers_changed"),
    ("pause", "paused"),
    ("recover", "recovered"),
    ("release", "released"),
    ("reload", "reloaded"),
    ("remove", "removed"),
    ("replay", "replayed"),
    ("replay-missing", "missing_replayed"),
    ("resend", "replayed"),
    ("resume", "resumed"),
    ("retry", "retried"),
    ("retry-many", "retried"),
    ("revoke", "revoked"),
    ("rotate", "rotated"),
    ("rotate-key", "key.rotated"),
    ("rotate-secret", "secret.rotated"),
    ("rotate-token", "url_rotated"),
    ("send-example", "example_sent"),
    ("set", "changed"),
    ("set-credentials", "credentials_changed"),
    ("set-headers", "headers_changed"),
    ("test", "tested"),
    ("update", "changed"),
    ("upsert", "upserted"),
];

/// What a route does, in the words of the log: `v1.application.delete` is `application.deleted`.
fn action(route: &Route) -> &'static str {
    static ACTIONS: std::sync::OnceLock<std::collections::HashMap<&str, String>> =
        std::sync::OnceLock::new();
    let actions = ACTIONS.get_or_init(|| {
        crate::routes::table().map(|route| (route.id, action_of(route.id))).collect()
    });
    actions.get(route.id).map_or(route.id, String::as_str)
}

fn action_of(id: &str) -> String {
    let plain = id.strip_prefix("v1.").or_else(|| id.strip_prefix("becket.")).unwrap_or(id);
    let plain = plain.strip_prefix("ingest.").unwrap_or(plain);
    let (what, verb) = plain.rsplit_once('.').unwrap_or(("events", plain));
    let done = DONE.iter().find(|(known, _)| *known == verb).map_or(verb, |(_, done)| *done);
    format!("{}.{done}", what.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_a_word_for_what_was_done() {
        let mut unknown = Vec::new();
        for route in crate::routes::table().filter(|route| route.audited) {
            let verb = route.id.rsplit('.').next().unwrap();
            if !DONE.iter().any(|(known, _)| *known == verb) {
                unknown.push(route.id);
            }
        }
        assert!(unknown.is_empty(), "DONE has no word for: {unknown:?}");
        assert_eq!(action_of("v1.ingest.source.rotate-token"), "source.url_rotated");
        assert_eq!(action_of("v1.event-type.delete"), "event_type.deleted");
        assert_eq!(action_of("becket.endpoint.pause"), "endpoint.paused");
    }

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<String> = [1, 2, 1_000_000].into_iter().map(|ms| id(ms, [7; 14])).collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| is_id(id)), "{ids:?}");
        assert!(!is_id("key_000000000000000000000000000") && !is_id("audit_"));
    }

    #[test]
    fn many_notes_of_one_call_are_one_entry() {
        let notes = Notes::default();
        notes.add("event.expunged", &"a");
        notes.add("event.expunged", &"b");
        notes.add("secret.shown", &"c");
        assert_eq!(
            notes.taken(),
            [
                ("event.expunged", "2 things".to_owned(), Some("a, b".to_owned())),
                ("secret.shown", "c".to_owned(), None),
            ]
        );
        assert!(notes.taken().is_empty());
    }

    #[test]
    fn failures_are_bounded_and_counted() {
        let failures = Failures::default();
        for _ in 0..FAILURES_BURST {
            assert_eq!(failures.take(0), Some(0));
        }
        for _ in 0..500 {
            assert_eq!(failures.take(1), None);
        }
        assert_eq!(failures.take(60_001), Some(500));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut text = "é".repeat(600);
        cut(&mut text, 1_001);
        assert_eq!((text.chars().count(), text.ends_with('…')), (501, true));
    }
}
