//! A gateway of one's own, started for `becket listen` where there is no other.
//!
//! It is the same program in another process, with its configuration, data and log in one folder. It
//! ends when this process does, however that ends: it stops when its standard input closes.
//!
//! Invariants: listens on loopback only; secrets are handed over in the environment and are not in
//! the folder; the folder is ignored by git.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::online::failure::{Failure, Result};
use crate::cli::{ADMIN_TOKEN_FILE, CliError, Connection};

/// Where it is kept, beside the project that is worked on.
const FOLDER: &str = ".becket-dev";
const PORT_DEFAULT: u16 = 8080;
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The provider that verifies nothing, and the source that stands for it.
const OPEN_PROVIDER: &str = "none";
const OPEN_SOURCE: &str = "dev";
const SECRET_VARIABLE: &str = "BECKET_SOURCE_SECRET";
const LOG_LINES_SHOWN: usize = 12;

/// What the gateway is to be like.
pub(super) struct Wanted {
    /// Providers, each of which becomes a source of that name.
    pub sources: Vec<String>,
    /// Their secrets: in the order of the sources, or as `source=secret`.
    pub secrets: Vec<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Whether it is thrown away at the end.
    pub ephemeral: bool,
}

/// A gateway that runs as long as this.
pub(super) struct Embedded {
    folder: PathBuf,
    address: SocketAddr,
    token: String,
    sources: Vec<String>,
    ephemeral: bool,
    child: Child,
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    CliError::new(format!("{what} {}: {error}", path.display())).into()
}

impl Embedded {
    /// Starts it and waits until it answers.
    pub fn start(wanted: &Wanted) -> Result<Self> {
        let folder = folder(wanted.ephemeral)?;
        let sources = match &wanted.sources[..] {
            [] => vec![OPEN_SOURCE.to_owned()],
            named => named.to_vec(),
        };
        let started = Instant::now();
        // One that was just killed may still hold port and folder.
        loop {
            match Self::try_start(wanted, &folder, sources.clone()) {
                Err(_) if started.elapsed() < STOP_LIMIT && is_held(&folder) => {
                    std::thread::sleep(LOOK_EVERY * 8);
                }
                done => return done,
            }
        }
    }

    fn try_start(wanted: &Wanted, folder: &Path, sources: Vec<String>) -> Result<Self> {
        let port = port(wanted.port, folder)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let secrets = secrets(&sources, &wanted.secrets)?;
        let config = folder.join("becket.toml");
        let text = configuration(address, folder, &sources, &secrets)?;
        write(&config, &text)?;
        let log_file = folder.join("gateway.log");
        let log = open(&log_file)?;
        let errors = log.try_clone().map_err(|error| failed("cannot write", &log_file, &error))?;
        let program = std::env::current_exe()
            .map_err(|error| CliError::new(format!("this program cannot be found: {error}")))?;
        let mut command = Command::new(program);
        command.args(["serve", "--until-stdin-closes", "--config"]).arg(&config);
        // What is set for another gateway is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BECKET_") {
                command.env_remove(name);
            }
        }
        command.envs(secrets.values().map(|(variable, secret)| (variable, secret)));
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        let child = command
            .spawn()
            .map_err(|error| CliError::new(format!("a gateway cannot be started: {error}")))?;
        let ephemeral = wanted.ephemeral;
        let folder = folder.to_path_buf();
        let mut made = Self { folder, address, token: String::new(), sources, ephemeral, child };
        made.wait_until_ready()?;
        let token = made.folder.join("data").join(ADMIN_TOKEN_FILE);
        made.token = fs::read_to_string(&token)
            .map_err(|error| failed("cannot read", &token, &error))?
            .trim()
            .to_owned();
        eprintln!("No gateway is configured: one runs here for you, in {}", made.folder.display());
        Ok(made)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                let why = log_end(&self.folder.join("gateway.log"));
                let message = format!("the gateway ended at once ({status}):\n{why}");
                return Err(CliError::new(message).into());
            }
            if is_ready(self.address) {
                return Ok(());
            }
            if started.elapsed() > START_LIMIT {
                let log = self.folder.join("gateway.log");
                let message = format!("the gateway does not become ready; see {}", log.display());
                return Err(CliError::new(message).into());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// How it is asked.
    pub fn connection(&self) -> Connection {
        Connection { url: format!("http://{}", self.address), token: self.token.clone() }
    }

    /// The names of its sources.
    pub fn sources(&self) -> Vec<String> {
        self.sources.clone()
    }

    /// Where it receives.
    pub fn receiving_urls(&self) -> Vec<String> {
        self.sources.iter().map(|source| format!("http://{}/in/{source}", self.address)).collect()
    }

    /// Stops it, and throws away what is to be thrown away.
    pub async fn stop(self) {
        // It waits for nobody else: nothing runs any more but this.
        let stopped = tokio::task::spawn_blocking(move || drop(self)).await;
        if let Err(error) = stopped {
            eprintln!("the gateway could not be stopped: {error}");
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > STOP_LIMIT {
                // Everything that it accepted is on disk.
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if self.ephemeral && fs::remove_dir_all(&self.folder).is_err() {
            eprintln!("{} could not be removed", self.folder.display());
        }
    }
}

/// Whether another process holds the data.
fn is_held(folder: &Path) -> bool {
    log_end(&folder.join("gateway.log")).contains("lock")
}

fn folder(ephemeral: bool) -> Result<PathBuf> {
    let folder = match ephemeral {
        true => std::env::temp_dir().join(format!("becket-dev-{}", std::process::id())),
        false => std::env::current_dir()
            .map_err(|error| CliError::new(format!("there is no current folder: {error}")))?
            .join(FOLDER),
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| failed("cannot make", &folder, &error))?;
    write(&folder.join(".gitignore"), "*\n")?;
    Ok(folder)
}

fn open(path: &Path) -> Result<fs::File> {
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("cannot write", path, &error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| failed("cannot write", path, &error))
}

/// The port that was asked for, or that it had before, or a free one; the same the next time, because
/// a tunnel leads to it.
fn port(wanted: Option<u16>, folder: &Path) -> Result<u16> {
    let free = |port: u16| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        listener.local_addr().ok().map(|address| address.port())
    };
    if let Some(port) = wanted {
        return free(port).ok_or_else(|| {
            CliError::new(format!("port {port} is taken")).hint("give another --port").into()
        });
    }
    let file = folder.join("port");
    let before = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let found = before.and_then(free).or_else(|| free(PORT_DEFAULT)).or_else(|| free(0));
    let port = found.ok_or_else(|| CliError::new("there is no free port"))?;
    write(&file, &format!("{port}\n"))?;
    Ok(port)
}

/// The secret of each source, with the variable that hands it over.
fn secrets(sources: &[String], given: &[String]) -> Result<BTreeMap<String, (String, String)>> {
    let from_env = std::env::var(SECRET_VARIABLE).ok().filter(|secret| !secret.is_empty());
    let given: Vec<String> =
        if given.is_empty() { from_env.into_iter().collect() } else { given.to_vec() };
    let mut found = BTreeMap::new();
    for (at, secret) in given.iter().enumerate() {
        let named = sources.iter().find_map(|source| {
            let rest = secret.strip_prefix(source.as_str())?.strip_prefix('=')?;
            Some((source, rest))
        });
        let (source, secret) = match (named, sources.get(at)) {
            (Some(named), _) => named,
            (None, Some(source)) => (source, secret.as_str()),
            (None, None) => {
                return Err(CliError::usage("there are more secrets than sources")
                    .hint("write --source github --secret github=...")
                    .into());
            }
        };
        let variable = format!("BECKET_LISTEN_SECRET_{at}");
        found.insert(source.clone(), (variable, secret.to_owned()));
    }
    Ok(found)
}

fn configuration(
    address: SocketAddr,
    folder: &Path,
    sources: &[String],
    secrets: &BTreeMap<String, (String, String)>,
) -> Result<String> {
    use toml::{Table, Value};
    let table = |pairs: Vec<(&str, Value)>| -> Value {
        Value::Table(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let listed = sources.iter().map(|name| {
        let open = name == OPEN_SOURCE;
        let provider = if open { OPEN_PROVIDER } else { name.as_str() };
        let mut source: Vec<(&str, Value)> =
            vec![("id", name.as_str().into()), ("provider", provider.into())];
        if open {
            source.push(("credentials", table(vec![("event_type", "json:type".into())])));
        }
        if let Some((variable, _)) = secrets.get(name) {
            let secret = table(vec![("env", variable.as_str().into())]);
            source.push(("secrets", Value::Array(vec![secret])));
        }
        table(source)
    });
    let listed = Value::Array(listed.collect());
    let data = folder.join("data");
    let store = format!("sqlite:{}", data.display());
    let mut all = Table::new();
    all.insert("server".into(), table(vec![("listen", address.to_string().into())]));
    all.insert("store".into(), table(vec![("url", store.into())]));
    all.insert("source".into(), listed);
    let text = toml::to_string(&all)
        .map_err(|error| CliError::new(format!("the configuration cannot be written: {error}")))?;
    Ok(format!("# Written by `becket listen` at each start.\n{text}"))
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// The last lines of a log.
fn log_end(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
    becket_develop::listen::text::harmless(&lines[from..].join("\n"), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_belong_to_sources_by_name_or_by_order() {
        let sources = ["github".to_owned(), "stripe".to_owned()];
        let found = secrets(&sources, &["stripe=whsec_=x".to_owned()]).ok().unwrap();
        assert_eq!(found["stripe"].1, "whsec_=x");
        let found = secrets(&sources, &["a".to_owned(), "b".to_owned()]).ok().unwrap();
        assert_eq!((&found["github"].1[..], &found["stripe"].1[..]), ("a", "b"));
        let many = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert!(secrets(&sources, &many).is_err());
    }

    #[test]
    fn the_configuration_is_one_that_the_gateway_reads() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let text = configuration(address, Path::new("x y"), &["dev".to_owned()], &BTreeMap::new());
        let loaded = crate::config::parse(&text.ok().unwrap()).unwrap();
        assert_eq!(loaded.config.sources[0].provider, "none");
        let secrets = [("github".to_owned(), ("PATH".to_owned(), "s".to_owned()))].into();
        let text = configuration(address, Path::new("x"), &["github".to_owned()], &secrets);
        let text = text.ok().unwrap();
        assert!(text.contains("env = \"PATH\""), "{text}");
        assert!(!text.contains("\"s\""), "no secret is written: {text}");
    }
}
