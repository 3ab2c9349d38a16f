//! Why a measurement could not be made.

use std::path::PathBuf;

/// Why a measurement could not be made. A gateway that answers with errors is a result, not this.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("{doing}: {cause}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The program to be measured has not been built.
    #[error("{} is missing; build it with `cargo build --release --package becket`", path.display())]
    NotBuilt {
        /// Where it should be.
        path: PathBuf,
    },
    /// A process that is measured ended or did not answer.
    #[error("{what}: {detail}")]
    Process {
        /// Which one, and what was expected of it.
        what: &'static str,
        /// What happened instead.
        detail: String,
    },
    /// The kernel's figures could not be understood.
    #[error("cannot read {path}: {detail}")]
    Figures {
        /// The file.
        path: String,
        /// What was wrong with it.
        detail: String,
    },
}

/// What every fallible function here returns.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Says what was being done when the system refused it.
pub fn doing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> BenchError {
    let doing = what.into();
    move |cause| BenchError::System { doing, cause }
}
