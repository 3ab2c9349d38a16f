//! Refused requests, kept for a while.
//!
//! They come from anybody, so they are bounded by number and size: after so many were written, the
//! oldest above the bounds go. One that is let out leaves in the transaction that stores its event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use becket_model::EventId;
use becket_store::{
    Accepted, EventAccept, QuarantineFilter, QuarantineRow, QuarantineWrite, Quarantined, Result,
    Scope, StoreError,
};
use tokio_postgres::Row;

use crate::accept::{Drawn, repeat_in, store_in};
use crate::cluster::Leasing;
use crate::errors::Failure;
use crate::events::columns::{application_column, application_from_column};
use crate::events::record_from_column;
use crate::partitions;
use crate::replay;
use crate::session::{Parameters, Session};
use crate::shared::Shared;
use crate::text;
use crate::transaction::Tx;

/// Bytes of refused requests kept at most.
const BYTES_MAX: i64 = 256 << 20;
/// How often a release is tried that meets others.
const TRIES: usize = 5;
const COLUMNS: &str = "number, application, received_at_ms, code, reason, status, size_bytes";
const READ: &str = "read quarantine";
const PUT: &str = "quarantine_put";
const RELEASE: &str = "quarantine_release";

/// When the bounds are looked at.
pub(crate) struct Trimming {
    rows_max: u64,
    written: AtomicU64,
}

impl Trimming {
    pub(crate) const fn new(rows_max: u64) -> Self {
        Self { rows_max, written: AtomicU64::new(0) }
    }

    /// Whether so many were written that somebody should look. Several nodes write, so the first
    /// look comes early.
    fn is_due(&self) -> bool {
        let every = (self.rows_max / 50).max(1);
        self.written.fetch_add(1, Ordering::Relaxed) % every == every / 2
    }
}

/// See [`becket_store::Store::quarantine_put`].
pub(crate) async fn quarantine_put(
    shared: &Arc<Shared>,
    scope: Scope,
    refused: QuarantineWrite,
) -> Result<bool> {
    shared.open()?;
    let Some(application) = scope.application else { return Ok(false) };
    if !shared.in_scope(scope, application).await? || shared.trimming.rows_max == 0 {
        return Ok(false);
    }
    let Some(application) = application_column(application) else { return Ok(false) };
    let conn = match shared.write(PUT).await {
        Ok(conn) => conn,
        // Best effort: what has to be stored comes first.
        Err(StoreError::Busy { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    // A crash of the database may lose the newest, so nobody waits for its disk.
    let sql = "WITH unsynced AS (SELECT set_config('synchronous_commit', 'off', true))
        INSERT INTO quarantine
            (application, received_at_ms, code, reason, status, size_bytes, record)
        SELECT $1::integer, $2::bigint, $3::text, $4::text, $5::smallint, octet_length($6::bytea),
            $6::bytea
        FROM unsynced";
    let (code, reason) = (text::pack(&refused.code), text::pack(&refused.reason));
    let packed: &[u8] = refused.record.packed();
    let status = refused.status.cast_signed();
    conn.run(PUT, sql, &[&application, &refused.received_at_ms, &code, &reason, &status, &packed])
        .await?;
    if shared.trimming.is_due() {
        trim(&conn, shared.trimming.rows_max).await?;
    }
    Ok(true)
}

/// Removes the oldest above the bounds.
async fn trim(session: &Session, rows_max: u64) -> Result<()> {
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let sql = "DELETE FROM quarantine WHERE number <= GREATEST(
            (SELECT number FROM quarantine ORDER BY number DESC OFFSET $1::bigint LIMIT 1),
            (SELECT max(number) FROM (
                SELECT number, sum(size_bytes) OVER (ORDER BY number DESC) AS bytes
                FROM quarantine) AS newest
             WHERE bytes > $2::bigint))";
    session.run(PUT, sql, &[&rows_max, &BYTES_MAX]).await?;
    Ok(())
}

/// See [`becket_store::Store::quarantine_list`].
pub(crate) async fn quarantine_list(
    shared: &Arc<Shared>,
    scope: Scope,
    filter: QuarantineFilter,
    limit: usize,
) -> Result<Vec<QuarantineRow>> {
    let conn = shared.read(READ).await?;
    let order = if filter.after.is_some() { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine
         WHERE application IN (SELECT key FROM application WHERE owner = $1)
             AND ($2::integer IS NULL OR application = $2)
             AND number < $3 AND number > $4 AND received_at_ms >= $5 AND received_at_ms < $6
             AND (cardinality($7::text[]) = 0 OR code = ANY($7))
         ORDER BY number {order} LIMIT $8"
    );
    let owner = scope.owner.number().cast_signed();
    let application = scope.application.map(|key| application_column(key).unwrap_or(-1));
    let codes: Vec<String> = filter.codes.iter().map(|one| text::pack(one).into_owned()).collect();
    let (before, after) = (filter.before.unwrap_or(i64::MAX), filter.after.unwrap_or(i64::MIN));
    let since_ms = filter.since_ms.unwrap_or(i64::MIN);
    let until_ms = filter.until_ms.unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters: Parameters<'_> =
        &[&owner, &application, &before, &after, &since_ms, &until_ms, &codes, &limit];
    Ok(conn.rows(READ, &sql, parameters).await?.iter().map(row_of).collect())
}

/// See [`becket_store::Store::quarantine_get`].
pub(crate) async fn quarantine_get(
    shared: &Arc<Shared>,
    scope: Scope,
    number: i64,
) -> Result<Option<Quarantined>> {
    let conn = shared.read(READ).await?;
    let sql = format!("SELECT {COLUMNS}, record FROM quarantine WHERE number = $1");
    let Some(row) = conn.row(READ, &sql, &[&number]).await? else { return Ok(None) };
    let refused = row_of(&row);
    if !shared.in_scope(scope, refused.application).await? {
        return Ok(None);
    }
    Ok(Some(Quarantined { row: refused, record: record_from_column(row.get(7), number)? }))
}

fn row_of(row: &Row) -> QuarantineRow {
    QuarantineRow {
        number: row.get(0),
        application: application_from_column(row.get(1)),
        received_at_ms: row.get(2),
        code: text::unpack(row.get(3)),
        reason: text::unpack(row.get(4)),
        status: row.get::<_, i16>(5).cast_unsigned(),
        size_bytes: u64::from(row.get::<_, i32>(6).unsigned_abs()),
    }
}

/// See [`becket_store::Store::quarantine_release`].
pub(crate) async fn quarantine_release(
    shared: &Arc<Shared>,
    scope: Scope,
    number: i64,
    accept: EventAccept,
) -> Result<Option<Accepted>> {
    shared.open()?;
    let mut tries = 0;
    loop {
        // Before the token is drawn: it must not be of an earlier membership.
        let leasing = shared.cluster.leasing();
        let drawn = Drawn::new(shared, &accept)?;
        partitions::ensure(shared, &[drawn.seq()]).await?;
        let mut conn = shared.write(RELEASE).await?;
        drawn.announce(shared);
        let tx = conn.begin(RELEASE).await?;
        let failure = match release(shared, &tx, scope, number, (&drawn, leasing.as_ref())).await {
            Ok(Some(accepted)) => {
                if let Err(failure) = tx.commit().await {
                    shared.accepting.doubts.add(&[drawn]);
                    return Err(failure.into());
                }
                match &accepted {
                    Accepted::Stored { left, .. } => drawn.stored(shared, left),
                    Accepted::Duplicate { replayed, .. } => {
                        replay::started(shared, replayed, accept.received_at_ms);
                    }
                }
                return Ok(Some(accepted));
            }
            Ok(None) => return Ok(None),
            Err(failure) => failure,
        };
        tries += 1;
        // Another node has the same place, or the partition has gone since it was seen.
        let meets = failure.is_conflict() || failure.is_unique() || failure.code() == Some("23514");
        if tries >= TRIES || !meets {
            return Err(failure.into());
        }
        shared.partitions.forget();
    }
}

async fn release(
    shared: &Shared,
    tx: &Tx<'_>,
    scope: Scope,
    number: i64,
    (drawn, leasing): (&Drawn<'_>, Option<&Leasing>),
) -> std::result::Result<Option<Accepted>, Failure> {
    // Who releases the same at the same time waits here, and finds nothing then.
    let sql = "DELETE FROM quarantine WHERE number = $1 RETURNING application";
    let Some(row) = tx.row(sql, &[&number]).await? else { return Ok(None) };
    let application = application_from_column(row.get(0));
    if !shared.in_scope(scope, application).await? {
        return Ok(None);
    }
    if application != drawn.accept.application {
        let detail = format!("refused request {number} was sent to another source");
        return Err(StoreError::Database { operation: RELEASE, detail }.into());
    }
    loop {
        let rows = store_in(tx, drawn, leasing).await?;
        if rows.has(drawn) {
            let (event, lease, left): (EventId, _, _) =
                (drawn.event, drawn.lease, rows.left_of(drawn));
            return Ok(Some(Accepted::Stored { event, lease, left }));
        }
        if let Some(accepted) = repeat_in(tx, drawn.accept).await? {
            return Ok(Some(accepted));
        }
    }
}
