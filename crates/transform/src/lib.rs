//! Transformations: users' JavaScript that changes a delivery before it is signed and sent.
//!
//! Invariants: users' code runs in a process of its own, which has no files, no network and an end of
//! memory and time; what comes back is checked like anything that a stranger sends; an endpoint whose
//! code is known to be slow never holds up others, and one that is not yet known holds a place for a
//! quantum of 25 ms at most while others wait.
//!
//! Absent: deciding what a failed transformation means for the delivery (the engine retries it), and
//! whether another URL may be reached (the engine asks the endpoint's address policy).
//!
//! Where to go next: [`Script`] for one endpoint's code, [`Pool`] for the processes, `pool/schedule.rs`
//! for who runs when, [`sandbox`] for the process itself, `wire.rs` for what is said between the two.

mod limits;
mod pool;
pub mod sandbox;
mod script;
mod wire;

pub use limits::{CODE_BYTES_MAX, HEADERS_SET_MAX, LOG_BYTES_MAX};
pub use pool::{Launcher, Pool, PoolConfig, Program};
pub use script::{Script, check, check_size};
pub use wire::Trouble;
