//! The store of several nodes: PostgreSQL.
//!
//! Role: [`PostgresStore`] is a [`becket_store::Store`] in one schema of a database. Events, attempts
//! and what belongs to them lie in partitions by day; deliveries that have not ended are small rows
//! of one hot table; what is accepted or finished at the same time shares a commit.
//!
//! Invariants:
//! - What was acknowledged is committed, and the database has said so without a warning. A lost
//!   answer, a server that takes no writes, a pool that is exhausted: nothing is acknowledged.
//! - Every wait for the database has an end; a session that broke off is thrown away.
//! - State changes of deliveries compare the lease's token; time is a parameter.
//! - Texts from outside are packed (`text`): PostgreSQL keeps no NUL in a text.
//!
//! Deliberately absent: decisions about retries, elections, any other service than the database.
//!
//! Where next: `store` for the whole trait, `shared` for what everything stands on, `migrate` for the
//! layout in `migrations/`, `accept` and `finish` for the commits that are shared, `cluster` for what
//! nodes know of each other.

mod accept;
mod advice;
mod attempts;
mod cluster;
mod config;
mod connect;
mod counts;
mod deliveries;
mod disk;
mod documents;
mod duplicates;
mod envelopes;
mod errors;
mod events;
mod expunge;
mod finish;
mod gauges;
mod health;
mod lease;
mod lists;
mod migrate;
mod options;
mod partitions;
mod pool;
mod quarantine;
mod replay;
mod retention;
mod search;
mod session;
mod settings;
mod shared;
mod stats;
mod store;
mod text;
mod transaction;
mod transfer;

pub use options::Options;
pub use store::PostgresStore;
pub use transfer::PostgresTransfer;
