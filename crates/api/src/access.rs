//! Who is asking, and what they may do: tokens of the store, and the operator's own.
//!
//! A token's text is `bk_`, the 27 characters of its id, `_`, and 64 hexadecimal digits; the store
//! keeps its SHA-256 in a document of kind [`DocumentKind::Token`], so that one look-up finds it.
//!
//! Rights are marks on routes (`routes::Route`), and [`Access::check`] is the one place that judges them.
//!
//! Invariants: a token that is unknown, expired or wrong is refused in the same words; what was
//! found is remembered for [`REMEMBERED_MS`] at most, and forgotten at once when this process changes
//! it; a portal token sees one application and nothing else.
//!
//! Deliberately absent: making tokens (`handlers/tokens`), the brake on guessing (`auth`), people who
//! are signed in with a browser (`sessions`), what is left out for whom (`hidden`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use becket_model::{ApplicationKey, Noise, TokenId};
use becket_store::{DocumentKind, Owner, Store};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::auth::Auth;
use crate::problem::{ApiError, Result};
use crate::routes::{Payload, Route};
use crate::sessions::Sessions;

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

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(crate) enum Role {
    /// Everything of its owner.
    Admin,
    /// Everything of its owner but who may do what, and moving all of it.
    Developer {
        /// Whether payloads are shown.
        #[serde(default)]
        payloads: bool,
    },
    /// Looking at everything of its owner but secrets.
    // Tokens of the first releases are called otherwise, and show payloads.
    #[serde(alias = "read_only")]
    Viewer {
        /// Whether payloads are shown.
        #[serde(default = "yes")]
        payloads: bool,
    },
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

const fn yes() -> bool {
    true
}

impl Role {
    /// Whether payloads are shown: bodies, values of headers, responses.
    pub const fn payloads(&self) -> bool {
        match self {
            Self::Admin | Self::Portal { .. } => true,
            Self::Developer { payloads } | Self::Viewer { payloads } => *payloads,
        }
    }

    /// The flags of the event types that are shown; `None` shows all.
    pub fn feature_flags(&self) -> Option<&[String]> {
        match self {
            Self::Portal { feature_flags, .. } => Some(feature_flags),
            Self::Admin | Self::Developer { .. } | Self::Viewer { .. } => None,
        }
    }
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
    /// The token, or the one that the session was made from; `None` for the operator's own.
    pub token: Option<TokenId>,
    /// Whether it is the operator, by the operator's own token, who also rules the installation.
    pub operator: bool,
    /// The token's or the person's name.
    pub name: Option<Arc<str>>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The session, by the name of its document, if somebody is signed in with a browser.
    pub session: Option<Arc<str>>,
}

impl Access {
    /// The operator, by the operator's own token.
    pub const fn operator(owner: Owner) -> Self {
        Self {
            owner,
            role: Role::Admin,
            token: None,
            operator: true,
            name: None,
            expires_at_ms: None,
            session: None,
        }
    }

    /// Somebody who has shown no token.
    pub fn nobody() -> Self {
        let role = Role::Viewer { payloads: false };
        Self { role, operator: false, ..Self::operator(Owner::MAIN) }
    }

    /// Whether this caller may use a route; an application is checked when it is looked up.
    ///
    /// This is the one place that says who may do what.
    pub fn check(&self, route: &Route) -> Result<()> {
        let refused = |why: &str, hint: &str| {
            Err(ApiError::new("forbidden", format!("the token does not allow this: {why}"))
                .hint(hint))
        };
        if route.operator && !self.operator {
            return refused("it needs the operator's own admin token", "use BECKET_ADMIN_TOKEN");
        }
        match &self.role {
            Role::Developer { .. } | Role::Viewer { .. } if route.admin => {
                return refused("it is for admins", "ask an admin of this environment");
            }
            Role::Viewer { .. } if !route.reads || route.secret => {
                return refused("it can only look", "use a token of a developer or an admin");
            }
            Role::Admin | Role::Developer { .. } | Role::Viewer { .. } => {}
            Role::Portal { capabilities, .. } => match route.portal {
                Some(needed) if capabilities.contains(&needed) => {}
                Some(needed) => {
                    return refused(
                        &format!("it lacks the capability {needed:?}"),
                        "ask for it when the portal access is made",
                    );
                }
                None => return refused("it is a portal token", "use an admin token"),
            },
        }
        match route.payload {
            Payload::Needed if !self.role.payloads() => Err(payloads_hidden()),
            Payload::Needed | Payload::LeftOut(_) | Payload::None => Ok(()),
        }
    }

    /// Whether this caller may see an application at all.
    pub fn sees(&self, application: ApplicationKey) -> bool {
        match &self.role {
            Role::Admin | Role::Developer { .. } | Role::Viewer { .. } => true,
            Role::Portal { application: own, .. } => *own == application,
        }
    }

    /// For what shows a secret only if it is asked to, such as the senders' credentials.
    pub fn may_see_secrets(&self) -> Result<()> {
        self.needs_payloads()?;
        match self.role {
            Role::Viewer { .. } => {
                Err(ApiError::new("forbidden", "the token does not allow this: it sees no secret")
                    .hint("leave `reveal` out, or use a token of a developer or an admin"))
            }
            Role::Admin | Role::Developer { .. } | Role::Portal { .. } => Ok(()),
        }
    }

    /// For what only callers may ask who see payloads, such as a search in them.
    pub fn needs_payloads(&self) -> Result<()> {
        if self.role.payloads() { Ok(()) } else { Err(payloads_hidden()) }
    }
}

fn payloads_hidden() -> ApiError {
    ApiError::new("payloads_hidden", "this shows payloads, or decides where they go")
        .hint("ask an admin for a token or a role with the right `payloads`")
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
    until_ms: i64,
}

fn holds(access: &Access, now_ms: i64) -> bool {
    access.expires_at_ms.is_none_or(|expires_at_ms| now_ms < expires_at_ms)
}

/// Tokens found lately, so that a busy caller does not cost a look-up per request.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<TokenId, Remembered>>,
    /// Those who are signed in with a browser.
    pub sessions: Sessions,
    /// Counts changes, so that what was read before one is not remembered after it.
    changes: AtomicU64,
}

impl Tokens {
    /// Who has this token; `None` if nobody.
    pub async fn find(&self, store: &dyn Store, text: &str, now_ms: i64) -> Result<Option<Access>> {
        let Some(id) = id_in(text) else { return Ok(None) };
        let given = hex(&Auth::hash(text));
        let Some(found) = self.known(store, id, now_ms).await? else { return Ok(None) };
        let fits = bool::from(found.hash.as_bytes().ct_eq(given.as_bytes()));
        Ok(fits.then_some(found.access).filter(|access| holds(access, now_ms)))
    }

    /// Who has the token of this id, which was shown before; `None` if it holds no longer.
    pub async fn of_id(
        &self,
        store: &dyn Store,
        id: TokenId,
        now_ms: i64,
    ) -> Result<Option<Access>> {
        let found = self.known(store, id, now_ms).await?;
        Ok(found.map(|found| found.access).filter(|access| holds(access, now_ms)))
    }

    async fn known(
        &self,
        store: &dyn Store,
        id: TokenId,
        now_ms: i64,
    ) -> Result<Option<Remembered>> {
        if let Some(found) = self.remembered(&id, now_ms) {
            return Ok(Some(found));
        }
        let changes = self.changes.load(Ordering::Acquire);
        let found = look_up(store, id, now_ms).await?;
        if let Some(found) = &found {
            self.remember(id, found, changes);
        }
        Ok(found)
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

    /// Counts the changes of tokens and sessions.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Forgets everything that was found: tokens have changed.
    pub fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        known.clear();
        drop(known);
        self.sessions.forget();
    }
}

async fn look_up(store: &dyn Store, id: TokenId, now_ms: i64) -> Result<Option<Remembered>> {
    let found = store.document_find(DocumentKind::Token, &id.to_string(), now_ms).await?;
    let Some((owner, document)) = found else { return Ok(None) };
    let body: TokenBody = serde_json::from_str(&document.content.body).map_err(|error| {
        ApiError::new("event_damaged", format!("the stored token {id} cannot be read: {error}"))
    })?;
    let access = Access {
        role: body.role,
        token: Some(id),
        operator: false,
        name: Some(body.name.into()).filter(|name: &Arc<str>| !name.is_empty()),
        expires_at_ms: document.content.expires_at_ms,
        ..Access::operator(owner)
    };
    Ok(Some(Remembered { hash: body.hash, access, until_ms: now_ms + REMEMBERED_MS }))
}
