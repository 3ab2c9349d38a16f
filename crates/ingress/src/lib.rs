//! Public receiving HTTP: from the socket to the commit.
//!
//! A request to `/in/<source>` is read with bounds, proven genuine, judged by its source's rules and
//! stored; only then is it answered with 2xx. The deliveries that fit are handed to the engine.
//!
//! Invariants:
//! - No 2xx before [`becket_store::Store::event_accept`] has returned.
//! - Every body, table and connection count has a limit; every wait for a sender has a time-out.
//! - One request has one answer. After a doubtful framing the connection is closed, so that nothing
//!   which was hidden in a body is ever run as a request.
//! - One report per request ([`Observer`]), without bodies, secrets or signatures.
//!
//! Deliberately absent: delivering (see `engine`), the management API (it comes in as a
//! [`server::Fallback`]), HTTP/2 (webhook senders do without; HTTP/1.1 only for now), routers and
//! middleware (they cost a third of the request rate).
//!
//! Where next: [`Ingress::receive_webhook`] in `receive`, the accept loops in [`server`].

mod address;
mod answer;
mod body;
mod dedupe;
mod denial;
mod error;
mod limit;
mod outside;
mod payload;
mod prepare;
mod prove;
mod receive;
mod record;
mod release;
mod report;
pub mod server;
mod source;

pub use becket_schema::{CompiledSchema, SchemaError};
pub use becket_store::accept::Handoff;

pub use address::client_address;
pub use answer::{BoxedBody, Reply, ReplyBody};
pub use body::{BodyError, TimedBody};
pub use dedupe::{body_key, delivery_id_key};
pub use error::{PathError, ServeError, TableError};
pub use limit::ServerLimits;
pub use outside::{Outside, OutsideTrouble};
pub use payload::PayloadPath;
pub use receive::{Ingress, Peer, Told};
pub use release::{Kept, LetOut, LetOutcome};
pub use report::{ConnectionEvent, Observer, Outcome, ReleaseReport, RequestReport};
pub use source::{
    DedupeRules, IdPlace, OnInvalid, Rules, SourceRuntime, SourceTable, Target, UnusableSource,
};
