//! Turns SQLite's errors into the store's.

use becket_store::StoreError;
use rusqlite::ErrorCode;

/// Maps an error of `operation`: no room and a failing disk have names of their own.
pub(crate) fn database(operation: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + Copy {
    move |error| classify(operation, &error)
}

fn classify(operation: &'static str, error: &rusqlite::Error) -> StoreError {
    let detail = format!("{operation}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            StoreError::Full { detail: format!("the disk is full ({detail})") }
        }
        Some(ErrorCode::SystemIoFailure) => StoreError::Broken { detail },
        _ => StoreError::Database { operation, detail: error.to_string() },
    }
}

/// Whether the store has to be closed, reopened and checked after this error.
pub(crate) fn needs_reopening(error: &StoreError) -> bool {
    !matches!(error, StoreError::Full { .. } | StoreError::Busy { .. } | StoreError::Closed)
}
