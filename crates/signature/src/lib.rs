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

mod answers;
mod builders;
mod candidates;
mod catalogue;
mod certificate;
mod check;
mod credentials;
mod der;
mod doctor;
mod draft;
mod encoding;
mod entry;
mod error;
mod explain;
#[cfg(feature = "axum")]
pub mod extract;
mod fetched;
mod functions;
mod handshake;
mod hashing;
mod json_path;
mod judging;
mod jwt;
mod keys;
mod likely_cause;
mod md5;
mod multipart;
mod parameters;
mod preparing;
mod request;
mod rsa_signing;
mod samples;
mod scheme;
mod scope;
mod sign;
pub mod standard_webhooks;
mod template;
mod timestamp;
mod typed_key;
mod url_text;
#[cfg(feature = "vectors")]
pub mod vectors;
mod verdict;
mod verifier;

pub use answers::{AckSpec, Capture, HandshakeRule, Respond, Visit};
pub use builders::{
    BuildSpec, CanonicalHeaders, EmptyValue, Escape, FieldsJoin, HeaderNameText, JsonBuild,
    JsonStyle, MissingField, Nested, Numbers, Origin, PairEncoding, PhpFlag, PhpSerialize, Raw,
    Sequence, SortOrder, SortedKv,
};
pub use catalogue::{Catalogue, EntrySummary};
pub use credentials::{Credentials, VerifierOptions};
pub use doctor::{Doctor, Effort, Limits};
pub use entry::{
    Addresses, CredentialKind, CredentialSpec, Entry, FactSpec, ParameterKind, ParameterSpec,
    Proof, Sample, Status, unsigned_body_warning,
};
pub use error::{EntryError, SignError};
pub use explain::{Explanation, ExplanationWithSignatures, SignedText, Step, TimestampReport};
pub use fetched::{
    FetchSpec, FetchedKeys, KeyError, KeyFormat, KeyRequest, OauthRequest, OauthSpec,
};
pub use json_path::JsonPath;
pub use jwt::{Detached, JwtAlgorithm, JwtSpec};
pub use likely_cause::LikelyCause;
pub use request::{
    Ack, Acknowledgement, Captured, Facts, HandshakeAnswer, RequestView, SignRequest, Signed,
};
pub use scheme::{
    Charset, Class, Condition, Digest, EcdsaForm, Encoding, KeySpec, KeyStep, KeyWhen,
    PublicKeySpec, Requirement, Scheme, SignSpec, SignatureSpec, SplitSpec, TimestampSpec,
    TimestampUnit, Tolerance, UrlVariant, Wrap,
};
pub use template::{Expr, Function, OneOrMany, Place, Template};
pub use verdict::{Genuine, Refusal, Verdict};
pub use verifier::Verifier;
