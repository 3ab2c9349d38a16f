//! What is known of payloads: JSON Schemas that judge them, examples made from schemas, event types
//! read from OpenAPI documents, and catalogues of event types published for the people who receive.
//!
//! Invariants: everything here is a pure function; nothing is ever fetched; messages name places and
//! rules, never values, because they reach logs and answers; work and memory are bounded for any
//! schema or document that somebody hands in.
//!
//! Deliberately absent: storage, HTTP, and who asks for a check when.
//!
//! Start with [`CompiledSchema`].

mod compiled;
mod error;
pub mod example;
mod guard;
mod keywords;
mod message;
pub mod openapi;
mod pointer;
pub mod publish;

pub use compiled::{CompiledSchema, Violation};
pub use error::{ExampleError, ImportError, SchemaError};
pub use guard::{MAX_APPLICATIONS, MAX_PATTERNS, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH};
