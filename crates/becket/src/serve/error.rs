//! Why the gateway did not start, with what to do about it.

use std::path::Path;

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// A file could not be read or written.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: String,
        /// What the operating system said.
        detail: String,
    },
    /// The master key has the wrong form.
    #[error(
        "the master key in {place} is not 32 bytes in base64; make one with `openssl rand -base64 32`"
    )]
    MasterKey {
        /// Where it came from.
        place: String,
    },
    /// The store was sealed with another master key.
    #[error(
        "this store was made with another master key; give that one (BECKET_MASTER_KEY or master.key), or use another store"
    )]
    OtherMasterKey,
    /// With a database a master key has to be given.
    #[error(
        "no master key is given: with PostgreSQL every node needs the same one; make it once with \
         `openssl rand -base64 32`, keep a copy, and give it as BECKET_MASTER_KEY or BECKET_MASTER_KEY_FILE"
    )]
    NoMasterKey,
    /// It was told to stop before it had started.
    #[error("stopped before the store could be opened")]
    Stopped,
    /// The admin token is too short to be safe.
    #[error(
        "BECKET_ADMIN_TOKEN has {characters} characters; at least 32 are needed, for example from `openssl rand -hex 32`"
    )]
    AdminToken {
        /// How many it has.
        characters: usize,
    },
    /// A source could not be made ready.
    #[error("source `{source_id}`: {detail}")]
    Source {
        /// Its name.
        source_id: String,
        /// What is wrong.
        detail: String,
    },
    /// The code of an endpoint in the file cannot be loaded.
    #[error("{detail}")]
    Transformation {
        /// Of which endpoint, what is wrong and in which line.
        detail: String,
    },
    /// The dashboard's or the portal's files cannot be used.
    #[error("{detail}")]
    Pages {
        /// Which, and what is wrong.
        detail: String,
    },
    /// The certificate or its key cannot be used.
    #[error("TLS: {detail}")]
    Tls {
        /// What is wrong.
        detail: String,
    },
    /// The store could not be opened or asked.
    #[error(transparent)]
    Store(#[from] becket_store::StoreError),
    /// Delivery could not start.
    #[error(transparent)]
    Engine(#[from] becket_engine::EngineError),
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] becket_ingress::ServeError),
    /// Another process serves this folder.
    #[error(
        "another becket runs with the folder {folder}; `becket restart` replaces it by a new process, \
         `becket serve --takeover` by this one, without refusing a connection"
    )]
    Running {
        /// Where it is met.
        folder: String,
    },
    /// Outgoing requests could not be set up.
    #[error(transparent)]
    Egress(#[from] becket_egress::EgressError),
    /// The operating system refused something.
    #[error("{what}: {detail}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the operating system said.
        detail: String,
    },
}

impl ServeError {
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), detail: error.to_string() }
    }

    pub(crate) fn system(what: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self::System { what, detail: error.to_string() }
    }
}
