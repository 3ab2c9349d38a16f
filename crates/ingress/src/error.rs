//! What can go wrong when sources are prepared or listeners are opened.

use std::net::SocketAddr;

/// A path into a payload that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path into a payload: {problem}; write it like `data.id` or `/data/id`")]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Sources that cannot stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Two sources have the same name in the URL.
    #[error("two sources would receive at `/in/{name}`; give one of them another id")]
    Twice {
        /// The name.
        name: String,
    },
    /// The name cannot stand in a URL.
    #[error(
        "`{name}` cannot be the last part of a receiving URL: use letters, digits, `-`, `_`, `.` \
         and `~`, at most 128 of them"
    )]
    Name {
        /// The name.
        name: String,
    },
}

/// A listener that could not be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be bound.
    #[error("cannot listen on {address}: {problem}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said, and what to do.
        problem: String,
    },
    /// A listener that was handed over cannot be used.
    #[error("the listener that was handed over cannot be used: {0}")]
    Inherited(#[source] std::io::Error),
    /// A thread or its event loop could not be started.
    #[error("cannot start a thread for the listeners: {0}; check the limit on processes")]
    Thread(#[source] std::io::Error),
    /// There is nothing to listen on.
    #[error("no listener is configured; give at least one address")]
    NoListener,
}

impl ServeError {
    /// A stable code for logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "listen_bind",
            Self::Inherited(_) => "listen_inherited",
            Self::Thread(_) => "listen_thread",
            Self::NoListener => "listen_none",
        }
    }
}
