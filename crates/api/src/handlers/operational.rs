//! The application whose endpoints get events about the gateway itself: each owner's own, made with
//! its first endpoint.

use std::sync::Arc;

use becket_model::{ApplicationId, ApplicationKind, ApplicationSettings};
use becket_store::{ApplicationNew, Created};

use crate::apps::App;
use crate::call::Call;
use crate::operational::APPLICATION_UID;
use crate::problem::{ApiError, Result};

/// Every event type that tells about the gateway itself. The specification has one more, a log of
/// every attempt (`message.attempt.log`), which is not told here.
pub(crate) const EVENT_TYPES: [&str; 13] = [
    "background_task.finished",
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.enabled",
    "endpoint.updated",
    "ingest.endpoint.disabled",
    "ingest.message.attempt.exhausted",
    "ingest.message.attempt.failing",
    "ingest.message.attempt.recovered",
    "message.attempt.exhausted",
    "message.attempt.failing",
    "message.attempt.recovered",
];

/// The caller's, if it exists.
pub(crate) async fn find(call: &Call) -> Result<Option<Arc<App>>> {
    let kind = ApplicationKind::Operational;
    let apps = &call.shared.apps;
    apps.find(call.store(), call.owner, kind, APPLICATION_UID, call.now_ms()).await
}

/// The caller's; it is made if it does not exist.
pub(crate) async fn find_or_make(call: &Call) -> Result<Arc<App>> {
    if let Some(app) = find(call).await? {
        return Ok(app);
    }
    let now_ms = call.now_ms();
    let new = ApplicationNew {
        kind: ApplicationKind::Operational,
        id: ApplicationId::new(now_ms, super::random(call)),
        uid: Some(APPLICATION_UID.to_owned()),
        settings: ApplicationSettings {
            name: APPLICATION_UID.to_owned(),
            ..ApplicationSettings::default()
        },
        credentials: None,
    };
    if let Created::New(application) =
        call.store().application_create(call.owner, new, now_ms).await?
    {
        call.shared.api.control.application_changed(&application).await;
    }
    let missing = || ApiError::not_found("application", APPLICATION_UID);
    find(call).await?.ok_or_else(missing)
}
