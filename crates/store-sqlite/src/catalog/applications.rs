//! Applications: made, found, listed, changed.

use std::collections::HashMap;

use becket_model::{ApplicationId, ApplicationKey, ApplicationKind};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, ConfigSnapshot, Created, Name, Owner,
    Result, Slice,
};
use rusqlite::{Connection, Params, Row, params};

use super::{Catalog, endpoints, from_json, to_json};
use crate::errors::database;
use crate::rows::{kind_column, kind_from_column, origin_column, origin_from_column};

const COLUMNS: &str = "key, owner, kind, id, uid, origin, settings, credentials, created_at_ms, \
                       updated_at_ms, removed";

impl Catalog {
    /// Which owner each application belongs to.
    pub(crate) fn owners(&self) -> Result<HashMap<u32, Owner>> {
        let failed = database("read applications");
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT key, owner FROM application").map_err(failed)?;
            let rows = statement
                .query_map([], |row| Ok((row.get(0)?, Owner::new(row.get(1)?))))
                .map_err(failed)?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed)
        })
    }

    /// Everybody who has an application: one seek for each owner.
    pub(crate) fn owner_list(&self) -> Result<Vec<Owner>> {
        let failed = database("read owners");
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached(
                    "WITH RECURSIVE known(owner) AS (
                         SELECT min(owner) FROM application
                         UNION ALL
                         SELECT (SELECT min(owner) FROM application WHERE owner > known.owner)
                         FROM known WHERE known.owner IS NOT NULL)
                     SELECT owner FROM known WHERE owner IS NOT NULL",
                )
                .map_err(failed)?;
            let rows =
                statement.query_map([], |row| Ok(Owner::new(row.get(0)?))).map_err(failed)?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed)
        })
    }

    pub(crate) fn application_create(
        &self,
        owner: Owner,
        new: ApplicationNew,
        now_ms: i64,
    ) -> Result<Created<Application>> {
        self.change("make application", move |connection| {
            if let Some(uid) = &new.uid
                && let Some(taken) = by_uid(connection, owner, new.kind, uid)?
            {
                return Ok(Created::NameTaken(taken));
            }
            connection
                .prepare_cached(
                    "INSERT INTO application(owner, kind, id, uid, origin, settings, credentials,
                                             created_at_ms, updated_at_ms, removed)
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 0)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        owner.number(),
                        kind_column(new.kind),
                        new.id.as_bytes(),
                        new.uid,
                        origin_column(becket_model::Origin::Api),
                        to_json(&new.settings).map_err(boxed)?,
                        new.credentials,
                        now_ms,
                    ])
                })
                .map_err(database("make application"))?;
            let key = ApplicationKey(connection.last_insert_rowid() as u32);
            let made = by_key(connection, key)?;
            Ok(made.map_or(Created::NoParent, Created::New))
        })
    }

    pub(crate) fn application_get(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        name: &Name<ApplicationId>,
    ) -> Result<Option<Application>> {
        self.read(|connection| match name {
            Name::Id(id) => by_id(connection, owner, kind, id),
            Name::Uid(uid) => by_uid(connection, owner, kind, uid),
        })
    }

    pub(crate) fn application_list(
        &self,
        owner: Owner,
        kind: ApplicationKind,
        slice: Slice<ApplicationId>,
    ) -> Result<Vec<Application>> {
        let (comparison, direction) = beyond(slice.descending);
        let edge = match slice.after {
            Some(id) => id.as_bytes().to_vec(),
            None => edge_of_ids(slice.descending),
        };
        self.read(|connection| {
            select(
                connection,
                &format!(
                    "WHERE owner = ?1 AND kind = ?2 AND removed = 0 AND id {comparison} ?3
                     ORDER BY id {direction} LIMIT ?4"
                ),
                params![owner.number(), kind_column(kind), edge, slice.limit as i64],
            )
        })
    }

    pub(crate) fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>> {
        self.change("change application", move |connection| {
            let Some(known) = of_owner(connection, owner, application)? else {
                return Ok(Changed::Absent);
            };
            if !change.fits(&known) {
                return Ok(Changed::Meanwhile);
            }
            if let Some(Some(uid)) = &change.uid
                && let Some(taken) = by_uid(connection, owner, known.kind, uid)?
                && taken.key != known.key
            {
                return Ok(Changed::NameTaken);
            }
            let mut after = known;
            if let Some(uid) = change.uid {
                after.uid = uid;
            }
            if let Some(settings) = change.settings {
                after.settings = settings;
            }
            if let Some(credentials) = change.credentials {
                after.credentials = Some(credentials);
            }
            if change.remove {
                after.removed = true;
                after.uid = None;
            }
            after.updated_at_ms = now_ms;
            update(connection, &after)?;
            if change.remove {
                endpoints::remove_all(connection, application, now_ms)?;
                connection
                    .execute(
                        "DELETE FROM document WHERE application = ?1 AND application != 0",
                        [application.0],
                    )
                    .map_err(database("change application"))?;
            }
            Ok(Changed::Done(after))
        })
    }
}

/// Passes an error of the store through a closure that answers with the database's.
pub(super) fn boxed(error: becket_store::StoreError) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// How the next one in a list compares, and the order.
pub(super) const fn beyond(descending: bool) -> (&'static str, &'static str) {
    if descending { ("<", "DESC") } else { (">", "ASC") }
}

/// What stands before the first id of a list.
pub(super) fn edge_of_ids(descending: bool) -> Vec<u8> {
    if descending { vec![0xff; 21] } else { Vec::new() }
}

/// Writes what can change of an application.
pub(super) fn update(connection: &Connection, after: &Application) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE application SET uid = ?2, origin = ?3, settings = ?4, credentials = ?5,
                                    updated_at_ms = ?6, removed = ?7
             WHERE key = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                after.key.0,
                after.uid,
                origin_column(after.origin),
                to_json(&after.settings).map_err(boxed)?,
                after.credentials,
                after.updated_at_ms,
                after.removed,
            ])
        })
        .map(drop)
        .map_err(database("change application"))
}

/// The application of an owner that is not removed.
pub(super) fn of_owner(
    connection: &Connection,
    owner: Owner,
    key: ApplicationKey,
) -> Result<Option<Application>> {
    let known = by_key(connection, key)?;
    Ok(known.filter(|known| known.owner == owner && !known.removed))
}

pub(super) fn by_key(connection: &Connection, key: ApplicationKey) -> Result<Option<Application>> {
    select_one(connection, "WHERE key = ?1", [key.0])
}

pub(super) fn by_uid(
    connection: &Connection,
    owner: Owner,
    kind: ApplicationKind,
    uid: &str,
) -> Result<Option<Application>> {
    select_one(
        connection,
        "WHERE owner = ?1 AND kind = ?2 AND uid = ?3 AND removed = 0",
        params![owner.number(), kind_column(kind), uid],
    )
}

/// A source is also found by the first 16 bytes of its id and zeros.
fn by_id(
    connection: &Connection,
    owner: Owner,
    kind: ApplicationKind,
    id: &ApplicationId,
) -> Result<Option<Application>> {
    let low = *id.as_bytes();
    let mut high = low;
    if kind == ApplicationKind::Source && low[16..] == [0; 4] {
        high[16..].fill(0xff);
    }
    select_one(
        connection,
        "WHERE owner = ?1 AND kind = ?2 AND removed = 0 AND id BETWEEN ?3 AND ?4
         ORDER BY id LIMIT 1",
        params![owner.number(), kind_column(kind), low, high],
    )
}

/// A source of the file that was removed, by its name: the last one that had it.
pub(super) fn gone_source(
    connection: &Connection,
    owner: Owner,
    uid: &str,
) -> Result<Option<Application>> {
    select_one(
        connection,
        "WHERE owner = ?1 AND kind = ?2 AND uid = ?3 AND removed = 1 AND origin = ?4
         ORDER BY key DESC LIMIT 1",
        params![
            owner.number(),
            kind_column(ApplicationKind::Source),
            uid,
            origin_column(becket_model::Origin::File)
        ],
    )
}

/// The owner's sources that the file declared and that are not removed.
pub(super) fn declared(connection: &Connection, owner: Owner) -> Result<Vec<Application>> {
    select(
        connection,
        "WHERE owner = ?1 AND kind = ?2 AND removed = 0 AND origin = ?3 ORDER BY key",
        params![
            owner.number(),
            kind_column(ApplicationKind::Source),
            origin_column(becket_model::Origin::File)
        ],
    )
}

/// Everything of an owner.
pub(super) fn list_all(connection: &Connection, owner: Owner) -> Result<ConfigSnapshot> {
    let applications = select(connection, "WHERE owner = ?1 ORDER BY key", [owner.number()])?;
    let endpoints = endpoints::of_owner(connection, owner)?;
    Ok(ConfigSnapshot { applications, endpoints })
}

fn select_one(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Option<Application>> {
    select(connection, condition, parameters).map(|list| list.into_iter().next())
}

fn select(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Vec<Application>> {
    let failed = database("read applications");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM application {condition}"))
        .map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let (mut application, settings) = read(row).map_err(failed)?;
        application.settings = from_json(&settings, &format!("application {}", application.key.0))?;
        list.push(application);
    }
    Ok(list)
}

/// An application without its settings, and their text.
fn read(row: &Row<'_>) -> rusqlite::Result<(Application, String)> {
    let application = Application {
        key: ApplicationKey(row.get(0)?),
        owner: Owner::new(row.get(1)?),
        kind: kind_from_column(row.get(2)?),
        id: ApplicationId::from_bytes(row.get(3)?),
        uid: row.get(4)?,
        origin: origin_from_column(row.get(5)?),
        settings: becket_model::ApplicationSettings::default(),
        credentials: row.get(7)?,
        created_at_ms: row.get(8)?,
        updated_at_ms: row.get(9)?,
        removed: row.get(10)?,
    };
    Ok((application, row.get(6)?))
}
