//! Event types: defining them, changing them, putting them away (`v1.event-type`).
//!
//! An archived event type keeps its name and its history but takes no new events; making it again
//! brings it back. Those with feature flags are shown to portal tokens that have one of the flags.

use becket_store::{Document, DocumentContent, DocumentKind, Slice, WriteIf, Written};
use http::StatusCode;

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::event_types::{self, EventTypeBody};
use crate::page::Asked;
use crate::problem::{ApiError, Place, Result};
use crate::wire::event_types::{EventTypeIn, EventTypeOut, EventTypePatch};

/// How often a change is tried again when somebody else was quicker.
const TRIES: usize = 5;

/// The feature flags that the caller's view is limited to; `None` is no limit.
fn flags(call: &Call) -> Option<&[String]> {
    call.access.role.feature_flags()
}

fn missing(name: &str) -> ApiError {
    ApiError::not_found("event type", name)
}

/// The document of an event type that the caller may see.
async fn document(call: &Call, name: &str) -> Result<(Document, EventTypeBody)> {
    let found = call
        .store()
        .document_get(call.owner, event_types::document_name(name), call.now_ms())
        .await?
        .ok_or_else(|| missing(name))?;
    let body = EventTypeBody::read(&found)?;
    if !body.shown_to(flags(call)) {
        return Err(missing(name));
    }
    Ok((found, body))
}

/// `GET /api/v1/event-type`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<EventTypeOut>>> {
    let archived = call.flag("include_archived", false)?;
    let with_content = call.flag("with_content", false)?;
    // A name may begin with the sign that an iterator backwards begins with.
    let parse = |text: &str| Some(text.strip_prefix('~').unwrap_or(text).to_owned());
    let iterator = |name: &str| match name.starts_with('-') {
        true => format!("~{name}"),
        false => name.to_owned(),
    };
    let asked = Asked::read(&call, parse)?;
    let page = asked
        .page(|slice| matching(&call, slice, archived), |row: &Document| iterator(&row.name.name))
        .await?;
    let data = page.data.iter().map(|row| EventTypeOut::new(row, with_content));
    Ok(Answer::ok(Listed {
        data: data.collect::<Result<_>>()?,
        iterator: page.iterator,
        prev_iterator: page.prev_iterator,
        done: page.done,
    }))
}

/// A slice of the event types that the caller is shown.
async fn matching(call: &Call, slice: Slice<String>, archived: bool) -> Result<Vec<Document>> {
    let mut found = Vec::new();
    let mut from = slice.clone();
    loop {
        let (kind, now_ms) = (DocumentKind::EventType, call.now_ms());
        let batch =
            call.store().document_list(call.owner, kind, None, from.clone(), now_ms).await?;
        let more = batch.len() == from.limit;
        from.after = batch.last().map(|row| row.name.name.clone());
        for row in batch {
            let body = EventTypeBody::read(&row)?;
            if (archived || !body.archived) && body.shown_to(flags(call)) {
                found.push(row);
            }
            if found.len() == slice.limit {
                return Ok(found);
            }
        }
        if !more {
            return Ok(found);
        }
    }
}

/// Checks what a schema of the document cannot say.
pub(crate) fn check(body: &EventTypeBody) -> Result<()> {
    if let Some(retry) = &body.retry {
        retry.schedule().map_err(|what| ApiError::body("retry", what))?;
    }
    body.check_schemas()
}

/// Writes an event type; `None` if the condition does not hold any more.
pub(crate) async fn write(
    call: &Call,
    name: &str,
    body: &EventTypeBody,
    condition: WriteIf,
) -> Result<Option<(Document, bool)>> {
    let text = serde_json::to_string(body)
        .map_err(|error| ApiError::new("event_damaged", format!("cannot be written: {error}")))?;
    let content = DocumentContent { body: text, ..DocumentContent::default() };
    let document = event_types::document_name(name);
    let written =
        call.store().document_put(call.owner, document, content, condition, call.now_ms()).await?;
    call.shared.event_types.forget(call.owner);
    Ok(match written {
        Written::Created(document) => Some((document, true)),
        Written::Replaced(document) => Some((document, false)),
        Written::Refused(_) => None,
    })
}

/// Tells the engine when schedules have changed.
pub(crate) async fn tell_schedules(call: &Call) -> Result<()> {
    let schedules =
        event_types::load_retry_by_type(call.store(), call.owner, call.now_ms()).await?;
    call.shared.api.control.retry_by_type_changed(call.owner, schedules).await;
    Ok(())
}

fn quicker() -> ApiError {
    ApiError::new("changed_meanwhile", "the event type was changed at the same time")
        .hint("repeat the request")
}

/// `POST /api/v1/event-type`
pub(crate) async fn create(
    call: Call,
    JsonBody(given): JsonBody<EventTypeIn>,
) -> Result<Answer<EventTypeOut>> {
    let name = given.name.clone().unwrap_or_default();
    let body = given.body(None);
    check(&body)?;
    for _ in 0..TRIES {
        let (known, condition) = before(&call, &name).await?;
        if known.as_ref().is_some_and(|known| !known.archived) {
            let what = format!("there is an event type `{name}` already");
            return Err(ApiError::new("conflict", what).hint("change it with PUT or PATCH"));
        }
        if let Some((document, _)) = write(&call, &name, &body, condition).await? {
            call.audit("event_type.created", &name);
            if known.is_some() || body.retry.is_some() {
                tell_schedules(&call).await?;
            }
            return Ok(Answer(StatusCode::CREATED, EventTypeOut::new(&document, true)?));
        }
    }
    Err(quicker())
}

/// The event type that has this name, archived ones included, and the condition under which it is
/// still so.
async fn before(call: &Call, name: &str) -> Result<(Option<EventTypeBody>, WriteIf)> {
    let (document, now_ms) = (event_types::document_name(name), call.now_ms());
    match call.store().document_get(call.owner, document, now_ms).await? {
        None => Ok((None, WriteIf::Absent)),
        Some(known) => Ok((Some(EventTypeBody::read(&known)?), WriteIf::Revision(known.revision))),
    }
}

/// Makes an event type as it says, or changes it to that; says whether it is new.
pub(crate) async fn put(call: &Call, name: &str, given: &EventTypeIn) -> Result<(Document, bool)> {
    for _ in 0..TRIES {
        let (known, condition) = before(call, name).await?;
        let body = given.body(known.as_ref());
        check(&body)?;
        if let Some(written) = write(call, name, &body, condition).await? {
            return Ok(written);
        }
    }
    Err(quicker())
}

/// `GET /api/v1/event-type/{event_type_name}`
pub(crate) async fn get(call: Call) -> Result<Answer<EventTypeOut>> {
    let (document, _) = document(&call, call.path("event_type_name")).await?;
    Ok(Answer::ok(EventTypeOut::new(&document, true)?))
}

/// `PUT /api/v1/event-type/{event_type_name}`
pub(crate) async fn upsert(
    call: Call,
    JsonBody(given): JsonBody<EventTypeIn>,
) -> Result<Answer<EventTypeOut>> {
    let name = call.path("event_type_name").to_owned();
    check_name(&name)?;
    let (document, created) = put(&call, &name, &given).await?;
    call.audit("event_type.upserted", &name);
    tell_schedules(&call).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Answer(status, EventTypeOut::new(&document, true)?))
}

/// Names in paths follow the same rule as those in bodies.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        return Ok(());
    }
    let what = "is not 1 to 256 letters, digits, `-`, `_` and `.`";
    let place = Place::new("path", "event_type_name", what, "pattern");
    Err(ApiError::new("bad_body", format!("the event type's name {what}")).at(vec![place]))
}

/// `PATCH /api/v1/event-type/{event_type_name}`
pub(crate) async fn patch(
    call: Call,
    JsonBody(given): JsonBody<EventTypePatch>,
) -> Result<Answer<EventTypeOut>> {
    let name = call.path("event_type_name").to_owned();
    for _ in 0..TRIES {
        let (known, mut body) = document(&call, &name).await?;
        let before = body.retry.clone();
        given.apply(&mut body);
        check(&body)?;
        let condition = WriteIf::Revision(known.revision);
        if let Some((document, _)) = write(&call, &name, &body, condition).await? {
            call.audit("event_type.patched", &name);
            if before != body.retry {
                tell_schedules(&call).await?;
            }
            return Ok(Answer::ok(EventTypeOut::new(&document, true)?));
        }
    }
    Err(quicker())
}

/// `DELETE /api/v1/event-type/{event_type_name}`
pub(crate) async fn delete(call: Call) -> Result<StatusCode> {
    let name = call.path("event_type_name").to_owned();
    if call.flag("expunge", false)? {
        let removed =
            call.store().document_remove(call.owner, event_types::document_name(&name)).await?;
        call.shared.event_types.forget(call.owner);
        if !removed {
            return Err(missing(&name));
        }
        call.audit("event_type.expunged", &name);
        tell_schedules(&call).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    for _ in 0..TRIES {
        let (known, mut body) = document(&call, &name).await?;
        body.archived = true;
        if write(&call, &name, &body, WriteIf::Revision(known.revision)).await?.is_some() {
            call.audit("event_type.archived", &name);
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(quicker())
}
