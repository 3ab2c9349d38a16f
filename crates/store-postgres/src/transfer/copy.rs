//! Writing many rows at once.

use std::pin::Pin;

use becket_store::{Result, StoreError};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use crate::errors;
use crate::transaction::Tx;

const WRITE: &str = "write moved rows";

/// Rows on their way into a table.
pub(super) struct Copy {
    writer: Pin<Box<BinaryCopyInWriter>>,
}

impl Copy {
    /// Begins to write into `table`, which names its columns.
    pub(super) async fn into(tx: &Tx<'_>, table: &str, types: &[Type]) -> Result<Self> {
        let sql = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let sink = tx.client().copy_in(&sql).await.map_err(|error| failed(&error))?;
        Ok(Self { writer: Box::pin(BinaryCopyInWriter::new(sink, types)) })
    }

    /// Writes a row.
    pub(super) async fn row(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        self.writer.as_mut().write(values).await.map_err(|error| failed(&error))
    }

    /// Ends; the rows are in the table when the transaction is committed.
    pub(super) async fn end(mut self) -> Result<()> {
        self.writer.as_mut().finish().await.map(drop).map_err(|error| failed(&error))
    }
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    errors::of(WRITE, error).into()
}
