//! What has changed in the configuration since a revision.
//!
//! Invariants: everything is read from one moment of the database. Whoever changes the configuration
//! holds the row of `installation` until its commit, so at that moment everything up to the revision
//! is visible, and nothing above it: the next call, from there, misses nothing and tells nothing twice.
//! That holds for one server: another one that takes its place may lack the last revisions, which is
//! for the caller to see.

use std::collections::HashMap;
use std::sync::Arc;

use becket_model::ApplicationKey;
use becket_store::cluster::Changes;
use becket_store::{DocumentKind, Owner, Result};

use crate::config::columns::{application, owner_from};
use crate::config::{Ask as _, Standing, select_applications, select_endpoints};
use crate::errors::Failure;
use crate::shared::Shared;
use crate::transaction::Tx;

const OPERATION: &str = "read changes";

/// A transaction that sees one moment of the database.
const ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '5s'";

pub(super) async fn changes(shared: &Arc<Shared>, after: u64) -> Result<Changes> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut conn = shared.read(OPERATION).await?;
    let transaction = conn.begin(OPERATION).await?;
    transaction.batch(ONE_MOMENT).await?;
    let changes = changes_in(shared, &transaction, after).await?;
    transaction.commit().await?;
    Ok(changes)
}

async fn changes_in(shared: &Shared, transaction: &Tx<'_>, after: i64) -> Result<Changes, Failure> {
    let Standing { revision, server } = Standing::read(transaction).await?;
    shared.meet_server(server);
    let mut changes = Changes { revision: revision.unsigned_abs(), server, ..Changes::default() };
    if revision <= after {
        return Ok(changes);
    }
    let behind = "WHERE revision > $1 ORDER BY key";
    changes.applications = select_applications(transaction, behind, &[&after]).await?;
    let endpoints = select_endpoints(transaction, behind, &[&after]).await?;
    let mut owners: HashMap<ApplicationKey, Owner> =
        changes.applications.iter().map(|known| (known.key, known.owner)).collect();
    let unknown: Vec<i32> = endpoints
        .iter()
        .filter(|endpoint| !owners.contains_key(&endpoint.application))
        .map(|endpoint| application(endpoint.application))
        .collect();
    if !unknown.is_empty() {
        let sql = "SELECT key, owner FROM application WHERE key = ANY($1)";
        for row in transaction.rows(sql, &[&unknown]).await? {
            let key = ApplicationKey(row.get::<_, i32>(0).cast_unsigned());
            owners.insert(key, owner_from(row.get(1)));
        }
    }
    for endpoint in endpoints {
        // Every endpoint has an application, which is never deleted.
        if let Some(owner) = owners.get(&endpoint.application) {
            shared.know_endpoint(endpoint.key, endpoint.application);
            changes.endpoints.push((*owner, endpoint));
        }
    }
    let sql = "SELECT owner, kind FROM document_change WHERE revision > $1 ORDER BY revision, owner, kind";
    for row in transaction.ask(sql, &[&after]).await? {
        // A kind that a newer node has is none of ours.
        let word: &str = row.get(1);
        let kind = DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        if let Some(kind) = kind {
            changes.documents.push((owner_from(row.get(0)), kind));
        }
    }
    Ok(changes)
}
