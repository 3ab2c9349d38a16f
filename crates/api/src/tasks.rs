//! Work that outlives its request and its process: what is running, how far it has come, how it ended.
//!
//! [`begin`] keeps a task as a document and works through it step by step; after each step its cursor
//! and its figures are written. [`resume`] takes up what an earlier process left.
//!
//! Invariants: a step that was written is never done again; one that was cut off by a crash is done
//! again, so steps have to bear that; at most [`RUNNING_MAX`] tasks work at a time, the others wait
//! their turn; when the gateway shuts down tasks stop between two steps and stay `running` in the
//! store. Ended tasks are forgotten after [`KEPT_MS`].
//!
//! Deliberately absent: what the kinds of task do (`tasks::work` and what it names).
//!
//! Where next: `work` to add a kind of task.

mod counting;
mod purge;
mod replay;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use becket_model::{ApplicationId, TaskId};
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, Slice, Store, WriteIf, Written,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::call::Shared;
use crate::operational::{self, OperationalEvent};
use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::specification::TaskOut;

pub(crate) use replay::check_takes;
pub(crate) use work::{EndpointRef, ReplayWhich, ReplayWork, Step, TaskWork};

/// How many tasks work at the same time.
const RUNNING_MAX: usize = 4;
/// How many tasks of this process may be unfinished.
const UNFINISHED_MAX: usize = 1_000;
/// How long an ended task can be looked up, in milliseconds.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;
/// How long a task waits when the store cannot take its work at the moment.
const PAUSE: Duration = Duration::from_secs(2);
const SLICE: usize = 200;

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskStatus {
    Running,
    Finished,
    Failed,
}

impl TaskStatus {
    pub const ALL: [&'static str; 3] = ["running", "finished", "failed"];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// What is kept of a task, in the body of its document.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    status: TaskStatus,
    work: TaskWork,
    /// Where the next step begins; `None` at the beginning.
    cursor: Option<String>,
    /// What the task shows of itself.
    data: Map<String, Value>,
    /// The node that works on it, of several that share the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<u32>,
}

impl Record {
    fn read(document: &Document) -> Result<Self> {
        serde_json::from_str(&document.content.body).map_err(|error| {
            let name = &document.name.name;
            ApiError::new("event_damaged", format!("the task `{name}` cannot be read: {error}"))
        })
    }

    fn out(self, document: &Document, with_data: bool) -> TaskOut {
        TaskOut {
            id: document.name.name.clone(),
            status: self.status.as_str(),
            task: self.work.kind().as_str(),
            updated_at: times::text(document.updated_at_ms),
            data: with_data.then_some(Value::Object(self.data)),
        }
    }
}

/// The tasks that this process works on.
#[derive(Debug)]
pub(crate) struct Tasks {
    slots: Semaphore,
    unfinished: Mutex<HashSet<String>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { slots: Semaphore::new(RUNNING_MAX), unfinished: Mutex::default() }
    }
}

impl Tasks {
    fn unfinished(&self) -> MutexGuard<'_, HashSet<String>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(id: &str) -> DocumentName {
    DocumentName::of_owner(DocumentKind::Task, id)
}

/// Begins a task and answers at once with how it stands.
pub(crate) async fn begin(shared: &Arc<Shared>, owner: Owner, work: TaskWork) -> Result<TaskOut> {
    if shared.tasks.unfinished().len() >= UNFINISHED_MAX {
        return Err(ApiError::new(
            "too_many_tasks",
            format!("{UNFINISHED_MAX} tasks are unfinished"),
        )
        .hint("wait until some have finished")
        .retry_after_s(30));
    }
    let now_ms = shared.api.clock.now_ms();
    let mut tail = [0; 14];
    shared.api.noise.fill(&mut tail);
    let id = TaskId::new(now_ms, tail).to_string();
    let (status, node) = (TaskStatus::Running, shared.api.control.node());
    let record = Record { status, work, cursor: None, data: Map::new(), node };
    match write(shared, owner, &id, &record, WriteIf::Absent).await? {
        Written::Created(document) | Written::Replaced(document) => {
            let out = record.clone().out(&document, false);
            start(shared, owner, document, record);
            Ok(out)
        }
        Written::Refused(_) => {
            Err(ApiError::new("changed_meanwhile", format!("a task `{id}` exists already"))
                .hint("repeat the request"))
        }
    }
}

/// Takes up every task that an earlier process left unfinished: when the gateway starts and, if several
/// nodes share the store, when one of them has gone. Of several nodes, the first does it.
pub(crate) async fn resume(shared: Arc<Shared>) {
    let mut resumed = 0_usize;
    loop {
        match resume_all(&shared, &mut resumed).await {
            Ok(()) => break,
            Err(error) if passes(&error) && pause(&shared).await => {}
            Err(error) => {
                tracing::error!(%error, "task.resume_failed");
                break;
            }
        }
    }
    if resumed > 0 {
        tracing::info!(tasks = resumed, "task.resumed");
    }
}

async fn resume_all(shared: &Arc<Shared>, resumed: &mut usize) -> Result<()> {
    for owner in owners(shared).await? {
        let mut after = None;
        loop {
            let slice = Slice { limit: SLICE, after: after.clone(), descending: false };
            let now_ms = shared.api.clock.now_ms();
            let store = &shared.api.store;
            let found = store.document_list(owner, DocumentKind::Task, None, slice, now_ms).await?;
            let more = found.len() == SLICE;
            after = found.last().map(|document| document.name.name.clone());
            for document in found {
                match Record::read(&document) {
                    Ok(record)
                        if record.status == TaskStatus::Running && is_left(shared, &record) =>
                    {
                        *resumed += usize::from(start(shared, owner, document, record));
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "task.damaged"),
                }
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}

/// Whether nobody works on a task that is not finished.
fn is_left(shared: &Shared, record: &Record) -> bool {
    let control = &shared.api.control;
    match (control.node(), record.node) {
        (None, _) => true,
        (Some(_), node) => {
            control.is_first_node() && !node.is_some_and(|node| control.node_lives(node))
        }
    }
}

/// Everybody who may have tasks.
async fn owners(shared: &Shared) -> Result<Vec<Owner>> {
    let store = shared.api.store.as_ref();
    let mut owners = store.owner_list().await?;
    owners.push(Owner::MAIN);
    owners.extend(crate::handlers::environments::owners(store, shared.api.clock.now_ms()).await?);
    owners.sort_unstable();
    owners.dedup();
    Ok(owners)
}

/// One task of an owner; if an application is named, only one that replays to its endpoints.
pub(crate) async fn get(
    shared: &Shared,
    owner: Owner,
    id: &str,
    only: Option<ApplicationId>,
) -> Result<Option<TaskOut>> {
    let now_ms = shared.api.clock.now_ms();
    let Some(document) = shared.api.store.document_get(owner, name_of(id), now_ms).await? else {
        return Ok(None);
    };
    let record = Record::read(&document)?;
    let is_theirs = only.is_none_or(|application| record.work.replays_to() == Some(application));
    Ok(is_theirs.then(|| record.out(&document, true)))
}

/// Tasks of an owner in the order of their ids, which is by age; those that match.
pub(crate) async fn list(
    store: &dyn Store,
    owner: Owner,
    mut slice: Slice<String>,
    status: Option<&str>,
    kind: Option<&str>,
    now_ms: i64,
) -> Result<Vec<TaskOut>> {
    let wanted = slice.limit;
    slice.limit = SLICE;
    let mut tasks = Vec::new();
    loop {
        let found =
            store.document_list(owner, DocumentKind::Task, None, slice.clone(), now_ms).await?;
        let more = found.len() == SLICE;
        slice.after = found.last().map(|document| document.name.name.clone());
        for document in &found {
            let task = Record::read(document)?.out(document, true);
            let fits = status.is_none_or(|status| status == task.status)
                && kind.is_none_or(|kind| kind == task.task);
            if fits && tasks.len() < wanted {
                tasks.push(task);
            }
        }
        if !more || tasks.len() == wanted {
            return Ok(tasks);
        }
    }
}

async fn write(
    shared: &Shared,
    owner: Owner,
    id: &str,
    record: &Record,
    condition: WriteIf,
) -> Result<Written> {
    let now_ms = shared.api.clock.now_ms();
    let body = serde_json::to_string(record).map_err(|error| {
        ApiError::new("event_damaged", format!("the task `{id}` cannot be written: {error}"))
    })?;
    let ended = record.status != TaskStatus::Running;
    let expires_at_ms = ended.then(|| now_ms.saturating_add(KEPT_MS));
    let content = DocumentContent { body, sealed: None, expires_at_ms };
    Ok(shared.api.store.document_put(owner, name_of(id), content, condition, now_ms).await?)
}

/// Whether waiting helps.
fn passes(error: &ApiError) -> bool {
    matches!(error.code(), "store_busy" | "store_full" | "store_broken" | "store_unavailable")
}

/// Waits a little; `false` if the gateway shuts down meanwhile.
async fn pause(shared: &Shared) -> bool {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => true,
        () = closed(shared) => false,
    }
}

async fn closed(shared: &Shared) {
    let mut closing = shared.api.closing.clone();
    // Nobody who could still close it is the same as closing.
    let _ = closing.wait_for(|closing| *closing).await;
}

struct Unfinished {
    shared: Arc<Shared>,
    id: String,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.shared.tasks.unfinished().remove(&self.id);
    }
}

/// Works on a task in the background; `false` if this process does so already.
fn start(shared: &Arc<Shared>, owner: Owner, document: Document, record: Record) -> bool {
    let id = document.name.name.clone();
    if !shared.tasks.unfinished().insert(id.clone()) {
        return false;
    }
    let unfinished = Unfinished { shared: Arc::clone(shared), id };
    tokio::spawn(async move {
        let shared = &unfinished.shared;
        let slot = tokio::select! {
            slot = shared.tasks.slots.acquire() => slot,
            () = closed(shared) => return,
        };
        if slot.is_ok() {
            run(shared, owner, document, record).await;
        }
    });
    true
}

/// Works through a task; stops between two steps when the gateway shuts down.
async fn run(shared: &Shared, owner: Owner, document: Document, mut record: Record) {
    record.node = shared.api.control.node();
    let id = document.name.name;
    let mut revision = document.revision;
    while record.status == TaskStatus::Running {
        if *shared.api.closing.borrow() {
            return;
        }
        let mut data = record.data.clone();
        let step = Step { shared, owner, cursor: record.cursor.as_deref(), data: &mut data };
        match record.work.clone().step(step).await {
            Ok(Some(cursor)) => record.cursor = Some(cursor),
            Ok(None) => record.status = TaskStatus::Finished,
            Err(error) if passes(&error) => {
                if pause(shared).await {
                    continue;
                }
                return;
            }
            // It is taken up again after a restart.
            Err(error) if error.code() == "store_closed" => return,
            Err(error) => {
                tracing::warn!(task = id, %error, "task.failed");
                data.insert("error".to_owned(), error.to_string().into());
                record.status = TaskStatus::Failed;
            }
        }
        record.data = data;
        match keep(shared, owner, &id, &record, revision).await {
            Some(written) => revision = written,
            None => return,
        }
    }
    let Ok(task) = id.parse::<TaskId>() else { return };
    let event = OperationalEvent::TaskFinished {
        id: task,
        task: record.work.kind().as_str(),
        status: record.status.as_str(),
        data: Value::Object(record.data),
    };
    operational::tell(shared, owner, event).await;
}

/// Writes how far a task has come; its new revision, or `None` if it is not ours to go on with.
async fn keep(
    shared: &Shared,
    owner: Owner,
    id: &str,
    record: &Record,
    revision: u64,
) -> Option<u64> {
    loop {
        match write(shared, owner, id, record, WriteIf::Revision(revision)).await {
            Ok(Written::Created(document) | Written::Replaced(document)) => {
                return Some(document.revision);
            }
            Ok(Written::Refused(_)) => {
                tracing::warn!(task = id, "task.taken_over");
                return None;
            }
            Err(error) if passes(&error) => {
                if !pause(shared).await {
                    return None;
                }
            }
            Err(error) => {
                if error.code() != "store_closed" {
                    tracing::error!(task = id, %error, "task.not_kept");
                }
                return None;
            }
        }
    }
}
