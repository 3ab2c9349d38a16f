//! Refused requests: why, and what they were.

use becket_store::{QuarantineRow, Scope};

use crate::call::{Answer, Call, Listed};
use crate::handlers::explain::verdict;
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::wire::becket::{QuarantineOut, RequestOut};

/// `GET /api/v1/becket/quarantine`
pub(crate) async fn list(call: Call) -> Result<Answer<Listed<QuarantineOut>>> {
    let names = Names::load(&call).await?;
    let scope = names.scope(&call, call.text("source"))?;
    let limit = call.limit()?;
    let before: Option<i64> = call.parsed("iterator")?;
    let mut rows = call.store().quarantine_list(scope, before, limit + 1).await?;
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
    let row = find(&call, call.scope(), call.path("number")).await?;
    if reveal {
        call.audit("quarantine.headers.shown", &row.number);
    }
    let mut out = QuarantineOut::new(&row, &names);
    let (record, at_ms) = (&row.refused.record, row.refused.received_at_ms);
    out.request = Some(RequestOut::new(record, reveal));
    out.verdict = Some(verdict(&call, row.application, record, at_ms));
    Ok(Answer::ok(out))
}

async fn find(call: &Call, scope: Scope, text: &str) -> Result<QuarantineRow> {
    let missing = || {
        ApiError::not_found("refused request", text)
            .hint("`becket quarantine list` shows what is kept; old ones are dropped")
    };
    let number: i64 = text.parse().map_err(|_| missing())?;
    let rows = call.store().quarantine_list(scope, number.checked_add(1), 1).await?;
    rows.into_iter().find(|row| row.number == number).ok_or_else(missing)
}
