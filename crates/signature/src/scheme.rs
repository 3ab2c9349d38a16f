//! One way of proving a request, as data: what is signed, with what, and where the signature is.
//!
//! Invariants: pure descriptions with serde; the defaults are the safe ones (both sides of a timestamp are
//! checked unless the entry says `unchecked`). Next: `verifier`, which prepares and applies them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::template::{Expr, OneOrMany, Place, Template};

/// One scheme of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// The name shown in verdicts; the class when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of proof.
    pub class: Class,
    /// The hash function, for `hmac`, `hash` and the RSA classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When this scheme applies; all must hold. Always, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// A secret composed of named credentials (`{credential:user}:{credential:password}`), tried after the given ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Template>,
    /// Where the signature or token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureSpec>,
    /// What is signed.
    #[serde(default = "Template::body")]
    pub message: Template,
    /// The forms of `{url}` that are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub url_variants: Vec<UrlVariant>,
    /// The time of sending, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampSpec>,
    /// How the secret becomes the key.
    #[serde(default)]
    pub key: KeySpec,
    /// Public keys that are the same for everybody.
    #[serde(default)]
    pub public_key: PublicKeySpec,
    /// What must hold besides the signature, such as a signed hash that equals the body's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Requirement>,
    /// What is added to a request before it is signed by us.
    #[serde(default)]
    pub sign: SignSpec,
}

impl Scheme {
    /// The name shown in verdicts.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.class.name())
    }

    /// Whether a valid signature proves the body.
    pub fn signs_body(&self) -> bool {
        match self.class {
            Class::Token | Class::Basic | Class::None => false,
            _ => {
                self.message.covers_body()
                    || self.require.iter().any(|rule| rule.equals.covers_body())
                    || self.when.iter().any(Condition::means_empty_body)
            }
        }
    }

    /// Whether a valid signature proves what this template reads.
    pub(crate) fn signs(&self, place: &Template) -> bool {
        if matches!(self.class, Class::Token | Class::Basic | Class::None) {
            return false;
        }
        place.variables().all(|variable| match variable {
            Expr::Json(_) | Expr::Form(_) | Expr::Body => self.signs_body(),
            Expr::Query(_) => self.message.variables().any(|signed| *signed == Expr::Url),
            other => self.message.variables().any(|signed| signed == other),
        })
    }
}

/// The kinds of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A keyed hash over the message.
    Hmac,
    /// A plain hash over a message that contains the secret.
    Hash,
    /// Ed25519 over the message.
    Ed25519,
    /// ECDSA on P-256 with SHA-256 over the message.
    EcdsaP256,
    /// RSA PKCS#1 v1.5 over the message.
    RsaPkcs1,
    /// RSA-PSS over the message.
    RsaPss,
    /// The secret itself is sent.
    Token,
    /// HTTP Basic: user and password are sent.
    Basic,
    /// Nothing is proven.
    None,
}

impl Class {
    /// The name as written in entries.
    pub fn name(self) -> &'static str {
        match self {
            Class::Hmac => "hmac",
            Class::Hash => "hash",
            Class::Ed25519 => "ed25519",
            Class::EcdsaP256 => "ecdsa-p256",
            Class::RsaPkcs1 => "rsa-pkcs1",
            Class::RsaPss => "rsa-pss",
            Class::Token => "token",
            Class::Basic => "basic",
            Class::None => "none",
        }
    }

    /// Whether the scheme verifies with a public key.
    pub fn is_asymmetric(self) -> bool {
        matches!(self, Class::Ed25519 | Class::EcdsaP256 | Class::RsaPkcs1 | Class::RsaPss)
    }
}

/// Hash functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-1 (safe inside HMAC, obsolete elsewhere).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Where the signature is and how it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// The places, all of which are read: `header:`, `query:`, `json:` or `form:` and a name.
    pub at: OneOrMany<Place>,
    /// How one text holds several signatures or other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSpec>,
    /// What stands before the encoded signature; texts without it are no signatures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How an ECDSA signature is laid out.
    #[serde(default)]
    pub form: EcdsaForm,
}

/// How a signature text is taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// What separates the items; the whole text is one item when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// What separates an item's key from its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// The keys whose values are signatures; all of them are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<OneOrMany<String>>,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64, with or without padding.
    Base64,
    /// The URL-safe alphabet, with or without padding.
    Base64url,
    /// Base64 of the hexadecimal text.
    Base64Hex,
    /// As it is (tokens).
    Plain,
}

/// The layout of an ECDSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EcdsaForm {
    /// ASN.1 DER.
    #[default]
    Der,
    /// Two numbers of 32 bytes.
    Raw,
}

/// The forms of the public URL that senders sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlVariant {
    /// As configured, byte for byte.
    Exact,
    /// With `:443` or `:80` when there is no port.
    WithDefaultPort,
    /// Without any port.
    WithoutPort,
    /// Without the query.
    WithoutQuery,
    /// As the URL standard writes it.
    Normalized,
}

/// The time of sending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// Where it is: `header:NAME`, `field:KEY` of the signature, `json:PATH`, `query:NAME`.
    pub at: Place,
    /// How it is written.
    #[serde(default)]
    pub unit: TimestampUnit,
    /// How old it may be, in seconds, or `"unchecked"`.
    #[serde(default)]
    pub max_age_s: Tolerance,
    /// How far ahead it may be, in seconds, or `"unchecked"`.
    #[serde(default)]
    pub max_future_s: Tolerance,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Unix seconds.
    #[default]
    S,
    /// Unix milliseconds.
    Ms,
    /// RFC 3339; a time without zone is UTC.
    Rfc3339,
    /// The date format of HTTP headers.
    HttpDate,
}

/// One side of a timestamp's tolerance. 300 seconds unless the entry says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// At most this many seconds.
    Seconds(u64),
    /// This side is not checked.
    Unchecked,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance::Seconds(300)
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tolerance::Seconds(seconds) => serializer.serialize_u64(*seconds),
            Tolerance::Unchecked => serializer.serialize_str("unchecked"),
        }
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsOrWord;

        impl Visitor<'_> for SecondsOrWord {
            type Value = Tolerance;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number of seconds or \"unchecked\"")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Tolerance, E> {
                u64::try_from(seconds)
                    .map(Tolerance::Seconds)
                    .map_err(|_| E::custom("a tolerance cannot be negative"))
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Tolerance, E> {
                Ok(Tolerance::Seconds(seconds))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Tolerance, E> {
                if word == "unchecked" {
                    Ok(Tolerance::Unchecked)
                } else {
                    Err(E::invalid_value(Unexpected::Str(word), &self))
                }
            }
        }

        deserializer.deserialize_any(SecondsOrWord)
    }
}

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

/// One step from secret to key, written as `base64`, `hex`, `sha1`, `sha256`, `trim` or `strip_prefix:TEXT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyStep {
    /// Removes white space at both ends.
    Trim,
    /// Removes this text from the start if it is there.
    StripPrefix(String),
    /// Decodes base64 (either alphabet, with or without padding).
    Base64,
    /// Decodes hexadecimal.
    Hex,
    /// Takes the SHA-1 of what is there.
    Sha1,
    /// Takes the SHA-256 of what is there.
    Sha256,
}

impl TryFrom<String> for KeyStep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(prefix) = text.strip_prefix("strip_prefix:") {
            return Ok(KeyStep::StripPrefix(prefix.to_owned()));
        }
        match text.as_str() {
            "trim" => Ok(KeyStep::Trim),
            "base64" => Ok(KeyStep::Base64),
            "hex" => Ok(KeyStep::Hex),
            "sha1" => Ok(KeyStep::Sha1),
            "sha256" => Ok(KeyStep::Sha256),
            _ => Err(format!(
                "`{text}` is no key step: use trim, strip_prefix:TEXT, base64, hex, sha1 or sha256"
            )),
        }
    }
}

impl From<KeyStep> for String {
    fn from(step: KeyStep) -> Self {
        match step {
            KeyStep::Trim => "trim".to_owned(),
            KeyStep::StripPrefix(prefix) => format!("strip_prefix:{prefix}"),
            KeyStep::Base64 => "base64".to_owned(),
            KeyStep::Hex => "hex".to_owned(),
            KeyStep::Sha1 => "sha1".to_owned(),
            KeyStep::Sha256 => "sha256".to_owned(),
        }
    }
}

/// Public keys that an entry brings along.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeySpec {
    /// Keys the provider has published, tried after the given ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builtin: Vec<String>,
}

/// A condition on a request; every part that is given must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is looked at; a place that is absent counts as absent, not as empty.
    pub at: Place,
    /// The text, or one of the texts, it must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<OneOrMany<String>>,
    /// The named credential it must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals_credential: Option<String>,
    /// Whether it must be there (true) or must not (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Whether it must have at least one byte (false) or none (true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
    /// Which characters it may consist of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<Charset>,
}

impl Condition {
    fn means_empty_body(&self) -> bool {
        self.empty == Some(true) && self.at.variables().eq([&Expr::Body])
    }
}

/// Sets of characters for [`Condition::charset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    /// 1 to 256 letters, digits, `-`, `_`, `.`, `=`, `+`, `/`: no text that could be a signed message.
    Token,
    /// Digits only.
    Digits,
}

/// Something that must hold besides the signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What is looked at.
    pub at: Place,
    /// What it must equal, compared without regard to case when both are hexadecimal texts.
    pub equals: Template,
}

/// What signing adds to a request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    /// When this scheme is chosen for signing, looked at before anything is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// Query parameters that are appended to the URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_query: BTreeMap<String, Template>,
    /// Headers that are added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, Template>,
}
