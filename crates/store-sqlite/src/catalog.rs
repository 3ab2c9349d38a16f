//! The small state in `becket.db`: sources, endpoints, settings, and the list of sealed segments.

use std::collections::HashMap;
use std::path::Path;

use becket_model::{ApplicationKey, EndpointId, EndpointKey, EndpointState, Origin, SourceId};
use becket_store::{
    ConfigSnapshot, Endpoint, EndpointChange, EndpointDeclaration, Owner, Result, Source,
    SourceDeclaration, StoreError, StoredSecret,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::errors::database;
use crate::layout::open_catalog;
use crate::rows::{origin_column, origin_from_column, state_column, state_from_column};
use crate::segment::Kinds;

/// A sealed segment as it stands in the list.
pub(crate) struct SealedRow {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) received_min_ms: i64,
    pub(crate) received_max_ms: i64,
    pub(crate) dedupe_until_ms: i64,
    pub(crate) kinds: Kinds,
    pub(crate) compacted_at_ms: i64,
    pub(crate) filter: Vec<u8>,
}

/// The small state.
pub(crate) struct Catalog {
    connection: Connection,
}

impl Catalog {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { connection: open_catalog(path)? })
    }

    /// Which owner each source belongs to.
    pub(crate) fn owners(&self) -> Result<HashMap<u32, Owner>> {
        let failed = database("read sources");
        let mut statement =
            self.connection.prepare_cached("SELECT key, owner FROM source").map_err(failed)?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, Owner::new(row.get(1)?))))
            .map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    /// Which source each endpoint belongs to.
    pub(crate) fn endpoint_sources(&self) -> Result<HashMap<u32, u32>> {
        let failed = database("read endpoints");
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, application FROM endpoint")
            .map_err(failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    pub(crate) fn declare(
        &mut self,
        owner: Owner,
        declared: &[SourceDeclaration],
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        let failed = database("declare sources");
        let tx = self.connection.transaction().map_err(failed)?;
        declare_in(&tx, owner, declared, now_ms).map_err(failed)?;
        tx.commit().map_err(failed)?;
        self.list(owner)
    }

    pub(crate) fn list(&self, owner: Owner) -> Result<ConfigSnapshot> {
        list_in(&self.connection, owner).map_err(database("read sources"))?
    }

    pub(crate) fn change(
        &mut self,
        owner: Owner,
        endpoint: EndpointId,
        change: &EndpointChange,
        now_ms: i64,
    ) -> Result<Option<Endpoint>> {
        let failed = database("change endpoint");
        let tx = self.connection.transaction().map_err(failed)?;
        let key: Option<u32> = tx
            .query_row(
                "SELECT endpoint.key FROM endpoint JOIN source ON source.key = application
                 WHERE endpoint.id = ?1 AND owner = ?2",
                params![endpoint.as_bytes(), owner.number()],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed)?;
        let Some(key) = key else { return Ok(None) };
        apply_change(&tx, key, change, now_ms).map_err(failed)?;
        tx.commit().map_err(failed)?;
        Ok(self.list(owner)?.endpoints.into_iter().find(|row| row.key.0 == key))
    }

    pub(crate) fn setting(&self, owner: Owner, name: &str) -> Result<Option<Vec<u8>>> {
        self.connection
            .query_row(
                "SELECT value FROM setting WHERE owner = ?1 AND name = ?2",
                params![owner.number(), name],
                |row| row.get(0),
            )
            .optional()
            .map_err(database("read setting"))
    }

    pub(crate) fn setting_init(&self, owner: Owner, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        self.connection
            .execute(
                "INSERT INTO setting VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![owner.number(), name, value],
            )
            .map_err(database("write setting"))?;
        Ok(self.setting(owner, name)?.unwrap_or_default())
    }

    pub(crate) fn segments(&self) -> Result<Vec<SealedRow>> {
        let failed = database("read segments");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT first, last, events, bytes, received_min_ms, received_max_ms,
                        dedupe_until_ms, kinds, compacted, filter
                 FROM segment ORDER BY first",
            )
            .map_err(failed)?;
        let rows = statement
            .query_map([], |row| {
                Ok(SealedRow {
                    first: row.get(0)?,
                    last: row.get(1)?,
                    events: row.get::<_, i64>(2)? as u64,
                    bytes: row.get::<_, i64>(3)? as u64,
                    received_min_ms: row.get(4)?,
                    received_max_ms: row.get(5)?,
                    dedupe_until_ms: row.get(6)?,
                    kinds: kinds_from_text(&row.get::<_, String>(7)?),
                    compacted_at_ms: row.get(8)?,
                    filter: row.get(9)?,
                })
            })
            .map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    pub(crate) fn segment_put(&self, row: &SealedRow) -> Result<()> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO segment VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    row.first,
                    row.last,
                    row.events as i64,
                    row.bytes as i64,
                    row.received_min_ms,
                    row.received_max_ms,
                    row.dedupe_until_ms,
                    kinds_to_text(&row.kinds),
                    row.compacted_at_ms,
                    row.filter
                ],
            )
            .map(drop)
            .map_err(database("write segment"))
    }

    pub(crate) fn segment_remove(&self, first: i64) -> Result<()> {
        self.connection
            .execute("DELETE FROM segment WHERE first = ?1", [first])
            .map(drop)
            .map_err(database("remove segment"))
    }

    /// Writes the log back into the file, so that the file alone is whole.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(database("checkpoint"))
    }
}

fn kinds_to_text(kinds: &Kinds) -> String {
    let list: Option<Vec<_>> = kinds.as_ref().map(|counts| counts.iter().collect());
    serde_json::to_string(&list).unwrap_or_else(|_| "null".to_owned())
}

fn kinds_from_text(text: &str) -> Kinds {
    let list: Option<Vec<((u32, String), u64)>> = serde_json::from_str(text).ok().flatten();
    list.map(|counts| counts.into_iter().collect())
}

fn declare_in(
    tx: &Transaction<'_>,
    owner: Owner,
    declared: &[SourceDeclaration],
    now_ms: i64,
) -> rusqlite::Result<()> {
    let file = origin_column(Origin::File);
    tx.execute(
        "UPDATE source SET removed = 1 WHERE owner = ?1 AND origin = ?2",
        params![owner.number(), file],
    )?;
    tx.execute(
        "UPDATE endpoint SET state = ?3, state_reason = 'no longer declared'
         WHERE origin = ?2 AND state != ?3
           AND application IN (SELECT key FROM source WHERE owner = ?1)
           AND (application, uid) NOT IN (
               SELECT source.key, json_extract(value, '$[1]') FROM json_each(?4)
               JOIN source ON source.uid = json_extract(value, '$[0]') AND source.owner = ?1)",
        params![owner.number(), file, state_column(EndpointState::Removed), names(declared)],
    )?;
    for source in declared {
        tx.execute(
            "INSERT INTO source(owner, uid, id, provider, origin, created_at_ms, removed)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0)
             ON CONFLICT(owner, uid) DO UPDATE SET
                 provider = excluded.provider, origin = excluded.origin, removed = 0",
            params![
                owner.number(),
                source.uid,
                source.id.as_bytes(),
                source.provider,
                file,
                now_ms
            ],
        )?;
        let key: u32 = tx.query_row(
            "SELECT key FROM source WHERE owner = ?1 AND uid = ?2",
            params![owner.number(), source.uid],
            |row| row.get(0),
        )?;
        for endpoint in &source.endpoints {
            declare_endpoint(tx, key, endpoint, now_ms)?;
        }
    }
    Ok(())
}

/// Source and endpoint names as a JSON list of pairs.
fn names(declared: &[SourceDeclaration]) -> String {
    let pairs: Vec<(&str, &str)> = declared
        .iter()
        .flat_map(|source| {
            source.endpoints.iter().map(|endpoint| (source.uid.as_str(), endpoint.uid.as_str()))
        })
        .collect();
    serde_json::to_string(&pairs).unwrap_or_else(|_| "[]".to_owned())
}

fn declare_endpoint(
    tx: &Transaction<'_>,
    application: u32,
    endpoint: &EndpointDeclaration,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let settings = serde_json::to_string(&endpoint.settings)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    tx.execute(
        "INSERT INTO endpoint(application, uid, id, origin, settings, state, state_reason,
                              created_at_ms, updated_at_ms)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, '', ?7, ?7)
         ON CONFLICT(application, uid) DO UPDATE SET
             updated_at_ms = CASE WHEN settings = excluded.settings AND state != ?8
                             THEN updated_at_ms ELSE excluded.updated_at_ms END,
             settings = excluded.settings,
             state_reason = CASE WHEN state = ?8 THEN '' ELSE state_reason END,
             failing_since_ms = CASE WHEN state = ?8 THEN NULL ELSE failing_since_ms END,
             state = CASE WHEN state = ?8 THEN ?6 ELSE state END",
        params![
            application,
            endpoint.uid,
            endpoint.id.as_bytes(),
            origin_column(Origin::File),
            settings,
            state_column(EndpointState::Enabled),
            now_ms,
            state_column(EndpointState::Removed)
        ],
    )?;
    tx.execute(
        "INSERT INTO endpoint_secret
         SELECT key, 0, ?3, NULL FROM endpoint WHERE application = ?1 AND uid = ?2
         AND NOT EXISTS (SELECT 1 FROM endpoint_secret WHERE endpoint = endpoint.key)",
        params![application, endpoint.uid, endpoint.secret],
    )?;
    Ok(())
}

fn apply_change(
    tx: &Transaction<'_>,
    key: u32,
    change: &EndpointChange,
    now_ms: i64,
) -> rusqlite::Result<()> {
    match change {
        EndpointChange::State { state, reason } => tx.execute(
            "UPDATE endpoint SET state = ?2, updated_at_ms = ?4,
                 state_reason = CASE WHEN ?2 = 0 THEN '' ELSE ?3 END,
                 failing_since_ms = CASE WHEN ?2 = 0 THEN NULL ELSE failing_since_ms END
             WHERE key = ?1",
            params![key, state_column(*state), reason, now_ms],
        )?,
        EndpointChange::FailingSince(since_ms) => tx.execute(
            "UPDATE endpoint SET failing_since_ms = ?2 WHERE key = ?1",
            params![key, since_ms],
        )?,
        EndpointChange::RotateSecret { envelope, old_expire_at_ms } => {
            tx.execute(
                "DELETE FROM endpoint_secret WHERE endpoint = ?1 AND expires_at_ms <= ?2",
                params![key, now_ms],
            )?;
            tx.execute(
                "UPDATE endpoint_secret SET expires_at_ms = min(coalesce(expires_at_ms, ?2), ?2)
                 WHERE endpoint = ?1",
                params![key, old_expire_at_ms],
            )?;
            tx.execute(
                "INSERT INTO endpoint_secret
                 SELECT ?1, coalesce(max(number), -1) + 1, ?2, NULL
                 FROM endpoint_secret WHERE endpoint = ?1",
                params![key, envelope],
            )?;
            tx.execute(
                "UPDATE endpoint SET updated_at_ms = ?2 WHERE key = ?1",
                params![key, now_ms],
            )?
        }
    };
    Ok(())
}

fn list_in(connection: &Connection, owner: Owner) -> rusqlite::Result<Result<ConfigSnapshot>> {
    let mut snapshot = ConfigSnapshot::default();
    let mut statement = connection.prepare_cached(
        "SELECT key, uid, id, provider, origin, created_at_ms, removed
         FROM source WHERE owner = ?1 ORDER BY key",
    )?;
    let mut rows = statement.query([owner.number()])?;
    while let Some(row) = rows.next()? {
        snapshot.sources.push(Source {
            key: ApplicationKey(row.get(0)?),
            uid: row.get(1)?,
            id: SourceId::from_bytes(row.get(2)?),
            provider: row.get(3)?,
            origin: origin_from_column(row.get(4)?),
            created_at_ms: row.get(5)?,
            removed: row.get(6)?,
        });
    }
    let mut statement = connection.prepare_cached(
        "SELECT endpoint.key, application, endpoint.uid, endpoint.id, endpoint.origin, settings,
                state, state_reason, failing_since_ms, endpoint.created_at_ms, updated_at_ms
         FROM endpoint JOIN source ON source.key = application
         WHERE owner = ?1 ORDER BY endpoint.key",
    )?;
    let mut rows = statement.query([owner.number()])?;
    while let Some(row) = rows.next()? {
        match read_endpoint(connection, row)? {
            Ok(endpoint) => snapshot.endpoints.push(endpoint),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(snapshot))
}

fn read_endpoint(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Result<Endpoint>> {
    let key: u32 = row.get(0)?;
    let settings: String = row.get(5)?;
    let settings = match serde_json::from_str(&settings) {
        Ok(settings) => settings,
        Err(error) => {
            return Ok(Err(StoreError::Unusable {
                path: "becket.db".to_owned(),
                detail: format!("the settings of endpoint {key} cannot be read: {error}"),
            }));
        }
    };
    let mut statement = connection.prepare_cached(
        "SELECT envelope, expires_at_ms FROM endpoint_secret
         WHERE endpoint = ?1 ORDER BY number DESC",
    )?;
    let secrets = statement
        .query_map([key], |row| {
            Ok(StoredSecret { envelope: row.get(0)?, expires_at_ms: row.get(1)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Ok(Endpoint {
        key: EndpointKey(key),
        application: ApplicationKey(row.get(1)?),
        uid: row.get(2)?,
        id: EndpointId::from_bytes(row.get(3)?),
        origin: origin_from_column(row.get(4)?),
        settings,
        state: state_from_column(row.get(6)?),
        state_reason: row.get(7)?,
        failing_since_ms: row.get(8)?,
        secrets,
        created_at_ms: row.get(9)?,
        updated_at_ms: row.get(10)?,
    }))
}
