//! What an endpoint of the file does instead of being posted to: `[source.endpoint.exec]` and its kin,
//! and the transformation that any endpoint may have.
//!
//! Invariants: reading and checking touch no network; whatever can be found wrong without it is found
//! here, so that `becket config check` tells it. Making the action opens nothing either: what needs a
//! connection connects with its first delivery, or in the background.
//!
//! Where next: one file for each kind.

mod exec;
mod notify;
mod queue;
mod sql;
mod transform;

use std::path::PathBuf;
use std::sync::Arc;

use becket_egress::EgressConfig;
use becket_egress::action::Action;
use becket_model::EndpointKind;

pub use exec::Exec;
pub(super) use exec::{EXEC_TIMEOUT, EXEC_TIMEOUT_MAX};
pub use notify::Notify;
pub use queue::Queue;
pub use sql::Sql;
pub use transform::{CodeFile, Transform, check_programs};

use super::problem::Severity;
use super::reader::Reader;
use super::source::Endpoint;

/// What an action is made with.
pub struct ActContext {
    /// The id of the endpoint, `ep_...`.
    pub endpoint_id: String,
    /// Its name in the file.
    pub endpoint: String,
    /// The name of its source.
    pub source: String,
    /// Where the gateway is reached by its users, if that is known.
    pub public_url: Option<String>,
    /// The folder that the store is in, for small state of its own.
    pub data_folder: PathBuf,
    /// How connections are made, for actions that speak HTTP.
    pub egress: Arc<dyn Fn() -> EgressConfig + Send + Sync>,
}

impl Endpoint {
    /// What it does with a delivery.
    #[must_use]
    pub fn kind(&self) -> EndpointKind {
        self.kinds().next().unwrap_or_default()
    }

    /// Every kind that is written for it; a right one has one.
    pub(super) fn kinds(&self) -> impl Iterator<Item = EndpointKind> {
        let all = [
            (self.url.is_some(), EndpointKind::Http),
            (self.exec.is_some(), EndpointKind::Exec),
            (self.sql.is_some(), EndpointKind::Sql),
            (self.notify.is_some(), EndpointKind::Notify),
            (self.queue.is_some(), EndpointKind::Queue),
        ];
        all.into_iter().filter(|(given, _)| *given).map(|(_, kind)| kind)
    }

    /// What it does instead of being posted to; `None` for one with a URL.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, context: &ActContext) -> Result<Option<Arc<dyn Action>>, String> {
        if let Some(exec) = &self.exec {
            return exec.action(context, self.timeout(), self.concurrency()).map(Some);
        }
        if let Some(sql) = &self.sql {
            return sql.action(context).map(Some);
        }
        if let Some(notify) = &self.notify {
            return notify.action(context).map(Some);
        }
        self.queue.as_ref().map(|queue| queue.action(context)).transpose()
    }
}

/// Reports what is wrong with what an endpoint does.
pub(super) fn check(reader: &mut Reader<'_>, prefix: &str, endpoint: &Endpoint) {
    let kinds: Vec<&str> = endpoint.kinds().map(EndpointKind::as_str).collect();
    let name = |kind: &str| if kind == "http" { "url".to_owned() } else { kind.to_owned() };
    let mut report = |code: &'static str, key: String, message: String, hint: &str| {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        reader.report(Severity::Error, code, &[&key, prefix], message, hint);
    };
    match kinds.as_slice() {
        [] => {
            let message = format!("the endpoint `{}` has nowhere to deliver to", endpoint.id);
            let hint = "add url = \"https://...\", or one of exec, sql, notify and queue";
            return report("endpoint_without_target", prefix.to_owned(), message, hint);
        }
        [_] => {}
        [first, second, ..] => {
            let (first, second) = (name(first), name(second));
            let message =
                format!("the endpoint `{}` has both `{first}` and `{second}`", endpoint.id);
            let hint = "make two endpoints of it: each gets every event";
            return report("endpoint_twice", format!("{prefix}.{second}"), message, hint);
        }
    }
    let context = ActContext {
        endpoint_id: String::new(),
        endpoint: endpoint.id.clone(),
        source: String::new(),
        public_url: None,
        data_folder: PathBuf::new(),
        egress: Arc::new(EgressConfig::default),
    };
    if let Some(Err(message)) = endpoint.transform.as_ref().map(Transform::program) {
        report("code_unusable", format!("{prefix}.transform"), message, "");
    }
    if let Err(message) = endpoint.action(&context) {
        let key = format!("{prefix}.{}", endpoint.kind().as_str());
        report("action_unusable", key, message, "");
    }
}
