//! `becket.toml`, the environment and the flags, made into one checked [`Config`].
//!
//! Invariants: a flag wins over a variable, a variable over the file, the file over the default;
//! everything that is wrong is found in one go, with line and column; a configuration that loads is
//! usable as it is. The environment, the flags and the reading of files are parameters.
//!
//! Deliberately absent: watching the file and applying changes, which `serve` does.
//!
//! Where next: `sections` and `source` for what can be set, `check` for what must fit together,
//! `table` for how a section is declared.

mod act;
mod alerts;
mod check;
mod cluster;
mod compound;
mod dashboard;
mod elsewhere;
mod filter;
mod kinds;
mod oidc;
mod portal;
mod problem;
mod reader;
mod reference;
mod secret;
mod sections;
mod source;
mod store_url;
mod table;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_signature::{Catalogue, Entry, EntryError, FactSpec, Verifier, VerifierOptions};

pub use act::{ActContext, CodeFile, Exec, Notify, Queue, Sql, Transform, check_programs};
pub use alerts::{ALERTS_SOURCE, Alerts};
pub use cluster::{Cluster, NodeRole};
pub use compound::{BodySchema, OwnProvider, Retry};
pub use dashboard::Dashboard;
pub use elsewhere::{ApiSource, RuleProblem};
pub use kinds::{
    ByteSize, HttpUrl, LogFormat, LogLevel, Method, OnInvalid, Parameter, Verification,
};
pub use oidc::{Grant, GrantRole, Oidc};
pub use portal::{Color, ColorScheme, LOGO_BYTES_MAX, Logo, Portal, WebOrigin, check_pages};
pub(crate) use problem::nearest;
pub use problem::{ConfigErrors, Place, Problem, Severity};
pub use reader::{Flag, Origin, ReadFile};
pub use reference::{Setting, reference_markdown, schema_text};
pub use secret::{Secret, SecretOrigin};
pub use sections::{Acme, Api, Audit, Egress, Log, Retention, Server, Store, Tls};
pub use source::{Ack, Dedupe, Endpoint, Source};
pub use store_url::StoreUrl;

use reader::{Reader, Slot};
use table::table;
use value::Value as _;

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "becket.toml";

table! {
    /// Everything that can be configured.
    pub struct Config {
        /// A token for management, of at least 32 characters, valid while it is set. Another one is
        /// made on first start and kept in the data folder if absent.
        admin_token: Option<Secret>,
        /// The key that encrypts stored secrets: 32 bytes in base64. With SQLite it is made on first
        /// start and kept in the data folder if absent; with PostgreSQL it has to be given, the same
        /// on every node.
        master_key: Option<Secret>,
        /// A file with the master key.
        master_key_file: Option<PathBuf>,
        /// How the gateway is reached.
        server: Server,
        /// Where events are kept, and for how long.
        store: Store,
        /// One node among several that share a PostgreSQL database.
        cluster: Cluster,
        /// How deliveries leave.
        egress: Egress,
        /// What the API shows to strangers.
        api: Api,
        /// The pages for operators.
        dashboard: Dashboard,
        /// The page for customers.
        portal: Portal,
        /// Where people sign in besides tokens, by OpenID Connect.
        oidc: Option<Oidc>,
        /// The log of who did what.
        audit: Audit,
        /// What is logged.
        log: Log,
        /// What the gateway tells its operator.
        alerts: Alerts,
        /// Providers of your own, in the format of the catalogue (docs/catalogue.md).
        providers as "provider": Vec<OwnProvider>,
        /// Receiving URLs.
        sources as "source": Vec<Source>,
    }
}

/// What a configuration is made from.
pub struct LoadArgs<'w> {
    /// The file, if one was named; else `BECKET_CONFIG`, else `becket.toml` if there is one.
    pub path: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Settings from the command line.
    pub flags: Vec<Flag>,
    /// How files are read.
    pub read: &'w ReadFile<'w>,
}

impl LoadArgs<'static> {
    /// Files are read from disk.
    #[must_use]
    pub fn from_disk(
        path: Option<PathBuf>,
        env: BTreeMap<String, String>,
        flags: Vec<Flag>,
    ) -> Self {
        Self { path, env, flags, read: &read_from_disk }
    }
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What somebody should know about them.
    pub warnings: Vec<Problem>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Where each setting came from, by its full name.
    pub origins: BTreeMap<String, Origin>,
    /// The file and every file that it names, to be watched for changes.
    pub watched: Vec<PathBuf>,
}

/// Loads and checks a configuration.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn load(args: LoadArgs<'_>) -> Result<Loaded, ConfigErrors> {
    let (file, text) = find(&args)?;
    load_text(&text, file, &args, None)
}

/// The file, if there is one, and its text.
fn find(args: &LoadArgs<'_>) -> Result<(Option<PathBuf>, String), ConfigErrors> {
    let named = args.path.clone().or_else(|| args.env.get("BECKET_CONFIG").map(PathBuf::from));
    match named {
        None => match (args.read)(Path::new(DEFAULT_FILE)) {
            Ok(text) => Ok((Some(PathBuf::from(DEFAULT_FILE)), text)),
            Err(problem) if problem == NOT_FOUND => Ok((None, String::new())),
            Err(problem) => Err(unreadable(PathBuf::from(DEFAULT_FILE), &problem)),
        },
        Some(path) => match (args.read)(&path) {
            Ok(text) => Ok((Some(path), text)),
            Err(problem) => Err(unreadable(path, &problem)),
        },
    }
}

/// Reads only what says where a gateway is, who may ask it, and where it keeps its data: `[server]`,
/// `[store]` and `[cluster]`. For commands that talk to a gateway: what the rest of the file needs, such
/// as the secrets of sources in the environment of a service, need not be here.
///
/// # Errors
/// Everything that is wrong with that part.
pub fn load_whereabouts(args: LoadArgs<'_>) -> Result<Loaded, ConfigErrors> {
    let (file, text) = find(&args)?;
    load_text(&text, file, &args, Some(&WHEREABOUTS))
}

/// The sections that [`load_whereabouts`] reads.
const WHEREABOUTS: [&str; 3] = ["server", "store", "cluster"];

/// Parses and checks a file's text alone: no environment, no flags, no other files.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(text: &str) -> Result<Loaded, ConfigErrors> {
    let closed = |_: &Path| Err("no files are read here".to_owned());
    let args = LoadArgs { path: None, env: BTreeMap::new(), flags: Vec::new(), read: &closed };
    load_text(text, None, &args, None)
}

fn load_text(
    text: &str,
    file: Option<PathBuf>,
    args: &LoadArgs<'_>,
    only: Option<&[&str]>,
) -> Result<Loaded, ConfigErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text, file.clone(), &args.env, &args.flags, args.read);
    let config = read_config(&mut reader, only);
    let failed = reader.has_errors();
    let problems = reader.finish();
    match config {
        Some(config) if !failed => Ok(Loaded {
            config,
            warnings: problems,
            origins: reader.origins,
            watched: file.iter().cloned().chain(reader.files).collect(),
            file,
        }),
        _ => Err(ConfigErrors { file, problems }),
    }
}

fn read_config(reader: &mut Reader<'_>, only: Option<&[&str]>) -> Option<Config> {
    let (document, errors) = toml::de::DeTable::parse_recoverable(reader.text);
    if !errors.is_empty() {
        for error in &errors {
            reader.syntax(error);
        }
        return None;
    }
    let span = document.span();
    let mut table = document.into_inner();
    if let Some(only) = only {
        let mut left = toml::de::DeTable::new();
        for (key, value) in table {
            if only.contains(&key.get_ref().as_ref()) {
                left.insert(key, value);
            }
        }
        table = left;
    }
    let node = toml::Spanned::new(span, toml::de::DeValue::Table(table));
    let slot =
        Slot { path: String::new(), node: Some(&node), span: None, default: None, outside: true };
    let mut config = Config::load(reader, &slot);
    let known = reference::env_names();
    reader.unknown_env(
        &known,
        &["server", "store", "cluster", "egress", "log", "dashboard", "portal", "audit"],
    );
    if let Some(config) = &mut config {
        check::check(reader, config);
    }
    config
}

const NOT_FOUND: &str = "there is no such file";

fn read_from_disk(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND.to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    })
}

fn unreadable(file: PathBuf, problem: &str) -> ConfigErrors {
    let problems = vec![Problem {
        severity: Severity::Error,
        code: "file_unreadable",
        key: String::new(),
        message: format!("the configuration file {} cannot be read: {problem}", file.display()),
        hint: Some("name another with --config, or leave it out for the defaults".to_owned()),
        file: None,
        place: None,
    }];
    ConfigErrors { file: Some(file), problems }
}

impl Default for Config {
    fn default() -> Self {
        let closed = |_: &Path| Err("no files are read here".to_owned());
        let env = BTreeMap::new();
        let mut reader = Reader::new("", None, &env, &[], &closed);
        let slot =
            Slot { path: String::new(), node: None, span: None, default: None, outside: false };
        // A default that cannot be read is a defect of the declaration, and a test reads them all.
        Config::load(&mut reader, &slot).expect("the declared defaults can be read")
    }
}

impl Config {
    /// Whether no source is configured, so that there is nothing to receive.
    #[must_use]
    pub fn is_empty_of_sources(&self) -> bool {
        self.sources.is_empty()
    }

    /// The entry of a provider: the file's own first, then the built-in ones.
    #[must_use]
    pub fn provider(&self, slug: &str) -> Option<Arc<Entry>> {
        let own = self.providers.iter().find(|own| own.0.slug == slug);
        own.map(|own| Arc::clone(&own.0)).or_else(|| Catalogue::builtin().get(slug))
    }

    /// The entry of a source with the source's own place of the delivery id.
    /// `None` if there is no such provider; loading has already refused such a file.
    #[must_use]
    pub fn entry_of(&self, source: &Source) -> Option<Arc<Entry>> {
        let entry = self.provider(&source.provider)?;
        let Some(place) = &source.dedupe.id else {
            return Some(entry);
        };
        let fact = serde_json::json!({ "at": String::from(place.clone()) });
        let fact: FactSpec = serde_json::from_value(fact).ok()?;
        Some(Arc::new(Entry { delivery_id: Some(fact), ..(*entry).clone() }))
    }

    /// The full URL at which a source is registered at its provider, if a public URL is known.
    #[must_use]
    pub fn public_url_of(&self, source: &Source) -> Option<String> {
        if let Some(own) = &source.public_url {
            return Some(own.as_str().to_owned());
        }
        let base = self.server.public_url.as_ref()?.as_str().trim_end_matches('/');
        Some(format!("{base}/in/{}", source.id))
    }

    /// A verifier with everything that the file says about a source; `None` if there is no such
    /// provider.
    ///
    /// # Errors
    /// If credentials or parameters do not fit the entry; loading has already refused such a file.
    pub fn verifier_of(&self, source: &Source) -> Option<Result<Verifier, EntryError>> {
        let (max_age_s, max_future_s) = source.tolerance_s();
        let options = VerifierOptions {
            public_url: self.public_url_of(source),
            max_age_s,
            max_future_s,
            rate_per_minute: source.rate_per_minute(),
        };
        let credentials = source.credentials_for_verifier();
        self.entry_of(source).map(|entry| Verifier::new(entry, &credentials, &options))
    }
}
