//! What signs the recordings: secrets for all of them, or for those of one provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use becket_develop::record::Recording;
use becket_develop::trigger;
use becket_signature::{Verifier, VerifierOptions};

use crate::cli::request::{CredentialArgs, complain_about_missing, entry_of, given_credentials};
use crate::cli::{CliError, Globals, env_map};

/// Secrets as they are given on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SecretArgs {
    /// What signs: the secret, `env:NAME`, or for one provider `github=env:NAME`
    #[arg(
        long,
        value_name = "[PROVIDER=]SECRET",
        allow_hyphen_values = true,
        help_heading = "Signing"
    )]
    secret: Vec<String>,
    /// The variable with the secret, or for one provider `github=NAME`
    #[arg(long, value_name = "[PROVIDER=]NAME", help_heading = "Signing")]
    secret_env: Vec<String>,
    /// What else a provider asks for (see `becket providers show`), or `paypal.webhook_id=...`
    #[arg(
        long,
        value_name = "[PROVIDER.]NAME=VALUE",
        allow_hyphen_values = true,
        help_heading = "Signing"
    )]
    credential: Vec<String>,
}

/// A value, or that of the variable it names.
pub(super) fn value(flag: &str, given: &str) -> Result<String, CliError> {
    let Some(name) = given.strip_prefix("env:") else { return Ok(given.to_owned()) };
    env_map().remove(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        CliError::usage(format!("{flag}: the environment variable `{name}` is not set or is empty"))
    })
}

/// What signs the recordings of each provider.
pub(super) fn verifiers(
    args: &SecretArgs,
    recordings: &[(PathBuf, Recording)],
    public_url: Option<&str>,
    globals: &Globals,
) -> Result<BTreeMap<String, Arc<Verifier>>, CliError> {
    let mut slugs: Vec<&str> =
        recordings.iter().map(|(_, recording)| recording.provider.as_str()).collect();
    slugs.sort_unstable();
    slugs.dedup();
    let mut found = BTreeMap::new();
    for slug in &slugs {
        let entry = entry_of(slug, globals)?;
        let given = CredentialArgs {
            secret: of_provider(&args.secret, slug, &slugs, '=')
                .into_iter()
                .map(|secret| value("--secret", secret))
                .collect::<Result<_, _>>()?,
            secret_env: of_provider(&args.secret_env, slug, &slugs, '=')
                .into_iter()
                .map(str::to_owned)
                .collect(),
            public_key: Vec::new(),
            credential: of_provider(&args.credential, slug, &slugs, '.')
                .into_iter()
                .map(|pair| match pair.split_once('=') {
                    Some((name, text)) => {
                        value("--credential", text).map(|text| format!("{name}={text}"))
                    }
                    None => Ok(pair.to_owned()),
                })
                .collect::<Result<_, _>>()?,
        };
        let mut credentials = given_credentials(&entry, &given)?;
        // What a private key signs is verified with its public half, which need not be given.
        let key = credentials.secrets.first();
        if let Some(public) = key.and_then(|key| trigger::public_key_of(&entry, key)) {
            credentials.public_keys.push(public);
        }
        complain_about_missing(&entry, &credentials).map_err(|error| {
            error.hint(format!("for these recordings only: --secret {slug}=env:NAME"))
        })?;
        let options = VerifierOptions {
            public_url: public_url.map(str::to_owned),
            ..VerifierOptions::default()
        };
        let verifier = Verifier::new(entry, &credentials, &options)
            .map_err(|error| CliError::usage(error.to_string()))?;
        found.insert((*slug).to_owned(), Arc::new(verifier));
    }
    Ok(found)
}

/// What is given for a provider: what names it, else what names none.
fn of_provider<'a>(given: &'a [String], slug: &str, slugs: &[&str], mark: char) -> Vec<&'a str> {
    let named = |text: &'a str| -> Option<(&'a str, &'a str)> {
        text.split_once(mark).filter(|(name, _)| slugs.contains(name))
    };
    let own: Vec<&str> = given
        .iter()
        .filter_map(|text| named(text))
        .filter(|(name, _)| *name == slug)
        .map(|(_, rest)| rest)
        .collect();
    if !own.is_empty() {
        return own;
    }
    given.iter().map(String::as_str).filter(|text| named(text).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_own_secret_comes_first() {
        let given =
            ["github=a".to_owned(), "b==".to_owned(), "stripe=c".to_owned(), "other=d".to_owned()];
        let slugs = ["github", "stripe", "twilio"];
        assert_eq!(of_provider(&given, "github", &slugs, '='), ["a"]);
        assert_eq!(of_provider(&given, "twilio", &slugs, '='), ["b==", "other=d"]);
    }
}
