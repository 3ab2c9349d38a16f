//! How a command says that it could not do what it was asked.

use std::fmt;
use std::process::ExitCode;

/// A failure of a command: what happened, what to do about it, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CliError {
    message: String,
    hints: Vec<String>,
    code: u8,
}

impl CliError {
    /// A failure (exit code 1): what happened and to what, in lower case, without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), code: 1 }
    }

    /// Wrong usage (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// Another exit code than 1 or 2.
    #[must_use]
    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What happened, without hints.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The exit code: 1 for failures, 2 for wrong usage.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Prints the error and its hints to standard error and gives the exit code.
    pub fn exit(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(self.code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        for hint in &self.hints {
            write!(formatter, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
