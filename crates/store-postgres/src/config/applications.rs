//! Applications: made, found, listed, changed.

use std::sync::Arc;

use becket_model::{ApplicationId, ApplicationKey, ApplicationKind, Origin};
use becket_store::{
    Application, ApplicationChange, ApplicationNew, Changed, Created, Name, Owner, Result, Slice,
};
use tokio_postgres::Row;

use super::columns::{self, beyond, edge_of_ids, limit};
use super::{Ask, Reading, Revision, Tried, Tries, endpoints, from_json, to_json};
use crate::errors::Failure;
use crate::session::Parameters;
use crate::shared::Shared;
use crate::text::{pack, pack_some, unpack_some};
use crate::transaction::Tx;

const COLUMNS: &str = "key, owner, kind, id, uid, origin, settings, credentials, created_at_ms, \
                       updated_at_ms, removed";

/// Everybody who has an application: one seek for each owner.
pub(crate) async fn owner_list(shared: &Arc<Shared>) -> Result<Vec<Owner>> {
    let reading = Reading::new(shared, "read owners").await?;
    let sql = "WITH RECURSIVE known(owner) AS (
                   SELECT min(owner) FROM application
                   UNION ALL
                   SELECT (SELECT min(owner) FROM application WHERE owner > known.owner)
                   FROM known WHERE known.owner IS NOT NULL)
               SELECT owner FROM known WHERE owner IS NOT NULL";
    let rows = reading.ask(sql, &[]).await?;
    Ok(rows.iter().map(|row| columns::owner_from(row.get(0))).collect())
}

/// Makes an application, unless its name is taken.
pub(crate) async fn application_create(
    shared: &Arc<Shared>,
    owner: Owner,
    new: ApplicationNew,
    now_ms: i64,
) -> Result<Created<Application>> {
    let mut tries = Tries::new();
    loop {
        let outcome = create_once(shared, owner, &new, now_ms).await;
        if let Tried::Answer(created) = tries.judge(shared, outcome)? {
            if let Created::New(application) = &created {
                shared.know_application(application.key, owner);
            }
            return Ok(created);
        }
    }
}

async fn create_once(
    shared: &Arc<Shared>,
    owner: Owner,
    new: &ApplicationNew,
    now_ms: i64,
) -> Result<(Created<Application>, bool), Failure> {
    let mut conn = shared.write("make application").await?;
    let tx = conn.begin("make application").await?;
    let revision = Revision::take(&tx).await?;
    if let Some(uid) = &new.uid
        && let Some(taken) = by_uid(&tx, owner, new.kind, uid).await?
    {
        return Ok((Created::NameTaken(taken), false));
    }
    let mut made = Application {
        key: ApplicationKey(0),
        owner,
        kind: new.kind,
        id: new.id,
        uid: new.uid.clone(),
        origin: Origin::Api,
        settings: new.settings.clone(),
        credentials: new.credentials.clone(),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        removed: false,
    };
    made.key = insert(&tx, &made, revision.next).await?;
    revision.raise(&tx).await?;
    tx.commit().await?;
    Ok((Created::New(made), true))
}

/// An application that is not removed.
pub(crate) async fn application_get(
    shared: &Arc<Shared>,
    owner: Owner,
    kind: ApplicationKind,
    name: Name<ApplicationId>,
) -> Result<Option<Application>> {
    let reading = Reading::new(shared, "read applications").await?;
    let found = match name {
        Name::Id(id) => by_id(&reading, owner, kind, &id).await,
        Name::Uid(uid) => by_uid(&reading, owner, kind, &uid).await,
    };
    Ok(found?)
}

/// The applications of a kind that are not removed, by id.
pub(crate) async fn application_list(
    shared: &Arc<Shared>,
    owner: Owner,
    kind: ApplicationKind,
    slice: Slice<ApplicationId>,
) -> Result<Vec<Application>> {
    let (comparison, direction) = beyond(slice.descending);
    let after = slice.after.as_ref().map(|id| id.as_bytes().as_slice());
    let edge = edge_of_ids(after, slice.descending);
    let reading = Reading::new(shared, "read applications").await?;
    let condition = format!(
        "WHERE owner = $1 AND kind = $2 AND NOT removed AND id {comparison} $3
         ORDER BY id {direction} LIMIT $4"
    );
    let parameters: Parameters<'_> =
        &[&columns::owner(owner), &columns::kind(kind), &edge, &limit(slice.limit)];
    Ok(select(&reading, &condition, parameters).await?)
}

/// Changes or removes an application.
pub(crate) async fn application_change(
    shared: &Arc<Shared>,
    owner: Owner,
    application: ApplicationKey,
    change: ApplicationChange,
    now_ms: i64,
) -> Result<Changed<Application>> {
    let mut tries = Tries::new();
    loop {
        let outcome = change_once(shared, owner, application, &change, now_ms).await;
        if let Tried::Answer(changed) = tries.judge(shared, outcome)? {
            return Ok(changed);
        }
    }
}

async fn change_once(
    shared: &Arc<Shared>,
    owner: Owner,
    application: ApplicationKey,
    change: &ApplicationChange,
    now_ms: i64,
) -> Result<(Changed<Application>, bool), Failure> {
    let mut conn = shared.write("change application").await?;
    let tx = conn.begin("change application").await?;
    let revision = Revision::take(&tx).await?;
    let Some(known) = of_owner(&tx, owner, application).await? else {
        return Ok((Changed::Absent, false));
    };
    if !change.fits(&known) {
        return Ok((Changed::Meanwhile, false));
    }
    if let Some(Some(uid)) = &change.uid
        && let Some(taken) = by_uid(&tx, owner, known.kind, uid).await?
        && taken.key != known.key
    {
        return Ok((Changed::NameTaken, false));
    }
    let mut after = known;
    if let Some(uid) = &change.uid {
        after.uid.clone_from(uid);
    }
    if let Some(settings) = &change.settings {
        after.settings.clone_from(settings);
    }
    if let Some(credentials) = &change.credentials {
        after.credentials = Some(credentials.clone());
    }
    if change.remove {
        after.removed = true;
        after.uid = None;
    }
    after.updated_at_ms = now_ms;
    update(&tx, &after, revision.next).await?;
    if change.remove {
        endpoints::remove_all(&tx, application, now_ms, revision.next).await?;
        crate::documents::remove_all(&tx, owner, application, revision.next).await?;
    }
    revision.raise(&tx).await?;
    tx.commit().await?;
    Ok((Changed::Done(after), true))
}

/// Writes a new application and answers with its key.
pub(super) async fn insert(
    tx: &Tx<'_>,
    new: &Application,
    revision: i64,
) -> Result<ApplicationKey, Failure> {
    let sql = "INSERT INTO application (owner, kind, id, uid, origin, settings, credentials,
                                        created_at_ms, updated_at_ms, removed, revision)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, false, $9) RETURNING key";
    let parameters: Parameters<'_> = &[
        &columns::owner(new.owner),
        &columns::kind(new.kind),
        &new.id.as_bytes().as_slice(),
        &pack_some(new.uid.as_deref()),
        &columns::origin(new.origin),
        &to_json(&new.settings)?,
        &new.credentials,
        &new.created_at_ms,
        &revision,
    ];
    let rows = tx.rows(sql, parameters).await?;
    Ok(rows.first().map_or(ApplicationKey(0), |row| columns::application_from(row.get(0))))
}

/// Writes what can change of an application.
pub(super) async fn update(tx: &Tx<'_>, after: &Application, revision: i64) -> Result<(), Failure> {
    let sql = "UPDATE application SET uid = $2, origin = $3, settings = $4, credentials = $5,
                                      updated_at_ms = $6, removed = $7, revision = $8
               WHERE key = $1";
    let parameters: Parameters<'_> = &[
        &columns::application(after.key),
        &pack_some(after.uid.as_deref()),
        &columns::origin(after.origin),
        &to_json(&after.settings)?,
        &after.credentials,
        &after.updated_at_ms,
        &after.removed,
        &revision,
    ];
    tx.run(sql, parameters).await.map(drop)
}

/// The application of an owner that is not removed.
pub(crate) async fn of_owner(
    ask: &impl Ask,
    owner: Owner,
    key: ApplicationKey,
) -> Result<Option<Application>, Failure> {
    let condition = "WHERE key = $1 AND owner = $2 AND NOT removed";
    let parameters: Parameters<'_> = &[&columns::application(key), &columns::owner(owner)];
    first(ask, condition, parameters).await
}

async fn by_uid(
    ask: &impl Ask,
    owner: Owner,
    kind: ApplicationKind,
    uid: &str,
) -> Result<Option<Application>, Failure> {
    let condition = "WHERE owner = $1 AND kind = $2 AND uid = $3 AND NOT removed";
    let parameters: Parameters<'_> = &[&columns::owner(owner), &columns::kind(kind), &pack(uid)];
    first(ask, condition, parameters).await
}

/// A source is also found by the first 16 bytes of its id and zeros.
async fn by_id(
    ask: &impl Ask,
    owner: Owner,
    kind: ApplicationKind,
    id: &ApplicationId,
) -> Result<Option<Application>, Failure> {
    let low = *id.as_bytes();
    let mut high = low;
    if kind == ApplicationKind::Source && low[16..] == [0; 4] {
        high[16..].fill(0xff);
    }
    let condition = "WHERE owner = $1 AND kind = $2 AND NOT removed AND id BETWEEN $3 AND $4
                     ORDER BY id LIMIT 1";
    let parameters: Parameters<'_> =
        &[&columns::owner(owner), &columns::kind(kind), &low.as_slice(), &high.as_slice()];
    first(ask, condition, parameters).await
}

/// Everything of an owner, in the order of the keys.
pub(super) async fn all(ask: &impl Ask, owner: Owner) -> Result<Vec<Application>, Failure> {
    select(ask, "WHERE owner = $1 ORDER BY key", &[&columns::owner(owner)]).await
}

async fn first(
    ask: &impl Ask,
    condition: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Application>, Failure> {
    Ok(select(ask, condition, parameters).await?.into_iter().next())
}

/// The applications that meet a condition (`WHERE ... ORDER BY ...`).
pub(crate) async fn select(
    ask: &impl Ask,
    condition: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Application>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM application {condition}");
    let rows = ask.ask(&sql, parameters).await?;
    let list: Result<Vec<Application>> = rows.iter().map(read).collect();
    Ok(list?)
}

fn read(row: &Row) -> Result<Application> {
    let key = columns::application_from(row.get(0));
    Ok(Application {
        key,
        owner: columns::owner_from(row.get(1)),
        kind: columns::kind_from(row.get(2)),
        id: ApplicationId::from_bytes(columns::id(row.get(3))?),
        uid: unpack_some(row.get(4)),
        origin: columns::origin_from(row.get(5)),
        settings: from_json(row.get(6), &format!("application {}", key.0))?,
        credentials: row.get(7),
        created_at_ms: row.get(8),
        updated_at_ms: row.get(9),
        removed: row.get(10),
    })
}
