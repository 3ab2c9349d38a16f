//! Delivers: lanes, leases, attempts, retries, circuit breaking, maintenance.
//!
//! Role: takes deliveries from the receiving threads ([`Engine::hand_over`]) or leases them from the
//! store, makes one attempt after the other through a [`Door`], and records each result, which moves
//! the delivery.
//!
//! Invariants:
//! - An attempt is made only under a lease that holds for its whole time; its result is recorded
//!   under that lease, once, or the delivery is tried again.
//! - Nothing accepted is lost: whatever this crate holds in memory is pending in the store.
//! - Memory is bounded: by places per lane, bytes per shard, and attempts in all.
//! - One endpoint never holds up another: a lane each, and slots that slow lanes cannot use up.
//! - Where others deliver from the same store, nothing is started beyond the [`Tenure`].
//! - Deciding is apart from doing: `lane` and `shard` are state machines without I/O, which push
//!   jobs; `run` and `job` do the waiting.
//!
//! Deliberately absent: sockets (egress), SQL (store), planning and filters (model), and telling
//! people (the observer that is handed in).
//!
//! Where next: [`Engine`] for what others call, `lane` for what may start when, `slots` and
//! `shared_rate` for fairness, `tests/sim` for what has to hold whatever fails.

mod config;
mod door;
mod due;
mod endpoint;
mod engine;
mod failing;
mod job;
mod lane;
mod maintenance;
mod observer;
mod registry;
mod request;
mod run;
mod shard;
mod shared;
mod shared_rate;
mod slots;
mod tenure;

pub use config::{EngineConfig, EngineError, Environment};
pub use door::Door;
pub use endpoint::EndpointRuntime;
pub use engine::{Engine, EngineStats};
pub use observer::{
    AttemptReport, DeliveryTurn, DisabledReason, EndpointEvent, EndpointNotice, Observer,
};
pub use shared_rate::SharedRate;
pub use tenure::Tenure;
