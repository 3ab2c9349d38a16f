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
//!   What waits for an endpoint that the API made, and that was removed, keeps its event no longer
//!   once it has been gone for longer than anything is kept by age, and above the cap at once; a
//!   lease that lasts (`now_ms < until_ms`) does. The delivery itself goes with its event only.
//! - **Attempts** are listed by `started_at_ms`.
//! - **Accepting** for a source that is not in the scope is an error and stores nothing; a refused
//!   request without a source in its scope, or with somebody else's, is not kept.
//! - **Declaring** answers with the same as `config_list`. A declaration that changes nothing leaves
//!   `updated_at_ms` alone, and so does [`FailingSince`]. An endpoint that comes back has no
//!   failures and no reason; an enabled one has no reason. A name means what is not removed; if
//!   nothing is, what the file had last (the highest key).
//! - **From the API to the file.** A declared source that the API had made keeps id, key and uid;
//!   its settings become those of the file (the provider and nothing else) and its credentials go.
//!   Its endpoints stay the API's, except those that are declared: they keep id, key, state and
//!   secrets, take the file's settings and lose their sealed headers. API-made endpoints of a
//!   source that is no longer declared stay as they are; no call about the endpoints of an
//!   application finds them until it is back, but `endpoint_change` does. Its documents stay.
//! - **Names** are bytes: an empty uid is a name, `A` is not `a`. What makes or changes something
//!   for a removed application, or another owner's, answers as if there were none.
//! - **Changing** an application or endpoint sets `updated_at_ms`, also if it stays the same, with
//!   the exception above. Endpoints that go with their application lose their reason. A removed
//!   endpoint of the file that is enabled while another has its name is `NameTaken`.
//! - **Removed things** keep their rows, sealed secrets and events; only `config_list`,
//!   `owner_list`, envelopes and the events' own calls still tell of them.
//! - **Slices** need not name something that exists; `after` itself is not part of the answer.
//! - **Documents** last while `now_ms < expires_at_ms`. One written over an expired one is new:
//!   revision 1. Names are ordered by their bytes.
//! - **Envelopes** are told whether their row is removed or not, but not if they are empty.
//!   Replacing one is no change: `updated_at_ms` and `revision` stay.
//! - **Payloads** last while `now_ms < payload_until_ms`. What was expunged already is not counted.
//!   A lease tells the record as it is when the lease is given.
//! - **Counts** are about the events that there are: repeats, and what retention took, do not
//!   count. `EventCount::deliveries` counts what was planned on receipt. A delivery under an
//!   expired lease counts as leased until somebody asks (see above).
//! - **Rotation** never prolongs a secret that was to expire earlier, and cuts short one that was
//!   to expire later.
//! - **Quarantine** drops the oldest when it is full. A crash may lose its newest rows, but brings
//!   back none that was released.
//! - **Left open**: what `State` does to a removed endpoint otherwise, leasing none, a page with both
//!   ends, planning or choosing an endpoint twice, planning a leased delivery of an event with
//!   `due_ms`, closing twice, an id that is given twice, removing an expired document, removing by
//!   `application_change` what the file declares, `document_find` where a name is not unique,
//!   accepting for a removed application.
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
mod place;
mod random;
mod wrapped;

pub use conformance::run_named;
pub(crate) use conformance::table;
pub use harness::{Capabilities, Harness, run_case};
pub use model_store::{ModelStore, QUARANTINE_ROWS};
pub use noise::{FixedNoise, Numbers};
pub use place::Place;
pub use random::random_operations;
pub use wrapped::{Hooks, Wrapped};
