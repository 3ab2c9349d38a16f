//! Work that outlives its request: what is running and how it ended.
//!
//! Invariants: kept in memory and bounded; what a task has already replayed is durable, the task
//! itself ends with the process and has to be asked for again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use becket_model::{EventId, EventSeq, Noise};
use becket_store::Owner;
use serde_json::Value;

use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::specification::TaskOut;

const KEPT_MAX: usize = 1_000;
const RUNNING_MAX: usize = 16;

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What a task does, in the specification's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Recover,
    ReplayMissing,
}

impl TaskKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::ReplayMissing => "endpoint.replay",
        }
    }
}

#[derive(Debug, Clone)]
struct Task {
    id: String,
    owner: Owner,
    kind: TaskKind,
    status: TaskStatus,
    updated_at_ms: i64,
    data: Value,
}

impl Task {
    fn out(&self, with_data: bool) -> TaskOut {
        TaskOut {
            id: self.id.clone(),
            status: self.status.as_str(),
            task: self.kind.as_str(),
            updated_at: times::text(self.updated_at_ms),
            data: with_data.then(|| self.data.clone()),
        }
    }
}

/// The tasks of this process, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<VecDeque<Task>>);

impl Tasks {
    /// Begins a task.
    pub fn begin(
        &self,
        owner: Owner,
        kind: TaskKind,
        noise: &dyn Noise,
        now_ms: i64,
    ) -> Result<TaskOut> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.iter().filter(|task| task.status == TaskStatus::Running).count() >= RUNNING_MAX {
            return Err(ApiError::new(
                "too_many_tasks",
                format!("{RUNNING_MAX} tasks are running"),
            )
            .hint("wait until one has finished")
            .retry_after_s(5));
        }
        if tasks.len() >= KEPT_MAX
            && let Some(at) = tasks.iter().position(|task| task.status != TaskStatus::Running)
        {
            tasks.remove(at);
        }
        let mut tail = [0; 12];
        noise.fill(&mut tail);
        // The same text form as every id: sorts by time, 27 characters.
        let id = EventId::new(EventSeq::floor_of_ms(now_ms), tail).to_string();
        let task = Task {
            id: id.replacen(EventId::PREFIX, "qtask", 1),
            owner,
            kind,
            status: TaskStatus::Running,
            updated_at_ms: now_ms,
            data: Value::Object(serde_json::Map::new()),
        };
        let out = task.out(false);
        tasks.push_back(task);
        Ok(out)
    }

    /// Notes how far a task has come.
    pub fn update(&self, id: &str, status: TaskStatus, data: Value, now_ms: i64) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.iter_mut().find(|task| task.id == id) {
            task.status = status;
            task.data = data;
            task.updated_at_ms = now_ms;
        }
    }

    /// One task of an owner.
    pub fn get(&self, owner: Owner, id: &str) -> Option<TaskOut> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().find(|task| task.owner == owner && task.id == id).map(|task| task.out(true))
    }

    /// An owner's tasks, newest first.
    pub fn list(&self, owner: Owner) -> Vec<TaskOut> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().rev().filter(|task| task.owner == owner).map(|task| task.out(true)).collect()
    }
}
