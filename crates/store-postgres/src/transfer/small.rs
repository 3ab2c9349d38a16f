//! What is small: applications, endpoints, documents, settings; and refused requests.

use becket_model::{ApplicationKey, EndpointId, EndpointKey};
use becket_store::Result;
use becket_store::transfer::{
    ApplicationItem, CHUNK_BYTES, CHUNK_ITEMS, Chunk, DocumentItem, EndpointItem, Kind, Place,
    RefusedItem, SecretItem, SettingItem, Tally,
};
use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::columns::{fixed, signed};
use super::copy::Copy;
use crate::config::columns;
use crate::session::Session;
use crate::text;
use crate::transaction::Tx;

const READ: &str = "read for a move";
const WRITE: &str = "write what is moved";
/// The number of an owner, which fills all bits of its column.
const OWNER: &str = "(owner::bigint & 4294967295)";
const LIMIT: i64 = CHUNK_ITEMS as i64;

/// How much there is.
pub(super) async fn tally(session: &Session) -> Result<Tally> {
    let sql = "SELECT (SELECT count(*) FROM application), (SELECT count(*) FROM endpoint),
        (SELECT count(*) FROM document), (SELECT count(*) FROM setting WHERE owner <> 0),
        (SELECT count(*) FROM event), (SELECT count(*) FROM quarantine),
        (SELECT count(*) FROM delivery WHERE EXISTS (SELECT FROM event WHERE seq = event_seq)),
        (SELECT coalesce(max(seq), 0) FROM event),
        coalesce(pg_sequence_last_value(pg_get_serial_sequence('document', 'number')::regclass), 0),
        coalesce(pg_sequence_last_value(pg_get_serial_sequence('quarantine', 'number')::regclass), 0)";
    let Some(row) = session.row(READ, sql, &[]).await? else { return Ok(Tally::default()) };
    let number = |at: usize| row.get::<_, i64>(at);
    let count = |at: usize| number(at).unsigned_abs();
    Ok(Tally {
        applications: count(0),
        endpoints: count(1),
        documents: count(2),
        settings: count(3),
        events: count(4),
        refused: count(5),
        pending: count(6),
        last_event: number(7),
        document_number: number(8),
        refused_number: number(9),
    })
}

/// Where the last item of a kind stands.
pub(super) async fn last(session: &Session, kind: Kind) -> Result<Option<Place>> {
    let sql = match kind {
        Kind::Application => "SELECT max(key)::bigint FROM application",
        Kind::Endpoint => "SELECT max(key)::bigint FROM endpoint",
        Kind::Document => "SELECT max(number) FROM document",
        Kind::Refused => "SELECT max(number) FROM quarantine",
        Kind::Event => "SELECT max(seq) FROM event",
        Kind::Setting => {
            let sql = format!(
                "SELECT owner, name FROM setting WHERE owner <> 0
                 ORDER BY {OWNER} DESC, name DESC LIMIT 1"
            );
            let row = session.row(READ, &sql, &[]).await?;
            return Ok(row.map(|row| Place::Named(unsigned(&row, 0), text::unpack(row.get(1)))));
        }
    };
    let row = session.row(READ, sql, &[]).await?;
    Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).map(Place::Number))
}

fn unsigned(row: &Row, at: usize) -> u32 {
    row.get::<_, i32>(at).cast_unsigned()
}

pub(super) async fn applications(session: &Session, after: i64) -> Result<Chunk> {
    let sql = "SELECT key, owner, kind, id, uid, origin, settings, credentials, created_at_ms,
            updated_at_ms, removed
        FROM application WHERE key > $1 ORDER BY key LIMIT $2";
    let rows = session.rows(READ, sql, &[&key_after(after), &LIMIT]).await?;
    let list = rows.iter().map(|row| {
        Ok(ApplicationItem {
            key: ApplicationKey(unsigned(row, 0)),
            owner: unsigned(row, 1),
            kind: columns::kind_from(row.get(2)),
            id: fixed(row.get(3))?,
            uid: text::unpack_some(row.get(4)),
            origin: columns::origin_from(row.get(5)),
            settings: text::unpack(row.get(6)),
            credentials: row.get(7),
            created_at_ms: row.get(8),
            updated_at_ms: row.get(9),
            removed: row.get(10),
        })
    });
    list.collect::<Result<_>>().map(Chunk::Applications)
}

/// Keys are smaller numbers than others.
fn key_after(after: i64) -> i32 {
    i32::try_from(after).unwrap_or(if after < 0 { i32::MIN } else { i32::MAX })
}

pub(super) async fn endpoints(session: &Session, after: i64) -> Result<Chunk> {
    let sql = "SELECT key, application, uid, id, origin, settings, headers, state, state_reason,
            failing_since_ms, created_at_ms, updated_at_ms
        FROM endpoint WHERE key > $1 ORDER BY key LIMIT $2";
    let rows = session.rows(READ, sql, &[&key_after(after), &LIMIT]).await?;
    let Some(last) = rows.last().map(|row| row.get::<_, i32>(0)) else {
        return Ok(Chunk::Endpoints(Vec::new()));
    };
    let sql = "SELECT endpoint, number, envelope, expires_at_ms FROM endpoint_secret
        WHERE endpoint > $1 AND endpoint <= $2 ORDER BY endpoint, number";
    let secrets = session.rows(READ, sql, &[&key_after(after), &last]).await?;
    let mut secrets = secrets.iter().peekable();
    let list = rows.iter().map(|row| {
        let key: i32 = row.get(0);
        let mut own = Vec::new();
        while let Some(secret) = secrets.next_if(|secret| secret.get::<_, i32>(0) <= key) {
            own.push(SecretItem {
                number: unsigned(secret, 1),
                envelope: secret.get(2),
                expires_at_ms: secret.get(3),
            });
        }
        Ok(EndpointItem {
            key: EndpointKey(key.cast_unsigned()),
            application: ApplicationKey(unsigned(row, 1)),
            uid: text::unpack_some(row.get(2)),
            id: EndpointId::from_bytes(fixed(row.get(3))?),
            origin: columns::origin_from(row.get(4)),
            settings: text::unpack(row.get(5)),
            headers: row.get(6),
            state: columns::state_from(row.get(7)),
            state_reason: text::unpack(row.get(8)),
            failing_since_ms: row.get(9),
            created_at_ms: row.get(10),
            updated_at_ms: row.get(11),
            secrets: own,
        })
    });
    list.collect::<Result<_>>().map(Chunk::Endpoints)
}

/// Where a chunk ends: `sql` tells numbers and sizes in order.
async fn last_of_chunk(session: &Session, sql: &str, after: i64) -> Result<Option<i64>> {
    let rows = session.rows(READ, sql, &[&after, &LIMIT]).await?;
    let mut bytes = 0_i64;
    for row in &rows {
        bytes += row.get::<_, i64>(1) + 200;
        if bytes >= CHUNK_BYTES as i64 {
            return Ok(Some(row.get(0)));
        }
    }
    Ok(rows.last().map(|row| row.get(0)))
}

pub(super) async fn documents(session: &Session, after: i64) -> Result<Chunk> {
    let sizes = "SELECT number,
            octet_length(body)::bigint + coalesce(octet_length(sealed), 0)::bigint
        FROM document WHERE number > $1 ORDER BY number LIMIT $2";
    let Some(last) = last_of_chunk(session, sizes, after).await? else {
        return Ok(Chunk::Documents(Vec::new()));
    };
    let sql = "SELECT number, owner, kind, application, name, body, sealed, expires_at_ms,
            document_revision, created_at_ms, updated_at_ms
        FROM document WHERE number > $1 AND number <= $2 ORDER BY number";
    let rows = session.rows(READ, sql, &[&after, &last]).await?;
    let list = rows.iter().map(|row| DocumentItem {
        number: row.get(0),
        owner: unsigned(row, 1),
        kind: row.get(2),
        application: unsigned(row, 3),
        name: text::unpack(row.get(4)),
        body: text::unpack(row.get(5)),
        sealed: row.get(6),
        expires_at_ms: row.get(7),
        revision: row.get::<_, i64>(8).cast_unsigned(),
        created_at_ms: row.get(9),
        updated_at_ms: row.get(10),
    });
    Ok(Chunk::Documents(list.collect()))
}

pub(super) async fn settings(session: &Session, (owner, name): (u32, &str)) -> Result<Chunk> {
    let sql = format!(
        "SELECT owner, name, value FROM setting
         WHERE owner <> 0 AND ({OWNER}, name) > ($1::bigint, $2) ORDER BY {OWNER}, name LIMIT $3"
    );
    let parameters = (i64::from(owner), text::pack(name));
    let rows = session.rows(READ, &sql, &[&parameters.0, &parameters.1, &LIMIT]).await?;
    let list = rows.iter().map(|row| SettingItem {
        owner: unsigned(row, 0),
        name: text::unpack(row.get(1)),
        value: row.get(2),
    });
    Ok(Chunk::Settings(list.collect()))
}

pub(super) async fn refused(session: &Session, after: i64) -> Result<Chunk> {
    let sizes = "SELECT number, octet_length(record)::bigint FROM quarantine
        WHERE number > $1 ORDER BY number LIMIT $2";
    let Some(last) = last_of_chunk(session, sizes, after).await? else {
        return Ok(Chunk::Refused(Vec::new()));
    };
    let sql = "SELECT number, application, received_at_ms, code, reason, status, record
        FROM quarantine WHERE number > $1 AND number <= $2 ORDER BY number";
    let rows = session.rows(READ, sql, &[&after, &last]).await?;
    let list = rows.iter().map(|row| RefusedItem {
        number: row.get(0),
        application: ApplicationKey(unsigned(row, 1)),
        received_at_ms: row.get(2),
        code: text::unpack(row.get(3)),
        reason: text::unpack(row.get(4)),
        status: row.get::<_, i16>(5).cast_unsigned(),
        record: Bytes::copy_from_slice(row.get(6)),
    });
    Ok(Chunk::Refused(list.collect()))
}

/// Writes a chunk of anything but events.
pub(super) async fn write(session: &mut Session, chunk: &Chunk) -> Result<()> {
    let tx = session.begin(WRITE).await?;
    match chunk {
        Chunk::Applications(list) => write_applications(&tx, list).await?,
        Chunk::Endpoints(list) => {
            write_endpoints(&tx, list).await?;
            write_secrets(&tx, list).await?;
        }
        Chunk::Documents(list) => write_documents(&tx, list).await?,
        Chunk::Settings(list) => {
            let types = [Type::INT4, Type::TEXT, Type::BYTEA];
            let mut copy = Copy::into(&tx, "setting (owner, name, value)", &types).await?;
            for one in list {
                copy.row(&[&one.owner.cast_signed(), &text::pack(&one.name), &one.value]).await?;
            }
            copy.end().await?;
        }
        Chunk::Refused(list) => write_refused(&tx, list).await?,
        Chunk::Events(_) => {}
    }
    tx.commit().await?;
    Ok(())
}

async fn write_applications(tx: &Tx<'_>, list: &[ApplicationItem]) -> Result<()> {
    let mut copy = Copy::into(
        tx,
        "application (key, owner, kind, id, uid, origin, settings, credentials, created_at_ms,
                      updated_at_ms, removed, revision)",
        &[
            Type::INT4,
            Type::INT4,
            Type::INT2,
            Type::BYTEA,
            Type::TEXT,
            Type::INT2,
            Type::TEXT,
            Type::BYTEA,
            Type::INT8,
            Type::INT8,
            Type::BOOL,
            Type::INT8,
        ],
    )
    .await?;
    for one in list {
        copy.row(&[
            &signed(one.key.0)?,
            &one.owner.cast_signed(),
            &columns::kind(one.kind),
            &&one.id[..],
            &text::pack_some(one.uid.as_deref()),
            &columns::origin(one.origin),
            &text::pack(&one.settings),
            &one.credentials,
            &one.created_at_ms,
            &one.updated_at_ms,
            &one.removed,
            &1_i64,
        ])
        .await?;
    }
    copy.end().await
}

async fn write_endpoints(tx: &Tx<'_>, list: &[EndpointItem]) -> Result<()> {
    let mut copy = Copy::into(
        tx,
        "endpoint (key, application, uid, id, origin, settings, headers, state, state_reason,
                   failing_since_ms, created_at_ms, updated_at_ms, revision)",
        &[
            Type::INT4,
            Type::INT4,
            Type::TEXT,
            Type::BYTEA,
            Type::INT2,
            Type::TEXT,
            Type::BYTEA,
            Type::INT2,
            Type::TEXT,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::INT8,
        ],
    )
    .await?;
    for one in list {
        copy.row(&[
            &signed(one.key.0)?,
            &signed(one.application.0)?,
            &text::pack_some(one.uid.as_deref()),
            &&one.id.as_bytes()[..],
            &columns::origin(one.origin),
            &text::pack(&one.settings),
            &one.headers,
            &columns::state(one.state),
            &text::pack(&one.state_reason),
            &one.failing_since_ms,
            &one.created_at_ms,
            &one.updated_at_ms,
            &1_i64,
        ])
        .await?;
    }
    copy.end().await
}

async fn write_secrets(tx: &Tx<'_>, list: &[EndpointItem]) -> Result<()> {
    let types = [Type::INT4, Type::INT4, Type::BYTEA, Type::INT8];
    let table = "endpoint_secret (endpoint, number, envelope, expires_at_ms)";
    let mut copy = Copy::into(tx, table, &types).await?;
    for one in list {
        for secret in &one.secrets {
            let (endpoint, number) = (signed(one.key.0)?, signed(secret.number)?);
            copy.row(&[&endpoint, &number, &secret.envelope, &secret.expires_at_ms]).await?;
        }
    }
    copy.end().await
}

async fn write_documents(tx: &Tx<'_>, list: &[DocumentItem]) -> Result<()> {
    let mut copy = Copy::into(
        tx,
        "document (number, owner, kind, application, name, body, sealed, expires_at_ms,
                   document_revision, created_at_ms, updated_at_ms)",
        &[
            Type::INT8,
            Type::INT4,
            Type::TEXT,
            Type::INT4,
            Type::TEXT,
            Type::TEXT,
            Type::BYTEA,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::INT8,
        ],
    )
    .await?;
    for one in list {
        copy.row(&[
            &one.number,
            &one.owner.cast_signed(),
            &one.kind,
            &signed(one.application)?,
            &text::pack(&one.name),
            &text::pack(&one.body),
            &one.sealed,
            &one.expires_at_ms,
            &one.revision.cast_signed(),
            &one.created_at_ms,
            &one.updated_at_ms,
        ])
        .await?;
    }
    copy.end().await
}

async fn write_refused(tx: &Tx<'_>, list: &[RefusedItem]) -> Result<()> {
    let mut copy = Copy::into(
        tx,
        "quarantine (number, application, received_at_ms, code, reason, status, size_bytes, record)",
        &[
            Type::INT8,
            Type::INT4,
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::INT2,
            Type::INT4,
            Type::BYTEA,
        ],
    )
    .await?;
    for one in list {
        let size = i32::try_from(one.record.len()).unwrap_or(i32::MAX);
        copy.row(&[
            &one.number,
            &signed(one.application.0)?,
            &one.received_at_ms,
            &text::pack(&one.code),
            &text::pack(&one.reason),
            &one.status.cast_signed(),
            &size,
            &&one.record[..],
        ])
        .await?;
    }
    copy.end().await
}
