//! Documents: small things found by kind and name.
//!
//! Kinds of which nodes keep something in memory change under the right to change the configuration,
//! and leave the revision in `document_change`. The others, which come with the traffic, do not wait
//! for each other.

use std::sync::Arc;

use becket_model::ApplicationKey;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, Result, Slice, WriteIf, Written,
};
use tokio_postgres::Row;

use crate::config::columns::{self, beyond};
use crate::config::{Ask, Reading, Revision, Tried, Tries};
use crate::errors::{Failure, unusable};
use crate::session::Parameters;
use crate::shared::Shared;
use crate::text::{pack, unpack};
use crate::transaction::Tx;

const COLUMNS: &str = "number, owner, kind, application, name, body, sealed, expires_at_ms, \
                       document_revision, created_at_ms, updated_at_ms";

/// Whether nodes keep something of these documents in memory.
const fn is_remembered(kind: DocumentKind) -> bool {
    match kind {
        DocumentKind::EventType
        | DocumentKind::Token
        | DocumentKind::Integration
        | DocumentKind::Transformation
        | DocumentKind::Setting
        | DocumentKind::Environment => true,
        DocumentKind::Task
        | DocumentKind::Answer
        | DocumentKind::OneTimeCode
        | DocumentKind::Session
        | DocumentKind::Audit
        | DocumentKind::Activity => false,
    }
}

/// A row: its number, whose it is, and the document.
struct Found {
    number: i64,
    owner: Owner,
    document: Document,
}

impl Found {
    fn is_over(&self, now_ms: i64) -> bool {
        self.document.content.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// A document that has not expired.
pub(crate) async fn document_get(
    shared: &Arc<Shared>,
    owner: Owner,
    name: DocumentName,
    now_ms: i64,
) -> Result<Option<Document>> {
    let reading = Reading::new(shared, "read documents").await?;
    let found = named(&reading, owner, &name, "").await?;
    Ok(found.filter(|found| !found.is_over(now_ms)).map(|found| found.document))
}

/// A document of any owner, by a name that is unique in the whole store.
pub(crate) async fn document_find(
    shared: &Arc<Shared>,
    kind: DocumentKind,
    name: &str,
    now_ms: i64,
) -> Result<Option<(Owner, Document)>> {
    let reading = Reading::new(shared, "read documents").await?;
    let condition = "WHERE kind = $1 AND name = $2
                     AND (expires_at_ms IS NULL OR expires_at_ms > $3) LIMIT 1";
    let parameters: Parameters<'_> = &[&kind.as_str(), &pack(name), &now_ms];
    let found = select(&reading, condition, parameters).await?;
    Ok(found.into_iter().next().map(|found| (found.owner, found.document)))
}

/// Writes a document, if the condition holds.
pub(crate) async fn document_put(
    shared: &Arc<Shared>,
    owner: Owner,
    name: DocumentName,
    content: DocumentContent,
    condition: WriteIf,
    now_ms: i64,
) -> Result<Written> {
    let mut tries = Tries::new();
    loop {
        let outcome = put_once(shared, owner, &name, &content, condition, now_ms).await;
        if let Tried::Answer(written) = tries.judge(shared, outcome)? {
            return Ok(written);
        }
    }
}

async fn put_once(
    shared: &Arc<Shared>,
    owner: Owner,
    name: &DocumentName,
    content: &DocumentContent,
    condition: WriteIf,
    now_ms: i64,
) -> Result<(Written, bool), Failure> {
    let mut conn = shared.write("write document").await?;
    let tx = conn.begin("write document").await?;
    let remembered = is_remembered(name.kind);
    let revision = if remembered { Some(Revision::take(&tx).await?) } else { None };
    if let Some(application) = name.application {
        // Held until the end, so that it is not removed meanwhile, which would leave this behind.
        let sql =
            "SELECT 1 FROM application WHERE key = $1 AND owner = $2 AND NOT removed FOR SHARE";
        let parameters: Parameters<'_> =
            &[&columns::application(application), &columns::owner(owner)];
        if tx.row(sql, parameters).await?.is_none() {
            return Ok((Written::Refused(None), false));
        }
    }
    let stored = named(&tx, owner, name, "FOR UPDATE").await?;
    let (over, found) = match stored {
        Some(found) if found.is_over(now_ms) => (Some(found), None),
        other => (None, other),
    };
    let holds = match (condition, &found) {
        (WriteIf::Always, _) | (WriteIf::Absent, None) => true,
        (WriteIf::Absent, Some(_)) | (WriteIf::Revision(_), None) => false,
        (WriteIf::Revision(revision), Some(found)) => found.document.revision == revision,
    };
    if !holds {
        return Ok((Written::Refused(found.map(|found| found.document)), false));
    }
    if let Some(over) = over {
        tx.run("DELETE FROM document WHERE number = $1", &[&over.number]).await?;
    }
    let written = match found {
        Some(found) => {
            let document = Document {
                content: content.clone(),
                revision: found.document.revision + 1,
                updated_at_ms: now_ms,
                ..found.document
            };
            update(&tx, found.number, &document).await?;
            Written::Replaced(document)
        }
        None => {
            let document = Document {
                name: name.clone(),
                content: content.clone(),
                revision: 1,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
            };
            // Somebody may be making the same one: then this fails and is tried again.
            insert(&tx, owner, &document).await?;
            Written::Created(document)
        }
    };
    if let Some(revision) = revision {
        note(&tx, owner, name.kind.as_str(), revision.next).await?;
        revision.raise(&tx).await?;
    }
    tx.commit().await?;
    Ok((written, remembered))
}

/// Removes a document; whether it was there.
pub(crate) async fn document_remove(
    shared: &Arc<Shared>,
    owner: Owner,
    name: DocumentName,
) -> Result<bool> {
    let mut tries = Tries::new();
    loop {
        let outcome = remove_once(shared, owner, &name).await;
        if let Tried::Answer(removed) = tries.judge(shared, outcome)? {
            return Ok(removed);
        }
    }
}

async fn remove_once(
    shared: &Arc<Shared>,
    owner: Owner,
    name: &DocumentName,
) -> Result<(bool, bool), Failure> {
    let mut conn = shared.write("remove document").await?;
    let tx = conn.begin("remove document").await?;
    let remembered = is_remembered(name.kind);
    let revision = if remembered { Some(Revision::take(&tx).await?) } else { None };
    let sql = "DELETE FROM document
               WHERE owner = $1 AND kind = $2 AND application = $3 AND name = $4";
    let parameters: Parameters<'_> =
        &[&columns::owner(owner), &name.kind.as_str(), &place(name.application), &pack(&name.name)];
    if tx.run(sql, parameters).await? == 0 {
        return Ok((false, false));
    }
    if let Some(revision) = revision {
        note(&tx, owner, name.kind.as_str(), revision.next).await?;
        revision.raise(&tx).await?;
    }
    tx.commit().await?;
    Ok((true, remembered))
}

/// The documents of a kind that have not expired, by name.
pub(crate) async fn document_list(
    shared: &Arc<Shared>,
    owner: Owner,
    kind: DocumentKind,
    application: Option<ApplicationKey>,
    slice: Slice<String>,
    now_ms: i64,
) -> Result<Vec<Document>> {
    let (comparison, direction) = beyond(slice.descending);
    let behind = match slice.after {
        Some(_) => format!("AND name {comparison} $5"),
        None => "AND $5::text IS NULL".to_owned(),
    };
    let condition = format!(
        "WHERE owner = $1 AND kind = $2 AND application = $3 {behind}
           AND (expires_at_ms IS NULL OR expires_at_ms > $6)
         ORDER BY name {direction} LIMIT $4"
    );
    let reading = Reading::new(shared, "read documents").await?;
    let after = slice.after.as_deref().map(pack);
    let parameters: Parameters<'_> = &[
        &columns::owner(owner),
        &kind.as_str(),
        &place(application),
        &columns::limit(slice.limit),
        &after,
        &now_ms,
    ];
    let found = select(&reading, &condition, parameters).await?;
    Ok(found.into_iter().map(|found| found.document).collect())
}

/// Forgets expired documents of all owners, at most `limit`. One node at a time does it; whoever
/// comes second finds nothing to do.
pub(crate) async fn document_sweep(shared: &Arc<Shared>, now_ms: i64, limit: usize) -> Result<u64> {
    let conn = shared.write("sweep documents").await?;
    // Nodes see by themselves what has expired, so that nobody has to be told.
    let sql = "DELETE FROM document WHERE number IN
                   (SELECT number FROM document WHERE expires_at_ms <= $1
                    ORDER BY expires_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)";
    Ok(conn.run("sweep documents", sql, &[&now_ms, &columns::limit(limit)]).await?)
}

/// Removes the documents of an application that is being removed.
pub(crate) async fn remove_all(
    tx: &Tx<'_>,
    owner: Owner,
    application: ApplicationKey,
    revision: i64,
) -> Result<(), Failure> {
    let sql = "DELETE FROM document WHERE application = $1 AND owner = $2 RETURNING kind";
    let parameters: Parameters<'_> = &[&place(Some(application)), &columns::owner(owner)];
    let rows = tx.rows(sql, parameters).await?;
    let mut kinds: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        note(tx, owner, kind, revision).await?;
    }
    Ok(())
}

/// Notes that documents of a kind have changed.
async fn note(tx: &Tx<'_>, owner: Owner, kind: &str, revision: i64) -> Result<(), Failure> {
    let sql = "INSERT INTO document_change (owner, kind, revision) VALUES ($1, $2, $3)
               ON CONFLICT (owner, kind) DO UPDATE SET revision = excluded.revision";
    tx.run(sql, &[&columns::owner(owner), &kind, &revision]).await.map(drop)
}

/// 0 is for what belongs to no application.
fn place(application: Option<ApplicationKey>) -> i32 {
    application.map_or(0, columns::application)
}

async fn named(
    ask: &impl Ask,
    owner: Owner,
    name: &DocumentName,
    lock: &str,
) -> Result<Option<Found>, Failure> {
    let condition =
        format!("WHERE owner = $1 AND kind = $2 AND application = $3 AND name = $4 {lock}");
    let parameters: Parameters<'_> =
        &[&columns::owner(owner), &name.kind.as_str(), &place(name.application), &pack(&name.name)];
    Ok(select(ask, &condition, parameters).await?.into_iter().next())
}

async fn insert(tx: &Tx<'_>, owner: Owner, document: &Document) -> Result<(), Failure> {
    let content = &document.content;
    let sql = "INSERT INTO document (owner, kind, application, name, body, sealed, expires_at_ms,
                                     document_revision, created_at_ms, updated_at_ms)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let parameters: Parameters<'_> = &[
        &columns::owner(owner),
        &document.name.kind.as_str(),
        &place(document.name.application),
        &pack(&document.name.name),
        &pack(&content.body),
        &content.sealed,
        &content.expires_at_ms,
        &document.revision.cast_signed(),
        &document.created_at_ms,
        &document.updated_at_ms,
    ];
    tx.run(sql, parameters).await.map(drop)
}

async fn update(tx: &Tx<'_>, number: i64, document: &Document) -> Result<(), Failure> {
    let content = &document.content;
    let sql = "UPDATE document SET body = $2, sealed = $3, expires_at_ms = $4,
                                   document_revision = $5, updated_at_ms = $6
               WHERE number = $1";
    let parameters: Parameters<'_> = &[
        &number,
        &pack(&content.body),
        &content.sealed,
        &content.expires_at_ms,
        &document.revision.cast_signed(),
        &document.updated_at_ms,
    ];
    tx.run(sql, parameters).await.map(drop)
}

async fn select(
    ask: &impl Ask,
    condition: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Found>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM document {condition}");
    let rows = ask.ask(&sql, parameters).await?;
    let list: Result<Vec<Found>> = rows.iter().map(read).collect();
    Ok(list?)
}

fn read(row: &Row) -> Result<Found> {
    let word: &str = row.get(2);
    let kind = DocumentKind::ALL.into_iter().find(|known| known.as_str() == word);
    let kind = kind.ok_or_else(|| {
        unusable(format!(
            "there is a document of the unknown kind `{word}`; start the version that wrote it"
        ))
    })?;
    let application: i32 = row.get(3);
    Ok(Found {
        number: row.get(0),
        owner: columns::owner_from(row.get(1)),
        document: Document {
            name: DocumentName {
                kind,
                application: (application != 0).then(|| columns::application_from(application)),
                name: unpack(row.get(4)),
            },
            content: DocumentContent {
                body: unpack(row.get(5)),
                sealed: row.get(6),
                expires_at_ms: row.get(7),
            },
            revision: row.get::<_, i64>(8).cast_unsigned(),
            created_at_ms: row.get(9),
            updated_at_ms: row.get(10),
        },
    })
}
