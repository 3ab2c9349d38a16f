//! Endpoints that write: one row for each event, into PostgreSQL or SQLite.
//!
//! Role: [`SqlPlan::new`] checks what was configured, without any connection; [`SqlAction`]
//! looks at the real table in the background and then writes a row for each delivery.
//!
//! Invariants:
//! - A redelivered event changes nothing. Inserting, the key column holds the event's id and a row
//!   with it is left alone. Upserting, a small table remembers which events were applied, in the
//!   same transaction as the row, so that an old event that comes again cannot undo a newer one.
//! - Identifiers are quoted, values travel as parameters only.
//! - What cannot fit a column is found before anything is sent, and gives the delivery up; what may
//!   heal (the connection, a lock, a table that somebody has to repair) is tried again.
//! - Neither values of the event nor secrets are in an error, a note or the log.
//!
//! Deliberately absent: statements of the user's own, deletions, several rows for an event,
//! batching, and every other database.
//!
//! Where next: `plan` for the mapping, `convert` for what becomes of a value, `check` for the comparison
//! with the real table, `statement` for the SQL, `postgres` and `sqlite` for who runs it.

mod action;
mod check;
mod column;
mod convert;
mod error;
mod moment;
mod plan;
mod postgres;
mod sqlite;
mod statement;
mod url;

pub use action::SqlAction;
pub use column::{ColumnSettings, ColumnType};
pub use error::SqlError;
pub use plan::{Mode, SqlPlan, SqlSettings};
