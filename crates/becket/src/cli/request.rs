//! What `verify` and `sign` have in common: the provider, its credentials, and the body.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_signature::{
    Catalogue, CredentialKind, Credentials, Entry, Expr, Verifier, VerifierOptions,
};

use super::{CliError, Globals, env_map};
use crate::config::LoadArgs;

/// Credentials as they are given on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct CredentialArgs {
    /// A secret; several are tried in turn. `id:secret` also gives the provider's named credential
    #[arg(long, value_name = "SECRET", allow_hyphen_values = true)]
    pub secret: Vec<String>,
    /// The name of an environment variable with a secret
    #[arg(long, value_name = "NAME")]
    pub secret_env: Vec<String>,
    /// A public key as PEM, DER in base64 or hexadecimal, or JWK; @FILE reads it from a file
    #[arg(long, value_name = "KEY|@FILE", allow_hyphen_values = true)]
    pub public_key: Vec<String>,
    /// What else the provider asks for, or a parameter of its entry (see `becket providers show`)
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub credential: Vec<String>,
}

/// The body as it is given on the command line: exactly one of them.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct BodyArgs {
    /// The file with the body, byte for byte; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// The body itself
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub body: Option<String>,
}

impl BodyArgs {
    /// The bytes.
    pub fn read(&self) -> Result<Vec<u8>, CliError> {
        let Some(path) = &self.body_file else {
            return Ok(self.body.clone().unwrap_or_default().into_bytes());
        };
        let mut body = Vec::new();
        let read = if path == Path::new("-") {
            std::io::stdin().lock().read_to_end(&mut body).map(|_| ())
        } else {
            std::fs::read(path).map(|bytes| body = bytes)
        };
        read.map(|()| body).map_err(|error| {
            CliError::usage(format!("the body file {} cannot be read: {error}", path.display()))
        })
    }
}

/// The entry of a slug: built in, or one of the configuration file.
pub(super) fn entry_of(slug: &str, globals: &Globals) -> Result<Arc<Entry>, CliError> {
    if globals.config.is_none()
        && let Some(entry) = Catalogue::builtin().get(slug)
    {
        return Ok(entry);
    }
    let loaded =
        crate::config::load(LoadArgs::from_disk(globals.config.clone(), env_map(), Vec::new()));
    let found = match &loaded {
        Ok(loaded) => loaded.config.provider(slug),
        Err(_) => Catalogue::builtin().get(slug),
    };
    if loaded.is_err() && found.is_some() {
        eprintln!(
            "warning: the configuration has errors; the built-in `{slug}` is taken\n\
             hint: `becket config check` shows them"
        );
    }
    found.ok_or_else(|| {
        let error = CliError::usage(format!("there is no provider `{slug}`"));
        let error = match crate::config::nearest(slug, Catalogue::builtin().slugs()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`becket providers list` shows all"),
        };
        match loaded {
            Err(_) => error.hint("the configuration has errors, so that its own providers are not known: `becket config check`"),
            Ok(_) => error,
        }
    })
}

/// Reads the credentials and sees that nothing is missing that the entry needs.
pub(super) fn credentials_of(
    entry: &Entry,
    args: &CredentialArgs,
) -> Result<Credentials, CliError> {
    let credentials = given_credentials(entry, args)?;
    complain_about_missing(entry, &credentials)?;
    Ok(credentials)
}

/// Reads the credentials, however few they are.
pub(super) fn given_credentials(
    entry: &Entry,
    args: &CredentialArgs,
) -> Result<Credentials, CliError> {
    let mut secrets = args.secret.clone();
    let env = env_map();
    for name in &args.secret_env {
        let value = env.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            CliError::usage(format!("the environment variable `{name}` is not set or is empty"))
        })?;
        secrets.push(value.clone());
    }
    let mut public_keys = Vec::new();
    for key in &args.public_key {
        public_keys.push(match key.strip_prefix('@') {
            None => key.clone(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                CliError::usage(format!("the public key file {path} cannot be read: {error}"))
            })?,
        });
    }
    let mut named = BTreeMap::new();
    for pair in &args.credential {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            CliError::usage(format!("`--credential` without `=`: `{}`", pair.escape_debug()))
                .hint("write --credential name=value")
        })?;
        let value = match value.strip_prefix('@') {
            Some(path) if Path::new(path).is_file() => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| CliError::usage(format!("{path} cannot be read: {error}")))?,
            _ => value.to_owned(),
        };
        named.insert(name.to_owned(), value);
    }
    split_pairs(entry, &mut secrets, &mut named);
    Ok(Credentials::new(secrets, public_keys, named))
}

/// When exactly one named credential is missing, `id:secret` gives both.
fn split_pairs(entry: &Entry, secrets: &mut [String], named: &mut BTreeMap<String, String>) {
    let mut missing = entry.credentials().iter().filter(|spec| {
        spec.kind == CredentialKind::Named && !spec.optional && !named.contains_key(&spec.name)
    });
    let (Some(spec), None) = (missing.next(), missing.next()) else { return };
    for secret in secrets.iter_mut() {
        if let Some((id, rest)) = secret.split_once(':') {
            named.insert(spec.name.clone(), id.to_owned());
            *secret = rest.to_owned();
        }
    }
}

/// An error that names the first thing that is missing.
pub(super) fn complain_about_missing(
    entry: &Entry,
    credentials: &Credentials,
) -> Result<(), CliError> {
    for spec in entry.credentials().iter().filter(|spec| !spec.optional) {
        let (missing, flag) = match spec.kind {
            CredentialKind::Secret => (credentials.secrets.is_empty(), "--secret".to_owned()),
            CredentialKind::PublicKey => {
                (credentials.public_keys.is_empty(), "--public-key".to_owned())
            }
            CredentialKind::Named => (
                !credentials.named.contains_key(&spec.name),
                format!("--credential {}=...", spec.name),
            ),
        };
        if missing {
            let label = if spec.label.is_empty() { &spec.name } else { &spec.label };
            return Err(CliError::usage(format!("`{}` needs {flag} ({label})", entry.slug()))
                .hint(format!("`becket providers show {}` says where it is found", entry.slug())));
        }
    }
    Ok(())
}

/// The verifier, and whether the URL matters.
pub(super) fn verifier_of(
    entry: Arc<Entry>,
    credentials: &Credentials,
    url: Option<&str>,
) -> Result<Verifier, CliError> {
    let verifier = Verifier::new(entry, credentials, &VerifierOptions::default())
        .map_err(|error| CliError::usage(error.to_string()))?;
    let entry = verifier.entry();
    let signs_url = entry
        .schemes
        .iter()
        .any(|scheme| scheme.message.uses(&Expr::Url) || scheme.message.uses(&Expr::Path));
    if signs_url && url.is_none() {
        return Err(CliError::usage(format!(
            "`{}` signs the URL, and none is given",
            entry.slug()
        ))
        .hint("add --url with the address that is registered at the provider"));
    }
    Ok(verifier)
}
