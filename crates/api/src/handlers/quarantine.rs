//! Refused requests: why, what they were, and letting them out.
//!
//! Invariants: what is let out by `retry` was verified again; `release` needs the operator's own token
//! and a reason, and is audited; both can be repeated.

use becket_store::{QuarantineFilter, QuarantineRow, Quarantined, Scope};
use serde::Deserialize;

use crate::call::{Answer, Call, JsonBody, Listed};
use crate::handlers::explain::verdict;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::state::{LetOut, LetOutcome};
use crate::times;
use crate::wire::becket::RequestOut;
use crate::wire::quarantine::{LetOutOut, QuarantineOut, RetryManyOut};

/// Requests looked at in one step of a retry.
const STEP_DEFAULT: usize = 50;
const STEP_MAX: usize = 200;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// `GET /api/v1/becket/quarantine`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<QuarantineOut>>> {
    let names = Names::load(&call).await?;
    let scope = names.scope(&call, call.text("source"))?;
    let limit = call.limit()?;
    let filter = QuarantineFilter {
        codes: call.list("code"),
        since_ms: call.time("since")?,
        until_ms: call.time("until")?,
        before: call.parsed("iterator")?,
        after: None,
    };
    let mut rows = call.store().quarantine_list(scope, filter, limit + 1).await?;
    let done = rows.len() <= limit;
    rows.truncate(limit);
    let last = rows.last().map(|row| row.number.to_string());
    let data = rows.iter().map(|row| QuarantineOut::new(row, &names)).collect();
    Ok(Answer::ok(Listed::new(data, last, done)))
}

/// `GET /api/v1/becket/quarantine/{number}`
pub(crate) async fn get(call: Call) -> Result<Answer<QuarantineOut>> {
    let names = Names::load(&call).await?;
    let reveal = call.flag("reveal", false)?;
    let Quarantined { row, record } = find(&call).await?;
    if reveal {
        call.audit("quarantine.headers.shown", &row.number);
    }
    let mut out = QuarantineOut::new(&row, &names);
    out.request = Some(RequestOut::new(&record, reveal));
    out.verdict = Some(verdict(&call, row.application, &record, row.received_at_ms).await);
    Ok(Answer::ok(out))
}

/// `POST /api/v1/becket/quarantine/{number}/retry`
pub(crate) async fn retry(call: Call) -> Result<Answer<LetOutOut>> {
    let row = find(&call).await?.row;
    let how = LetOut { by: who(&call), reason: None };
    let out = let_out(&call, &row, how).await?;
    call.audit("quarantine.retried", &out);
    Ok(Answer::ok(out))
}

/// Why a request is let out without verification.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ReleaseIn {
    reason: Option<String>,
}

/// `POST /api/v1/becket/quarantine/{number}/release`
pub(crate) async fn release(
    call: Call,
    JsonBody(body): JsonBody<ReleaseIn>,
) -> Result<Answer<LetOutOut>> {
    let reason = body.reason.map(|reason| reason.trim().to_owned()).unwrap_or_default();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(ApiError::body("reason", "is missing, or longer than 1024 bytes")
            .hint("say why this request may become an event although nothing proves it"));
    }
    let row = find(&call).await?.row;
    let how = LetOut { by: who(&call), reason: Some(reason.clone()) };
    let out = let_out(&call, &row, how).await?;
    call.audit(
        "quarantine.released",
        &format!("{out} by {}: {}", who(&call), reason.escape_debug()),
    );
    Ok(Answer::ok(out))
}

/// Which requests are verified again, and where this step begins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RetryManyIn {
    source: Option<String>,
    codes: Vec<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    iterator: Option<String>,
}

/// `POST /api/v1/becket/quarantine/retry`
pub(crate) async fn retry_many(
    call: Call,
    JsonBody(body): JsonBody<RetryManyIn>,
) -> Result<Answer<RetryManyOut>> {
    let names = Names::load(&call).await?;
    let source = body.source.as_deref().ok_or_else(|| {
        ApiError::body("source", "is missing").hint("name the source whose secret was corrected")
    })?;
    let scope = names.scope(&call, Some(source))?;
    let time = |name: &str, text: Option<&str>| {
        text.map(|text| times::parse(text).map_err(|what| ApiError::body(name, what))).transpose()
    };
    let until_ms = time("until", body.until.as_deref())?;
    let until_ms = until_ms.unwrap_or_else(|| call.now_ms().saturating_add(1));
    let limit = body.limit.unwrap_or(STEP_DEFAULT);
    if !(1..=STEP_MAX).contains(&limit) {
        let what = format!("`{limit}` is not a number from 1 to {STEP_MAX}");
        return Err(ApiError::body("limit", what));
    }
    let after = match body.iterator.as_deref() {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            ApiError::body("iterator", "is not the iterator of the step before".to_owned())
        })?,
    };
    let filter = QuarantineFilter {
        codes: body.codes,
        since_ms: time("since", body.since.as_deref())?,
        until_ms: Some(until_ms),
        before: None,
        after: Some(after),
    };
    let rows = call.store().quarantine_list(scope, filter, limit).await?;
    let mut out = RetryManyOut::new(times::text(until_ms), rows.len() < limit);
    // One after the other: they become events in the order in which they came.
    for row in &rows {
        let how = LetOut { by: who(&call), reason: None };
        out.add(row.number, let_out(&call, row, how).await?);
    }
    if out.let_any_out() {
        call.audit("quarantine.retried", &out);
    }
    Ok(Answer::ok(out))
}

async fn let_out(call: &Call, row: &QuarantineRow, how: LetOut) -> Result<LetOutOut> {
    let scope = Scope::of(call.owner, row.application);
    let outcome = call.shared.api.control.let_out(scope, row.number, how).await?;
    if outcome == LetOutcome::Absent {
        tracing::debug!(number = row.number, "somebody else was faster");
    }
    Ok(LetOutOut::new(row.number, outcome))
}

/// Who is asking, as it is noted on what is let out.
fn who(call: &Call) -> String {
    match &call.access.token {
        None => "the operator".to_owned(),
        Some(token) => token.to_string(),
    }
}

async fn find(call: &Call) -> Result<Quarantined> {
    let text = call.path("number");
    let missing = || {
        ApiError::not_found("refused request", text)
            .hint("`becket quarantine list` shows what is kept; old ones are dropped")
    };
    let number: i64 = text.parse().map_err(|_| missing())?;
    call.store().quarantine_get(call.scope(), number).await?.ok_or_else(missing)
}
