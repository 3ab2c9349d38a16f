//! Documents: small things found by kind and name.

use becket_model::ApplicationKey;
use becket_store::{
    Document, DocumentContent, DocumentKind, DocumentName, Owner, Result, Slice, StoreError,
    WriteIf, Written,
};
use rusqlite::{Connection, Params, Row, params};

use super::Catalog;
use super::applications::{self, beyond};
use crate::errors::database;

const COLUMNS: &str = "number, owner, kind, application, name, body, sealed, expires_at_ms, \
                       revision, created_at_ms, updated_at_ms";

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

impl Catalog {
    pub(crate) fn document_get(
        &self,
        owner: Owner,
        name: &DocumentName,
        now_ms: i64,
    ) -> Result<Option<Document>> {
        let found = self.read(|connection| named(connection, owner, name))?;
        Ok(found.filter(|found| !found.is_over(now_ms)).map(|found| found.document))
    }

    pub(crate) fn document_find(
        &self,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<(Owner, Document)>> {
        let found = self.read(|connection| {
            select(
                connection,
                "WHERE kind = ?1 AND name = ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)
                 LIMIT 1",
                params![kind.as_str(), name, now_ms],
            )
        })?;
        Ok(found.into_iter().next().map(|found| (found.owner, found.document)))
    }

    pub(crate) fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        self.write("write document", move |connection| {
            if let Some(application) = name.application
                && applications::of_owner(connection, owner, application)?.is_none()
            {
                return Ok(Written::Refused(None));
            }
            let stored = named(connection, owner, &name)?;
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
                return Ok(Written::Refused(found.map(|found| found.document)));
            }
            if let Some(over) = over {
                delete(connection, over.number)?;
            }
            match found {
                Some(found) => {
                    let document = Document {
                        content,
                        revision: found.document.revision + 1,
                        updated_at_ms: now_ms,
                        ..found.document
                    };
                    update(connection, found.number, &document)?;
                    Ok(Written::Replaced(document))
                }
                None => {
                    let document = Document {
                        name,
                        content,
                        revision: 1,
                        created_at_ms: now_ms,
                        updated_at_ms: now_ms,
                    };
                    insert(connection, owner, &document)?;
                    Ok(Written::Created(document))
                }
            }
        })
    }

    pub(crate) fn document_remove(&self, owner: Owner, name: DocumentName) -> Result<bool> {
        self.write("remove document", move |connection| match named(connection, owner, &name)? {
            Some(found) => delete(connection, found.number).map(|()| true),
            None => Ok(false),
        })
    }

    pub(crate) fn document_list(
        &self,
        owner: Owner,
        kind: DocumentKind,
        application: Option<ApplicationKey>,
        slice: &Slice<String>,
        now_ms: i64,
    ) -> Result<Vec<Document>> {
        let (comparison, direction) = beyond(slice.descending);
        let behind = match slice.after {
            Some(_) => format!("AND name {comparison} ?5"),
            None => "AND ?5 IS NULL".to_owned(),
        };
        let found = self.read(|connection| {
            select(
                connection,
                &format!(
                    "WHERE owner = ?1 AND kind = ?2 AND application = ?3 {behind}
                       AND (expires_at_ms IS NULL OR expires_at_ms > ?6)
                     ORDER BY name {direction} LIMIT ?4"
                ),
                params![
                    owner.number(),
                    kind.as_str(),
                    application_column(application),
                    slice.limit as i64,
                    slice.after,
                    now_ms
                ],
            )
        })?;
        Ok(found.into_iter().map(|found| found.document).collect())
    }

    pub(crate) fn document_sweep(&self, now_ms: i64, limit: usize) -> Result<u64> {
        let failed = database("sweep documents");
        let due: bool = self.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS(SELECT 1 FROM document WHERE expires_at_ms <= ?1)")
                .and_then(|mut statement| statement.query_row([now_ms], |row| row.get(0)))
                .map_err(failed)
        })?;
        // A look costs nothing; a commit is a sync.
        if !due {
            return Ok(0);
        }
        self.write("sweep documents", move |connection| {
            connection
                .execute(
                    "DELETE FROM document WHERE number IN
                         (SELECT number FROM document WHERE expires_at_ms <= ?1
                          ORDER BY expires_at_ms LIMIT ?2)",
                    params![now_ms, limit as i64],
                )
                .map(|count| count as u64)
                .map_err(failed)
        })
    }
}

fn application_column(application: Option<ApplicationKey>) -> u32 {
    application.map_or(0, |key| key.0)
}

fn named(connection: &Connection, owner: Owner, name: &DocumentName) -> Result<Option<Found>> {
    let list = select(
        connection,
        "WHERE owner = ?1 AND kind = ?2 AND application = ?3 AND name = ?4",
        params![
            owner.number(),
            name.kind.as_str(),
            application_column(name.application),
            name.name
        ],
    )?;
    Ok(list.into_iter().next())
}

fn insert(connection: &Connection, owner: Owner, document: &Document) -> Result<()> {
    let content = &document.content;
    connection
        .prepare_cached(
            "INSERT INTO document(owner, kind, application, name, body, sealed, expires_at_ms,
                                  revision, created_at_ms, updated_at_ms)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                owner.number(),
                document.name.kind.as_str(),
                application_column(document.name.application),
                document.name.name,
                content.body,
                content.sealed,
                content.expires_at_ms,
                document.revision as i64,
                document.created_at_ms,
                document.updated_at_ms,
            ])
        })
        .map(drop)
        .map_err(database("write document"))
}

fn update(connection: &Connection, number: i64, document: &Document) -> Result<()> {
    let content = &document.content;
    connection
        .prepare_cached(
            "UPDATE document SET body = ?2, sealed = ?3, expires_at_ms = ?4, revision = ?5,
                                 updated_at_ms = ?6
             WHERE number = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                number,
                content.body,
                content.sealed,
                content.expires_at_ms,
                document.revision as i64,
                document.updated_at_ms,
            ])
        })
        .map(drop)
        .map_err(database("write document"))
}

fn delete(connection: &Connection, number: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM document WHERE number = ?1")
        .and_then(|mut statement| statement.execute([number]))
        .map(drop)
        .map_err(database("remove document"))
}

fn select(connection: &Connection, condition: &str, parameters: impl Params) -> Result<Vec<Found>> {
    let failed = database("read documents");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM document {condition}"))
        .map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let kind: String = row.get(2).map_err(failed)?;
        let known = DocumentKind::ALL.into_iter().find(|known| known.as_str() == kind);
        let kind = known.ok_or_else(|| StoreError::Unusable {
            path: "becket.db".to_owned(),
            detail: format!("there is a document of the unknown kind `{kind}`; restore a backup"),
        })?;
        list.push(read(row, kind).map_err(failed)?);
    }
    Ok(list)
}

fn read(row: &Row<'_>, kind: DocumentKind) -> rusqlite::Result<Found> {
    let application: u32 = row.get(3)?;
    Ok(Found {
        number: row.get(0)?,
        owner: Owner::new(row.get(1)?),
        document: Document {
            name: DocumentName {
                kind,
                application: (application != 0).then_some(ApplicationKey(application)),
                name: row.get(4)?,
            },
            content: DocumentContent {
                body: row.get(5)?,
                sealed: row.get(6)?,
                expires_at_ms: row.get(7)?,
            },
            revision: row.get::<_, i64>(8)? as u64,
            created_at_ms: row.get(9)?,
            updated_at_ms: row.get(10)?,
        },
    })
}
