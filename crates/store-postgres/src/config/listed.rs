//! All applications and endpoints of an owner, read once after each change: every page that is shown
//! of anything needs their names.
//!
//! Invariant: what is remembered belongs to one revision of one server. A standby that has become the
//! primary may have given the same revision to another change.

use std::collections::HashMap;
use std::sync::Arc;

use becket_store::{ConfigSnapshot, Owner, Result};
use parking_lot::Mutex;

use super::{Ask, Reading, applications, endpoints};
use crate::errors::Failure;
use crate::shared::Shared;

/// Of so many owners what was listed is remembered, if they have no more than so many endpoints.
const LISTED_MAX: usize = 32;
const LISTED_ENDPOINTS_MAX: usize = 20_000;

/// How the configuration stands: its revision, and on which server that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) revision: i64,
    /// When the server was started, in microseconds since 1970. Only what has been a standby becomes
    /// the primary in the place of another, and a standby is another server from its start on.
    pub(crate) server: i64,
}

impl Standing {
    /// Reads how it stands now.
    pub(crate) async fn read(ask: &impl Ask) -> Result<Self, Failure> {
        let sql =
            "SELECT revision, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
                   FROM installation";
        let rows = ask.ask(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| {
            crate::errors::unusable("the table `installation` is empty; restore a backup")
        })?;
        Ok(Self { revision: row.get(0), server: row.get(1) })
    }
}

/// What was listed of each owner, with how it stood before it was read.
#[derive(Default)]
pub(crate) struct Listed(Mutex<HashMap<Owner, (Standing, Arc<ConfigSnapshot>)>>);

/// All applications and endpoints of an owner, removed ones included.
pub(crate) async fn config_list(shared: &Arc<Shared>, owner: Owner) -> Result<ConfigSnapshot> {
    let reading = Reading::new(shared, "read configuration").await?;
    let standing = Standing::read(&reading).await?;
    shared.meet_server(standing.server);
    let known = shared.listed.0.lock().get(&owner).cloned();
    if let Some((_, snapshot)) = known.filter(|(of, _)| *of == standing) {
        return Ok(ConfigSnapshot::clone(&snapshot));
    }
    // Read behind the revision: it may be newer, never older than that. Endpoints come first, so that
    // the application of each is there.
    let endpoints = endpoints::all(&reading, owner).await?;
    let applications = applications::all(&reading, owner).await?;
    let snapshot = ConfigSnapshot { applications, endpoints };
    let mut listed = shared.listed.0.lock();
    if snapshot.endpoints.len() > LISTED_ENDPOINTS_MAX {
        listed.remove(&owner);
        return Ok(snapshot);
    }
    if listed.len() >= LISTED_MAX {
        listed.clear();
    }
    listed.insert(owner, (standing, Arc::new(snapshot.clone())));
    Ok(snapshot)
}
