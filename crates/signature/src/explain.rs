//! Saying what was checked, what was expected and what is probably wrong, in the operator's words.
//!
//! Invariants: for the operator only; never shows a secret (tokens and the secret inside a hashed message are
//! replaced), and never a signature that was computed here: those are in a type of their own, which only
//! tools that have the secrets at hand ask for. Slow by design. Next: `doctor`, which finds the cause.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::candidates::Texts;
use crate::doctor::{Doctor, Effort};
use crate::encoding;
use crate::hashing::MacKey;
use crate::judging::{hmac_tag, plain_hash};
use crate::keys::Key;
use crate::likely_cause::{Finding, LikelyCause};
use crate::request::RequestView;
use crate::scheme::{Class, Scheme, Tolerance, UrlVariant};
use crate::scope::Scope;
use crate::timestamp;
use crate::url_text;
use crate::verdict::{Refusal, Verdict};
use crate::verifier::{Verifier, timestamp_text};

const SIGNED_TEXT_BYTES_MAX: usize = 4096;

/// Everything known about the verification of one request.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The entry's slug.
    pub provider: String,
    /// The scheme that decided; `None` when none applied.
    pub scheme: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// The text over which the signature is made.
    pub signed_text: Option<SignedText>,
    /// The signature's text as it came, one per place.
    pub signature_received: Vec<String>,
    /// The signed time of sending.
    pub timestamp: Option<TimestampReport>,
    /// Which secret fitted, counted from 0.
    pub secret_index: Option<usize>,
    /// The most probable reason for a refusal.
    pub likely_cause: Option<LikelyCause>,
    /// The same as a sentence; for genuine requests what a genuine verdict does not prove, if anything.
    pub sentence: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How much was tried to find the cause.
    pub effort: Effort,
}

/// An explanation with the signatures that would have passed. For tools that were given the secrets; whatever
/// answers other people has no use for it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplanationWithSignatures {
    /// The explanation.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What the signature would be, one per configured secret, as the provider writes it.
    pub signature_expected: Vec<String>,
}

/// One step of verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it was as it must be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// The signed text, cut to its first 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedText {
    /// As the entry writes it.
    pub template: String,
    /// As text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// The same bytes in hex.
    pub hex: String,
    /// The whole length in bytes.
    pub length_bytes: usize,
    /// Whether `text` and `hex` are only the beginning.
    pub cut: bool,
}

/// The timestamp and the clock it was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimestampReport {
    /// The text as it came.
    pub text: String,
    /// In unix seconds; `None` when it is not of the scheme's form.
    pub sent_s: Option<i64>,
    /// The clock of the verification, in unix seconds.
    pub now_s: i64,
    /// How old it is, in seconds; negative when it lies ahead.
    pub age_s: Option<i64>,
    /// How old it may be, in seconds; `None` when that is not checked.
    pub max_age_s: Option<u64>,
    /// How far ahead it may be, in seconds; `None` when that is not checked.
    pub max_future_s: Option<u64>,
}

impl Verifier {
    /// Verifies a request and says why the verdict is what it is. For tools and people, not for the hot path.
    /// A [`Doctor`] knows more.
    pub fn explain(&self, request: &RequestView<'_>, now_s: i64) -> Explanation {
        Doctor::new(self).explain(request, now_s)
    }

    /// The signatures that would have passed, one per configured secret, as the provider writes them.
    pub(crate) fn expected_signatures(&self, request: &RequestView<'_>) -> Vec<String> {
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let Ok((index, texts)) = self.choose(request, &url) else {
            return Vec::new();
        };
        let scheme = &self.entry.schemes[index];
        if matches!(scheme.class, Class::Token | Class::Basic) {
            return Vec::new();
        }
        let scope = self.scope(request, &url, scheme, &texts);
        let stamp = timestamp_text(&scope, scheme).ok().flatten();
        let scope = Scope { timestamp: stamp.as_deref(), ..scope };
        expected(&scope, scheme, &self.schemes[index].keys)
    }

    /// Describes the verdict; a refusal's cause is found by `cause`.
    pub(crate) fn describe_verdict(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
        cause: impl FnOnce(Refusal) -> (Finding, Effort),
    ) -> Explanation {
        let verdict = self.verify(request, now_s);
        let url = url_text::registered(self.public_url.as_deref(), request.url);
        let mut explanation = Explanation {
            provider: self.entry.slug.clone(),
            scheme: None,
            steps: Vec::new(),
            signed_text: None,
            signature_received: Vec::new(),
            timestamp: None,
            secret_index: match &verdict {
                Verdict::Genuine(genuine) => genuine.secret_index,
                Verdict::Refused(_) => None,
            },
            likely_cause: None,
            sentence: String::new(),
            hint: None,
            effort: Effort::default(),
            verdict,
        };
        match self.choose(request, &url) {
            Ok((index, texts)) => {
                self.describe(index, &texts, request, &url, now_s, &mut explanation)
            }
            Err(refusal) => explanation.step(
                "scheme",
                false,
                match refusal {
                    Refusal::MissingSignature => {
                        format!("no signature at {}", self.places().join(" or "))
                    }
                    other => format!("no scheme decides: {other}"),
                },
            ),
        }
        match &explanation.verdict {
            Verdict::Genuine(_) => {
                explanation.sentence = match crate::entry::unsigned_body_warning(&self.entry) {
                    None => "The request is genuine and unchanged.".to_owned(),
                    Some(warning) => format!("The request passed, but {warning}."),
                };
            }
            Verdict::Refused(refusal) => {
                let (Finding { cause, sentence, hint }, effort) = cause(*refusal);
                explanation.effort = effort;
                explanation.likely_cause = Some(cause);
                explanation.sentence = sentence;
                explanation.hint = hint;
            }
        }
        explanation
    }

    /// Every place where a signature is expected, as the entry writes it.
    pub(crate) fn places(&self) -> Vec<String> {
        let specs = self.entry.schemes.iter().filter_map(|scheme| scheme.signature.as_ref());
        let mut places: Vec<String> =
            specs.flat_map(|spec| spec.at.iter().map(ToString::to_string)).collect();
        places.dedup();
        places
    }

    fn describe<'a>(
        &'a self,
        index: usize,
        texts: &'a Texts<'a>,
        request: &RequestView<'a>,
        url: &'a str,
        now_s: i64,
        explanation: &mut Explanation,
    ) {
        let scheme = &self.entry.schemes[index];
        let prepared = &self.schemes[index];
        explanation.scheme = Some(prepared.name.to_string());
        explanation.step(
            "scheme",
            true,
            format!("`{}` decides ({})", prepared.name, scheme.class.name()),
        );
        let shows_secret = matches!(scheme.class, Class::Token | Class::Basic);
        for text in texts.iter().flatten() {
            explanation.signature_received.push(if shows_secret {
                format!("({} characters, not shown)", text.chars().count())
            } else {
                text.to_string()
            });
        }
        let scope = self.scope(request, url, scheme, texts);
        let (stamp, report) = match timestamp_text(&scope, scheme) {
            Ok(None) => (None, None),
            Ok(Some(text)) => {
                let report =
                    timestamp_report(scheme, prepared.max_age, prepared.max_future, &text, now_s);
                (Some(text), Some(report))
            }
            Err(refusal) => {
                explanation.step("timestamp", false, refusal.to_string());
                (None, None)
            }
        };
        let scope = Scope { timestamp: stamp.as_deref(), ..scope };
        if scheme.signature.is_some() && !shows_secret {
            explanation.signed_text = self.signed_text(&scope, scheme);
        }
        let secrets = prepared.keys.len();
        let matched = explanation.secret_index.is_some();
        let signature_fits = matches!(
            explanation.verdict,
            Verdict::Genuine(_)
                | Verdict::Refused(
                    Refusal::Stale
                        | Refusal::FromFuture
                        | Refusal::BodyMismatch
                        | Refusal::MalformedTimestamp
                )
        );
        if scheme.class != Class::None {
            let detail = match explanation.secret_index {
                Some(index) if matched => format!("key {} of {secrets} fits", index + 1),
                _ if signature_fits => format!("one of {secrets} keys fits"),
                _ => format!("none of {secrets} keys fits"),
            };
            explanation.step("signature", signature_fits, detail);
        }
        if let Some(report) = report {
            let ok = !matches!(
                explanation.verdict,
                Verdict::Refused(
                    Refusal::Stale | Refusal::FromFuture | Refusal::MalformedTimestamp
                )
            );
            let detail = match report.age_s {
                Some(age) if age >= 0 => format!("sent {age} s ago"),
                Some(age) => format!("sent {} s ahead of this clock", -age),
                None => format!("`{}` is not of the expected form", report.text),
            };
            explanation.step("timestamp", ok, detail);
            explanation.timestamp = Some(report);
        }
    }

    /// The signed text with every secret in it replaced by its name.
    fn signed_text(&self, scope: &Scope<'_>, scheme: &Scheme) -> Option<SignedText> {
        let hidden: BTreeMap<String, String> =
            self.credentials.named.keys().map(|name| (name.clone(), format!("[{name}]"))).collect();
        let first = scheme.url_variants.first().copied().unwrap_or(UrlVariant::Exact);
        let url = url_text::variant(scope.url, first);
        let shown =
            Scope { url: &url, named: &hidden, secret: Some(b"[secret]"), hmac: None, ..*scope };
        let whole = shown.render(&scheme.message).ok()?;
        let beginning = &whole[..whole.len().min(SIGNED_TEXT_BYTES_MAX)];
        Some(SignedText {
            template: scheme.message.to_string(),
            text: String::from_utf8_lossy(beginning).into_owned(),
            hex: hex::encode(beginning),
            length_bytes: whole.len(),
            cut: beginning.len() < whole.len(),
        })
    }
}

impl Doctor<'_> {
    /// The same with the signatures that would have passed; see [`ExplanationWithSignatures`].
    pub fn explain_with_signatures(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
    ) -> ExplanationWithSignatures {
        ExplanationWithSignatures {
            explanation: self.explain(request, now_s),
            signature_expected: self.verifier().expected_signatures(request),
        }
    }
}

impl Explanation {
    fn step(&mut self, name: &'static str, ok: bool, detail: String) {
        self.steps.push(Step { name, ok, detail });
    }
}

fn timestamp_report(
    scheme: &Scheme,
    max_age: Tolerance,
    max_future: Tolerance,
    text: &str,
    now_s: i64,
) -> TimestampReport {
    let unit = scheme.timestamp.as_ref().map(|spec| spec.unit).unwrap_or_default();
    let sent_s = timestamp::parse(text, unit);
    let limit = |tolerance| match tolerance {
        Tolerance::Seconds(seconds) => Some(seconds),
        Tolerance::Unchecked => None,
    };
    TimestampReport {
        text: text.to_owned(),
        sent_s,
        now_s,
        age_s: sent_s.map(|sent| now_s.saturating_sub(sent)),
        max_age_s: limit(max_age),
        max_future_s: limit(max_future),
    }
}

/// The signatures that would have passed, written as the provider writes them.
fn expected(scope: &Scope<'_>, scheme: &Scheme, keys: &[Key]) -> Vec<String> {
    let Some(spec) = &scheme.signature else {
        return Vec::new();
    };
    let variant = scheme.url_variants.first().copied().unwrap_or(UrlVariant::Exact);
    let url = url_text::variant(scope.url, variant);
    let scope = Scope { url: &url, ..*scope };
    keys.iter()
        .filter_map(|key| {
            let bytes = match key {
                Key::Hmac(key) => tag(&scope, scheme, key)?,
                Key::Bytes(secret) => {
                    let scope = Scope { secret: Some(secret), ..scope };
                    plain_hash(&scope, scheme).ok()?.as_ref().to_vec()
                }
                Key::TokenHash(_) | Key::Public(_) | Key::Jwt(_) => return None,
            };
            let text = encoding::encode(&bytes, spec.encoding);
            Some(format!("{}{text}", spec.prefix))
        })
        .collect()
}

fn tag(scope: &Scope<'_>, scheme: &Scheme, key: &MacKey) -> Option<Vec<u8>> {
    Some(hmac_tag(scope, &scheme.message, key).ok()?.as_ref().to_vec())
}
