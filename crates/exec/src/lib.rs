//! Runs a program for each delivery: the payload on its standard input, what is known about the event
//! in its environment and, by templates, in its arguments; the exit code says what became of it.
//!
//! Role: [`ExecAction`] is an action of the delivery engine. [`import`] reads the configuration of
//! adnanh/webhook.
//!
//! A run has three processes: the gateway; a guardian, which is this binary again
//! ([`child::main`]); and the program, which the guardian starts through a third pass of the binary
//! that limits itself and then becomes the program. The guardian is the reaper of everything below it,
//! so that nothing that the program has started outlives the attempt, and it notices when the gateway
//! is gone, however that happened.
//!
//! Invariants:
//! - A value of an event is never shell text, and never becomes an option unless the operator allows it.
//! - The program's environment is made from nothing; no secret of the gateway is in it.
//! - Output is read as fast as it comes and kept with a bound; an attempt returns within its time.
//! - As many runs of an endpoint are under way as it has locks, whoever was killed in between.
//! - No `unsafe`: a process limits itself, before it becomes the program.
//!
//! Deliberately absent: shells for templates, terminals, containers, other systems than Linux.
//!
//! Where next: `action` for one attempt, `run` for the gateway's side, `guardian` for the other.

mod action;
mod arguments;
pub mod child;
mod confine;
mod environment;
mod error;
mod exit;
mod guardian;
pub mod import;
mod output;
mod run;
mod settings;
mod users;
mod wire;

pub use action::ExecAction;
pub use arguments::is_template;
pub use error::ExecError;
pub use settings::{EnvValue, Limits, Locks, Settings};
