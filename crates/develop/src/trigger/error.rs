//! Why a request could not be made. What a handler answers is never an error.

use becket_signature::SignError;

/// A request that cannot be made as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The sample's file cannot be read, or names something that it has not.
    #[error("the sample `{sample}` cannot be used: {message}")]
    Sample {
        /// Provider and event, as in `github push`.
        sample: String,
        /// What is wrong.
        message: String,
    },
    /// The path of a change is not a path.
    #[error("`{path}` is no path: {message}; write it like `data.items[0].id`")]
    Path {
        /// The path as it was given.
        path: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// The change does not fit the body.
    #[error("`{path}` cannot be changed: {message}")]
    Change {
        /// The path as it was given.
        path: String,
        /// What stands in the way.
        message: String,
    },
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A header that cannot be sent.
    #[error("the header `{name}` cannot be sent: {message}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// What was to be spoilt is not covered by the provider's signature.
    #[error("nothing would be refused: {0}")]
    Tamper(&'static str),
    /// The provider has no handshake, or one that cannot be made here.
    #[error("no handshake can be made: {0}")]
    Handshake(String),
    /// The URL is none that may be posted to.
    #[error("`{url}` cannot be posted to: {message}")]
    Url {
        /// The URL without its query.
        url: String,
        /// Why not.
        message: String,
    },
    /// The sender could not be set up.
    #[error("nothing can be sent: {0}")]
    Egress(String),
    /// No secret of this kind can be made here.
    #[error("{0}")]
    Secret(String),
}

impl TriggerError {
    /// A stable code for `--json` and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Sample { .. } => "sample_unusable",
            Self::Path { .. } => "path_unusable",
            Self::Change { .. } => "change_unusable",
            Self::Sign(error) => error.code(),
            Self::Header { .. } => "header_unusable",
            Self::Tamper(_) => "nothing_to_tamper",
            Self::Handshake(_) => "no_handshake",
            Self::Url { .. } => "url_unusable",
            Self::Egress(_) => "egress_unusable",
            Self::Secret(_) => "secret_unusable",
        }
    }
}
