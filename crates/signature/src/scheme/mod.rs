//! One way of proving a request, as data: what is signed, with what, and where the signature is.
//!
//! Invariants: pure descriptions with serde; the defaults are the safe ones (both sides of a timestamp are
//! checked unless the entry says `unchecked`). The parts of a scheme are in `place` (where the signature is),
//! `key`, `time` and `condition`. Next: `verifier`, which prepares and applies them.

use serde::{Deserialize, Serialize};

use crate::builders::BuildSpec;
use crate::jwt::JwtSpec;
use crate::template::{Expr, Template};

mod condition;
mod key;
mod place;
mod time;

pub use condition::{Charset, Condition, Requirement, SignSpec};
pub use key::{KeySpec, KeyStep, KeyWhen, PublicKeySpec};
pub use place::{EcdsaForm, Encoding, SignatureSpec, SplitSpec, Wrap};
pub use time::{TimestampSpec, TimestampUnit, Tolerance};

/// One scheme of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// The name shown in verdicts; the class when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of proof.
    pub class: Class,
    /// The hash function, for `hmac`, `hash`, the RSA classes and, when it is not the usual one, ECDSA.
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
    /// How `{built}` is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSpec>,
    /// What the class `jwt` accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtSpec>,
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
            Class::Jwt => match self.jwt.as_ref().and_then(|spec| spec.detached) {
                Some(_) => self.message.covers_body() || self.requires_body(),
                None => self.is_whole_body() || self.requires_body(),
            },
            _ => {
                self.message.covers_body()
                    || (self.message.uses(&Expr::Built)
                        && self.build.as_ref().is_some_and(BuildSpec::covers_body))
                    || self.requires_body()
                    || self.when.iter().any(Condition::means_empty_body)
            }
        }
    }

    /// Whether of all bodies only forms are signed. Another kind of body must not pass beside an empty form.
    pub(crate) fn signs_forms_only(&self) -> bool {
        self.reads(&Expr::SortedForm) && !self.message.uses(&Expr::Body) && !self.requires_body()
    }

    /// A requirement that only holds for some requests proves nothing about the others.
    fn requires_body(&self) -> bool {
        self.require.iter().any(|rule| rule.when.is_empty() && rule.equals.covers_body())
    }

    /// Whether the signature's text is the whole body, as with a token that is all that is sent.
    pub(crate) fn is_whole_body(&self) -> bool {
        self.signature
            .as_ref()
            .is_some_and(|spec| spec.at.iter().all(|place| place.single() == Some(&Expr::Body)))
    }

    /// Whether a valid signature proves what this template reads.
    pub(crate) fn signs(&self, place: &Template) -> bool {
        if matches!(self.class, Class::Token | Class::Basic | Class::None) {
            return false;
        }
        place.variables().all(|variable| match variable {
            Expr::Literal(_) => true,
            Expr::Claim(_) | Expr::Token => self.class == Class::Jwt,
            // The members of a token's header are signed with it.
            Expr::Field(_) if self.class == Class::Jwt => true,
            Expr::Json(_)
            | Expr::Form(_)
            | Expr::Part(_)
            | Expr::FirstKey(_)
            | Expr::SortedForm
            | Expr::Body => self.signs_body() || self.reads(variable),
            Expr::Query(_) => {
                self.reads(variable) || self.reads(&Expr::Url) || self.reads(&Expr::PathQuery)
            }
            other => self.reads(other),
        })
    }

    /// Whether a variable is part of the message, directly or through what is built.
    pub(crate) fn reads(&self, wanted: &Expr) -> bool {
        let built = self.build.as_ref().filter(|_| self.message.uses(&Expr::Built));
        self.message.uses(wanted)
            || built
                .is_some_and(|build| build.covers(wanted) || build.variables().contains(&wanted))
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
    /// ECDSA on P-256 over the message, with SHA-256 unless `digest` says otherwise.
    EcdsaP256,
    /// ECDSA on P-384 over the message, with SHA-384 unless `digest` says otherwise.
    EcdsaP384,
    /// RSA PKCS#1 v1.5 over the message.
    RsaPkcs1,
    /// RSA-PSS over the message.
    RsaPss,
    /// A JSON Web Token, whose claims may be bound to the request by `require`.
    Jwt,
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
            Class::EcdsaP384 => "ecdsa-p384",
            Class::RsaPkcs1 => "rsa-pkcs1",
            Class::RsaPss => "rsa-pss",
            Class::Jwt => "jwt",
            Class::Token => "token",
            Class::Basic => "basic",
            Class::None => "none",
        }
    }

    /// Whether every scheme of this class verifies with a public key.
    pub fn is_asymmetric(self) -> bool {
        matches!(
            self,
            Class::Ed25519 | Class::EcdsaP256 | Class::EcdsaP384 | Class::RsaPkcs1 | Class::RsaPss
        )
    }
}

/// Hash functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// MD5 (obsolete; some senders have never left it).
    Md5,
    /// SHA-1 (safe inside HMAC, obsolete elsewhere).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
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
