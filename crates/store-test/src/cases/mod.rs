//! The cases of the suite, by group. Each is a claim about every store; its name says which.
//!
//! `conformance!` makes a test of each; a test of this crate checks that it knows them all.

pub mod accept;
pub mod applications;
pub mod attempts;
pub mod backup;
pub mod config;
pub mod counts;
pub mod crash;
pub mod deliveries;
pub mod documents;
pub mod duplicates;
pub mod endpoints;
pub mod envelopes;
pub mod events;
pub mod filters;
pub mod lists;
pub mod payloads;
pub mod quarantine;
pub mod replay;
pub mod retention;
pub mod scope;
pub mod searches;
pub mod stats;
