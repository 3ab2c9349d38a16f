//! What the driver and the database say, as errors of the store.
//!
//! Invariants: values never get into an error (what the database says about data repeats the data);
//! whatever is not known to be a mistake of ours counts as unavailable, which the sender repeats.

use std::fmt;

use becket_store::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a statement did not work. Becomes a [`StoreError`] by `?`.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    error: StoreError,
    code: Option<SqlState>,
    constraint: Option<String>,
}

impl Failure {
    /// Whether the same transaction may work when it is done again: it met another one.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code.as_ref().is_some_and(|code| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(code)
        })
    }

    /// Whether a row with the same key is there already.
    pub(crate) fn is_unique(&self) -> bool {
        self.code == Some(SqlState::UNIQUE_VIOLATION)
    }

    /// Whether it is about the values that were sent, which would not fit next time either.
    pub(crate) fn concerns_values(&self) -> bool {
        match &self.code {
            Some(code) => ["22", "23"].contains(&&code.code()[..2]),
            None => matches!(self.error, StoreError::Database { .. }),
        }
    }

    /// The constraint that did not hold, by its name.
    pub(crate) fn constraint(&self) -> Option<&str> {
        self.constraint.as_deref()
    }

    /// The five characters with which the database names the error.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(SqlState::code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, code: None, constraint: None }
    }
}

/// What an error of the driver means.
pub(crate) fn of(operation: &'static str, error: &Error) -> Failure {
    Failure {
        error: meaning(operation, error),
        code: error.code().cloned(),
        constraint: error.as_db_error().and_then(|told| told.constraint()).map(str::to_owned),
    }
}

/// The database does not answer, or not in time.
pub(crate) fn unavailable(operation: &'static str, detail: impl Into<String>) -> StoreError {
    StoreError::Unavailable { operation, detail: detail.into() }
}

/// What the database keeps is not what this program writes.
pub(crate) fn unusable(detail: impl Into<String>) -> StoreError {
    StoreError::Unusable { path: "the database".to_owned(), detail: detail.into() }
}

/// Whether the session in which this happened is of no more use.
pub(crate) fn ends_session(error: &Error) -> bool {
    let Some(told) = error.as_db_error() else { return !is_mistake(error) };
    let code = told.code().code();
    // Not connected, shutting down, read-only, statements that were forgotten or have changed.
    ["08", "57"].contains(&&code[..2]) && code != "57014"
        || ["25006", "26000", "42P05", "0A000"].contains(&code)
}

/// Whether the server stops, or takes no writes any more: other sessions will meet the same.
pub(crate) fn ends_server(error: &Error) -> bool {
    let code = error.code().map(SqlState::code);
    code.is_some_and(|code| ["25006", "57P01", "57P02", "57P03"].contains(&code))
}

/// Whether the driver was called in the wrong way.
fn is_mistake(error: &Error) -> bool {
    let text = error.to_string();
    ["error serializing", "error deserializing", "invalid column", "query returned an unexpected"]
        .iter()
        .any(|beginning| text.starts_with(beginning))
}

fn meaning(operation: &'static str, error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let detail = format!("{error}{}", cause.unwrap_or_default());
        if is_mistake(error) {
            return StoreError::Database { operation, detail };
        }
        return unavailable(operation, detail);
    };
    let code = told.code().code();
    match (&code[..2], code) {
        (_, "53100") => StoreError::Full { detail: "the database's disk is full".to_owned() },
        (_, "57014") => unavailable(operation, "the statement took too long and was cancelled"),
        (_, "25006") => unavailable(operation, "the server takes no writes (it is a standby)"),
        (_, "26000" | "42P05") => unavailable(
            operation,
            format!(
                "{}; is there a pooler in transaction mode before the server? Connect to the server \
                 itself, or in session mode",
                said(told)
            ),
        ),
        (_, "40001" | "40P01" | "55P03") => {
            let detail = format!("other transactions were in the way (SQLSTATE {code})");
            unavailable(operation, detail)
        }
        ("08" | "53" | "57", _) => unavailable(operation, said(told)),
        ("28", _) => unusable(format!(
            "the server refused the user or its password (SQLSTATE {code}); check the URL of the store"
        )),
        ("3D", _) => unusable(format!("{}; make it, or check the URL of the store", said(told))),
        // What is said about data repeats the data.
        ("22" | "23", _) => {
            let place = [told.table(), told.column(), told.constraint()];
            let place = place.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let detail = format!("the values do not fit (SQLSTATE {code}) {place}");
            StoreError::Database { operation, detail }
        }
        _ => StoreError::Database { operation, detail: said(told) },
    }
}

fn said(told: &tokio_postgres::error::DbError) -> String {
    format!("{} (SQLSTATE {})", told.message(), told.code().code())
}
