//! Where a request goes, and what signs it: a handler's URL with a secret that is given, or a source of a
//! gateway with the secret that the gateway's file has for it.
//!
//! The API shows no secret of a source but those that a handshake brought along, so that a source that was made
//! through the API needs its secret on the command line.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use becket_develop::trigger::{self, TriggerError};
use becket_signature::{CredentialKind, Credentials, Entry, SignError, Verifier, VerifierOptions};
use serde_json::Value;

use super::TriggerArgs;
use crate::cli::online::client::{Client, PathBuilder};
use crate::cli::request::{complain_about_missing, entry_of, given_credentials};
use crate::cli::{CliError, Globals, env_map};
use crate::config::{Config, LoadArgs, Source};

/// Where a command is tried that sends nothing.
const DRY_RUN_URL: &str = "http://localhost:3000/webhooks";

/// Where it goes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TargetArgs {
    /// The handler's URL
    #[arg(long, value_name = "URL", conflicts_with = "source")]
    pub to: Option<String>,
    /// A source of the gateway: sent to its receiving URL, signed with its secret of the configuration
    #[arg(long, value_name = "ID")]
    pub source: Option<String>,
    /// The URL that is registered at the provider, if it is signed and not the one it is sent to
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

/// Where a request goes and what signs it.
pub(super) struct Target {
    pub entry: Arc<Entry>,
    pub verifier: Verifier,
    /// Named credentials, which challenges repeat.
    pub named: BTreeMap<String, String>,
    /// Where it is sent.
    pub url: String,
    /// The source, if it goes to a gateway.
    pub source: Option<String>,
}

impl Target {
    /// Says what to give when something to sign with is missing.
    pub fn failed(&self, error: TriggerError) -> CliError {
        let missing = matches!(error, TriggerError::Sign(SignError::MissingCredential { .. }));
        let error = super::failed(error);
        if missing { with_advice(error, &self.entry, self.source.as_deref()) } else { error }
    }
}

/// Finds out where a request goes.
pub(super) async fn find(args: &TriggerArgs, globals: &Globals) -> Result<Target, CliError> {
    match (&args.target.to, &args.target.source) {
        (_, Some(source)) => of_source(args, source, globals).await,
        (Some(url), None) => of_url(args, url, globals),
        (None, None) if args.dry_run => of_url(args, DRY_RUN_URL, globals),
        (None, None) => Err(CliError::usage("it is not said where the event goes")
            .hint("--to URL sends it to a handler, --source ID to a source of the gateway")
            .hint("--dry-run prints it and sends nothing")),
    }
}

fn of_url(args: &TriggerArgs, url: &str, globals: &Globals) -> Result<Target, CliError> {
    let Some(provider) = &args.provider else {
        return Err(CliError::usage("no provider is given")
            .hint("`becket trigger --list` shows those that have events"));
    };
    let entry = entry_of(provider, globals)?;
    let credentials = given(args, &entry)?;
    let unsigned_challenge =
        args.shape.handshake.is_some() && entry.handshakes.iter().any(|rule| !rule.verify_first);
    if !unsigned_challenge {
        complain_about_missing(&entry, &credentials)
            .map_err(|error| with_advice(error, &entry, None))?;
    }
    let options = VerifierOptions {
        public_url: args.target.public_url.clone(),
        ..VerifierOptions::default()
    };
    target(entry, &credentials, &options, url.to_owned(), None)
}

fn target(
    entry: Arc<Entry>,
    credentials: &Credentials,
    options: &VerifierOptions,
    url: String,
    source: Option<String>,
) -> Result<Target, CliError> {
    let verifier = Verifier::new(entry, credentials, options)
        .map_err(|error| CliError::usage(error.to_string()))?;
    let entry = Arc::clone(verifier.entry());
    Ok(Target { entry, verifier, named: credentials.named.clone(), url, source })
}

/// The credentials of the command line, with the public half of a private key.
fn given(args: &TriggerArgs, entry: &Entry) -> Result<Credentials, CliError> {
    let mut given = args.credentials.clone();
    if let Some(key) = &args.private_key {
        let key = match key.strip_prefix('@') {
            None => key.clone(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                CliError::usage(format!("the private key file {path} cannot be read: {error}"))
            })?,
        };
        given.secret.insert(0, key);
    }
    let mut credentials = given_credentials(entry, &given)?;
    add_public_key(entry, &mut credentials);
    Ok(credentials)
}

/// What a private key signs can be verified here as well.
fn add_public_key(entry: &Entry, credentials: &mut Credentials) {
    let derived = credentials.secrets.first().and_then(|key| trigger::public_key_of(entry, key));
    if let Some(derived) = derived
        && credentials.public_keys.is_empty()
    {
        credentials.public_keys.push(derived);
    }
}

/// Says how the handler and this command come to know the same secret.
fn with_advice(error: CliError, entry: &Entry, source: Option<&str>) -> CliError {
    let slug = entry.slug();
    let is = |kind: CredentialKind| entry.credentials().iter().any(|spec| spec.kind == kind);
    let asymmetric = entry.schemes.iter().any(|scheme| scheme.class.is_asymmetric());
    let flag = if asymmetric && !is(CredentialKind::Secret) { "--private-key" } else { "--secret" };
    match source {
        Some(source) => error.hint(format!(
            "the secret of the source `{source}` is not in the configuration that was read here: give it with {flag}"
        )),
        None if asymmetric => error
            .hint(format!("{} signs with a private key: `becket trigger {slug} --new-secret` makes a pair", entry.name))
            .hint("give the private key with --private-key, and the handler the public one"),
        None => error
            .hint(format!("give the secret that the handler has: {flag} or --secret-env"))
            .hint(format!("`becket trigger {slug} --new-secret` prints a new one for both")),
    }
}

async fn of_source(
    args: &TriggerArgs,
    wanted: &str,
    globals: &Globals,
) -> Result<Target, CliError> {
    let loaded =
        crate::config::load(LoadArgs::from_disk(globals.config.clone(), env_map(), Vec::new()));
    if let Ok(loaded) = &loaded
        && let Some(source) = loaded.config.sources.iter().find(|source| source.id == wanted)
    {
        let config = &loaded.config;
        let entry = config
            .entry_of(source)
            .ok_or_else(|| CliError::new(format!("there is no provider `{}`", source.provider)))?;
        same_provider(args, &entry, wanted)?;
        let mut credentials = source.credentials_for_verifier();
        let own = given(args, &entry)?;
        credentials.secrets.splice(0..0, own.secrets.clone());
        credentials.public_keys.extend(own.public_keys.clone());
        credentials.named.extend(own.named.clone());
        if credentials.secrets.is_empty() {
            credentials.secrets = captured(args, wanted, globals).await.unwrap_or_default();
        }
        let (max_age_s, max_future_s) = source.tolerance_s();
        let public_url = args.target.public_url.clone().or_else(|| config.public_url_of(source));
        let options =
            VerifierOptions { public_url, max_age_s, max_future_s, rate_per_minute: None };
        let url = local_url(config, source);
        return target(entry, &credentials, &options, url, Some(wanted.to_owned()));
    }
    of_running(args, wanted, globals).await.map_err(|error| match loaded {
        Err(_) => error.hint("the configuration has errors: `becket config check` shows them"),
        Ok(_) => error,
    })
}

/// A source that the file does not have: the gateway knows its URL and its provider.
async fn of_running(
    args: &TriggerArgs,
    wanted: &str,
    globals: &Globals,
) -> Result<Target, CliError> {
    let client = client(args, globals)?;
    let path = PathBuilder::new("/api/v1/becket/source").part(wanted);
    let found = client.get(path.text()).await.map_err(|failure| {
        failure
            .into_error()
            .hint(format!("`{wanted}` is no source of the configuration that was read here"))
            .hint("`becket sources list` shows those of the gateway")
    })?;
    let text = |name: &str| found[name].as_str().map(str::to_owned);
    let (Some(provider), Some(url)) = (text("provider"), text("receivingUrl")) else {
        return Err(CliError::new(format!("the source `{wanted}` receives nothing now")));
    };
    let entry = entry_of(&provider, globals)?;
    same_provider(args, &entry, wanted)?;
    let mut credentials = given(args, &entry)?;
    if credentials.secrets.is_empty() {
        credentials.secrets = captured(args, wanted, globals).await.unwrap_or_default();
    }
    complain_about_missing(&entry, &credentials)
        .map_err(|error| with_advice(error, &entry, Some(wanted)))?;
    let options = VerifierOptions {
        public_url: args.target.public_url.clone(),
        ..VerifierOptions::default()
    };
    target(entry, &credentials, &options, url, Some(wanted.to_owned()))
}

/// The secrets that a handshake brought along and that are in force, if there is a gateway to ask.
async fn captured(args: &TriggerArgs, source: &str, globals: &Globals) -> Option<Vec<String>> {
    let client = client(args, globals).ok()?;
    let path = PathBuilder::new("/api/v1/becket/source").part(source).part("secret");
    let secrets = client.get(path.text()).await.ok()?;
    let accepted = secrets["data"].as_array()?.iter().filter(|one| one["accepted"] == true);
    let values = accepted.filter(|one| one["name"] == "secret").map(|one| &one["value"]);
    Some(values.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn client(args: &TriggerArgs, globals: &Globals) -> Result<Client, CliError> {
    let connection = args.connection.resolve(globals)?;
    Client::new(&connection).map_err(crate::cli::online::failure::Failure::into_error)
}

fn same_provider(args: &TriggerArgs, entry: &Entry, source: &str) -> Result<(), CliError> {
    match &args.provider {
        Some(given) if given != entry.slug() => Err(CliError::usage(format!(
            "the source `{source}` is of the provider `{}`, not `{given}`",
            entry.slug()
        ))),
        _ => Ok(()),
    }
}

/// Where this machine reaches a source of the configured gateway.
fn local_url(config: &Config, source: &Source) -> String {
    let server = &config.server;
    let secure = server.tls.is_some() || server.acme.is_some();
    if let (true, Some(url)) = (secure, config.public_url_of(source)) {
        return url;
    }
    let mut address: SocketAddr = server.listen;
    if address.ip().is_unspecified() {
        let loopback: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("{}://{address}/in/{}", if secure { "https" } else { "http" }, source.id)
}
