//! Keys and ids as they stand in columns.

use becket_store::{Result, StoreError};

/// A key as a column holds it.
pub(super) fn signed(number: u32) -> Result<i32> {
    i32::try_from(number).map_err(|_| StoreError::Unusable {
        path: "the source".to_owned(),
        detail: format!("the number {number} is larger than this database can keep"),
    })
}

/// Fixed bytes from a column.
pub(super) fn fixed<const N: usize>(column: &[u8]) -> Result<[u8; N]> {
    column.try_into().map_err(|_| StoreError::Unusable {
        path: "the database".to_owned(),
        detail: format!("an id is {} bytes long instead of {N}", column.len()),
    })
}
