//! From what the operator gives to the key: steps for secrets, and where public keys come from.

use serde::{Deserialize, Serialize};

use crate::fetched::FetchSpec;

/// How a secret becomes the key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Steps in order; the secret's UTF-8 bytes are the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<KeyStep>,
    /// Other steps for secrets with a certain prefix; the first that fits is taken instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<KeyWhen>,
    /// Several chains of steps instead of one; each that can be applied to a secret makes a key, all are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Vec<KeyStep>>,
}

/// Steps for secrets that begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyWhen {
    /// The prefix, which stays on the secret unless a step strips it.
    pub prefix: String,
    /// The steps.
    pub transform: Vec<KeyStep>,
}

/// One step from secret to key, written as `base64`, `sha256`, `strip_prefix:TEXT` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyStep {
    /// Removes white space at both ends.
    Trim,
    /// Removes this text from the start if it is there.
    StripPrefix(String),
    /// Adds this text at the end.
    Append(String),
    /// Adds this text at the start.
    Prepend(String),
    /// Writes ASCII letters in lower case.
    Lower,
    /// Unicode's compatibility decomposition (NFKD).
    Nfkd,
    /// Decodes base64 (either alphabet, with or without padding).
    Base64,
    /// Decodes hexadecimal.
    Hex,
    /// Takes the MD5 of what is there.
    Md5,
    /// Takes the SHA-1 of what is there.
    Sha1,
    /// Takes the SHA-256 of what is there.
    Sha256,
    /// Takes the SHA-512 of what is there.
    Sha512,
}

/// The steps that take no text.
const PLAIN_STEPS: [(&str, KeyStep); 9] = [
    ("trim", KeyStep::Trim),
    ("base64", KeyStep::Base64),
    ("hex", KeyStep::Hex),
    ("lower", KeyStep::Lower),
    ("nfkd", KeyStep::Nfkd),
    ("md5", KeyStep::Md5),
    ("sha1", KeyStep::Sha1),
    ("sha256", KeyStep::Sha256),
    ("sha512", KeyStep::Sha512),
];

impl TryFrom<String> for KeyStep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some((name, argument)) = text.split_once(':') {
            let argument = argument.to_owned();
            match name {
                "strip_prefix" => return Ok(KeyStep::StripPrefix(argument)),
                "append" => return Ok(KeyStep::Append(argument)),
                "prepend" => return Ok(KeyStep::Prepend(argument)),
                _ => {}
            }
        }
        let found = PLAIN_STEPS.iter().find(|(name, _)| *name == text);
        found.map(|(_, step)| step.clone()).ok_or_else(|| {
            let known = PLAIN_STEPS.each_ref().map(|(name, _)| *name).join(", ");
            format!(
                "`{text}` is no key step: use {known}, strip_prefix:TEXT, append:TEXT or prepend:TEXT"
            )
        })
    }
}

impl From<KeyStep> for String {
    fn from(step: KeyStep) -> Self {
        match step {
            KeyStep::StripPrefix(text) => format!("strip_prefix:{text}"),
            KeyStep::Append(text) => format!("append:{text}"),
            KeyStep::Prepend(text) => format!("prepend:{text}"),
            plain => PLAIN_STEPS
                .iter()
                .find(|(_, step)| *step == plain)
                .map_or_else(String::new, |(name, _)| (*name).to_owned()),
        }
    }
}

/// Public keys that an entry brings along.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeySpec {
    /// Keys the provider has published, tried after the given ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builtin: Vec<String>,
    /// Where the provider publishes its keys; asked only when there are no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<FetchSpec>,
}
