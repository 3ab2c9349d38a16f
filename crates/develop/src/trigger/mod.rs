//! Requests as a provider would send them: made from samples, shaped by the caller, signed by the provider's
//! own scheme, sent, and judged by how the provider would take the answer.
//!
//! The way of one request: a [`Sample`] says what an event looks like; [`prepare`] fills it with fresh ids and
//! the time, applies the caller's [`Change`]s, signs it, and spoils it if a [`Tamper`] is wanted;
//! [`Sender::send`] posts it; [`judge`] says what the provider would make of the answer. [`challenge`] makes
//! handshakes instead, with the answer that is expected. [`new_secret`] makes secrets that fit an entry.
//!
//! Invariants: no clock and no randomness of its own, both are arguments, so that the same arguments make the
//! same request (but for ECDSA, whose nonce is drawn by the library that signs); no provider's name in code:
//! what is special about one is in `catalogue/samples` or in its entry. Secrets are in no error and no `Debug`.
//!
//! Deliberately absent: where secrets come from and how anything is printed, which is the command's business.
//!
//! Where to go next: `samples` for the format of the files, `fill` for their placeholders, `shape` for
//! changes, `request` for the order of things.

mod error;
mod fill;
mod handshake;
mod keys;
mod request;
mod samples;
mod send;
mod shape;
mod tamper;

pub use error::TriggerError;
pub use fill::Seed;
pub use handshake::{Challenge, challenge};
pub use keys::{NewSecret, new_secret, public_key_of};
pub use request::{Order, Prepared, prepare};
pub use samples::{Listed, Sample, listed, names, nearest, sample, with_body};
pub use send::{Judged, Sender, Warning, judge};
pub use shape::{Change, Given, Path};
pub use tamper::Tamper;
