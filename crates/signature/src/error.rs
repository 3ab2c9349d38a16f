//! Errors of entries, credentials and signing. A refused request is no error: see `verdict`.

/// An entry that cannot be used, or credentials that do not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The text is not an entry: wrong TOML, unknown key, wrong value.
    #[error("the provider entry cannot be read: {message}")]
    Unreadable {
        /// What is wrong and where (line and column when the text was at hand).
        message: String,
    },
    /// The entry reads well and contradicts itself.
    #[error("provider entry `{slug}`: {message}")]
    Inconsistent {
        /// The entry's slug.
        slug: String,
        /// What does not fit, and what to write instead.
        message: String,
    },
    /// A secret, key or named credential has the wrong form for this entry. Never shows the value.
    #[error("credentials for `{slug}`: {message}")]
    Credential {
        /// The entry's slug.
        slug: String,
        /// Which credential, counted from 1, and what is expected of it.
        message: String,
    },
    /// A parameter that the entry does not have, or a value it cannot take.
    #[error("parameter `{name}` of `{slug}`: {message}")]
    Parameter {
        /// The entry's slug.
        slug: String,
        /// The parameter's name.
        name: String,
        /// What is wrong, and which names or values exist.
        message: String,
    },
}

impl EntryError {
    /// A stable code for logs and `--json`.
    pub fn code(&self) -> &'static str {
        match self {
            EntryError::Unreadable { .. } => "entry_unreadable",
            EntryError::Inconsistent { .. } => "entry_inconsistent",
            EntryError::Credential { .. } => "credential_unusable",
            EntryError::Parameter { .. } => "parameter_unusable",
        }
    }
}

/// Why a request could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No scheme of the entry fits the request's method and content type.
    #[error(
        "no scheme of `{slug}` signs this kind of request: check the method and the content type"
    )]
    NoScheme {
        /// The entry's slug.
        slug: String,
    },
    /// The scheme needs a secret or a private key.
    #[error("`{slug}` signs with {needed}: give it as a secret")]
    MissingCredential {
        /// The entry's slug.
        slug: String,
        /// What kind of key is needed.
        needed: &'static str,
    },
    /// The private key has the wrong form.
    #[error("the private key cannot be used: {message}")]
    PrivateKey {
        /// What is expected.
        message: String,
    },
    /// A part of the signed text is not in the request.
    #[error("`{part}` is part of the signed text and is not in the request: add it")]
    MissingPart {
        /// The variable as the entry writes it.
        part: String,
    },
    /// The scheme can be verified and not signed here.
    #[error("signing with {class} is not supported: use the provider's own tools")]
    Unsupported {
        /// The class of the scheme.
        class: &'static str,
    },
}

impl SignError {
    /// A stable code for logs and `--json`.
    pub fn code(&self) -> &'static str {
        match self {
            SignError::NoScheme { .. } => "no_scheme",
            SignError::MissingCredential { .. } => "missing_credential",
            SignError::PrivateKey { .. } => "private_key_unusable",
            SignError::MissingPart { .. } => "missing_part",
            SignError::Unsupported { .. } => "signing_unsupported",
        }
    }
}
