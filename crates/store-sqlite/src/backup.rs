//! Writes a consistent copy of a store while it goes on working.

use std::path::Path;

use becket_store::{Result, StoreError};
use rusqlite::Connection;

use crate::errors::database;
use crate::layout::{Folder, Role, bytes_on_disk, open_catalog, open_segment};
use crate::open::make_private;
use crate::shared::Shared;

/// Copies every file as it is at one moment of its own; answers with the bytes written. A delivery
/// that ends during the copy may stand in it as pending: it is then repeated with the same id.
pub(crate) fn write(shared: &Shared, target: &Path) -> Result<u64> {
    let unusable =
        |detail: String| StoreError::Unusable { path: target.display().to_string(), detail };
    if target.exists() {
        return Err(unusable("it exists already; name a folder that does not".to_owned()));
    }
    let folder = Folder(target.to_path_buf());
    make_private(&folder.segments()).map_err(|error| unusable(error.to_string()))?;
    // The list first: a segment sealed after this is taken over when the copy is opened.
    copy(&open_catalog(&shared.folder.catalog(), Role::Writer)?, &folder.catalog())?;
    let mut bytes = bytes_on_disk(&folder.catalog());
    for segment in shared.segments.all() {
        let source = match open_segment(&segment.path, Role::Writer) {
            Ok(source) => source,
            Err(error) if segment.path.exists() => return Err(error),
            // Retention has removed it meanwhile.
            Err(_) => continue,
        };
        let path = folder.segment(segment.first);
        copy(&source, &path)?;
        bytes += bytes_on_disk(&path);
    }
    Ok(bytes)
}

fn copy(source: &Connection, path: &Path) -> Result<()> {
    source.execute("VACUUM INTO ?1", [path.to_string_lossy()]).map(drop).map_err(database("backup"))
}
