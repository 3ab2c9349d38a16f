//! What every store has to do, as tests: a conformance suite, random operations, and a store of
//! plain maps ([`ModelStore`]) that passes both and stands in for a real one in simulations.
//!
//! A store's crate implements [`Harness`] and writes `becket_store_test::conformance!(MyHarness);`
//! in a test file. Nothing here knows which store it runs on; differences are [`Capabilities`].
//!
//! Where the trait leaves room, this suite decides:
//! - **Half-open times.** A repeat counts if it arrives before `first.received_at_ms + window_ms`;
//!   a lease holds while `now_ms < until_ms`; `since_ms..until_ms` likewise. An event goes when it
//!   is older than the policy's time, not when it is just as old.
//! - **Dedupe.** The key alone identifies (callers hash the kind into it). The newest event with
//!   the key counts, by the window that it was accepted with. Its removal frees the key.
//! - **A repeat replays** if the event has deliveries and the latest one to each endpoint failed;
//!   what it starts is due at the repeat's `received_at_ms`, under no lease.
//! - **Expired leases.** Nothing watches the clock: a lease holds, its token is good and its
//!   delivery counts as under way until `delivery_lease` is called, for any endpoint, with a
//!   `now_ms` at or after the lease's end. That call ends every lease that has expired by then;
//!   what it does not hand out waits again, due when it was.
//! - **Order of leases**: due moment, then age of the event.
//! - **Tokens** are never used twice for a delivery, also not after a crash. One that was given by
//!   `event_accept` holds for each of the event's leased deliveries on its own.
//! - **Replay** goes to the latest generation: pending ones become due at `now_ms` (those under
//!   lease are left alone), ended ones get the next generation. An endpoint that had no delivery
//!   begins at generation 1. Endpoints that are not the source's are passed over. "Planned for"
//!   means planned on receipt. Replays are told in any order.
//! - **Filters** look at all deliveries of an event, replaced ones included. If both `state` and
//!   `endpoint` are given, one delivery has to meet both.
//! - **Retention** likewise: one failed delivery, even if a replay succeeded, makes a failed event.
//! - **Attempts** are listed by `started_at_ms`.
//! - **Accepting** for a source that is not in the scope is an error and stores nothing; a refused
//!   request without a source in its scope, or with somebody else's, is not kept.
//! - **Declaring** answers with the same as `config_list`. An unchanged declaration leaves
//!   `updated_at_ms` alone, and so does [`FailingSince`]. An endpoint that comes back has no
//!   failures and no reason; an enabled one has no reason.
//! - **Rotation** never prolongs a secret that was to expire earlier, and cuts short one that was
//!   to expire later.
//! - **Quarantine** drops the oldest when it is full. A crash may lose its newest rows.
//! - **Left open**: changing a removed endpoint, leasing none, a page with both ends, planning or
//!   choosing an endpoint twice, closing twice.
//!
//! [`FailingSince`]: becket_store::EndpointChange::FailingSince
//!
//! Deliberately absent: SQL, files, timing; a case is right on any store at any speed.
//!
//! Where next: [`Harness`], then `cases` (by group), `random` for the generated operations.

pub mod cases;
mod conformance;
mod fixture;
mod harness;
mod model_store;
mod noise;
mod random;

pub use harness::{Capabilities, Harness, run_case};
pub use model_store::{ModelStore, QUARANTINE_ROWS};
pub use noise::{FixedNoise, Numbers};
pub use random::random_operations;
