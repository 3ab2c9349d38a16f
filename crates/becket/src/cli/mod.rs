//! The command line: what the commands are called, what they take, and how they find a gateway.
//!
//! Invariants: data goes to standard output and everything else to standard error; errors end with
//! `hint:` lines; 0 is success, 1 "no" or failure, 2 wrong usage. The environment and the clock are
//! read here and handed on.
//!
//! Deliberately absent: what a command does, which is in the module of its name.
//!
//! Where next: `verify` and `sign` for the offline tools, [`online`] for those that ask a gateway.

mod completions;
mod config;
mod doctor;
mod error;
mod filter;
mod import;
mod listen;
mod login;
mod man;
mod migrate_store;
pub mod online;
mod open;
mod output;
mod providers;
mod record;
mod request;
mod restart;
mod sign;
mod test;
mod transform;
mod trigger;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

pub use error::CliError;
pub use output::{Paint, print};
pub use sign::curl_command;

use crate::config::{ConfigErrors, Flag, LoadArgs, Loaded};
use crate::serve::handover::arrive::Takeover;

/// The file in the data folder that holds the admin token made on first start.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";

/// Webhook gateway: receives webhooks, proves them genuine, keeps them, and delivers them.
#[derive(Debug, clap::Parser)]
#[command(name = "becket", version, max_term_width = 100, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  becket serve                           Start with nothing configured: a demo source is ready
  becket serve --config becket.toml      Start with your sources and endpoints
  becket config check                    Say everything that is wrong with becket.toml
  becket verify --provider stripe ...    Find out why a signature is refused
  becket events list                     See what came in

Exit codes: 0 success, 1 failure or \"no\", 2 wrong usage.";

/// Options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Globals {
    /// The configuration file [env: BECKET_CONFIG] [default: ./becket.toml if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run the gateway
    Serve(ServeArgs),
    /// Replace the running gateway by a new process, without refusing a connection
    Restart(restart::RestartArgs),
    /// Say whether a request is genuine, and why not
    Verify(Box<verify::VerifyArgs>),
    /// Make the headers of a signed request
    Sign(Box<sign::SignArgs>),
    /// Send a request as a provider would send it, to a handler or to a gateway
    Trigger(Box<trigger::TriggerArgs>),
    /// Save received events as files that can be reviewed and sent again
    Record(Box<record::RecordArgs>),
    /// Send recordings to a handler, freshly signed, and compare its answers
    Test(Box<test::TestArgs>),
    /// Look at the whole set-up, and say what is wrong and what to do
    Doctor(doctor::DoctorArgs),
    /// Open the page of an event, a source or an endpoint in the dashboard
    Open(open::OpenArgs),
    /// Get events on this machine, live, forwarded to a program of yours
    Listen(Box<listen::ListenArgs>),
    /// Remember a gateway and its token
    Login(login::LoginArgs),
    /// Say whether a filter lets an event pass, and which clause does not
    Filter(filter::FilterArgs),
    /// Show what a transformation makes of an event
    Transform(transform::TransformArgs),
    /// List and show the providers that are known
    Providers(providers::ProvidersArgs),
    /// Check and show the configuration
    Config(config::ConfigArgs),
    /// Make a configuration from that of adnanh/webhook
    Import(import::ImportArgs),
    /// Move everything to another store: from files to PostgreSQL, or back
    MigrateStore(migrate_store::MigrateStoreArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print manual pages
    Man(man::ManArgs),
    /// Commands that ask a running gateway.
    #[command(flatten)]
    Online(online::OnlineCommand),
}

/// Arguments of `becket serve`; each overrides the environment and the file.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Where webhooks are received [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Where management listens, if not there too
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// The address under which senders reach this gateway
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where events are kept: sqlite:FOLDER or postgres://... [default: sqlite:data]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// What this node does, with PostgreSQL: ingress, engine or api; may be repeated [default: all]
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// How many threads work [default: one per processor]
    #[arg(long, value_name = "NUMBER")]
    pub threads: Option<String>,
    /// How log lines look: auto, human or json [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Take the place of the gateway that runs with the same folder, if there is one
    #[arg(long)]
    pub takeover: bool,
    /// Take the place of the process that started this one
    #[arg(long, hide = true, value_name = "FOLDER")]
    pub restart_of: Option<PathBuf>,
    /// Stop when standard input closes: for a gateway that another program runs
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  becket serve
  becket serve --config /etc/becket/becket.toml
  becket serve --listen 0.0.0.0:8080 --public-url https://hooks.example.com --store sqlite:/var/lib/becket

Every setting is also a variable: [server] listen is BECKET_SERVER_LISTEN. docs/configuration.md has all.";

impl ServeArgs {
    /// The arguments as settings.
    #[must_use]
    pub fn flags(&self) -> Vec<Flag> {
        let roles = (!self.roles.is_empty()).then(|| self.roles.join(","));
        let all = [
            ("server.listen", "--listen", &self.listen),
            ("server.admin_listen", "--admin-listen", &self.admin_listen),
            ("server.public_url", "--public-url", &self.public_url),
            ("store.url", "--store", &self.store),
            ("cluster.roles", "--role", &roles),
            ("server.threads", "--threads", &self.threads),
            ("log.format", "--log-format", &self.log_format),
            ("log.level", "--log-level", &self.log_level),
        ];
        all.into_iter()
            .filter_map(|(key, name, value)| value.clone().map(|value| Flag { key, name, value }))
            .collect()
    }

    /// Whether a running gateway is to be relieved.
    pub(crate) fn takeover(&self) -> Takeover {
        match (&self.restart_of, self.takeover) {
            (Some(folder), _) => Takeover::From(folder.clone()),
            (None, true) => Takeover::IfRunning,
            (None, false) => Takeover::No,
        }
    }

    /// Loads the configuration with these arguments over it; again, when the file has changed.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn load(&self, globals: &Globals) -> Result<Loaded, ConfigErrors> {
        crate::config::load(LoadArgs::from_disk(globals.config.clone(), env_map(), self.flags()))
    }

    /// Loads only what says where a running gateway is.
    fn whereabouts(&self, globals: &Globals) -> Result<Loaded, ConfigErrors> {
        let args = LoadArgs::from_disk(globals.config.clone(), env_map(), self.flags());
        crate::config::load_whereabouts(args)
    }
}

/// Which running gateway to ask, and as whom. Flatten it into every online command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectionArgs {
    /// The gateway's management address [env: BECKET_URL] [default: from the configuration]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// The admin token [env: BECKET_TOKEN, BECKET_ADMIN_TOKEN] [default: from the data folder]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
}

/// A gateway to ask.
#[derive(Clone)]
pub struct Connection {
    /// Its base address without a final slash, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The bearer token.
    pub token: String,
}

impl ConnectionArgs {
    /// Finds out address and token from flags, environment, configuration and data folder.
    ///
    /// # Errors
    /// When there is no token to be found, or the configuration cannot be read.
    pub fn resolve(&self, globals: &Globals) -> Result<Connection, CliError> {
        let env = env_map();
        let from_env = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let url = self.url.clone().or_else(|| from_env("BECKET_URL"));
        let token = self
            .token
            .clone()
            .or_else(|| from_env("BECKET_TOKEN"))
            .or_else(|| from_env("BECKET_ADMIN_TOKEN"));
        if let (Some(url), Some(token)) = (&url, &token) {
            return Ok(Connection::new(url, token));
        }
        // A configuration that is named goes before a login; one that happens to be here does not.
        if globals.config.is_none() && from_env("BECKET_CONFIG").is_none() {
            let login = login::remembered(&env)?;
            let same = |login: &Connection| {
                url.as_ref().is_none_or(|url| url.trim_end_matches('/') == login.url)
            };
            if let Some(login) = login.filter(same) {
                return Ok(Connection::new(&login.url, &token.unwrap_or(login.token)));
            }
        }
        let loaded = crate::config::load_whereabouts(LoadArgs::from_disk(
            globals.config.clone(),
            env.clone(),
            Vec::new(),
        ));
        let config = match loaded {
            Ok(loaded) => loaded.config,
            Err(errors) => {
                return Err(CliError::new(format!(
                    "the gateway's address and token are in a configuration with {} errors",
                    errors.error_count()
                ))
                .hint("`becket config check` shows them; or give both --url and --token"));
            }
        };
        let url = url.unwrap_or_else(|| management_url(&config));
        let given = config.admin_token.as_ref().map(|token| token.expose().to_owned());
        let token = match token.or(given) {
            Some(token) => token,
            None => token_from(&config.local_folder().join(ADMIN_TOKEN_FILE))?,
        };
        Ok(Connection::new(&url, &token))
    }
}

impl ConnectionArgs {
    /// Whether anything says where a gateway is: flags, environment, a login, a configuration, or a
    /// data folder that is here.
    pub(crate) fn names_a_gateway(&self, globals: &Globals) -> bool {
        let env = env_map();
        let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        let here = |path: &str| std::path::Path::new(path).exists();
        self.url.is_some()
            || self.token.is_some()
            || globals.config.is_some()
            || ["BECKET_URL", "BECKET_TOKEN", "BECKET_ADMIN_TOKEN", "BECKET_CONFIG"]
                .into_iter()
                .any(is_set)
            || !matches!(login::remembered(&env), Ok(None))
            || here("becket.toml")
            || here(&format!("data/{ADMIN_TOKEN_FILE}"))
    }
}

impl Connection {
    fn new(url: &str, token: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), token: token.trim().to_owned() }
    }
}

/// Where this machine reaches the management address of a configured gateway.
fn management_url(config: &crate::config::Config) -> String {
    let server = &config.server;
    // An address of its own for management is always plain HTTP.
    let secure = server.admin_listen.is_none() && (server.tls.is_some() || server.acme.is_some());
    if let (true, Some(url)) = (secure, &server.public_url) {
        return url.as_str().to_owned();
    }
    let mut address = server.admin_listen.unwrap_or(server.listen);
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("{}://{address}", if secure { "https" } else { "http" })
}

fn token_from(path: &std::path::Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::new(format!(
            "there is no admin token: {} cannot be read: {error}",
            path.display()
        ))
        .hint("give --token or BECKET_TOKEN, or run it where the gateway's data folder is")
        .hint("a gateway makes the token when it starts for the first time: `becket serve`")
    })
}

/// The environment, without variables that are no text.
#[must_use]
pub fn env_map() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The time in unix seconds.
fn now_s() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the command line is where time comes in")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let globals = &cli.globals;
    let done = match cli.command {
        Command::Serve(args) => return crate::serve::run(&args, globals),
        Command::Restart(args) => restart::run(&args, globals),
        Command::Online(command) => return online::run(command, globals),
        Command::Verify(args) => verify::run(&args, globals),
        Command::Sign(args) => sign::run(&args, globals),
        Command::Trigger(args) => trigger::run(&args, globals),
        Command::Record(args) => record::run(&args, globals),
        Command::Test(args) => test::run(&args, globals),
        Command::Doctor(args) => doctor::run(&args, globals),
        Command::Open(args) => open::run(&args, globals),
        Command::Listen(args) => return listen::run(&args, globals),
        Command::Login(args) => login::run(&args),
        Command::Filter(args) => filter::run(&args, globals),
        Command::Transform(args) => transform::run(&args, globals),
        Command::Providers(args) => providers::run(&args, globals),
        Command::Config(args) => config::run(&args, globals),
        Command::Import(args) => import::run(&args, globals),
        Command::MigrateStore(args) => migrate_store::run(&args, globals),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    done.unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_options_do_not_contradict_each_other() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_gateway_is_found_where_it_listens() {
        let url = |text: &str| management_url(&crate::config::parse(text).unwrap().config);
        assert_eq!(url(""), "http://127.0.0.1:8080");
        assert_eq!(url("[server]\nlisten = \"0.0.0.0:80\""), "http://127.0.0.1:80");
        assert_eq!(url("[server]\nlisten = \"[::]:80\""), "http://[::1]:80");
        assert_eq!(url("[server]\nadmin_listen = \"10.0.0.1:9\""), "http://10.0.0.1:9");
        let acme = "public_url = \"https://h.example\"\nacme = { domains = [\"h.example\"] }";
        assert_eq!(url(&format!("[server]\n{acme}")), "https://h.example");
        let apart = "admin_listen = \"127.0.0.1:9\"";
        assert_eq!(url(&format!("[server]\n{acme}\n{apart}")), "http://127.0.0.1:9");
    }

    #[test]
    fn flags_name_settings_that_exist() {
        let text = || Some("x".to_owned());
        let args = ServeArgs {
            listen: text(),
            admin_listen: text(),
            public_url: text(),
            store: text(),
            roles: vec!["api".to_owned()],
            threads: text(),
            log_format: text(),
            log_level: text(),
            ..ServeArgs::default()
        };
        let config = crate::config::Config::default();
        let known = config.settings(&BTreeMap::new());
        for flag in args.flags() {
            assert!(known.iter().any(|setting| setting.key == flag.key), "{}", flag.key);
        }
        assert_eq!(args.flags().len(), 8);
    }
}
