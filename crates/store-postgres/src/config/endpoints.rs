//! Endpoints: made, found, listed, changed.

use std::sync::Arc;

use becket_model::{ApplicationKey, EndpointId, EndpointKey, EndpointState, Origin};
use becket_store::{
    Changed, Created, Endpoint, EndpointChange, EndpointNew, LeaseToken, Name, Owner, Result,
    Slice, StoredSecret,
};
use tokio_postgres::Row;

use super::applications::of_owner;
use super::columns::{self, REMOVED, beyond, edge_of_ids, limit};
use super::{Ask, Reading, Revision, Tried, Tries, from_json, to_json};
use crate::errors::Failure;
use crate::lease::still_delivers;
use crate::session::Parameters;
use crate::shared::Shared;
use crate::text::{pack, pack_some, unpack, unpack_some};
use crate::transaction::Tx;

const COLUMNS: &str = "key, application, uid, id, origin, settings, headers, state, state_reason, \
     failing_since_ms, created_at_ms, updated_at_ms, \
     ARRAY(SELECT envelope FROM endpoint_secret WHERE endpoint = key ORDER BY number DESC), \
     ARRAY(SELECT expires_at_ms FROM endpoint_secret WHERE endpoint = key ORDER BY number DESC)";

/// Makes an endpoint of an application, unless its name is taken there.
pub(crate) async fn endpoint_create(
    shared: &Arc<Shared>,
    owner: Owner,
    new: EndpointNew,
    now_ms: i64,
) -> Result<Created<Endpoint>> {
    let mut tries = Tries::new();
    loop {
        let outcome = create_once(shared, owner, &new, now_ms).await;
        if let Tried::Answer(created) = tries.judge(shared, outcome)? {
            if let Created::New(endpoint) = &created {
                shared.know_endpoint(endpoint.key, endpoint.application);
            }
            return Ok(created);
        }
    }
}

async fn create_once(
    shared: &Arc<Shared>,
    owner: Owner,
    new: &EndpointNew,
    now_ms: i64,
) -> Result<(Created<Endpoint>, bool), Failure> {
    let mut conn = shared.write("make endpoint").await?;
    let tx = conn.begin("make endpoint").await?;
    let revision = Revision::take(&tx).await?;
    if of_owner(&tx, owner, new.application).await?.is_none() {
        return Ok((Created::NoParent, false));
    }
    if let Some(uid) = &new.uid
        && let Some(taken) = by_uid(&tx, new.application, uid).await?
    {
        return Ok((Created::NameTaken(taken), false));
    }
    let mut made = Endpoint {
        key: EndpointKey(0),
        id: new.id,
        uid: new.uid.clone(),
        application: new.application,
        origin: Origin::Api,
        settings: new.settings.clone(),
        headers: new.headers.clone(),
        state: new.state,
        state_reason: String::new(),
        failing_since_ms: None,
        secrets: Vec::new(),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    insert(&tx, &mut made, revision.next).await?;
    insert_secret(&tx, &mut made, &new.secret).await?;
    revision.raise(&tx).await?;
    tx.commit().await?;
    Ok((Created::New(made), true))
}

/// An endpoint of an application that is not removed.
pub(crate) async fn endpoint_get(
    shared: &Arc<Shared>,
    owner: Owner,
    application: ApplicationKey,
    name: Name<EndpointId>,
) -> Result<Option<Endpoint>> {
    let reading = Reading::new(shared, "read endpoints").await?;
    if of_owner(&reading, owner, application).await?.is_none() {
        return Ok(None);
    }
    match name {
        Name::Id(id) => {
            let condition = "WHERE id = $1 AND application = $2 AND state <> 3";
            let parameters: Parameters<'_> =
                &[&id.as_bytes().as_slice(), &columns::application(application)];
            Ok(first(&reading, condition, parameters).await?)
        }
        Name::Uid(uid) => Ok(by_uid(&reading, application, &uid).await?),
    }
}

/// The endpoints of an application that are not removed, by id.
pub(crate) async fn endpoint_list(
    shared: &Arc<Shared>,
    owner: Owner,
    application: ApplicationKey,
    slice: Slice<EndpointId>,
) -> Result<Vec<Endpoint>> {
    let (comparison, direction) = beyond(slice.descending);
    let after = slice.after.as_ref().map(|id| id.as_bytes().as_slice());
    let edge = edge_of_ids(after, slice.descending);
    let reading = Reading::new(shared, "read endpoints").await?;
    if of_owner(&reading, owner, application).await?.is_none() {
        return Ok(Vec::new());
    }
    let condition = format!(
        "WHERE application = $1 AND state <> 3 AND id {comparison} $2
         ORDER BY id {direction} LIMIT $3"
    );
    let parameters: Parameters<'_> =
        &[&columns::application(application), &edge, &limit(slice.limit)];
    Ok(select(&reading, &condition, parameters).await?)
}

/// Changes an endpoint. What an attempt has shown counts only while the node that leased it delivers.
pub(crate) async fn endpoint_change(
    shared: &Arc<Shared>,
    owner: Owner,
    endpoint: EndpointId,
    change: EndpointChange,
    lease: Option<LeaseToken>,
    now_ms: i64,
) -> Result<Changed<Endpoint>> {
    let mut tries = Tries::new();
    loop {
        let outcome = change_once(shared, owner, endpoint, &change, lease, now_ms).await;
        if let Tried::Answer(changed) = tries.judge(shared, outcome)? {
            return Ok(changed);
        }
    }
}

async fn change_once(
    shared: &Arc<Shared>,
    owner: Owner,
    endpoint: EndpointId,
    change: &EndpointChange,
    lease: Option<LeaseToken>,
    now_ms: i64,
) -> Result<(Changed<Endpoint>, bool), Failure> {
    let mut conn = shared.write("change endpoint").await?;
    let tx = conn.begin("change endpoint").await?;
    let revision = Revision::take(&tx).await?;
    let condition = "WHERE id = $1
                     AND application IN (SELECT key FROM application WHERE owner = $2)";
    let parameters: Parameters<'_> = &[&endpoint.as_bytes().as_slice(), &columns::owner(owner)];
    let Some(known) = first(&tx, condition, parameters).await? else {
        return Ok((Changed::Absent, false));
    };
    if !reaches(&known, change) {
        return Ok((Changed::Absent, false));
    }
    if let Some(lease) = lease
        && !still_delivers(shared, &tx, columns::endpoint(known.key), lease).await?
    {
        return Ok((Changed::Absent, false));
    }
    if !change.fits(&known) {
        return Ok((Changed::Meanwhile, false));
    }
    if let Some(uid) = wanted_name(&known, change)
        && let Some(taken) = by_uid(&tx, known.application, uid).await?
        && taken.key != known.key
    {
        return Ok((Changed::NameTaken, false));
    }
    let after = apply(&tx, known, change, now_ms).await?;
    update(&tx, &after, revision.next).await?;
    revision.raise(&tx).await?;
    tx.commit().await?;
    Ok((Changed::Done(after), true))
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

/// The endpoint as the change makes it; its secrets are written already.
async fn apply(
    tx: &Tx<'_>,
    known: Endpoint,
    change: &EndpointChange,
    now_ms: i64,
) -> Result<Endpoint, Failure> {
    let mut after = known;
    if !matches!(change, EndpointChange::FailingSince(_)) {
        after.updated_at_ms = now_ms;
    }
    match change {
        EndpointChange::State { state, reason } => {
            after.state = *state;
            after.state_reason.clone_from(reason);
            if *state == EndpointState::Enabled {
                after.state_reason.clear();
                after.failing_since_ms = None;
            }
            if *state == EndpointState::Removed && after.origin == Origin::Api {
                after.uid = None;
            }
        }
        EndpointChange::FailingSince(since_ms) => after.failing_since_ms = *since_ms,
        EndpointChange::RotateSecret { envelope, old_expire_at_ms } => {
            after.secrets = rotate(tx, after.key, envelope, *old_expire_at_ms, now_ms).await?;
        }
        EndpointChange::Edit { uid, settings, .. } => {
            after.uid.clone_from(uid);
            after.settings.clone_from(settings);
        }
        EndpointChange::Headers { headers, .. } => after.headers.clone_from(headers),
    }
    Ok(after)
}

/// Puts a new secret in front, and answers with all that there are now.
async fn rotate(
    tx: &Tx<'_>,
    key: EndpointKey,
    envelope: &[u8],
    old_expire_at_ms: i64,
    now_ms: i64,
) -> Result<Vec<StoredSecret>, Failure> {
    let key = columns::endpoint(key);
    let sql = "DELETE FROM endpoint_secret WHERE endpoint = $1 AND expires_at_ms <= $2";
    tx.run(sql, &[&key, &now_ms]).await?;
    let sql = "UPDATE endpoint_secret SET expires_at_ms = least(coalesce(expires_at_ms, $2), $2)
               WHERE endpoint = $1";
    tx.run(sql, &[&key, &old_expire_at_ms]).await?;
    let sql = "INSERT INTO endpoint_secret (endpoint, number, envelope)
               SELECT $1, coalesce(max(number), -1) + 1, $2
               FROM endpoint_secret WHERE endpoint = $1";
    tx.run(sql, &[&key, &envelope]).await?;
    let sql = "SELECT envelope, expires_at_ms FROM endpoint_secret
               WHERE endpoint = $1 ORDER BY number DESC";
    let rows = tx.rows(sql, &[&key]).await?;
    let read = |row: &Row| StoredSecret { envelope: row.get(0), expires_at_ms: row.get(1) };
    Ok(rows.iter().map(read).collect())
}

/// Writes a new endpoint and gives it its key.
pub(super) async fn insert(tx: &Tx<'_>, new: &mut Endpoint, revision: i64) -> Result<(), Failure> {
    let sql = "INSERT INTO endpoint (application, uid, id, origin, settings, headers, state,
                                     state_reason, created_at_ms, updated_at_ms, revision)
               VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $8, $9) RETURNING key";
    let parameters: Parameters<'_> = &[
        &columns::application(new.application),
        &pack_some(new.uid.as_deref()),
        &new.id.as_bytes().as_slice(),
        &columns::origin(new.origin),
        &to_json(&new.settings)?,
        &new.headers,
        &columns::state(new.state),
        &new.created_at_ms,
        &revision,
    ];
    let rows = tx.rows(sql, parameters).await?;
    new.key = rows.first().map_or(EndpointKey(0), |row| columns::endpoint_from(row.get(0)));
    Ok(())
}

/// Writes what can change of an endpoint, except for its secrets.
pub(super) async fn update(tx: &Tx<'_>, after: &Endpoint, revision: i64) -> Result<(), Failure> {
    let sql = "UPDATE endpoint SET uid = $2, origin = $3, settings = $4, state = $5,
                                   state_reason = $6, failing_since_ms = $7, updated_at_ms = $8,
                                   headers = $9, revision = $10
               WHERE key = $1";
    let parameters: Parameters<'_> = &[
        &columns::endpoint(after.key),
        &pack_some(after.uid.as_deref()),
        &columns::origin(after.origin),
        &to_json(&after.settings)?,
        &columns::state(after.state),
        &pack(&after.state_reason),
        &after.failing_since_ms,
        &after.updated_at_ms,
        &after.headers,
        &revision,
    ];
    tx.run(sql, parameters).await.map(drop)
}

/// Gives an endpoint without secrets its first one; whether it had none.
pub(super) async fn insert_secret(
    tx: &Tx<'_>,
    endpoint: &mut Endpoint,
    envelope: &[u8],
) -> Result<bool, Failure> {
    if envelope.is_empty() || !endpoint.secrets.is_empty() {
        return Ok(false);
    }
    let sql = "INSERT INTO endpoint_secret (endpoint, number, envelope) VALUES ($1, 0, $2)";
    tx.run(sql, &[&columns::endpoint(endpoint.key), &envelope]).await?;
    endpoint.secrets.push(StoredSecret { envelope: envelope.to_vec(), expires_at_ms: None });
    Ok(true)
}

/// Removes every endpoint of an application, whoever made it.
pub(super) async fn remove_all(
    tx: &Tx<'_>,
    application: ApplicationKey,
    now_ms: i64,
    revision: i64,
) -> Result<(), Failure> {
    let sql =
        "UPDATE endpoint SET state = $3, state_reason = '', updated_at_ms = $2, revision = $4,
                   uid = CASE WHEN origin = $5 THEN NULL ELSE uid END
               WHERE application = $1 AND state <> $3";
    let parameters: Parameters<'_> = &[
        &columns::application(application),
        &now_ms,
        &REMOVED,
        &revision,
        &columns::origin(Origin::Api),
    ];
    tx.run(sql, parameters).await.map(drop)
}

async fn by_uid(
    ask: &impl Ask,
    application: ApplicationKey,
    uid: &str,
) -> Result<Option<Endpoint>, Failure> {
    let condition = "WHERE application = $1 AND uid = $2 AND state <> 3";
    first(ask, condition, &[&columns::application(application), &pack(uid)]).await
}

/// All endpoints of an owner, removed ones included, in the order of their keys.
pub(super) async fn all(ask: &impl Ask, owner: Owner) -> Result<Vec<Endpoint>, Failure> {
    let condition = "WHERE application IN (SELECT key FROM application WHERE owner = $1)
                     ORDER BY endpoint.key";
    select(ask, condition, &[&columns::owner(owner)]).await
}

async fn first(
    ask: &impl Ask,
    condition: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Endpoint>, Failure> {
    Ok(select(ask, condition, parameters).await?.into_iter().next())
}

/// The endpoints that meet a condition (`WHERE ... ORDER BY ...`).
pub(crate) async fn select(
    ask: &impl Ask,
    condition: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Endpoint>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM endpoint {condition}");
    let rows = ask.ask(&sql, parameters).await?;
    let list: Result<Vec<Endpoint>> = rows.iter().map(read).collect();
    Ok(list?)
}

fn read(row: &Row) -> Result<Endpoint> {
    let key = columns::endpoint_from(row.get(0));
    let envelopes: Vec<Vec<u8>> = row.get(12);
    let expiries: Vec<Option<i64>> = row.get(13);
    let secrets = envelopes.into_iter().zip(expiries);
    Ok(Endpoint {
        key,
        application: columns::application_from(row.get(1)),
        uid: unpack_some(row.get(2)),
        id: EndpointId::from_bytes(columns::id(row.get(3))?),
        origin: columns::origin_from(row.get(4)),
        settings: from_json(row.get(5), &format!("endpoint {}", key.0))?,
        headers: row.get(6),
        state: columns::state_from(row.get(7)),
        state_reason: unpack(row.get(8)),
        failing_since_ms: row.get(9),
        created_at_ms: row.get(10),
        updated_at_ms: row.get(11),
        secrets: secrets
            .map(|(envelope, expires_at_ms)| StoredSecret { envelope, expires_at_ms })
            .collect(),
    })
}
