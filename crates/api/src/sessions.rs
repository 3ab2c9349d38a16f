//! Sessions: people who are signed in with a browser, by what a cookie holds.
//!
//! The cookie holds 256 random bits. The store keeps their SHA-256 as the name of a document of kind
//! [`DocumentKind::Session`], with what the session was made from, which is asked again on every call.
//!
//! Invariants: what is in the store opens nothing; a session ends when nobody used it for [`IDLE_MS`],
//! [`WHOLE_MS`] after it began, on sign-out, when the token it was made from ends or is revoked, when
//! the operator's token changes, and when the rules of the sign-in elsewhere change; using it is
//! written down at most every [`WRITTEN_EVERY_MS`].
//!
//! Deliberately absent: cookies and other sites' pages (`cookies`), the paths (`handlers/sessions`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use becket_model::TokenId;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, WriteIf, Written,
};
use serde::{Deserialize, Serialize};

use crate::access::{Access, Role, hex};
use crate::auth::Auth;
use crate::call::Shared;
use crate::problem::{ApiError, Result};

/// How long a session lasts without being used, in milliseconds.
const IDLE_MS: i64 = 12 * 3_600_000;
/// How long a session lasts at most.
const WHOLE_MS: i64 = 7 * 24 * 3_600_000;
/// How often its use is written down.
const WRITTEN_EVERY_MS: i64 = 5 * 60_000;
/// How long a session is believed without asking the store again.
const REMEMBERED_MS: i64 = 5_000;
const REMEMBERED_MAX: usize = 10_000;
/// What the cookie's value begins with.
const PREFIX: &str = "bks_";

/// What a session was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum MadeFrom {
    /// The operator's own token, by a mark that changes with it.
    Operator { mark: String },
    /// A token of the store.
    Token { id: TokenId },
    /// A person who signed in elsewhere.
    Person {
        /// Who it is, there.
        subject: String,
        /// Changes with the rules by which people may sign in.
        mark: String,
        #[serde(flatten)]
        role: Role,
    },
}

/// What is kept of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    from: MadeFrom,
    /// For people.
    name: Option<String>,
    began_at_ms: i64,
}

/// A session that has begun.
pub(crate) struct Begun {
    /// What the cookie holds.
    pub value: String,
    pub access: Access,
}

#[derive(Debug, Clone)]
struct Remembered {
    owner: Owner,
    kept: Arc<Kept>,
    expires_at_ms: i64,
    written_at_ms: i64,
    revision: u64,
    until_ms: i64,
}

/// Sessions found lately, so that a busy page does not cost a look-up per call.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Arc<str>, Remembered>>);

impl Sessions {
    /// Forgets everything that was found.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// How long the cookie of a session is kept, in seconds.
pub(crate) const fn cookie_s() -> u64 {
    (IDLE_MS / 1_000).unsigned_abs()
}

fn document(name: &str) -> DocumentName {
    DocumentName::of_owner(DocumentKind::Session, name)
}

fn damaged(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new("event_damaged", format!("a kept session cannot be used: {error}"))
}

impl Kept {
    fn content(&self, expires_at_ms: i64) -> Result<DocumentContent> {
        let body = serde_json::to_string(self).map_err(|error| damaged(&error))?;
        Ok(DocumentContent { body, sealed: None, expires_at_ms: Some(expires_at_ms) })
    }

    fn ends_at_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(IDLE_MS).min(self.began_at_ms.saturating_add(WHOLE_MS))
    }
}

impl Shared {
    /// Begins a session of somebody who has just shown who they are.
    pub async fn session_begin(
        &self,
        owner: Owner,
        from: MadeFrom,
        name: Option<String>,
    ) -> Result<Begun> {
        let (api, now_ms) = (&self.api, self.api.clock.now_ms());
        let mut bytes = [0; 32];
        api.noise.fill(&mut bytes);
        let value = format!("{PREFIX}{}", hex(&bytes));
        let kept = Kept { from, name, began_at_ms: now_ms };
        let content = kept.content(kept.ends_at_ms(now_ms))?;
        let id: Arc<str> = hex(&Auth::hash(&value)).into();
        let written =
            api.store.document_put(owner, document(&id), content, WriteIf::Absent, now_ms).await?;
        let Written::Created(_) = written else {
            return Err(ApiError::new("changed_meanwhile", "the session could not be kept"));
        };
        let found = self.session_known(&id, now_ms).await?;
        let access = match found {
            Some(found) => self.session_access(&id, &found, now_ms).await?,
            None => None,
        };
        let ended = || ApiError::new("unauthorized", "the token has ended meanwhile");
        Ok(Begun { value, access: access.ok_or_else(ended)? })
    }

    /// Who is signed in with what a cookie holds; `None` if nobody is, or no longer.
    pub async fn session_find(&self, value: &str, now_ms: i64) -> Result<Option<Access>> {
        let Some(id) = id_of(value) else { return Ok(None) };
        let Some(found) = self.session_known(&id, now_ms).await? else { return Ok(None) };
        self.session_access(&id, &found, now_ms).await
    }

    /// Ends the session of what a cookie holds; whose it was, if it was one.
    pub async fn session_end(&self, value: &str) -> Result<Option<Access>> {
        let now_ms = self.api.clock.now_ms();
        let access = self.session_find(value, now_ms).await?;
        let Some(id) = id_of(value) else { return Ok(None) };
        let found = self.api.store.document_find(DocumentKind::Session, &id, now_ms).await?;
        if let Some((owner, document)) = found {
            self.api.store.document_remove(owner, document.name).await?;
        }
        self.tokens.forget();
        Ok(access)
    }

    /// Writes down that a session is used, unless that was done lately; whether it now lasts longer.
    pub async fn session_used(&self, access: &Access) -> Result<bool> {
        let Some(id) = &access.session else { return Ok(false) };
        let (api, now_ms) = (&self.api, self.api.clock.now_ms());
        let Some(found) = self.session_known(id, now_ms).await? else { return Ok(false) };
        let ends_at_ms = found.kept.ends_at_ms(now_ms);
        if now_ms < found.written_at_ms + WRITTEN_EVERY_MS || ends_at_ms <= found.expires_at_ms {
            return Ok(false);
        }
        let content = found.kept.content(ends_at_ms)?;
        let condition = WriteIf::Revision(found.revision);
        // Refused: another call has just written it, or it was ended.
        let written =
            api.store.document_put(found.owner, document(id), content, condition, now_ms).await?;
        self.tokens.sessions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(matches!(written, Written::Replaced(_)))
    }

    async fn session_known(&self, id: &Arc<str>, now_ms: i64) -> Result<Option<Remembered>> {
        let known = || self.tokens.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = known().get(id).filter(|found| now_ms < found.until_ms).cloned();
        let found = match remembered {
            Some(found) => found,
            None => {
                let changes = self.tokens.changes();
                let found = self.api.store.document_find(DocumentKind::Session, id, now_ms).await?;
                let Some((owner, document)) = found else { return Ok(None) };
                let found = read(owner, &document, now_ms)?;
                let mut known = known();
                if known.len() >= REMEMBERED_MAX {
                    known.clear();
                }
                if self.tokens.changes() == changes {
                    known.insert(Arc::clone(id), found.clone());
                }
                found
            }
        };
        Ok(Some(found).filter(|found| now_ms < found.expires_at_ms))
    }

    /// What a session may do now: what it was made from has to hold still.
    async fn session_access(
        &self,
        id: &Arc<str>,
        found: &Remembered,
        now_ms: i64,
    ) -> Result<Option<Access>> {
        let (api, owner) = (&self.api, found.owner);
        let access = match &found.kept.from {
            MadeFrom::Operator { mark } => {
                api.auth.is_mark_of(mark, owner).then(|| Access::operator(owner))
            }
            MadeFrom::Token { id } => {
                let access = self.tokens.of_id(api.store.as_ref(), *id, now_ms).await?;
                access.filter(|access| access.owner == owner)
            }
            MadeFrom::Person { mark, role, .. } => {
                let same = api.directory.sign_in().is_some_and(|door| door.mark() == *mark);
                same.then(|| {
                    let role = role.clone();
                    Access { role, operator: false, ..Access::operator(owner) }
                })
            }
        };
        Ok(access.map(|access| {
            let ends_at_ms = access.expires_at_ms.unwrap_or(i64::MAX).min(found.expires_at_ms);
            Access {
                name: found.kept.name.as_deref().map(Arc::from),
                session: Some(Arc::clone(id)),
                expires_at_ms: Some(ends_at_ms),
                ..access
            }
        }))
    }
}

/// Under which name the session of a cookie's value is kept.
fn id_of(value: &str) -> Option<Arc<str>> {
    let random = value.strip_prefix(PREFIX)?;
    let formed = random.len() == 64 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    formed.then(|| hex(&Auth::hash(value)).into())
}

fn read(owner: Owner, document: &Document, now_ms: i64) -> Result<Remembered> {
    let kept = serde_json::from_str(&document.content.body).map_err(|error| damaged(&error))?;
    Ok(Remembered {
        owner,
        kept: Arc::new(kept),
        expires_at_ms: document.content.expires_at_ms.unwrap_or(0),
        written_at_ms: document.updated_at_ms,
        revision: document.revision,
        until_ms: now_ms + REMEMBERED_MS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_while_it_is_used_and_not_for_ever() {
        let from = MadeFrom::Operator { mark: "x".to_owned() };
        let kept = Kept { from, name: None, began_at_ms: 0 };
        assert_eq!(kept.ends_at_ms(0), IDLE_MS);
        assert_eq!(kept.ends_at_ms(1_000), IDLE_MS + 1_000);
        assert_eq!(kept.ends_at_ms(WHOLE_MS - 1), WHOLE_MS);
    }

    #[test]
    fn what_is_kept_is_named_by_a_hash() {
        let value = format!("{PREFIX}{}", "0".repeat(64));
        assert_eq!(id_of(&value).unwrap().len(), 64);
        for bad in ["", PREFIX, "bks_00", "key_0", &"x".repeat(68)] {
            assert!(id_of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn people_are_kept_with_their_role() {
        let role = Role::Developer { payloads: true };
        let from = MadeFrom::Person { subject: "s".to_owned(), mark: "m".to_owned(), role };
        let text = serde_json::to_string(&from).unwrap();
        assert_eq!(serde_json::from_str::<MadeFrom>(&text).unwrap(), from, "{text}");
    }
}
