//! Proves webhooks genuine, by interpreting a provider's catalogue entry over the raw bytes of a request.
//!
//! Start with [`Catalogue::builtin`], take an [`Entry`], make a [`Verifier`] from it and your
//! [`Credentials`], and call [`Verifier::handshake`], then [`Verifier::verify`], for each request.
//! [`Verifier::explain`] says why a request was refused, [`Verifier::sign`] makes requests that pass.
//!
//! Invariants: pure functions over bytes and a given time (signing with ECDSA alone draws a nonce, because
//! ring gives no other way); constant-time comparison on decoded bytes; no secret in `Debug`.
//! Deliberately absent: networks, storage, clocks, and any provider's name in code.
//! Where to go next: `entry` and `scheme` (the format), `template` (the texts inside), `verifier`.

mod catalogue;
mod check;
mod credentials;
mod der;
mod encoding;
mod entry;
mod error;
mod explain;
mod handshake;
mod json_path;
mod keys;
mod likely_cause;
mod parameters;
mod request;
mod scheme;
mod scope;
mod sign;
pub mod standard_webhooks;
mod template;
mod timestamp;
mod url_text;
mod verdict;
mod verifier;

pub use catalogue::{Catalogue, EntrySummary};
pub use credentials::{Credentials, VerifierOptions};
pub use entry::{
    Ack, Capture, CredentialKind, CredentialSpec, Entry, FactSpec, HandshakeRule, ParameterKind,
    ParameterSpec, Respond, Status, unsigned_body_warning,
};
pub use error::{EntryError, SignError};
pub use explain::{Explanation, SignedText, Step, TimestampReport};
pub use json_path::JsonPath;
pub use likely_cause::LikelyCause;
pub use request::{Captured, Facts, HandshakeAnswer, RequestView, SignRequest, Signed};
pub use scheme::{
    Charset, Class, Condition, Digest, EcdsaForm, Encoding, KeySpec, KeyStep, KeyWhen,
    PublicKeySpec, Requirement, Scheme, SignSpec, SignatureSpec, SplitSpec, TimestampSpec,
    TimestampUnit, Tolerance, UrlVariant,
};
pub use template::{Expr, Function, OneOrMany, Place, Template};
pub use verdict::{Genuine, Refusal, Verdict};
pub use verifier::Verifier;
