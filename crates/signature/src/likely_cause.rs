//! Guessing what is wrong with a refused request, by trying what usually is.
//!
//! Invariants: a guess is only called certain in its sentence when the changed request (or key) verifies;
//! every trial is an ordinary verifier over a changed entry, so that nothing here knows how signatures work.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::credentials::{Credentials, VerifierOptions};
use crate::entry::Entry;
use crate::request::RequestView;
use crate::scheme::{Class, Digest, Encoding, KeySpec, KeyStep, Scheme, UrlVariant};
use crate::template::{Expr, OneOrMany, Place};
use crate::url_text;
use crate::verdict::Refusal;
use crate::verifier::Verifier;

/// The usual reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LikelyCause {
    /// The signature's header is not there at all.
    MissingHeader,
    /// The signature is in another header than the entry says.
    WrongHeader,
    /// No secret fits, and nothing else explains it.
    WrongSecret,
    /// Genuine, but sent too long ago: a replay, a delay, or a clock that is wrong.
    Stale,
    /// Genuine, but from ahead of this clock.
    Future,
    /// The sender signed another body; the sentence says how it differed when that could be found.
    BodyChanged,
    /// The sender signed another URL; the sentence says which when that could be found.
    WrongUrl,
    /// The signature is written in another encoding or with another prefix.
    WrongEncoding,
    /// The signature is made with another hash function.
    WrongAlgorithm,
    /// The secret's prefix or encoding is treated otherwise by the sender.
    SecretPrefix,
    /// The secret has white space around it.
    SecretWhitespace,
    /// No secret or key is configured.
    MissingCredential,
    /// Another part of the signed text is not in the request.
    MissingPart,
    /// The timestamp is absent or not of the expected form.
    BadTimestamp,
    /// A header came twice, which no sender does.
    RepeatedHeader,
    /// The kind of body or method is one that the provider does not sign.
    UnsupportedBody,
    /// The signature is of a version that is not supported.
    UnsupportedVersion,
}

/// A guess with what to say and what to do.
pub(crate) struct Finding {
    pub cause: LikelyCause,
    pub sentence: String,
    pub hint: Option<String>,
}

fn finding(cause: LikelyCause, sentence: impl Into<String>, hint: &str) -> Finding {
    Finding { cause, sentence: sentence.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}

impl Verifier {
    pub(crate) fn likely_cause(
        &self,
        request: &RequestView<'_>,
        now_s: i64,
        refusal: Refusal,
    ) -> Finding {
        let trial = Trial { verifier: self, request, now_s };
        match refusal {
            Refusal::MissingSignature => trial.other_header().unwrap_or_else(|| {
                finding(
                    LikelyCause::MissingHeader,
                    format!("The request carries no signature at {}.", self.places().join(" or ")),
                    "Check that a secret is set at the sender, and that no proxy in between drops the header.",
                )
            }),
            Refusal::MalformedSignature | Refusal::UnsupportedSignature => {
                trial.encoding().unwrap_or_else(|| malformed(refusal))
            }
            Refusal::SignatureMismatch => trial.mismatch(),
            Refusal::BodyMismatch => trial.body().unwrap_or_else(|| {
                finding(
                    LikelyCause::BodyChanged,
                    "The signature is right, and the body is not the one whose hash was signed.",
                    "Look for something between the sender and here that changes the body.",
                )
            }),
            Refusal::Stale => finding(
                LikelyCause::Stale,
                "The signature is right, but the request was made too long ago.",
                "A replayed request, one that waited on its way, or a wrong clock here: compare the time with `date -u`. The tolerance can be set per source.",
            ),
            Refusal::FromFuture => finding(
                LikelyCause::Future,
                "The signature is right, but the request comes from the future.",
                "The clock here is behind, or the sender's is ahead: check time synchronisation.",
            ),
            Refusal::MissingTimestamp | Refusal::MalformedTimestamp => finding(
                LikelyCause::BadTimestamp,
                "The timestamp that the signature covers is absent or not of the expected form.",
                "Check that the provider is the right one, and that no proxy drops its headers.",
            ),
            Refusal::MissingCredential => finding(
                LikelyCause::MissingCredential,
                "No secret or key is configured, so nothing can be proven.",
                "Copy the secret (or public key) from the provider's settings into the source.",
            ),
            Refusal::MissingPart => finding(
                LikelyCause::MissingPart,
                "A header or field that is part of the signed text is absent.",
                "Check that the provider is the right one, and that no proxy drops its headers.",
            ),
            Refusal::RepeatedHeader => finding(
                LikelyCause::RepeatedHeader,
                "A header that must be single came more than once.",
                "Something between the sender and here adds headers; remove one of them.",
            ),
            Refusal::UnsupportedBody => finding(
                LikelyCause::UnsupportedBody,
                "The provider does not sign this kind of request.",
                "Check the method and the content type.",
            ),
        }
    }
}

fn malformed(refusal: Refusal) -> Finding {
    if refusal == Refusal::UnsupportedSignature {
        finding(
            LikelyCause::UnsupportedVersion,
            "The signature's header holds no signature of the supported version.",
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

/// Trying one change after the other against the same request.
struct Trial<'t> {
    verifier: &'t Verifier,
    request: &'t RequestView<'t>,
    now_s: i64,
}

impl Trial<'_> {
    fn mismatch(&self) -> Finding {
        self.secret()
            .or_else(|| self.body())
            .or_else(|| self.url())
            .or_else(|| self.encoding())
            .or_else(|| self.algorithm())
            .unwrap_or_else(|| self.plain_mismatch())
    }

    fn plain_mismatch(&self) -> Finding {
        let uses_url = self.any_scheme(|scheme| {
            scheme.message.variables().any(|expr| matches!(expr, Expr::Url | Expr::Path))
        });
        let hint = if self.request.body.is_empty() {
            "The body is empty: if the sender sent one, something in between consumed it."
        } else if uses_url {
            "Compare the secret with the provider's settings, and the public URL with the one registered there, byte for byte."
        } else {
            "Compare the secret with the provider's settings, or look for something that changes the body on its way."
        };
        finding(
            LikelyCause::WrongSecret,
            "No configured secret yields this signature: most probably the secret is another one.",
            hint,
        )
    }

    fn any_scheme(&self, test: impl Fn(&Scheme) -> bool) -> bool {
        self.verifier.entry.schemes.iter().any(test)
    }

    /// Whether the request passes with this entry, these credentials and this URL, whatever the time.
    fn passes(
        &self,
        entry: Arc<Entry>,
        credentials: &Credentials,
        request: &RequestView<'_>,
        public_url: Option<String>,
    ) -> bool {
        let options =
            VerifierOptions { public_url, max_age_s: Some(u64::MAX), max_future_s: Some(u64::MAX) };
        // A credential that does not fit the changed entry only means that this is not the cause.
        Verifier::new(entry, credentials, &options)
            .is_ok_and(|verifier| verifier.verify(request, self.now_s).is_genuine())
    }

    fn passes_with_request(&self, request: &RequestView<'_>) -> bool {
        self.passes(
            Arc::clone(&self.verifier.entry),
            &self.verifier.credentials,
            request,
            self.verifier.public_url.clone(),
        )
    }

    fn passes_with_schemes(&self, change: impl Fn(&mut Scheme)) -> bool {
        let mut entry = (*self.verifier.entry).clone();
        entry.schemes.iter_mut().for_each(change);
        self.passes(
            Arc::new(entry),
            &self.verifier.credentials,
            self.request,
            self.verifier.public_url.clone(),
        )
    }

    fn body(&self) -> Option<Finding> {
        let (_, difference) = body_variants(self.request.body)
            .into_iter()
            .find(|(body, _)| self.passes_with_request(&RequestView { body, ..*self.request }))?;
        Some(finding(
            LikelyCause::BodyChanged,
            format!("The sender signed the body {difference}: it was changed on its way here."),
            "Forward the raw bytes: look for a proxy, framework or tool that parses and rewrites bodies.",
        ))
    }

    fn url(&self) -> Option<Finding> {
        let registered =
            url_text::registered(self.verifier.public_url.as_deref(), self.request.url);
        let found = url_variants(&registered).into_iter().find(|url| {
            let request = RequestView { url, ..*self.request };
            self.passes(
                Arc::clone(&self.verifier.entry),
                &self.verifier.credentials,
                &request,
                None,
            )
        })?;
        Some(finding(
            LikelyCause::WrongUrl,
            format!("The sender signed the URL {found}, but {registered} was checked."),
            "Set the source's public URL to exactly what is registered at the provider.",
        ))
    }

    fn secret(&self) -> Option<Finding> {
        let given = &self.verifier.credentials;
        if given.secrets.is_empty() {
            return None;
        }
        let trimmed: Vec<String> =
            given.secrets.iter().map(|secret| secret.trim().to_owned()).collect();
        if trimmed != given.secrets {
            let changed = Credentials::new(trimmed, given.public_keys.clone(), given.named.clone());
            let url = self.verifier.public_url.clone();
            if self.passes(Arc::clone(&self.verifier.entry), &changed, self.request, url) {
                return Some(finding(
                    LikelyCause::SecretWhitespace,
                    "The secret fits once the white space around it is removed.",
                    "Paste the secret again without spaces or line ends.",
                ));
            }
        }
        let strip = || KeyStep::StripPrefix("whsec_".to_owned());
        let chains = [
            (vec![], "taken as it is, prefix included"),
            (vec![strip()], "taken as text without `whsec_`"),
            (vec![strip(), KeyStep::Base64], "decoded as base64 after `whsec_`"),
            (vec![KeyStep::Hex], "decoded from hexadecimal"),
        ];
        let (_, how) = chains.into_iter().find(|(transform, _)| {
            self.passes_with_schemes(|scheme| {
                scheme.key = KeySpec { transform: transform.clone(), when: Vec::new() };
            })
        })?;
        Some(finding(
            LikelyCause::SecretPrefix,
            format!("The signature fits when the secret is {how}."),
            "The sender treats the secret differently from this provider's entry: choose the provider that really sends, or adapt an own entry.",
        ))
    }

    fn encoding(&self) -> Option<Finding> {
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64url, Encoding::Base64Hex]
        {
            for keep_prefix in [true, false] {
                let passes = self.passes_with_schemes(|scheme| {
                    if let Some(spec) = &mut scheme.signature {
                        if matches!(scheme.class, Class::Token | Class::Basic) {
                            return;
                        }
                        spec.encoding = encoding;
                        if !keep_prefix {
                            spec.prefix = String::new();
                        }
                    }
                });
                if passes {
                    let prefix = if keep_prefix { "" } else { " and without its prefix" };
                    return Some(finding(
                        LikelyCause::WrongEncoding,
                        format!("The signature is right, but written in {encoding:?}{prefix}."),
                        "The sender writes signatures differently from this provider's entry: choose another provider or adapt an own entry.",
                    ));
                }
            }
        }
        None
    }

    fn algorithm(&self) -> Option<Finding> {
        let all = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];
        let digest = all.into_iter().find(|digest| {
            self.passes_with_schemes(|scheme| {
                if scheme.digest.is_some() {
                    scheme.digest = Some(*digest);
                }
            })
        })?;
        Some(finding(
            LikelyCause::WrongAlgorithm,
            format!("The signature is right, but made with {digest:?}."),
            "Choose the algorithm that the sender uses.",
        ))
    }

    /// The signature may be in another header: one with which it verifies, or one that is named like one.
    fn other_header(&self) -> Option<Finding> {
        let mut named_like_one = None;
        for name in self.request.headers.keys() {
            let Ok(place) = Place::parse(&format!("header:{name}")) else {
                continue;
            };
            let passes = self.passes_with_schemes(|scheme| {
                if let Some(spec) = &mut scheme.signature {
                    spec.at = OneOrMany::one(place.clone());
                }
            });
            if passes {
                return Some(finding(
                    LikelyCause::WrongHeader,
                    format!("The signature is right, but in the header {name}."),
                    "The sender uses another header than this provider's entry: choose another provider or adapt an own entry.",
                ));
            }
            let looks = ["signature", "hmac", "webhook-sig"]
                .iter()
                .any(|part| name.as_str().contains(part));
            if looks {
                named_like_one = Some(name);
            }
        }
        named_like_one.map(|name| {
            finding(
                LikelyCause::WrongHeader,
                format!(
                    "There is no signature at {}, but there is a header {name}.",
                    self.verifier.places().join(" or ")
                ),
                "Probably the request is from another provider than this source is for.",
            )
        })
    }
}

/// What bodies become on their way, undone.
fn body_variants(body: &[u8]) -> Vec<(Cow<'_, [u8]>, &'static str)> {
    let mut variants: Vec<(Cow<'_, [u8]>, &'static str)> = Vec::new();
    let trimmed = body.trim_ascii();
    variants.push((with(body, b"\n"), "with a line feed at the end"));
    variants.push((with(body, b"\r\n"), "with CR LF at the end"));
    if let Some(rest) = body.strip_suffix(b"\r\n") {
        variants.push((Cow::Borrowed(rest), "without the CR LF at the end"));
    }
    if let Some(rest) = body.strip_suffix(b"\n") {
        variants.push((Cow::Borrowed(rest), "without the line feed at the end"));
    }
    variants.push((Cow::Borrowed(trimmed), "without the white space around it"));
    if let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        variants.push((Cow::Borrowed(rest), "without the byte order mark"));
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let unix = text.replace("\r\n", "\n");
        let dos = unix.replace('\n', "\r\n");
        variants.push((owned(unix), "with LF line ends"));
        variants.push((owned(dos), "with CR LF line ends"));
    }
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let compact = json.to_string();
        variants.push((owned(spaced(&compact)), "as JSON with a space after each `:` and `,`"));
        variants.push((owned(compact.replace('/', "\\/")), "as compact JSON with escaped slashes"));
        variants.push((owned(compact), "as compact JSON"));
        if let Ok(pretty) = serde_json::to_string_pretty(&json) {
            variants.push((owned(pretty), "as JSON indented by two spaces"));
        }
    }
    variants.retain(|(changed, _)| &**changed != body);
    variants
}

fn with<'b>(body: &[u8], end: &[u8]) -> Cow<'b, [u8]> {
    Cow::Owned([body, end].concat())
}

fn owned<'b>(text: String) -> Cow<'b, [u8]> {
    Cow::Owned(text.into_bytes())
}

/// Compact JSON with a space after every colon and comma outside of strings.
fn spaced(compact: &str) -> String {
    let mut spaced = String::with_capacity(compact.len() * 2);
    let (mut in_string, mut escaped) = (false, false);
    for character in compact.chars() {
        spaced.push(character);
        if in_string {
            in_string = character != '"' || escaped;
            escaped = character == '\\' && !escaped;
        } else if character == '"' {
            in_string = true;
        } else if matches!(character, ':' | ',') {
            spaced.push(' ');
        }
    }
    spaced
}

/// URLs that people register instead of the one that is configured.
fn url_variants(url: &str) -> Vec<String> {
    let mut variants = Vec::new();
    let schemes = match url.split_once("://") {
        Some(("http", rest)) => vec![url.to_owned(), format!("https://{rest}")],
        Some(("https", rest)) => vec![url.to_owned(), format!("http://{rest}")],
        _ => vec![url.to_owned()],
    };
    for url in schemes {
        for variant in [
            UrlVariant::Exact,
            UrlVariant::WithDefaultPort,
            UrlVariant::WithoutPort,
            UrlVariant::Normalized,
        ] {
            let url = url_text::variant(&url, variant);
            let base = url_text::without_query(&url);
            let query = &url[base.len()..];
            let toggled = match base.strip_suffix('/') {
                Some(bare) => bare.to_owned(),
                None => format!("{base}/"),
            };
            variants.push(url.clone().into_owned());
            variants.push(format!("{toggled}{query}"));
            if !query.is_empty() {
                variants.push(base.to_owned());
                variants.push(toggled);
            }
        }
    }
    let unchanged = variants.first().cloned();
    variants.retain(|variant| Some(variant) != unchanged.as_ref());
    variants.dedup();
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_come_outside_of_strings_only() {
        assert_eq!(spaced(r#"{"a":"x:,\"y","b":[1,2]}"#), r#"{"a": "x:,\"y", "b": [1, 2]}"#);
    }

    #[test]
    fn variants_never_repeat_the_original() {
        let body = b"{\"a\": 1}\n";
        assert!(body_variants(body).iter().all(|(changed, _)| &**changed != body));
        let url = "https://a.example/x?y=1";
        let variants = url_variants(url);
        assert!(!variants.contains(&url.to_owned()));
        assert!(variants.contains(&"http://a.example/x/?y=1".to_owned()));
        assert!(variants.contains(&"https://a.example:443/x".to_owned()));
    }
}
