//! The database's URL: which database it is, and how far its encryption is trusted.

use std::path::PathBuf;

use crate::error::SqlError;

/// A database that can be written to.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(Box<Server>),
}

/// A PostgreSQL server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: tokio_postgres::Config,
    /// A file with further certificate authorities.
    pub(crate) root_certificate: Option<PathBuf>,
}

impl Database {
    pub(crate) fn parse(url: &str) -> Result<Self, SqlError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('?') {
                let problem = "is `sqlite:` and a path, as in sqlite:/srv/events.db";
                return Err(SqlError::Url(problem.to_owned()));
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let problem = "begins with `postgres://` or `sqlite:`";
            return Err(SqlError::Url(problem.to_owned()));
        }
        Server::parse(url).map(|server| Self::Postgres(Box::new(server)))
    }
}

impl Server {
    /// Takes out what the driver does not know, and reads the rest as it does.
    fn parse(url: &str) -> Result<Self, SqlError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut root_certificate = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" => mode = Some(value.to_owned()),
                "sslrootcert" if value == "system" => {}
                "sslrootcert" => root_certificate = Some(PathBuf::from(decoded(value)?)),
                "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => {
                    let problem = format!("has `{name}`: client certificates are not supported");
                    return Err(SqlError::Url(problem));
                }
                _ => kept.push(pair),
            }
        }
        let text =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        // The driver's error may repeat a part of the URL, so only its source is told, which does not.
        let mut config: tokio_postgres::Config =
            text.parse().map_err(|error: tokio_postgres::Error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.filter(|cause| cause.starts_with("unknown option"));
                SqlError::Url(
                    cause.unwrap_or_else(|| "cannot be read as a PostgreSQL URL".to_owned()),
                )
            })?;
        if config.get_hosts().is_empty() {
            return Err(SqlError::Url("names no host".to_owned()));
        }
        config.ssl_mode(match mode.as_deref() {
            Some("disable") => tokio_postgres::config::SslMode::Disable,
            Some("prefer" | "allow") => tokio_postgres::config::SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => {
                tokio_postgres::config::SslMode::Require
            }
            None if is_local(&config) => tokio_postgres::config::SslMode::Disable,
            None => tokio_postgres::config::SslMode::Require,
            Some(_) => {
                let modes = "disable, prefer, require, verify-full";
                return Err(SqlError::Url(format!("has an unknown `sslmode`; there are {modes}")));
            }
        });
        if config.get_application_name().is_none() {
            config.application_name("becket");
        }
        config.keepalives_idle(std::time::Duration::from_secs(30));
        Ok(Self { config, root_certificate })
    }
}

/// Whether every host of it is this machine.
fn is_local(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        tokio_postgres::config::Host::Unix(_) => true,
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, SqlError> {
    let wrong = || SqlError::Url("has a parameter that is not percent-encoded UTF-8".to_owned());
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

    use super::Database;

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
            match (Database::parse(url), expected) {
                (Ok(Database::Postgres(server)), Some(mode)) => {
                    assert_eq!(server.config.get_ssl_mode(), mode, "{url}");
                }
                (Err(error), None) => {
                    assert!(!error.to_string().contains("u:p"), "{url}: {error}");
                }
                (Ok(_), _) => panic!("{url} was taken"),
                (Err(error), _) => panic!("{url}: {error}"),
            }
        }
        assert!(matches!(Database::parse("sqlite:/a/b.db"), Ok(Database::Sqlite(path))
            if path == std::path::Path::new("/a/b.db")));
        assert!(Database::parse("sqlite:").is_err());
    }
}
