//! Recordings as tests: each is signed afresh, sent to a handler, and its answer compared with what
//! the file expects.
//!
//! Role: [`Case`] is a recording with what signs it, [`run()`] sends cases and tells each result,
//! [`junit`] writes what continuous integration reads.
//!
//! Invariants: the time and the delivery id of each request are new, everything else is the file's;
//! a handler that is not there is told apart from one that answers wrongly; results are told in the
//! order of the cases.
//!
//! Deliberately absent: reading files and printing, which the command does.

mod compare;
mod diff;
pub mod junit;
mod run;

pub use compare::{Difference, Mismatch, compare, json_body};
pub use diff::{DiffLine, Side, diff};
pub use run::{Answer, Case, CaseResult, Clocks, Options, Outcome, Sending, run, wait_for};
