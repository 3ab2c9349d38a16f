//! What is known of payloads: JSON Schemas that judge them.
//!
//! Invariants: everything here is a pure function; nothing is ever fetched; messages name places and
//! rules, never values, because they reach logs and answers.
//!
//! Deliberately absent: storage, HTTP, and who asks for a check when.

mod compiled;
mod error;

pub use compiled::CompiledSchema;
pub use error::SchemaError;
