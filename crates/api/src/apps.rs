//! Applications with their endpoints, remembered so that posting an event reads nothing.
//!
//! Invariants: what is remembered is at most [`REMEMBERED_MS`] old, and is forgotten at once when this
//! process changes it: a change that was answered is seen by every later call. Bounded to
//! [`APPLICATIONS_MAX`] applications and [`ENDPOINTS_MAX`] endpoints.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use becket_model::{ApplicationId, ApplicationKey, ApplicationKind, EndpointId, SourceId};
use becket_store::{Application, Endpoint, Name, Owner, Scope, Slice, Store};

use crate::problem::{ApiError, Result};

const REMEMBERED_MS: i64 = 5_000;
const APPLICATIONS_MAX: usize = 10_000;
const ENDPOINTS_MAX: usize = 50_000;
const SLICE: usize = 1_000;

/// An application with its endpoints that are not removed, oldest first.
#[derive(Debug)]
pub(crate) struct App {
    pub application: Application,
    pub endpoints: Vec<Endpoint>,
    read_at_ms: i64,
}

impl App {
    pub fn key(&self) -> ApplicationKey {
        self.application.key
    }

    pub fn scope(&self) -> Scope {
        Scope::of(self.application.owner, self.application.key)
    }

    /// The endpoint with this id, or else with this uid, which may look like an id.
    pub fn endpoint(&self, name: &str) -> Result<&Endpoint> {
        let id: Option<EndpointId> = name.parse().ok();
        let by_id = id.and_then(|id| self.endpoints.iter().find(|endpoint| endpoint.id == id));
        by_id
            .or_else(|| self.endpoints.iter().find(|known| known.uid.as_deref() == Some(name)))
            .ok_or_else(|| ApiError::not_found("endpoint", name))
    }
}

type ByName = (Owner, ApplicationKind, String);

#[derive(Debug, Default)]
struct Remembered {
    apps: HashMap<ByName, Arc<App>>,
    endpoints: usize,
}

/// The remembered applications.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    remembered: Mutex<Remembered>,
    /// Counts changes, so that what was read before one is not remembered after it.
    changes: AtomicU64,
}

/// How an application of a kind is named in a path, by the look of it: by its id, or by its uid.
pub(crate) fn name_of(kind: ApplicationKind, text: &str) -> Name<ApplicationId> {
    if kind == ApplicationKind::Source
        && let Ok(id) = text.parse::<SourceId>()
    {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(id.as_bytes());
        return Name::Id(ApplicationId::from_bytes(bytes));
    }
    match text.parse() {
        Ok(id) => Name::Id(id),
        Err(_) => Name::Uid(text.to_owned()),
    }
}

/// The application of a kind with this id, or else with this uid: a uid may look like an id, as the
/// ids do that another system gave.
pub(crate) async fn look_up(
    store: &dyn Store,
    owner: Owner,
    kind: ApplicationKind,
    text: &str,
) -> Result<Option<Application>> {
    let name = name_of(kind, text);
    let looks_like_id = matches!(name, Name::Id(_));
    let found = store.application_get(owner, kind, name).await?;
    if found.is_some() || !looks_like_id {
        return Ok(found);
    }
    Ok(store.application_get(owner, kind, Name::Uid(text.to_owned())).await?)
}

/// Whether a uid is the id of another application of its kind: whoever gave it could never reach
/// what has it, because an id in a path means what has the id.
pub(crate) async fn is_others_id(
    store: &dyn Store,
    owner: Owner,
    kind: ApplicationKind,
    uid: Option<&str>,
    own: Option<ApplicationKey>,
) -> Result<bool> {
    let Some(name @ Name::Id(_)) = uid.map(|uid| name_of(kind, uid)) else { return Ok(false) };
    let found = store.application_get(owner, kind, name).await?;
    Ok(found.is_some_and(|found| Some(found.key) != own))
}

impl Apps {
    /// The application of this kind and name, with its endpoints; `None` if there is none.
    pub async fn find(
        &self,
        store: &dyn Store,
        owner: Owner,
        kind: ApplicationKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<Arc<App>>> {
        let by_name = (owner, kind, name.to_owned());
        if let Some(app) = self.remembered(&by_name, now_ms) {
            return Ok(Some(app));
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(application) = look_up(store, owner, kind, name).await? else { return Ok(None) };
        let endpoints = all_endpoints(store, owner, application.key).await?;
        let app = Arc::new(App { application, endpoints, read_at_ms: now_ms });
        self.remember(by_name, &app, changes);
        Ok(Some(app))
    }

    fn remembered(&self, name: &ByName, now_ms: i64) -> Option<Arc<App>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let app = remembered.apps.get(name)?;
        (now_ms - app.read_at_ms < REMEMBERED_MS).then(|| Arc::clone(app))
    }

    fn remember(&self, name: ByName, app: &Arc<App>, changes: u64) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if self.changes.load(Ordering::Acquire) != changes {
            return;
        }
        let full = remembered.apps.len() >= APPLICATIONS_MAX
            || remembered.endpoints + app.endpoints.len() > ENDPOINTS_MAX;
        if full {
            *remembered = Remembered::default();
        }
        remembered.endpoints += app.endpoints.len();
        if let Some(old) = remembered.apps.insert(name, Arc::clone(app)) {
            remembered.endpoints -= old.endpoints.len();
        }
    }

    /// Forgets all applications.
    pub fn forget_all(&self) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        *remembered = Remembered::default();
    }

    /// Forgets one application under all its names: it or one of its endpoints has changed.
    pub fn forget(&self, key: ApplicationKey) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        remembered.apps.retain(|_, app| app.key() != key);
        remembered.endpoints = remembered.apps.values().map(|app| app.endpoints.len()).sum();
    }
}

/// Every endpoint of an application that is not removed, oldest first.
pub(crate) async fn all_endpoints(
    store: &dyn Store,
    owner: Owner,
    application: ApplicationKey,
) -> Result<Vec<Endpoint>> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    loop {
        let after = endpoints.last().map(|endpoint| endpoint.id);
        let slice = Slice { limit: SLICE, after, descending: false };
        let found = store.endpoint_list(owner, application, slice).await?;
        let more = found.len() == SLICE;
        endpoints.extend(found);
        if !more {
            return Ok(endpoints);
        }
    }
}
