//! Proves webhooks genuine, by interpreting a provider's catalogue entry over the raw bytes of a request.
//!
//! Three lines prove a webhook; the first two are needed once:
//!
//! ```
//! # use becket_signature::{Catalogue, Credentials, RequestView, Verifier, VerifierOptions};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (headers, body, now_s) = (http::HeaderMap::new(), b"{}".as_slice(), 1_767_225_600);
//! let github = Catalogue::builtin().get("github").ok_or("no such provider")?;
//! let verifier = Verifier::new(github, &Credentials::from_secrets(["It's a secret"]), &VerifierOptions::default())?;
//! let verdict = verifier.verify(&RequestView { method: "POST", url: "https://example.com/hooks", headers: &headers, body }, now_s);
//! assert_eq!(verdict.code(), "missing_signature");
//! # Ok(())
//! # }
//! ```
//!
//! Ask [`Verifier::handshake`] first: a challenge of the provider is answered and is no event. [`Verifier::facts`]
//! says which event it is and what its id is, [`Verifier::explain`] why a request was refused, and
//! [`Verifier::sign`] makes requests that pass, for your tests. Providers that publish their keys need
//! [`Verifier::key_request`] and [`Verifier::verify_with`]: fetch the keys yourself, the library does not.
//! With the feature `axum` all of this is one argument of a handler, `extract::Webhook`; `examples` has that and
//! the same for plain hyper. The feature `vectors` runs vector files against entries.
//!
//! Invariants: pure functions over bytes and a given time (signing with ECDSA alone draws a nonce, because
//! ring gives no other way; `extract` alone reads the clock); constant-time comparison on decoded bytes; no
//! secret in `Debug`. Deliberately absent: networks, storage, and any provider's name in code.
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
pub use jwt::{Detached, JwtAlgorithm, JwtSpec, token_claims, token_key_id};
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
