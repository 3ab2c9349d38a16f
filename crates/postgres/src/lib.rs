//! How Becket reaches a PostgreSQL server, whether it keeps its own data there or writes rows for
//! somebody else.
//!
//! Role: [`Server::parse`] reads a URL; [`Tls`] encrypts the way to the server.
//!
//! Invariants: the certificate of the server is checked whenever there is one, and its host name
//! with it; no error repeats the URL, which may hold a password.
//!
//! Deliberately absent: client certificates, pools, SQL.
//!
//! Where next: `sql` for endpoints that write rows, `store-postgres` for the store of several nodes.

mod tls;
mod url;

pub use tls::{Connect, Stream, Tls};
pub use url::{Server, UrlError};
