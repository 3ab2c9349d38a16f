//! Endpoints: made, found, listed, changed.

use std::collections::HashMap;

use becket_model::{ApplicationKey, EndpointId, EndpointKey, EndpointState, Origin};
use becket_store::{
    Changed, Created, Endpoint, EndpointChange, EndpointNew, Name, Owner, Result, Slice,
    StoredSecret,
};
use rusqlite::{Connection, Params, Row, params};

use super::applications::{self, beyond, boxed, edge_of_ids};
use super::{Catalog, from_json, to_json};
use crate::errors::database;
use crate::rows::{origin_column, origin_from_column, state_column, state_from_column};

const COLUMNS: &str = "key, application, uid, id, origin, settings, headers, state, state_reason, \
                       failing_since_ms, created_at_ms, updated_at_ms";

/// An endpoint to be written, without its secret.
pub(super) struct NewRow<'a> {
    pub(super) application: ApplicationKey,
    pub(super) uid: Option<&'a str>,
    pub(super) id: EndpointId,
    pub(super) origin: Origin,
    pub(super) settings: &'a becket_model::EndpointSettings,
    pub(super) headers: Option<&'a [u8]>,
    pub(super) state: EndpointState,
}

impl Catalog {
    /// Which application each endpoint belongs to.
    pub(crate) fn endpoint_sources(&self) -> Result<HashMap<u32, u32>> {
        let failed = database("read endpoints");
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT key, application FROM endpoint")
                .map_err(failed)?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed)
        })
    }

    /// Whether an endpoint was made by the API and removed before a moment. It never comes back then;
    /// one of the file may.
    pub(crate) fn endpoint_is_gone(&self, key: u32, before_ms: i64) -> Result<bool> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT EXISTS(SELECT 1 FROM endpoint
                         WHERE key = ?1 AND state = 3 AND origin = 1 AND updated_at_ms < ?2)",
                )
                .and_then(|mut statement| {
                    statement.query_row(params![key, before_ms], |row| row.get(0))
                })
                .map_err(database("read endpoints"))
        })
    }

    pub(crate) fn endpoint_create(
        &self,
        owner: Owner,
        new: EndpointNew,
        now_ms: i64,
    ) -> Result<Created<Endpoint>> {
        self.change("make endpoint", move |connection| {
            if applications::of_owner(connection, owner, new.application)?.is_none() {
                return Ok(Created::NoParent);
            }
            if let Some(uid) = &new.uid
                && let Some(taken) = by_uid(connection, new.application, uid)?
            {
                return Ok(Created::NameTaken(taken));
            }
            let key = insert(
                connection,
                &NewRow {
                    application: new.application,
                    uid: new.uid.as_deref(),
                    id: new.id,
                    origin: Origin::Api,
                    settings: &new.settings,
                    headers: new.headers.as_deref(),
                    state: new.state,
                },
                now_ms,
            )?;
            insert_secret(connection, key, &new.secret)?;
            let made = by_key(connection, key)?;
            Ok(made.map_or(Created::NoParent, Created::New))
        })
    }

    pub(crate) fn endpoint_get(
        &self,
        owner: Owner,
        application: ApplicationKey,
        name: &Name<EndpointId>,
    ) -> Result<Option<Endpoint>> {
        self.read(|connection| {
            if applications::of_owner(connection, owner, application)?.is_none() {
                return Ok(None);
            }
            match name {
                Name::Id(id) => select_one(
                    connection,
                    "WHERE id = ?1 AND application = ?2 AND state != 3",
                    params![id.as_bytes(), application.0],
                ),
                Name::Uid(uid) => by_uid(connection, application, uid),
            }
        })
    }

    pub(crate) fn endpoint_list(
        &self,
        owner: Owner,
        application: ApplicationKey,
        slice: Slice<EndpointId>,
    ) -> Result<Vec<Endpoint>> {
        let (comparison, direction) = beyond(slice.descending);
        let edge = match slice.after {
            Some(id) => id.as_bytes().to_vec(),
            None => edge_of_ids(slice.descending),
        };
        self.read(|connection| {
            if applications::of_owner(connection, owner, application)?.is_none() {
                return Ok(Vec::new());
            }
            select(
                connection,
                &format!(
                    "WHERE application = ?1 AND state != 3 AND id {comparison} ?2
                     ORDER BY id {direction} LIMIT ?3"
                ),
                params![application.0, edge, slice.limit as i64],
            )
        })
    }

    pub(crate) fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        self.change("change endpoint", move |connection| {
            let Some(known) =
                select_one(connection, "WHERE id = ?1", params![endpoint.as_bytes()])?
            else {
                return Ok(Changed::Absent);
            };
            let application = applications::by_key(connection, known.application)?;
            if application.is_none_or(|application| application.owner != owner)
                || !reaches(&known, &change)
            {
                return Ok(Changed::Absent);
            }
            if !change.fits(&known) {
                return Ok(Changed::Meanwhile);
            }
            if let Some(uid) = wanted_name(&known, &change)
                && let Some(taken) = by_uid(connection, known.application, uid)?
                && taken.key != known.key
            {
                return Ok(Changed::NameTaken);
            }
            apply(connection, known.key, &change, now_ms)?;
            let after = by_key(connection, known.key)?;
            Ok(after.map_or(Changed::Absent, Changed::Done))
        })
    }
}

/// Whether a change may be made to an endpoint as it stands.
fn reaches(known: &Endpoint, change: &EndpointChange) -> bool {
    known.state != EndpointState::Removed
        || known.origin == Origin::File
            && matches!(change, EndpointChange::State { .. } | EndpointChange::FailingSince(_))
}

/// The name that an endpoint has or gets by a change, if it has to be free for that.
fn wanted_name<'a>(known: &'a Endpoint, change: &'a EndpointChange) -> Option<&'a str> {
    match change {
        EndpointChange::Edit { uid, .. } => uid.as_deref(),
        // A removed one that comes back needs its name.
        EndpointChange::State { state, .. } if *state != EndpointState::Removed => {
            known.uid.as_deref()
        }
        _ => None,
    }
}

fn apply(
    connection: &Connection,
    key: EndpointKey,
    change: &EndpointChange,
    now_ms: i64,
) -> Result<()> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map(drop)
            .map_err(database("change endpoint"))
    };
    match change {
        EndpointChange::State { state, reason } => run(
            "UPDATE endpoint SET state = ?2, updated_at_ms = ?4,
                 uid = CASE WHEN ?2 = 3 AND origin = 1 THEN NULL ELSE uid END,
                 state_reason = CASE WHEN ?2 = 0 THEN '' ELSE ?3 END,
                 failing_since_ms = CASE WHEN ?2 = 0 THEN NULL ELSE failing_since_ms END
             WHERE key = ?1",
            &[&key.0, &state_column(*state), reason, &now_ms],
        ),
        EndpointChange::FailingSince(since_ms) => {
            run("UPDATE endpoint SET failing_since_ms = ?2 WHERE key = ?1", &[&key.0, since_ms])
        }
        EndpointChange::RotateSecret { envelope, old_expire_at_ms } => {
            run(
                "DELETE FROM endpoint_secret WHERE endpoint = ?1 AND expires_at_ms <= ?2",
                &[&key.0, &now_ms],
            )?;
            run(
                "UPDATE endpoint_secret SET expires_at_ms = min(coalesce(expires_at_ms, ?2), ?2)
                 WHERE endpoint = ?1",
                &[&key.0, old_expire_at_ms],
            )?;
            run(
                "INSERT INTO endpoint_secret
                 SELECT ?1, coalesce(max(number), -1) + 1, ?2, NULL
                 FROM endpoint_secret WHERE endpoint = ?1",
                &[&key.0, envelope],
            )?;
            run("UPDATE endpoint SET updated_at_ms = ?2 WHERE key = ?1", &[&key.0, &now_ms])
        }
        EndpointChange::Edit { uid, settings, .. } => run(
            "UPDATE endpoint SET uid = ?2, settings = ?3, updated_at_ms = ?4 WHERE key = ?1",
            &[&key.0, uid, &to_json(settings)?, &now_ms],
        ),
        EndpointChange::Headers { headers, .. } => run(
            "UPDATE endpoint SET headers = ?2, updated_at_ms = ?3 WHERE key = ?1",
            &[&key.0, headers, &now_ms],
        ),
    }
}

/// Writes a new endpoint and answers with its key.
pub(super) fn insert(
    connection: &Connection,
    row: &NewRow<'_>,
    now_ms: i64,
) -> Result<EndpointKey> {
    connection
        .prepare_cached(
            "INSERT INTO endpoint(application, uid, id, origin, settings, headers, state,
                                  state_reason, created_at_ms, updated_at_ms)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, '', ?8, ?8)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                row.application.0,
                row.uid,
                row.id.as_bytes(),
                origin_column(row.origin),
                to_json(row.settings).map_err(boxed)?,
                row.headers,
                state_column(row.state),
                now_ms,
            ])
        })
        .map_err(database("make endpoint"))?;
    Ok(EndpointKey(connection.last_insert_rowid() as u32))
}

/// Writes what a declaration can change of an endpoint.
pub(super) fn update(connection: &Connection, after: &Endpoint) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE endpoint SET origin = ?2, settings = ?3, state = ?4, state_reason = ?5,
                                 failing_since_ms = ?6, updated_at_ms = ?7, headers = ?8
             WHERE key = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                after.key.0,
                origin_column(after.origin),
                to_json(&after.settings).map_err(boxed)?,
                state_column(after.state),
                after.state_reason,
                after.failing_since_ms,
                after.updated_at_ms,
                after.headers,
            ])
        })
        .map(drop)
        .map_err(database("change endpoint"))
}

/// Gives an endpoint without secrets its first one.
pub(super) fn insert_secret(
    connection: &Connection,
    key: EndpointKey,
    envelope: &[u8],
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO endpoint_secret SELECT ?1, 0, ?2, NULL
             WHERE length(?2) > 0
               AND NOT EXISTS (SELECT 1 FROM endpoint_secret WHERE endpoint = ?1)",
        )
        .and_then(|mut statement| statement.execute(params![key.0, envelope]))
        .map(drop)
        .map_err(database("make endpoint"))
}

/// Removes every endpoint of an application, whoever made it.
pub(super) fn remove_all(
    connection: &Connection,
    application: ApplicationKey,
    now_ms: i64,
) -> Result<()> {
    connection
        .execute(
            "UPDATE endpoint SET state = 3, state_reason = '', updated_at_ms = ?2,
                 uid = CASE WHEN origin = 1 THEN NULL ELSE uid END
             WHERE application = ?1 AND state != 3",
            params![application.0, now_ms],
        )
        .map(drop)
        .map_err(database("change application"))
}

pub(super) fn by_key(connection: &Connection, key: EndpointKey) -> Result<Option<Endpoint>> {
    select_one(connection, "WHERE key = ?1", [key.0])
}

pub(super) fn by_uid(
    connection: &Connection,
    application: ApplicationKey,
    uid: &str,
) -> Result<Option<Endpoint>> {
    select_one(
        connection,
        "WHERE application = ?1 AND uid = ?2 AND state != 3",
        params![application.0, uid],
    )
}

/// An endpoint of the file that was removed, by its name: the last one that had it.
pub(super) fn gone(
    connection: &Connection,
    application: ApplicationKey,
    uid: &str,
) -> Result<Option<Endpoint>> {
    select_one(
        connection,
        "WHERE application = ?1 AND uid = ?2 AND state = 3 AND origin = ?3
         ORDER BY key DESC LIMIT 1",
        params![application.0, uid, origin_column(Origin::File)],
    )
}

/// The endpoints of an application that the file declared and that are not removed.
pub(super) fn declared(
    connection: &Connection,
    application: ApplicationKey,
) -> Result<Vec<Endpoint>> {
    select(
        connection,
        "WHERE application = ?1 AND state != 3 AND origin = ?2 ORDER BY key",
        params![application.0, origin_column(Origin::File)],
    )
}

/// All endpoints of an owner, removed ones included, in the order of their keys.
pub(super) fn of_owner(connection: &Connection, owner: Owner) -> Result<Vec<Endpoint>> {
    select(
        connection,
        "WHERE application IN (SELECT key FROM application WHERE owner = ?1) ORDER BY key",
        [owner.number()],
    )
}

fn select_one(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Option<Endpoint>> {
    select(connection, condition, parameters).map(|list| list.into_iter().next())
}

fn select(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Vec<Endpoint>> {
    let failed = database("read endpoints");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM endpoint {condition}"))
        .map_err(failed)?;
    let mut secrets = connection
        .prepare_cached(
            "SELECT envelope, expires_at_ms FROM endpoint_secret
             WHERE endpoint = ?1 ORDER BY number DESC",
        )
        .map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let (mut endpoint, settings) = read(row).map_err(failed)?;
        endpoint.settings = from_json(&settings, &format!("endpoint {}", endpoint.key.0))?;
        endpoint.secrets = secrets
            .query_map([endpoint.key.0], |row| {
                Ok(StoredSecret { envelope: row.get(0)?, expires_at_ms: row.get(1)? })
            })
            .and_then(Iterator::collect)
            .map_err(failed)?;
        list.push(endpoint);
    }
    Ok(list)
}

/// An endpoint without settings and secrets, and the text of the settings.
fn read(row: &Row<'_>) -> rusqlite::Result<(Endpoint, String)> {
    let endpoint = Endpoint {
        key: EndpointKey(row.get(0)?),
        application: ApplicationKey(row.get(1)?),
        uid: row.get(2)?,
        id: EndpointId::from_bytes(row.get(3)?),
        origin: origin_from_column(row.get(4)?),
        settings: becket_model::EndpointSettings::default(),
        headers: row.get(6)?,
        state: state_from_column(row.get(7)?),
        state_reason: row.get(8)?,
        failing_since_ms: row.get(9)?,
        secrets: Vec::new(),
        created_at_ms: row.get(10)?,
        updated_at_ms: row.get(11)?,
    };
    Ok((endpoint, row.get(5)?))
}
