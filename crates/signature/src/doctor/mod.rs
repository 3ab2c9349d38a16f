//! Finding out why a request is refused, by trying what usually is wrong: one change after the other, each
//! judged by an ordinary verifier, so that nothing here knows how signatures work.
//!
//! Invariants: runs only when asked, never while a request is received; its work is bounded by trials and
//! bytes ([`Limits`]), and says so when it had to stop; a sentence says that something fits only if it was
//! verified; no signature is ever computed for showing. Deliberately absent: networks and clocks; a key that
//! must be fetched is not fetched.
//! Next: `bodies`, `urls`, `secrets`, `writing`, `providers` and `clock` have one kind of trial each.

mod bodies;
mod clock;
mod json_text;
mod parts;
mod providers;
mod secrets;
mod urls;
mod writing;

use std::cell::Cell;
use std::sync::Arc;

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::credentials::{Credentials, VerifierOptions};
use crate::entry::Entry;
use crate::explain::Explanation;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::request::RequestView;
use crate::scheme::Scheme;
use crate::verdict::Refusal;
use crate::verifier::Verifier;

/// How much work an explanation may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many changes are tried (default 4000).
    pub trials_max: u32,
    /// How many bytes are hashed (default 256 MiB); a body counts once for each secret and trial.
    pub bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { trials_max: 4_000, bytes_max: 256 << 20 }
    }
}

/// How much work an explanation was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Effort {
    /// How many changes were tried.
    pub trials: u32,
    /// How many bytes were hashed, at most.
    pub bytes: u64,
    /// Whether there was more to try when the limit was reached.
    pub cut_short: bool,
}

/// Explains requests with more knowledge than one verifier has: what else is configured, what was, and which
/// other providers there are.
#[derive(Debug, Clone)]
pub struct Doctor<'d> {
    verifier: &'d Verifier,
    others: Vec<(&'d str, &'d Verifier)>,
    former: Vec<(&'d Credentials, i64)>,
    catalogue: Option<&'d Catalogue>,
    limits: Limits,
}

impl<'d> Doctor<'d> {
    /// A doctor for the requests of one verifier.
    pub fn new(verifier: &'d Verifier) -> Self {
        Self {
            verifier,
            others: Vec::new(),
            former: Vec::new(),
            catalogue: None,
            limits: Limits::default(),
        }
    }

    /// Also tries what another source verifies with. Its name will be shown: give only sources of the same
    /// owner.
    #[must_use]
    pub fn other(mut self, name: &'d str, verifier: &'d Verifier) -> Self {
        self.others.push((name, verifier));
        self
    }

    /// Also tries credentials that were replaced, and when (unix seconds).
    #[must_use]
    pub fn former(mut self, credentials: &'d Credentials, until_s: i64) -> Self {
        self.former.push((credentials, until_s));
        self
    }

    /// Also compares the request with the other providers of a catalogue.
    #[must_use]
    pub fn catalogue(self, catalogue: &'d Catalogue) -> Self {
        Self { catalogue: Some(catalogue), ..self }
    }

    /// Works within other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        self.verifier
    }

    /// Verifies a request at this time (unix seconds) and says why the verdict is what it is.
    pub fn explain(&self, request: &RequestView<'_>, now_s: i64) -> Explanation {
        self.verifier.describe_verdict(request, now_s, |refusal| {
            let trials = Trials {
                doctor: self,
                verifier: self.verifier,
                request,
                now_s,
                effort: Cell::default(),
            };
            let found = trials.cause(refusal);
            (found, trials.effort.get())
        })
    }
}

/// Trying one change after the other against the same request.
pub(crate) struct Trials<'t> {
    doctor: &'t Doctor<'t>,
    verifier: &'t Verifier,
    request: &'t RequestView<'t>,
    now_s: i64,
    effort: Cell<Effort>,
}

impl Trials<'_> {
    fn cause(&self, refusal: Refusal) -> Finding {
        match refusal {
            Refusal::MissingSignature => self.missing(),
            Refusal::MalformedSignature | Refusal::UnsupportedSignature => self
                .encoding()
                .or_else(|| self.algorithm())
                .or_else(|| self.provider())
                .unwrap_or_else(|| malformed(refusal)),
            Refusal::SignatureMismatch => self.mismatch(),
            Refusal::BodyMismatch => self.body().unwrap_or_else(|| {
                finding(
                    LikelyCause::BodyChanged,
                    "The signature is right, but the body is not the one whose hash was signed.",
                    "Look for something between the sender and here that changes the body.",
                )
            }),
            Refusal::Stale | Refusal::FromFuture => self.clock(refusal),
            Refusal::MissingTimestamp | Refusal::MalformedTimestamp => self
                .unit()
                .or_else(|| self.provider())
                .unwrap_or_else(|| self.timestamp_missing(refusal)),
            Refusal::MissingCredential => self.other_source().unwrap_or_else(|| {
                finding(
                    LikelyCause::MissingCredential,
                    "No secret or key is configured, so nothing can be proven.",
                    "Copy the secret (or public key) from the provider's settings into the source.",
                )
            }),
            Refusal::MissingPart => self.provider().unwrap_or_else(|| self.part_missing()),
            Refusal::RepeatedHeader => self.repeated(),
            Refusal::UnsupportedBody => self.provider().unwrap_or_else(|| {
                finding(
                    LikelyCause::UnsupportedBody,
                    format!(
                        "{} signs other kinds of requests than this one ({}).",
                        self.verifier.entry.name,
                        self.kind()
                    ),
                    "Check the method and the content type.",
                )
            }),
            Refusal::KeyUnavailable
            | Refusal::UnknownKey
            | Refusal::UntrustedKeyUrl
            | Refusal::ClaimMismatch => self.key(refusal),
        }
    }

    fn missing(&self) -> Finding {
        self.other_header()
            .or_else(|| self.dropped())
            .or_else(|| self.provider())
            .or_else(|| self.named_like_one())
            .unwrap_or_else(|| {
                finding(
                    LikelyCause::MissingHeader,
                    format!(
                        "The request carries no signature at {}.",
                        self.verifier.places().join(" or ")
                    ),
                    "Check that a secret is set at the sender, and that no proxy in between drops the header.",
                )
            })
    }

    fn mismatch(&self) -> Finding {
        self.spelling()
            .or_else(|| self.other_source())
            .or_else(|| self.former())
            .or_else(|| self.key_steps())
            .or_else(|| self.url())
            .or_else(|| self.encoding())
            .or_else(|| self.algorithm())
            .or_else(|| self.body())
            .or_else(|| self.provider())
            .or_else(|| self.compression())
            .or_else(|| self.mode())
            .unwrap_or_else(|| self.plain_mismatch())
    }

    fn any_scheme(&self, test: impl Fn(&Scheme) -> bool) -> bool {
        self.verifier.entry.schemes.iter().any(test)
    }

    /// Takes from what may be spent; `false` if nothing is left.
    fn spend(&self, verifier: &Verifier, body_bytes: usize) -> bool {
        let mut effort = self.effort.get();
        let keys: usize = verifier.schemes.iter().map(|prepared| prepared.keys.len()).sum();
        let urls = verifier.entry.schemes.iter().map(|scheme| scheme.url_variants.len()).max();
        let hashed = (body_bytes + 256) * keys.max(1) * urls.unwrap_or(1).max(1);
        let bytes = effort.bytes.saturating_add(hashed as u64);
        let limits = self.doctor.limits;
        if effort.trials >= limits.trials_max || bytes > limits.bytes_max {
            self.effort.set(Effort { cut_short: true, ..effort });
            return false;
        }
        effort.trials += 1;
        effort.bytes = bytes;
        self.effort.set(effort);
        true
    }

    /// Whether a request passes with a verifier.
    fn judge(&self, verifier: &Verifier, request: &RequestView<'_>) -> bool {
        self.spend(verifier, request.body.len())
            && verifier.verify(request, self.now_s).is_genuine()
    }

    /// A verifier that takes every time; `None` if the credentials do not fit the entry, which only means
    /// that this is not the cause.
    fn lenient(
        &self,
        entry: Arc<Entry>,
        credentials: &Credentials,
        public_url: Option<String>,
    ) -> Option<Verifier> {
        let options = VerifierOptions {
            public_url,
            max_age_s: Some(u64::MAX),
            max_future_s: Some(u64::MAX),
            ..VerifierOptions::default()
        };
        Verifier::new(entry, credentials, &options).ok()
    }

    /// Whether the request passes with other credentials, whatever the time.
    fn passes_with(&self, credentials: &Credentials) -> bool {
        let url = self.verifier.public_url.clone();
        self.lenient(Arc::clone(&self.verifier.entry), credentials, url)
            .is_some_and(|verifier| self.judge(&verifier, self.request))
    }

    /// Whether the request passes with changed schemes, whatever the time.
    fn passes_with_schemes(&self, change: impl Fn(&mut Scheme)) -> bool {
        let mut entry = (*self.verifier.entry).clone();
        entry.schemes.iter_mut().for_each(change);
        let url = self.verifier.public_url.clone();
        self.lenient(Arc::new(entry), &self.verifier.credentials, url)
            .is_some_and(|verifier| self.judge(&verifier, self.request))
    }

    /// Method and content type, for a sentence.
    fn kind(&self) -> String {
        let kind = crate::scope::content_type(self.request);
        let kind = kind.as_deref().unwrap_or("no content type");
        format!("{} with {kind}", self.request.method)
    }
}

fn malformed(refusal: Refusal) -> Finding {
    if refusal == Refusal::UnsupportedSignature {
        finding(
            LikelyCause::UnsupportedVersion,
            "The signature's place is filled, but holds no signature of the supported version.",
            "Only an old or unknown version came; look at the sender's settings, or whether this is the right provider.",
        )
    } else {
        finding(
            LikelyCause::WrongEncoding,
            "The signature cannot be decoded.",
            "Check that the header arrived whole and that this is the right provider.",
        )
    }
}
