//! Sealed secrets, wherever they are kept: found by the master key that sealed them (the first
//! byte), and replaced one by one.

use std::sync::Arc;

use becket_model::{ApplicationId, EndpointId};
use becket_store::vault::place;
use becket_store::{DocumentKind, DocumentName, Envelope, EnvelopeAt, Result};
use tokio_postgres::Row;

use crate::config::{Ask as _, Reading, Revision, Tried, Tries, columns};
use crate::errors::Failure;
use crate::session::Parameters;
use crate::shared::Shared;
use crate::text::unpack;

/// One kind of place: how to find those sealed with another key than $1, at most $2, and how to read
/// a row.
struct Place {
    select: &'static str,
    read: fn(&Row) -> Result<Option<Envelope>>,
}

const PLACES: [Place; 4] = [
    Place {
        select: "SELECT secret.endpoint, secret.number, secret.envelope, endpoint.id
                 FROM endpoint_secret AS secret JOIN endpoint ON endpoint.key = secret.endpoint
                 WHERE length(envelope) > 0 AND get_byte(envelope, 0) <> $1 LIMIT $2",
        read: |row| {
            let id = EndpointId::from_bytes(columns::id(row.get(3))?);
            let endpoint = columns::endpoint_from(row.get(0));
            Ok(Some(Envelope {
                at: EnvelopeAt::EndpointSecret(endpoint, row.get::<_, i32>(1).cast_unsigned()),
                place: place::endpoint_secret(id),
                bytes: row.get(2),
            }))
        },
    },
    Place {
        select: "SELECT key, headers, id FROM endpoint
                 WHERE length(headers) > 0 AND get_byte(headers, 0) <> $1 LIMIT $2",
        read: |row| {
            let id = EndpointId::from_bytes(columns::id(row.get(2))?);
            Ok(Some(Envelope {
                at: EnvelopeAt::EndpointHeaders(columns::endpoint_from(row.get(0))),
                place: place::endpoint_headers(id),
                bytes: row.get(1),
            }))
        },
    },
    Place {
        select: "SELECT key, credentials, id FROM application
                 WHERE length(credentials) > 0 AND get_byte(credentials, 0) <> $1 LIMIT $2",
        read: |row| {
            let id = ApplicationId::from_bytes(columns::id(row.get(2))?);
            Ok(Some(Envelope {
                at: EnvelopeAt::ApplicationCredentials(columns::application_from(row.get(0))),
                place: place::application_credentials(id),
                bytes: row.get(1),
            }))
        },
    },
    Place {
        select: "SELECT number, sealed, kind, name FROM document
                 WHERE length(sealed) > 0 AND get_byte(sealed, 0) <> $1 LIMIT $2",
        read: |row| {
            let word: &str = row.get(2);
            let kind = DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == word);
            let Some(kind) = kind else { return Ok(None) };
            Ok(Some(Envelope {
                at: EnvelopeAt::Document(row.get(0)),
                place: place::document(&DocumentName::of_owner(kind, unpack(row.get(3)))),
                bytes: row.get(1),
            }))
        },
    },
];

/// Sealed secrets that were sealed with another key than `version`.
pub(crate) async fn envelope_list(
    shared: &Arc<Shared>,
    version: u8,
    limit: usize,
) -> Result<Vec<Envelope>> {
    let reading = Reading::new(shared, "list secrets").await?;
    let mut list = Vec::new();
    for place in &PLACES {
        let left = columns::limit(limit - list.len());
        for row in reading.ask(place.select, &[&i32::from(version), &left]).await? {
            list.extend((place.read)(&row)?);
        }
        if list.len() >= limit {
            break;
        }
    }
    Ok(list)
}

/// Puts a secret in the place of another, if that is still what it was.
pub(crate) async fn envelope_replace(
    shared: &Arc<Shared>,
    at: EnvelopeAt,
    old: Vec<u8>,
    new: Vec<u8>,
) -> Result<bool> {
    let mut tries = Tries::new();
    loop {
        let outcome = replace_once(shared, at, &old, &new).await;
        if let Tried::Answer(replaced) = tries.judge(shared, outcome)? {
            return Ok(replaced);
        }
    }
}

async fn replace_once(
    shared: &Arc<Shared>,
    at: EnvelopeAt,
    old: &[u8],
    new: &[u8],
) -> Result<(bool, bool), Failure> {
    let mut conn = shared.write("replace secret").await?;
    let tx = conn.begin("replace secret").await?;
    let revision = Revision::take(&tx).await?;
    let next = revision.next;
    let count = match at {
        EnvelopeAt::EndpointSecret(endpoint, number) => {
            let (endpoint, number) = (columns::endpoint(endpoint), number.cast_signed());
            let sql = "WITH changed AS (
                           UPDATE endpoint_secret SET envelope = $2
                           WHERE endpoint = $3 AND number = $4 AND envelope = $1 RETURNING endpoint)
                       UPDATE endpoint SET revision = $5
                       WHERE key IN (SELECT endpoint FROM changed)";
            let parameters: Parameters<'_> = &[&old, &new, &endpoint, &number, &next];
            tx.run(sql, parameters).await?
        }
        EnvelopeAt::EndpointHeaders(endpoint) => {
            let sql = "UPDATE endpoint SET headers = $2, revision = $4
                       WHERE key = $3 AND headers = $1";
            tx.run(sql, &[&old, &new, &columns::endpoint(endpoint), &next]).await?
        }
        EnvelopeAt::ApplicationCredentials(application) => {
            let sql = "UPDATE application SET credentials = $2, revision = $4
                       WHERE key = $3 AND credentials = $1";
            tx.run(sql, &[&old, &new, &columns::application(application), &next]).await?
        }
        EnvelopeAt::Document(number) => {
            let sql = "WITH changed AS (
                           UPDATE document SET sealed = $2 WHERE number = $3 AND sealed = $1
                           RETURNING owner, kind)
                       INSERT INTO document_change (owner, kind, revision)
                       SELECT owner, kind, $4 FROM changed
                       ON CONFLICT (owner, kind) DO UPDATE SET revision = excluded.revision";
            tx.run(sql, &[&old, &new, &number, &next]).await?
        }
    };
    if count == 0 {
        return Ok((false, false));
    }
    revision.raise(&tx).await?;
    tx.commit().await?;
    Ok((true, true))
}
