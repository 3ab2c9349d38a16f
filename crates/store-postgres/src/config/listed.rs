//! All applications and endpoints of an owner, read once after each change: every page that is shown
//! of anything needs their names.

use std::collections::HashMap;
use std::sync::Arc;

use becket_store::{ConfigSnapshot, Owner, Result};
use parking_lot::Mutex;

use super::{Ask, Reading, applications, endpoints};
use crate::shared::Shared;

/// Of so many owners what was listed is remembered, if they have no more than so many endpoints.
const LISTED_MAX: usize = 32;
const LISTED_ENDPOINTS_MAX: usize = 20_000;

/// What was listed of each owner, with the revision before it was read.
#[derive(Default)]
pub(crate) struct Listed(Mutex<HashMap<Owner, (i64, Arc<ConfigSnapshot>)>>);

/// All applications and endpoints of an owner, removed ones included.
pub(crate) async fn config_list(shared: &Arc<Shared>, owner: Owner) -> Result<ConfigSnapshot> {
    let reading = Reading::new(shared, "read configuration").await?;
    let rows = reading.ask("SELECT revision FROM installation", &[]).await?;
    let revision: i64 = rows.first().map_or(0, |row| row.get(0));
    let known = shared.listed.0.lock().get(&owner).cloned();
    if let Some((_, snapshot)) = known.filter(|(of, _)| *of == revision) {
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
    listed.insert(owner, (revision, Arc::new(snapshot.clone())));
    Ok(snapshot)
}
