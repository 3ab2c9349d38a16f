//! The server's URL: where it is, who asks, and how far its encryption is trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// What is wrong with a URL, as the rest of a sentence about it: "names no host". The URL is not
/// repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(pub String);

impl UrlError {
    fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// A PostgreSQL server, or several of which one is the primary.
#[derive(Clone)]
pub struct Server {
    /// What the driver is told.
    pub config: Config,
    root_certificate: Option<PathBuf>,
}

impl Server {
    /// Whether a URL is one of PostgreSQL.
    #[must_use]
    pub fn is_url(url: &str) -> bool {
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// Reads a URL. The parameters that are called as in `own` are the caller's: they are taken out,
    /// decoded and told.
    ///
    /// # Errors
    /// [`UrlError`] if it names no host, or something that is not supported.
    pub fn parse(url: &str, own: &[&str]) -> Result<(Self, BTreeMap<String, String>), UrlError> {
        if !Self::is_url(url) {
            return Err(UrlError::new("begins with `postgres://`"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut root_certificate = None;
        let mut told = BTreeMap::new();
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                _ if own.contains(&name) => {
                    told.insert(name.to_owned(), decoded(value)?);
                }
                "sslmode" => mode = Some(value.to_owned()),
                "sslrootcert" if value == "system" => {}
                "sslrootcert" => root_certificate = Some(PathBuf::from(decoded(value)?)),
                "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => {
                    let problem = format!("has `{name}`: client certificates are not supported");
                    return Err(UrlError(problem));
                }
                _ => kept.push(pair),
            }
        }
        let text =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        // The driver's error may repeat a part of the URL, so only its source is told, which does not.
        let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.filter(|cause| cause.starts_with("unknown option"));
            UrlError(cause.unwrap_or_else(|| "cannot be read as a PostgreSQL URL".to_owned()))
        })?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::new("names no host"));
        }
        config.ssl_mode(match mode.as_deref() {
            Some("disable") => SslMode::Disable,
            Some("prefer" | "allow") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            None if is_local(&config) => SslMode::Disable,
            None => SslMode::Require,
            Some(_) => {
                let modes = "disable, prefer, require, verify-full";
                return Err(UrlError(format!("has an unknown `sslmode`; there are {modes}")));
            }
        });
        if config.get_application_name().is_none() {
            config.application_name("becket");
        }
        config.keepalives_idle(std::time::Duration::from_secs(30));
        Ok((Self { config, root_certificate }, told))
    }

    /// A file with further certificate authorities (`sslrootcert`).
    #[must_use]
    pub fn root_certificate(&self) -> Option<&Path> {
        self.root_certificate.as_deref()
    }

    /// A configuration for each host alone, in the order of the URL: for who wants to ask the next one
    /// before the first has answered.
    #[must_use]
    pub fn each_host(&self) -> Vec<Config> {
        let all = &self.config;
        let ports = all.get_ports();
        let hosts = all.get_hosts().iter().enumerate().map(|(at, host)| {
            let mut one = Config::new();
            match host {
                Host::Tcp(name) => one.host(name),
                Host::Unix(path) => one.host_path(path),
            };
            if let Some(address) = all.get_hostaddrs().get(at) {
                one.hostaddr(*address);
            }
            if let Some(port) = ports.get(at).or_else(|| ports.first()) {
                one.port(*port);
            }
            if let Some(user) = all.get_user() {
                one.user(user);
            }
            if let Some(password) = all.get_password() {
                one.password(password);
            }
            if let Some(name) = all.get_dbname() {
                one.dbname(name);
            }
            if let Some(options) = all.get_options() {
                one.options(options);
            }
            if let Some(name) = all.get_application_name() {
                one.application_name(name);
            }
            if let Some(timeout) = all.get_connect_timeout() {
                one.connect_timeout(*timeout);
            }
            if let Some(timeout) = all.get_tcp_user_timeout() {
                one.tcp_user_timeout(*timeout);
            }
            if let Some(interval) = all.get_keepalives_interval() {
                one.keepalives_interval(interval);
            }
            if let Some(retries) = all.get_keepalives_retries() {
                one.keepalives_retries(retries);
            }
            one.ssl_mode(all.get_ssl_mode())
                .ssl_negotiation(all.get_ssl_negotiation())
                .keepalives(all.get_keepalives())
                .keepalives_idle(all.get_keepalives_idle())
                .target_session_attrs(all.get_target_session_attrs())
                .channel_binding(all.get_channel_binding());
            one
        });
        hosts.collect()
    }

    /// The hosts with their ports, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(at, host)| {
            let name = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            };
            let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
            format!("{name}:{port}")
        });
        hosts.collect::<Vec<_>>().join(", ")
    }
}

/// Whether every host of it is this machine.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError::new("has a parameter that is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::Server;

    #[test]
    fn urls_are_read() {
        let cases = [
            ("postgres://u:p@db.example.com/x", Some(SslMode::Require)),
            ("postgres://u:p@db.example.com/x?sslmode=disable", Some(SslMode::Disable)),
            ("postgres://db.example.com/x?sslmode=verify-full", Some(SslMode::Require)),
            ("postgresql://u@localhost/x", Some(SslMode::Disable)),
            ("postgres://u@127.0.0.1:5433/x?connect_timeout=5", Some(SslMode::Disable)),
            ("postgres://u@%2Fvar%2Frun%2Fpostgresql/x", Some(SslMode::Disable)),
            (
                "postgres://u:p@ep-x.neon.tech/d?sslmode=require&channel_binding=require",
                Some(SslMode::Require),
            ),
            ("postgres://u:p@h/x?sslmode=perhaps", None),
            ("postgres://u:p@h/x?sslcert=a.pem", None),
            ("postgres://u:p@h/x?nonsense=1", None),
            ("postgres:///x", None),
            ("mysql://u:p@h/x", None),
        ];
        for (url, expected) in cases {
            match (Server::parse(url, &["schema"]), expected) {
                (Ok((server, _)), Some(mode)) => {
                    assert_eq!(server.config.get_ssl_mode(), mode, "{url}");
                }
                (Err(error), None) => {
                    assert!(!error.to_string().contains("u:p"), "{url}: {error}");
                }
                (Ok(_), _) => panic!("{url} was taken"),
                (Err(error), _) => panic!("{url}: {error}"),
            }
        }
        let url = "postgres://u@a:1,b:2/x?schema=two%20words&connect_timeout=5";
        let (server, told) = Server::parse(url, &["schema"]).unwrap();
        assert_eq!(told.get("schema").map(String::as_str), Some("two words"));
        assert_eq!(server.place(), "a:1, b:2");
        assert!(Server::parse(url, &[]).is_err());
    }
}
