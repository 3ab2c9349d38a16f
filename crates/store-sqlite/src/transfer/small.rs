//! What is in `becket.db` and in quarantine: applications, endpoints, documents, settings, refused
//! requests.

use std::collections::HashSet;

use becket_model::{ApplicationKey, EndpointId, EndpointKey};
use becket_store::transfer::{
    ApplicationItem, CHUNK_BYTES, CHUNK_ITEMS, Chunk, DocumentItem, EndpointItem, Kind,
    MOVING_SETTING, OWN_SETTINGS, Place, RefusedItem, SecretItem, SettingItem, Tally,
};
use becket_store::{Result, StoreError};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::transaction;
use crate::errors::database;
use crate::release::Refused;
use crate::rows::{
    kind_column, kind_from_column, origin_column, origin_from_column, state_column,
    state_from_column,
};
use crate::writer::checkpoint;

const READ: &str = "read for a move";
const WRITE: &str = "write a moved";

/// Counts everything but events.
pub(super) fn tally(small: &Connection, quarantine: &Connection) -> Result<Tally> {
    let number = |connection: &Connection, sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(database(READ))
    };
    let count = |sql: &str| number(small, sql).map(i64::unsigned_abs);
    let refused = number(quarantine, "SELECT count(*) FROM refused")?.unsigned_abs();
    Ok(Tally {
        applications: count("SELECT count(*) FROM application")?,
        endpoints: count("SELECT count(*) FROM endpoint")?,
        documents: count("SELECT count(*) FROM document")?,
        settings: count("SELECT count(*) FROM setting WHERE owner > 0")?,
        refused,
        document_number: number(small, &highest("document"))?,
        refused_number: number(quarantine, &highest("refused"))?,
        ..Tally::default()
    })
}

/// How many of these are in quarantine.
pub(super) fn still_there(quarantine: &Connection, let_out: &HashSet<Refused>) -> Result<u64> {
    let failed = database(READ);
    let mut statement = quarantine
        .prepare("SELECT count(*) FROM refused WHERE number = ?1 AND received_at_ms = ?2")
        .map_err(failed)?;
    let mut count = 0;
    for one in let_out {
        let found: i64 = statement
            .query_row([one.number, one.received_at_ms], |row| row.get(0))
            .map_err(failed)?;
        count += found.unsigned_abs();
    }
    Ok(count)
}

/// The highest number that a row of this table has ever had.
fn highest(table: &str) -> String {
    format!("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{table}'")
}

/// Where the last item of a kind stands.
pub(super) fn last(connection: &Connection, kind: Kind) -> Result<Option<Place>> {
    let sql = match kind {
        Kind::Application => "SELECT max(key) FROM application",
        Kind::Endpoint => "SELECT max(key) FROM endpoint",
        Kind::Document => "SELECT max(number) FROM document",
        Kind::Refused => "SELECT max(number) FROM refused",
        Kind::Setting | Kind::Event => {
            return connection
                .query_row(
                    "SELECT owner, name FROM setting WHERE owner > 0
                     ORDER BY owner DESC, name DESC LIMIT 1",
                    [],
                    |row| Ok(Place::Named(row.get(0)?, row.get(1)?)),
                )
                .optional()
                .map_err(database(READ));
        }
    };
    connection
        .query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
        .map(|number| number.map(Place::Number))
        .map_err(database(READ))
}

/// Reads rows until there are enough; `bytes` says about how large one is.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    bytes: impl Fn(&T) -> usize,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let failed = database(READ);
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let (mut list, mut size) = (Vec::new(), 0);
    while list.len() < CHUNK_ITEMS && size < CHUNK_BYTES {
        let Some(row) = rows.next().map_err(failed)? else { break };
        let item = read(row).map_err(failed)?;
        size += bytes(&item);
        list.push(item);
    }
    Ok(list)
}

pub(super) fn applications(connection: &Connection, after: i64) -> Result<Chunk> {
    let list = rows(
        connection,
        "SELECT key, owner, kind, id, uid, origin, settings, credentials, created_at_ms,
                updated_at_ms, removed
         FROM application WHERE key > ?1 ORDER BY key",
        [after],
        |one: &ApplicationItem| one.settings.len() + 400,
        |row| {
            Ok(ApplicationItem {
                key: ApplicationKey(row.get(0)?),
                owner: row.get(1)?,
                kind: kind_from_column(row.get(2)?),
                id: row.get(3)?,
                uid: row.get(4)?,
                origin: origin_from_column(row.get(5)?),
                settings: row.get(6)?,
                credentials: row.get(7)?,
                created_at_ms: row.get(8)?,
                updated_at_ms: row.get(9)?,
                removed: row.get(10)?,
            })
        },
    )?;
    Ok(Chunk::Applications(list))
}

pub(super) fn endpoints(connection: &Connection, after: i64) -> Result<Chunk> {
    let failed = database(READ);
    let mut secrets = connection
        .prepare_cached(
            "SELECT number, envelope, expires_at_ms FROM endpoint_secret
             WHERE endpoint = ?1 ORDER BY number",
        )
        .map_err(failed)?;
    let list = rows(
        connection,
        "SELECT key, application, uid, id, origin, settings, headers, state, state_reason,
                failing_since_ms, created_at_ms, updated_at_ms
         FROM endpoint WHERE key > ?1 ORDER BY key",
        [after],
        |one: &EndpointItem| one.settings.len() + 800,
        |row| {
            let key: u32 = row.get(0)?;
            let secrets = secrets.query_map([key], |row| {
                Ok(SecretItem {
                    number: row.get(0)?,
                    envelope: row.get(1)?,
                    expires_at_ms: row.get(2)?,
                })
            })?;
            Ok(EndpointItem {
                key: EndpointKey(key),
                application: ApplicationKey(row.get(1)?),
                uid: row.get(2)?,
                id: EndpointId::from_bytes(row.get(3)?),
                origin: origin_from_column(row.get(4)?),
                settings: row.get(5)?,
                headers: row.get(6)?,
                state: state_from_column(row.get(7)?),
                state_reason: row.get(8)?,
                failing_since_ms: row.get(9)?,
                created_at_ms: row.get(10)?,
                updated_at_ms: row.get(11)?,
                secrets: secrets.collect::<rusqlite::Result<_>>()?,
            })
        },
    )?;
    Ok(Chunk::Endpoints(list))
}

pub(super) fn documents(connection: &Connection, after: i64) -> Result<Chunk> {
    let list = rows(
        connection,
        "SELECT number, owner, kind, application, name, body, sealed, expires_at_ms, revision,
                created_at_ms, updated_at_ms
         FROM document WHERE number > ?1 ORDER BY number",
        [after],
        |one: &DocumentItem| one.body.len() + one.sealed.as_ref().map_or(0, Vec::len) + 200,
        |row| {
            Ok(DocumentItem {
                number: row.get(0)?,
                owner: row.get(1)?,
                kind: row.get(2)?,
                application: row.get(3)?,
                name: row.get(4)?,
                body: row.get(5)?,
                sealed: row.get(6)?,
                expires_at_ms: row.get(7)?,
                revision: row.get::<_, i64>(8)?.cast_unsigned(),
                created_at_ms: row.get(9)?,
                updated_at_ms: row.get(10)?,
            })
        },
    )?;
    Ok(Chunk::Documents(list))
}

pub(super) fn settings(connection: &Connection, (owner, name): (u32, &str)) -> Result<Chunk> {
    let list = rows(
        connection,
        "SELECT owner, name, value FROM setting
         WHERE owner > 0 AND (owner, name) > (?1, ?2) ORDER BY owner, name",
        params![owner, name],
        |one: &SettingItem| one.value.len() + 100,
        |row| Ok(SettingItem { owner: row.get(0)?, name: row.get(1)?, value: row.get(2)? }),
    )?;
    Ok(Chunk::Settings(list))
}

/// Refused requests that are still in quarantine: those in `let_out` have become events.
pub(super) fn refused(
    connection: &Connection,
    after: i64,
    let_out: &HashSet<Refused>,
) -> Result<Chunk> {
    let mut after = after;
    loop {
        let mut list = rows(
            connection,
            "SELECT number, application, received_at_ms, code, reason, status, record
             FROM refused WHERE number > ?1 ORDER BY number",
            [after],
            |one: &RefusedItem| one.record.len() + 200,
            |row| {
                Ok(RefusedItem {
                    number: row.get(0)?,
                    application: ApplicationKey(row.get(1)?),
                    received_at_ms: row.get(2)?,
                    code: row.get(3)?,
                    reason: row.get(4)?,
                    status: row.get(5)?,
                    record: Bytes::from(row.get::<_, Vec<u8>>(6)?),
                })
            },
        )?;
        let Some(last) = list.last().map(|one| one.number) else {
            return Ok(Chunk::Refused(list));
        };
        list.retain(|one| {
            let one = Refused { number: one.number, received_at_ms: one.received_at_ms };
            !let_out.contains(&one)
        });
        if !list.is_empty() {
            return Ok(Chunk::Refused(list));
        }
        after = last;
    }
}

/// Writes a chunk of what `becket.db` holds.
pub(super) fn write(connection: &Connection, chunk: &Chunk) -> Result<()> {
    transaction(connection, WRITE, || {
        match chunk {
            Chunk::Applications(list) => {
                list.iter().try_for_each(|one| write_application(connection, one))
            }
            Chunk::Endpoints(list) => {
                list.iter().try_for_each(|one| write_endpoint(connection, one))
            }
            Chunk::Documents(list) => {
                list.iter().try_for_each(|one| write_document(connection, one))
            }
            Chunk::Settings(list) => list.iter().try_for_each(|one| {
                connection
                    .prepare_cached("INSERT INTO setting VALUES(?1, ?2, ?3)")?
                    .execute(params![one.owner, one.name, one.value])
                    .map(drop)
            }),
            Chunk::Events(_) | Chunk::Refused(_) => Ok(()),
        }
        .map_err(database(WRITE))
    })
}

fn write_application(connection: &Connection, one: &ApplicationItem) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO application(key, owner, kind, id, uid, origin, settings, credentials,
                                     created_at_ms, updated_at_ms, removed)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            one.key.0,
            one.owner,
            kind_column(one.kind),
            &one.id[..],
            one.uid,
            origin_column(one.origin),
            one.settings,
            one.credentials,
            one.created_at_ms,
            one.updated_at_ms,
            one.removed,
        ])
        .map(drop)
}

fn write_endpoint(connection: &Connection, one: &EndpointItem) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO endpoint(key, application, uid, id, origin, settings, headers, state,
                                  state_reason, failing_since_ms, created_at_ms, updated_at_ms)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            one.key.0,
            one.application.0,
            one.uid,
            &one.id.as_bytes()[..],
            origin_column(one.origin),
            one.settings,
            one.headers,
            state_column(one.state),
            one.state_reason,
            one.failing_since_ms,
            one.created_at_ms,
            one.updated_at_ms,
        ])?;
    for secret in &one.secrets {
        connection
            .prepare_cached(
                "INSERT INTO endpoint_secret(endpoint, number, envelope, expires_at_ms)
                 VALUES(?1, ?2, ?3, ?4)",
            )?
            .execute(params![one.key.0, secret.number, secret.envelope, secret.expires_at_ms])?;
    }
    Ok(())
}

fn write_document(connection: &Connection, one: &DocumentItem) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO document(number, owner, kind, application, name, body, sealed,
                                  expires_at_ms, revision, created_at_ms, updated_at_ms)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            one.number,
            one.owner,
            one.kind,
            one.application,
            one.name,
            one.body,
            one.sealed,
            one.expires_at_ms,
            one.revision.cast_signed(),
            one.created_at_ms,
            one.updated_at_ms,
        ])
        .map(drop)
}

/// Writes refused requests; `small` knows whose their sources are.
pub(super) fn write_refused(
    small: &Connection,
    quarantine: &Connection,
    list: &[RefusedItem],
) -> Result<()> {
    let failed = database(WRITE);
    transaction(quarantine, WRITE, || {
        for one in list {
            let owner: Option<u32> = small
                .prepare_cached("SELECT owner FROM application WHERE key = ?1")
                .and_then(|mut statement| {
                    statement.query_row([one.application.0], |row| row.get(0)).optional()
                })
                .map_err(failed)?;
            let owner = owner.ok_or_else(|| StoreError::Unusable {
                path: "becket.db".to_owned(),
                detail: format!(
                    "refused request {} belongs to source {}, which is not there",
                    one.number, one.application.0
                ),
            })?;
            quarantine
                .prepare_cached(
                    "INSERT INTO refused(number, owner, application, received_at_ms, code, reason,
                                         status, record)
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        one.number,
                        owner,
                        one.application.0,
                        one.received_at_ms,
                        one.code,
                        one.reason,
                        one.status,
                        &one.record[..],
                    ])
                })
                .map_err(failed)?;
        }
        Ok(())
    })
}

/// Lets numbers go on above the source's, and takes the mark away.
pub(super) fn finish(small: &Connection, quarantine: &Connection, source: &Tally) -> Result<()> {
    let failed = database("finish a move");
    raise(quarantine, "refused", source.refused_number)?;
    checkpoint(quarantine)?;
    transaction(small, "finish a move", || {
        raise(small, "document", source.document_number)?;
        small
            .execute(
                "DELETE FROM setting WHERE owner = ?1 AND name = ?2",
                params![OWN_SETTINGS, MOVING_SETTING],
            )
            .map(drop)
            .map_err(failed)
    })?;
    checkpoint(small)
}

fn raise(connection: &Connection, table: &str, number: i64) -> Result<()> {
    let failed = database("finish a move");
    connection
        .execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1",
            params![table, number],
        )
        .map_err(failed)?;
    connection
        .execute(
            "INSERT INTO sqlite_sequence(name, seq)
             SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)",
            params![table, number],
        )
        .map(drop)
        .map_err(failed)
}
