//! What the drills of several nodes share: three real gateways on one PostgreSQL behind a balancer,
//! senders with a ledger, receivers that record everything, and the judge who compares them.
//!
//! Invariants: as in `support`; whatever is chosen by chance is chosen by a seed that is printed; the
//! judge believes the ledger and the receivers, and asks the API only for what they cannot know.
//!
//! Deliberately absent: any look into the tables. What an operator cannot see does not count.
//!
//! Where next: [`nodes`] starts gateways, [`traffic`] says what flows, [`ledger`] sends,
//! [`receivers`] receive, [`judge`] judges; [`cut_proxy`] and [`replicas`] do harm to the database.

// Each drill is a crate of its own that uses a part of this.
#![allow(dead_code, reason = "each drill uses a part of the shared support")]

pub mod attempts;
pub mod balancer;
pub mod cut_proxy;
pub mod judge;
pub mod ledger;
pub mod nodes;
pub mod patroni;
pub mod receivers;
pub mod replicas;
pub mod run;
pub mod slow_line;
pub mod traffic;
