//! Keys that a provider publishes, fetched when a request names them; and the visits that some
//! handshakes ask for.
//!
//! Role: the verifier says which keys it needs ([`becket_signature::KeyRequest`]); [`KeyFetcher`]
//! gets them through the guarded connector of `egress`, checks the chain of certificates, and keeps
//! them until their time is over.
//!
//! Invariants:
//! - Only https, no redirects, only addresses that the public policy allows, at most
//!   [`ANSWER_BYTES_MAX`] bytes and [`FETCH_TIMEOUT_MS`] for everything.
//! - One fetch per key at a time. Keys that did not fit are fetched again at most once a minute, and
//!   a source's requests cause a bounded number of fetches, so that forged requests cannot turn this
//!   gateway against the provider.
//! - Memory is bounded: 1,024 answers, 16 MiB, 256 tokens.
//! - No trouble is an error: it is a value ([`KeyTrouble`]), and the sender is asked to come again.
//! - URLs are logged without their queries; keys, tokens and credentials never are.
//!
//! Deliberately absent: verifying (see `signature`), deciding which hosts may be asked (the entry
//! says so, and `signature` refuses others), the store: after a restart keys are fetched anew.
//!
//! Where next: [`KeyFetcher`], then `cache` for when something is fetched, `fetch` for how.

mod cache;
mod certificate;
mod fetch;
mod fetcher;
mod observer;
mod token;
mod trouble;

pub use fetch::{ANSWER_BYTES_MAX, FETCH_TIMEOUT_MS};
pub use fetcher::{Environment, KeyFetcher, KeysConfig};
pub use observer::{FetchObserver, FetchOutcome, FetchReport};
pub use trouble::KeyTrouble;
