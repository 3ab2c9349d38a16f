//! The embedded store: SQLite in segments, one writer, one sync for many requests.
//!
//! Role: keeps what [`becket_store::Store`] promises in a folder of files. `becket.db` holds the
//! small state; each file of `segments/` holds the events of a stretch of time with everything that
//! belongs to them; `quarantine.db` holds refused requests.
//!
//! Invariants:
//! - One process owns the folder (a locked file says so).
//! - The hot segment is written by one thread (`writer`), every older one by another (`keeper`);
//!   each change of an event is one transaction in one file.
//! - Memory follows the disk: it is changed after the commit and can be rebuilt from the files.
//! - A segment's dedupe set is given up only when its index can be queried.
//!
//! Deliberately absent: decisions about retries or filters, secrets in the clear.
//!
//! Where next: `tables` for the layouts, `catalog` for the small state, `writer` for the path of an
//! event, `keeper` and `seal` for what comes after, `query` and `count` for reading, `edit` for
//! removing payloads, `transfer` for moving everything to another store.

mod backup;
mod catalog;
mod count;
mod dedupe;
mod edit;
mod errors;
mod keeper;
mod layout;
mod leases;
mod load;
mod memory;
mod open;
mod quarantine;
mod query;
mod release;
mod reply;
mod retention;
mod rows;
mod seal;
mod search;
mod segment;
mod shared;
mod space;
mod store;
mod tables;
mod transfer;
mod write;
mod writer;

pub use shared::Options;
pub use store::SqliteStore;
pub use transfer::SqliteTransfer;
