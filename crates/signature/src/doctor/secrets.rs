//! Other secrets, and the same secret treated otherwise.

use std::sync::Arc;

use super::Trials;
use crate::credentials::Credentials;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::scheme::{Class, KeySpec, KeyStep};
use crate::template::Expr;

const WHSEC: &str = "whsec_";

/// Takes away what does not belong to a secret.
type Change = fn(&str) -> &str;

impl Trials<'_> {
    fn has_secrets(&self) -> bool {
        !self.verifier.credentials.secrets.is_empty()
    }

    /// The configured secrets without what people paste around them.
    pub(super) fn spelling(&self) -> Option<Finding> {
        let given = &self.verifier.credentials;
        let changed = |change: Change| {
            let secrets: Vec<String> =
                given.secrets.iter().map(|secret| change(secret).to_owned()).collect();
            (secrets != given.secrets)
                .then(|| Credentials::new(secrets, given.public_keys.clone(), given.named.clone()))
        };
        let ways: [(Change, &str, &str); 2] = [
            (
                str::trim,
                "The signature fits once the white space around the configured secret is removed.",
                "Paste the secret again without spaces or line ends.",
            ),
            (
                |secret| secret.trim().trim_matches(['"', '\'']),
                "The signature fits once the quotation marks around the configured secret are removed.",
                "Paste the secret again without quotation marks.",
            ),
        ];
        let (_, sentence, hint) = ways.into_iter().find(|(change, _, _)| {
            changed(*change).is_some_and(|credentials| self.passes_with(&credentials))
        })?;
        Some(finding(LikelyCause::SecretWhitespace, sentence, hint))
    }

    /// What another source verifies with.
    pub(super) fn other_source(&self) -> Option<Finding> {
        let configured = if self.has_secrets() || !self.verifier.credentials.public_keys.is_empty()
        {
            "The configured secret does not fit, but"
        } else {
            "No secret is configured, but"
        };
        for (name, other) in &self.doctor.others {
            if self.passes_with(&other.credentials) {
                return Some(finding(
                    LikelyCause::OtherSource,
                    format!("{configured} this is signed with the secret of the source `{name}`."),
                    "Either the sender has the URL of the wrong source, or this source has the wrong secret.",
                ));
            }
        }
        for (name, other) in &self.doctor.others {
            if other.entry.slug == self.verifier.entry.slug || proves_nothing(other) {
                continue;
            }
            let url = other.public_url.clone();
            let passes = self
                .lenient(Arc::clone(&other.entry), &other.credentials, url)
                .is_some_and(|verifier| self.judge(&verifier, self.request));
            if passes {
                return Some(finding(
                    LikelyCause::OtherSource,
                    format!(
                        "This is a request for the source `{name}`: it is signed as {} does, with that source's secret.",
                        other.entry.name
                    ),
                    "The sender has the URL of the wrong source: give it the other one's.",
                ));
            }
        }
        None
    }

    /// What this source verified with before.
    pub(super) fn former(&self) -> Option<Finding> {
        let (_, until_s) =
            self.doctor.former.iter().find(|(credentials, _)| self.passes_with(credentials))?;
        let ago_s = self.now_s.saturating_sub(*until_s);
        let when = if ago_s >= 0 {
            format!("was replaced {ago_s} s before the request came")
        } else {
            "has been replaced since the request came".to_owned()
        };
        Some(finding(
            LikelyCause::FormerSecret,
            format!(
                "The configured secret does not fit, but this is signed with an older one, which {when}."
            ),
            "Set the new secret at the sender too; until then give both: every secret in the list is tried.",
        ))
    }

    /// The configured secrets, made into keys otherwise.
    pub(super) fn key_steps(&self) -> Option<Finding> {
        if !self.has_secrets() {
            return None;
        }
        let strip = || KeyStep::StripPrefix(WHSEC.to_owned());
        let prefixed =
            self.verifier.credentials.secrets.iter().any(|secret| secret.starts_with(WHSEC));
        let chains = [
            (vec![], if prefixed { "taken as it is, with `whsec_`" } else { "taken as it is" }),
            (vec![strip()], "taken as text, without `whsec_`"),
            (
                vec![strip(), KeyStep::Base64],
                if prefixed { "decoded as base64, without `whsec_`" } else { "decoded as base64" },
            ),
            (vec![KeyStep::Hex], "decoded from hexadecimal"),
            (vec![KeyStep::Sha256], "hashed with SHA-256 first"),
            (vec![KeyStep::Prepend(WHSEC.to_owned())], "given its prefix `whsec_` back"),
        ];
        let (_, how) = chains.into_iter().find(|(transform, _)| {
            self.passes_with_schemes(|scheme| {
                scheme.key = KeySpec { transform: transform.clone(), ..KeySpec::default() };
            })
        })?;
        Some(finding(
            LikelyCause::SecretPrefix,
            format!("The signature fits when the configured secret is {how}."),
            "The sender treats the secret differently from this provider's entry: choose the provider that really sends, or adapt an own entry.",
        ))
    }

    /// Test events are signed with another secret at many providers.
    pub(super) fn mode(&self) -> Option<Finding> {
        let body: serde_json::Value = serde_json::from_slice(self.request.body).ok()?;
        let said = TEST_MODE.iter().find(|(name, test)| {
            let value = body.get(name);
            match test {
                Said::Flag(flag) => value.and_then(serde_json::Value::as_bool) == Some(*flag),
                Said::Words(words) => {
                    let text = value.and_then(serde_json::Value::as_str).unwrap_or_default();
                    words.iter().any(|word| text.eq_ignore_ascii_case(word))
                }
            }
        });
        let (name, _) = said?;
        Some(finding(
            LikelyCause::TestOrLive,
            format!(
                "The configured secret does not fit, and the event says (`{name}`) that it is from test mode, which has a secret of its own."
            ),
            "Copy the secret of the test mode, or send from the live mode.",
        ))
    }

    pub(super) fn plain_mismatch(&self) -> Finding {
        let uses_url = self.any_scheme(|scheme| {
            let url =
                |expr: &Expr| matches!(expr, Expr::Url | Expr::Path | Expr::Host | Expr::PathQuery);
            scheme.message.variables().any(url)
        });
        let token = self.any_scheme(|scheme| matches!(scheme.class, Class::Token | Class::Basic));
        let hint = if token {
            "Compare the token with the one at the sender, character for character."
        } else if self.request.body.is_empty() {
            "The body is empty: if the sender sent one, something in between consumed it."
        } else if uses_url {
            "Compare the secret with the provider's settings, and the public URL with the one registered there, byte for byte."
        } else {
            "Compare the secret with the provider's settings, or look for something that changes the body on its way."
        };
        let credentials = &self.verifier.credentials;
        let keys = credentials.secrets.len() + credentials.public_keys.len();
        let sentence = match keys {
            0 | 1 => "The configured secret does not fit, and nothing else that was tried does: most probably the secret is another one.".to_owned(),
            keys => format!("None of the {keys} configured secrets fits, and nothing else that was tried does: most probably the secret is another one."),
        };
        finding(LikelyCause::WrongSecret, sentence, hint)
    }
}

enum Said {
    Flag(bool),
    Words(&'static [&'static str]),
}

/// How events say that they are from test mode.
const TEST_MODE: &[(&str, Said)] = &[
    ("livemode", Said::Flag(false)),
    ("live_mode", Said::Flag(false)),
    ("live", Said::Flag(false)),
    ("test", Said::Flag(true)),
    ("is_test", Said::Flag(true)),
    ("testmode", Said::Flag(true)),
    ("test_mode", Said::Flag(true)),
    ("sandbox", Said::Flag(true)),
    ("mode", Said::Words(&["test", "sandbox"])),
    ("env", Said::Words(&["test", "sandbox"])),
    ("environment", Said::Words(&["test", "sandbox"])),
];

/// Whether passing says nothing about who has sent.
pub(super) fn proves_nothing(verifier: &crate::verifier::Verifier) -> bool {
    verifier.entry.schemes.iter().any(|scheme| scheme.class == Class::None)
        || verifier.entry.schemes.is_empty()
}
