//! Who is asking, and what they may do: tokens of the store, and the operator's own.
//!
//! A token's text is `bk_`, the 27 characters of its id, `_`, and 64 hexadecimal digits; the store
//! keeps its SHA-256 in a document of kind [`DocumentKind::Token`], so that one look-up finds it.
//!
//! Invariants: a token that is unknown, expired or wrong is refused in the same words; what was
//! found is remembered for [`REMEMBERED_MS`] at most, and forgotten at once when this process changes
//! it; a portal token sees one application and nothing else.
//!
//! Deliberately absent: making tokens (`handlers/access`), the brake on guessing (`auth`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use becket_model::{ApplicationKey, Noise, TokenId};
use becket_store::{DocumentKind, Owner, Store};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::auth::Auth;
use crate::problem::{ApiError, Result};
use crate::routes::Route;

/// How long a token is believed without asking the store again.
const REMEMBERED_MS: i64 = 5_000;
const REMEMBERED_MAX: usize = 10_000;
const TOKEN_PREFIX: &str = "bk_";
const ID_CHARACTERS: usize = 27;

/// What a portal token may do beyond looking, in the specification's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Capability {
    ViewBase,
    ViewEndpointSecret,
    ManageEndpointSecret,
    ManageTransformations,
    CreateAttempts,
    ManageEndpoint,
}

impl Capability {
    /// Every capability: what a portal token has if none are named.
    pub const ALL: [Self; 6] = [
        Self::ViewBase,
        Self::ViewEndpointSecret,
        Self::ManageEndpointSecret,
        Self::ManageTransformations,
        Self::CreateAttempts,
        Self::ManageEndpoint,
    ];

    /// What these capabilities come to: looking is always among them, and who may manage a secret
    /// may see it.
    pub fn closed(given: &[Self]) -> Vec<Self> {
        let implied = |capability: &Self| match capability {
            Self::ViewBase => true,
            Self::ViewEndpointSecret => {
                given.contains(&Self::ManageEndpointSecret) || given.contains(&Self::ManageEndpoint)
            }
            Self::ManageEndpointSecret => given.contains(&Self::ManageEndpoint),
            Self::ManageTransformations | Self::CreateAttempts | Self::ManageEndpoint => false,
        };
        Self::ALL.into_iter().filter(|known| given.contains(known) || implied(known)).collect()
    }
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(crate) enum Role {
    /// Everything of its owner.
    Admin,
    /// Looking at everything of its owner but secrets.
    ReadOnly,
    /// What a customer sees of one application or source.
    Portal {
        /// The only one it is good for.
        application: ApplicationKey,
        /// What it may do.
        capabilities: Vec<Capability>,
        /// A name for the customer's session, by which its tokens are expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// The event types with one of these flags are shown besides those without any.
        #[serde(default)]
        feature_flags: Vec<String>,
    },
}

/// What is kept of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenBody {
    /// SHA-256 of its text, in hexadecimal.
    pub hash: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    #[serde(flatten)]
    pub role: Role,
}

/// Who is asking.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub owner: Owner,
    pub role: Role,
    /// The token, unless it is the operator's own.
    pub token: Option<TokenId>,
    /// Whether it is the operator's own token, which also rules the installation.
    pub operator: bool,
}

impl Access {
    /// Somebody who has shown no token.
    pub fn nobody() -> Self {
        let role = Role::ReadOnly;
        Self { owner: Owner::MAIN, role, token: None, operator: false }
    }

    /// Whether this caller may use a route; an application is checked when it is looked up.
    pub fn check(&self, route: &Route) -> Result<()> {
        let refused = |why: &str, hint: &str| {
            Err(ApiError::new("forbidden", format!("the token does not allow this: {why}"))
                .hint(hint))
        };
        if route.operator && !self.operator {
            return refused("it needs the operator's own admin token", "use BECKET_ADMIN_TOKEN");
        }
        match &self.role {
            Role::Admin => Ok(()),
            Role::ReadOnly if route.reads && !route.secret => Ok(()),
            Role::ReadOnly => refused("it can only look", "use an admin token"),
            Role::Portal { capabilities, .. } => match route.portal {
                Some(needed) if capabilities.contains(&needed) => Ok(()),
                Some(needed) => refused(
                    &format!("it lacks the capability {needed:?}"),
                    "ask for it when the portal access is made",
                ),
                None => refused("it is a portal token", "use an admin token"),
            },
        }
    }

    /// Whether this caller may see an application at all.
    pub fn sees(&self, application: ApplicationKey) -> bool {
        match &self.role {
            Role::Admin | Role::ReadOnly => true,
            Role::Portal { application: own, .. } => *own == application,
        }
    }
}

/// A fresh token: its id, its text, and the hash to keep.
pub(crate) fn fresh(noise: &dyn Noise, now_ms: i64) -> (TokenId, String, String) {
    let mut tail = [0; 14];
    noise.fill(&mut tail);
    let id = TokenId::new(now_ms, tail);
    let mut secret = [0; 32];
    noise.fill(&mut secret);
    let name = id.to_string();
    let characters = name.trim_start_matches("key_");
    let text = format!("{TOKEN_PREFIX}{characters}_{}", hex(&secret));
    let hash = hex(&Auth::hash(&text));
    (id, text, hash)
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id in a token's text.
fn id_in(text: &str) -> Option<TokenId> {
    let rest = text.strip_prefix(TOKEN_PREFIX)?;
    let (id, secret) = rest.split_once('_')?;
    if id.len() != ID_CHARACTERS || secret.len() != 64 {
        return None;
    }
    format!("key_{id}").parse().ok()
}

#[derive(Debug, Clone)]
struct Remembered {
    hash: String,
    access: Access,
    expires_at_ms: Option<i64>,
    until_ms: i64,
}

/// Tokens found lately, so that a busy caller does not cost a look-up per request.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<TokenId, Remembered>>,
    /// Counts changes, so that what was read before one is not remembered after it.
    changes: AtomicU64,
}

impl Tokens {
    /// Who has this token; `None` if nobody.
    pub async fn find(&self, store: &dyn Store, text: &str, now_ms: i64) -> Result<Option<Access>> {
        let Some(id) = id_in(text) else { return Ok(None) };
        let given = hex(&Auth::hash(text));
        let found = match self.remembered(&id, now_ms) {
            Some(found) => found,
            None => {
                let changes = self.changes.load(Ordering::Acquire);
                let Some(found) = look_up(store, id, now_ms).await? else { return Ok(None) };
                self.remember(id, &found, changes);
                found
            }
        };
        let fits = bool::from(found.hash.as_bytes().ct_eq(given.as_bytes()));
        let holds = found.expires_at_ms.is_none_or(|expires_at_ms| now_ms < expires_at_ms);
        Ok((fits && holds).then_some(found.access))
    }

    fn remember(&self, id: TokenId, found: &Remembered, changes: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.changes.load(Ordering::Acquire) != changes {
            return;
        }
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(id, found.clone());
    }

    fn remembered(&self, id: &TokenId, now_ms: i64) -> Option<Remembered> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|found| now_ms < found.until_ms).cloned()
    }

    /// Forgets everything that was found: tokens have changed.
    pub fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        known.clear();
    }
}

async fn look_up(store: &dyn Store, id: TokenId, now_ms: i64) -> Result<Option<Remembered>> {
    let found = store.document_find(DocumentKind::Token, &id.to_string(), now_ms).await?;
    let Some((owner, document)) = found else { return Ok(None) };
    let body: TokenBody = serde_json::from_str(&document.content.body).map_err(|error| {
        ApiError::new("event_damaged", format!("the stored token {id} cannot be read: {error}"))
    })?;
    Ok(Some(Remembered {
        hash: body.hash,
        access: Access { owner, role: body.role, token: Some(id), operator: false },
        expires_at_ms: document.content.expires_at_ms,
        until_ms: now_ms + REMEMBERED_MS,
    }))
}
