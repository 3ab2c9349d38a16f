//! The database's URL: which database it is.

use std::path::PathBuf;

use becket_postgres::Server;

use crate::error::SqlError;

/// A database that can be written to.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(Box<Server>),
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
        if !Server::is_url(url) {
            let problem = "begins with `postgres://` or `sqlite:`";
            return Err(SqlError::Url(problem.to_owned()));
        }
        let (server, _) =
            Server::parse(url, &[]).map_err(|error| SqlError::Url(error.to_string()))?;
        Ok(Self::Postgres(Box::new(server)))
    }
}

#[cfg(test)]
mod tests {
    use super::Database;

    #[test]
    fn urls_are_read() {
        let read = Database::parse("postgres://u:p@db.example.com/x?sslmode=disable");
        assert!(matches!(read, Ok(Database::Postgres(_))));
        for url in ["mysql://u:p@h/x", "postgres://u:p@h/x?nonsense=1", "sqlite:"] {
            let error = Database::parse(url).map(drop).unwrap_err();
            assert!(!error.to_string().contains("u:p"), "{url}: {error}");
        }
        assert!(matches!(Database::parse("sqlite:/a/b.db"), Ok(Database::Sqlite(path))
            if path == std::path::Path::new("/a/b.db")));
    }
}
