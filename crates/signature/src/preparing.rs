//! Making an entry's schemes ready for use: every key is read once, when the verifier is made.
//!
//! Invariants: errors name the credential by its position and never show its value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::credentials::{Credentials, VerifierOptions};
use crate::entry::Entry;
use crate::error::EntryError;
use crate::keys::{self, Key};
use crate::request::RequestView;
use crate::scheme::{Class, Scheme, Tolerance};
use crate::scope::Scope;
use crate::template::{Expr, Template};

/// What is prepared of one scheme; its index is that of the entry's list.
pub(crate) struct Prepared {
    pub name: Arc<str>,
    pub keys: Vec<Key>,
    /// For each key, which of the given secrets or public keys it is made of.
    pub givens: Vec<usize>,
    pub max_age: Tolerance,
    pub max_future: Tolerance,
    /// The timestamp's text is spliced into the message, so that it must be there first.
    pub signs_stamp: bool,
    /// Public keys that this scheme cannot use, by position, with the reason.
    pub misfits: Vec<(usize, String)>,
    /// Of all bodies only forms are signed.
    pub forms_only: bool,
    /// There is no key yet, and the entry says where to fetch it.
    pub fetches: bool,
    /// The operator gave keys for other schemes of this entry and none for this one.
    pub unused: bool,
}

pub(crate) fn prepare(
    entry: &Entry,
    scheme: &Scheme,
    credentials: &Credentials,
    options: &VerifierOptions,
) -> Result<Prepared, EntryError> {
    let unusable = |what: String, message: String| EntryError::Credential {
        slug: entry.slug.clone(),
        message: format!("{what}: {message}"),
    };
    let (mut prepared_keys, mut givens) = (Vec::new(), Vec::new());
    let mut count = 0;
    let mut add = |keys: Vec<Key>| {
        givens.extend(keys.iter().map(|_| count));
        prepared_keys.extend(keys);
        count += 1;
    };
    if scheme.takes_secrets() {
        for (index, text) in credentials.secrets.iter().enumerate() {
            add(keys::prepare_secret(text, scheme)
                .map_err(|message| unusable(format!("secret {}", index + 1), message))?);
        }
        if let Some(composed) = composed_secret(scheme, &credentials.named) {
            add(keys::prepare_secret(&composed, scheme)
                .map_err(|message| unusable("the named credentials".to_owned(), message))?);
        }
    }
    let mut misfits = Vec::new();
    if scheme.takes_public_keys() {
        let keys = credentials.public_keys.iter();
        for (index, text) in keys.chain(&scheme.public_key.builtin).enumerate() {
            match keys::prepare_public(text, scheme) {
                Ok(key) => add(vec![key]),
                Err(message) => {
                    misfits.push((index, message));
                    add(Vec::new());
                }
            }
        }
    }
    let (age, future) =
        scheme.timestamp.as_ref().map_or((Tolerance::Unchecked, Tolerance::Unchecked), |spec| {
            (spec.max_age_s, spec.max_future_s)
        });
    Ok(Prepared {
        name: Arc::from(scheme.label()),
        fetches: prepared_keys.is_empty() && scheme.public_key.fetch.is_some(),
        keys: prepared_keys,
        misfits,
        givens,
        max_age: options.max_age_s.map_or(age, Tolerance::Seconds),
        max_future: options.max_future_s.map_or(future, Tolerance::Seconds),
        forms_only: scheme.signs_forms_only(),
        signs_stamp: scheme.reads(&Expr::Timestamp),
        unused: false,
    })
}

/// A key that no scheme can use is an error; one that some scheme can use is passed over by the others.
pub(crate) fn check_public_keys(entry: &Entry, schemes: &[Prepared]) -> Result<(), EntryError> {
    let takers =
        || entry.schemes.iter().zip(schemes).filter(|(scheme, _)| scheme.takes_public_keys());
    for (_, prepared) in takers() {
        for (index, message) in &prepared.misfits {
            let fits_none = takers()
                .all(|(_, other)| other.misfits.iter().any(|(position, _)| position == index));
            if fits_none {
                return Err(EntryError::Credential {
                    slug: entry.slug.clone(),
                    message: format!("public key {}: {message}", index + 1),
                });
            }
        }
    }
    Ok(())
}

impl Scheme {
    /// Whether the scheme verifies with shared secrets.
    pub(crate) fn takes_secrets(&self) -> bool {
        match (&self.jwt, self.class) {
            (Some(spec), Class::Jwt) => spec.algorithms.iter().any(|name| name.is_symmetric()),
            (_, Class::None) => false,
            (_, class) => !class.is_asymmetric(),
        }
    }

    /// Whether the scheme verifies with public keys.
    pub(crate) fn takes_public_keys(&self) -> bool {
        match (&self.jwt, self.class) {
            (Some(spec), Class::Jwt) => spec.algorithms.iter().any(|name| !name.is_symmetric()),
            (_, class) => class.is_asymmetric(),
        }
    }
}

/// A secret that is put together from named credentials; `None` when one of them is not given.
pub(crate) fn composed_secret(scheme: &Scheme, named: &BTreeMap<String, String>) -> Option<String> {
    let template: &Template = scheme.credential.as_ref()?;
    // Credentials that are all empty would make a key that everybody knows.
    let filled = |variable: &Expr| match variable {
        Expr::Credential(name) => named.get(name).is_some_and(|value| !value.is_empty()),
        _ => false,
    };
    if !template.variables().any(filled) {
        return None;
    }
    let headers = http::HeaderMap::new();
    let request = RequestView { method: "", url: "", headers: &headers, body: &[] };
    Scope::new(request, "", named).text(template).map(Cow::into_owned)
}
