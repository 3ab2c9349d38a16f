//! Sealed secrets, wherever they are kept: found by the master key that sealed them (the first
//! byte), and replaced one by one.

use becket_model::{ApplicationId, ApplicationKey, EndpointId, EndpointKey};
use becket_store::vault::place;
use becket_store::{DocumentKind, DocumentName, Envelope, EnvelopeAt, Result};
use rusqlite::{Connection, Row, params};

use super::Catalog;
use crate::errors::database;

/// One kind of place: how to find those sealed with another key (below or above ?1, at most ?2),
/// and how to read a row.
struct Place {
    select: &'static str,
    read: fn(&Row<'_>) -> rusqlite::Result<Option<Envelope>>,
}

const PLACES: [Place; 4] = [
    Place {
        select: "SELECT endpoint, number, envelope, id FROM endpoint_secret
                 JOIN endpoint ON endpoint.key = endpoint
                 WHERE substr(envelope, 1, 1) COMPARED ?1 AND length(envelope) > 0 LIMIT ?2",
        read: |row| {
            let id = EndpointId::from_bytes(row.get(3)?);
            Ok(Some(Envelope {
                at: EnvelopeAt::EndpointSecret(EndpointKey(row.get(0)?), row.get(1)?),
                place: place::endpoint_secret(id),
                bytes: row.get(2)?,
            }))
        },
    },
    Place {
        select: "SELECT key, headers, id FROM endpoint WHERE headers IS NOT NULL
                 AND substr(headers, 1, 1) COMPARED ?1 AND length(headers) > 0 LIMIT ?2",
        read: |row| {
            let id = EndpointId::from_bytes(row.get(2)?);
            Ok(Some(Envelope {
                at: EnvelopeAt::EndpointHeaders(EndpointKey(row.get(0)?)),
                place: place::endpoint_headers(id),
                bytes: row.get(1)?,
            }))
        },
    },
    Place {
        select: "SELECT key, credentials, id FROM application WHERE credentials IS NOT NULL
                 AND substr(credentials, 1, 1) COMPARED ?1 AND length(credentials) > 0 LIMIT ?2",
        read: |row| {
            let id = ApplicationId::from_bytes(row.get(2)?);
            Ok(Some(Envelope {
                at: EnvelopeAt::ApplicationCredentials(ApplicationKey(row.get(0)?)),
                place: place::application_credentials(id),
                bytes: row.get(1)?,
            }))
        },
    },
    Place {
        select: "SELECT number, sealed, kind, name FROM document WHERE sealed IS NOT NULL
                 AND substr(sealed, 1, 1) COMPARED ?1 AND length(sealed) > 0 LIMIT ?2",
        read: |row| {
            let word: String = row.get(2)?;
            let kind = DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == word);
            let Some(kind) = kind else { return Ok(None) };
            Ok(Some(Envelope {
                at: EnvelopeAt::Document(row.get(0)?),
                place: place::document(&DocumentName::of_owner(kind, row.get::<_, String>(3)?)),
                bytes: row.get(1)?,
            }))
        },
    },
];

impl Catalog {
    pub(crate) fn envelope_list(&self, version: u8, limit: usize) -> Result<Vec<Envelope>> {
        self.read(|connection| {
            let mut list = Vec::new();
            for place in &PLACES {
                for comparison in ["<", ">"] {
                    let left = limit - list.len();
                    add(connection, place, comparison, version, left, &mut list)?;
                    if list.len() >= limit {
                        return Ok(list);
                    }
                }
            }
            Ok(list)
        })
    }

    pub(crate) fn envelope_replace(
        &self,
        at: EnvelopeAt,
        old: Vec<u8>,
        new: Vec<u8>,
    ) -> Result<bool> {
        let failed = database("replace secret");
        self.change("replace secret", move |connection| {
            let changed = match at {
                EnvelopeAt::EndpointSecret(endpoint, number) => connection.execute(
                    "UPDATE endpoint_secret SET envelope = ?2
                     WHERE endpoint = ?3 AND number = ?4 AND envelope = ?1",
                    params![old, new, endpoint.0, number],
                ),
                EnvelopeAt::EndpointHeaders(endpoint) => connection.execute(
                    "UPDATE endpoint SET headers = ?2 WHERE key = ?3 AND headers = ?1",
                    params![old, new, endpoint.0],
                ),
                EnvelopeAt::ApplicationCredentials(application) => connection.execute(
                    "UPDATE application SET credentials = ?2 WHERE key = ?3 AND credentials = ?1",
                    params![old, new, application.0],
                ),
                EnvelopeAt::Document(number) => connection.execute(
                    "UPDATE document SET sealed = ?2 WHERE number = ?3 AND sealed = ?1",
                    params![old, new, number],
                ),
            };
            changed.map(|count| count > 0).map_err(failed)
        })
    }
}

fn add(
    connection: &Connection,
    place: &Place,
    comparison: &str,
    version: u8,
    limit: usize,
    list: &mut Vec<Envelope>,
) -> Result<()> {
    let failed = database("list secrets");
    let sql = place.select.replace("COMPARED", comparison);
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let mut rows = statement.query(params![&[version][..], limit as i64]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        list.extend((place.read)(row).map_err(failed)?);
    }
    Ok(())
}
