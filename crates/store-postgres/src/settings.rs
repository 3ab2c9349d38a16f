//! Small named values.

use std::sync::Arc;

use becket_store::{Owner, Result};

use crate::config::columns;
use crate::disk::durable;
use crate::shared::Shared;
use crate::text::pack;

/// The value of a name.
pub(crate) async fn setting_get(
    shared: &Arc<Shared>,
    owner: Owner,
    name: &str,
) -> Result<Option<Vec<u8>>> {
    let conn = shared.read("read setting").await?;
    let sql = "SELECT value FROM setting WHERE owner = $1 AND name = $2";
    let row = conn.row("read setting", sql, &[&columns::owner(owner), &pack(name)]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Gives a name its first value, and answers with the one that holds.
pub(crate) async fn setting_init(
    shared: &Arc<Shared>,
    owner: Owner,
    name: &str,
    value: Vec<u8>,
) -> Result<Vec<u8>> {
    let conn = shared.write("write setting").await?;
    // Two at the same time: the second waits for the first, changes nothing, and is told its value,
    // which is committed with this statement if it was not before.
    let sql = concat!(
        "INSERT INTO setting (owner, name, value)
         SELECT $1::integer, $2::text, $3::bytea WHERE ",
        durable!(),
        " ON CONFLICT (owner, name) DO UPDATE SET value = setting.value RETURNING value"
    );
    let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&columns::owner(owner), &pack(name), &value];
    let rows = conn.commit_rows("write setting", sql, parameters).await?;
    Ok(rows.first().map_or(value, |row| row.get(0)))
}

/// Gives a name a value, whatever it had.
pub(crate) async fn setting_put(
    shared: &Arc<Shared>,
    owner: Owner,
    name: &str,
    value: Vec<u8>,
) -> Result<()> {
    let conn = shared.write("write setting").await?;
    let sql = concat!(
        "INSERT INTO setting (owner, name, value)
         SELECT $1::integer, $2::text, $3::bytea WHERE ",
        durable!(),
        " ON CONFLICT (owner, name) DO UPDATE SET value = excluded.value"
    );
    let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&columns::owner(owner), &pack(name), &value];
    conn.run("write setting", sql, parameters).await?;
    Ok(())
}
