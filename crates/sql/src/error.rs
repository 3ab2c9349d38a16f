//! What can be wrong with the configuration of an endpoint that writes rows.

/// Why a configuration cannot work, found without a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The URL names no database that can be written to. It is not repeated: it may hold a password.
    #[error("`url` {0}")]
    Url(String),
    /// The name of a table or column is not one.
    #[error("`{name}` {problem}")]
    Name {
        /// The name as it was written.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column cannot be filled as it says.
    #[error("column `{column}`: {problem}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Settings(String),
    /// The thread that talks to the database could not be started.
    #[error("the thread that talks to the database could not be started: {0}")]
    Thread(String),
}

impl SqlError {
    /// A stable code for each kind.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "sql_url",
            Self::Name { .. } => "sql_name",
            Self::Column { .. } => "sql_column",
            Self::Settings(_) => "sql_settings",
            Self::Thread(_) => "sql_thread",
        }
    }
}
