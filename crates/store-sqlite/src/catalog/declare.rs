//! What the operator's file declares, compared with what is there.

use std::collections::HashSet;

use becket_model::{ApplicationKey, ApplicationKind, ApplicationSettings, EndpointState, Origin};
use becket_store::{
    Application, ConfigSnapshot, Endpoint, EndpointDeclaration, Owner, Result, SourceDeclaration,
};
use rusqlite::{Connection, params};

use super::applications::{self, boxed};
use super::endpoints::{self, NewRow};
use super::{Catalog, to_json};
use crate::errors::database;
use crate::rows::{kind_column, origin_column};

impl Catalog {
    pub(crate) fn declare(
        &self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        self.change("declare sources", move |connection| {
            let mut kept = HashSet::new();
            for source in &declared {
                let application = declare_source(connection, owner, source, now_ms)?;
                kept.insert(application);
                let mut kept_endpoints = HashSet::new();
                for endpoint in &source.endpoints {
                    kept_endpoints.insert(declare_endpoint(
                        connection,
                        application,
                        endpoint,
                        now_ms,
                    )?);
                }
                let gone = endpoints::declared(connection, application)?;
                for endpoint in gone.into_iter().filter(|one| !kept_endpoints.contains(&one.key)) {
                    remove_endpoint(connection, endpoint, now_ms)?;
                }
            }
            for source in applications::declared(connection, owner)? {
                if !kept.contains(&source.key) {
                    remove_source(connection, source, now_ms)?;
                }
            }
            applications::list_all(connection, owner)
        })
    }
}

/// Makes a source known, brings it back, or takes over the one that the API made under its name.
fn declare_source(
    connection: &Connection,
    owner: Owner,
    source: &SourceDeclaration,
    now_ms: i64,
) -> Result<ApplicationKey> {
    let known = match applications::by_uid(connection, owner, ApplicationKind::Source, &source.uid)?
    {
        Some(known) => Some(known),
        None => applications::gone_source(connection, owner, &source.uid)?,
    };
    let Some(known) = known else { return insert_source(connection, owner, source, now_ms) };
    let mut after = Application { origin: Origin::File, removed: false, ..known.clone() };
    if known.origin == Origin::Api {
        after.settings = ApplicationSettings::default();
        after.credentials = None;
    }
    after.settings.provider.clone_from(&source.provider);
    if after != known {
        after.updated_at_ms = now_ms;
        applications::update(connection, &after)?;
    }
    Ok(known.key)
}

fn insert_source(
    connection: &Connection,
    owner: Owner,
    source: &SourceDeclaration,
    now_ms: i64,
) -> Result<ApplicationKey> {
    connection
        .prepare_cached(
            "INSERT INTO application(owner, kind, id, uid, origin, settings, created_at_ms,
                                     updated_at_ms, removed)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 0)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                owner.number(),
                kind_column(ApplicationKind::Source),
                source.id.as_bytes(),
                source.uid,
                origin_column(Origin::File),
                to_json(&ApplicationSettings::for_provider(&source.provider)).map_err(boxed)?,
                now_ms,
            ])
        })
        .map_err(database("declare sources"))?;
    Ok(ApplicationKey(connection.last_insert_rowid() as u32))
}

fn declare_endpoint(
    connection: &Connection,
    application: ApplicationKey,
    declared: &EndpointDeclaration,
    now_ms: i64,
) -> Result<becket_model::EndpointKey> {
    let known = match endpoints::by_uid(connection, application, &declared.uid)? {
        Some(known) => Some(known),
        None => endpoints::gone(connection, application, &declared.uid)?,
    };
    let key = if let Some(known) = known {
        let mut after =
            Endpoint { origin: Origin::File, settings: declared.settings.clone(), ..known.clone() };
        if known.origin == Origin::Api {
            after.headers = None;
        }
        if known.state == EndpointState::Removed {
            after.state = EndpointState::Enabled;
            after.state_reason.clear();
            after.failing_since_ms = None;
        }
        if after != known {
            after.updated_at_ms = now_ms;
            endpoints::update(connection, &after)?;
        }
        known.key
    } else {
        let row = NewRow {
            application,
            uid: Some(&declared.uid),
            id: declared.id,
            origin: Origin::File,
            settings: &declared.settings,
            headers: None,
            state: EndpointState::Enabled,
        };
        endpoints::insert(connection, &row, now_ms)?
    };
    endpoints::insert_secret(connection, key, &declared.secret)?;
    Ok(key)
}

fn remove_endpoint(connection: &Connection, known: Endpoint, now_ms: i64) -> Result<()> {
    endpoints::update(
        connection,
        &Endpoint {
            state: EndpointState::Removed,
            state_reason: "no longer declared".to_owned(),
            updated_at_ms: now_ms,
            ..known
        },
    )
}

/// Removes a source with the endpoints that the file gave it; those that the API made stay, and are
/// there again when it comes back.
fn remove_source(connection: &Connection, known: Application, now_ms: i64) -> Result<()> {
    for endpoint in endpoints::declared(connection, known.key)? {
        remove_endpoint(connection, endpoint, now_ms)?;
    }
    applications::update(connection, &Application { removed: true, updated_at_ms: now_ms, ..known })
}
