//! `store.url`: where events are kept. It may hold a password, so it is a secret as far as it does.
//!
//! Invariant: no error, warning or output shows the password, or any part of a URL that could not be
//! read.

use std::path::{Path, PathBuf};

use becket_postgres::Server;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::reader::{Origin, Reader, Slot};
use super::secret::{Secret, SecretOrigin};
use super::value::{Scalar as _, Value};

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In a folder of this machine, made if it is missing.
    Sqlite {
        /// The folder.
        folder: PathBuf,
    },
    /// In a PostgreSQL database, which several nodes may share.
    Postgres {
        /// `postgres://...`, with the password if it is in there.
        url: Secret,
    },
}

/// Where systemd says which folder it has made for the service; several are separated by colons.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// Parameters of the URL that are the store's own.
const OWN_PARAMETERS: &[&str] = &["schema"];

impl StoreUrl {
    /// Reads it; the error repeats nothing that could be secret.
    pub(crate) fn of(secret: Secret) -> Result<Self, String> {
        let text = secret.expose();
        if let Some(folder) = text.strip_prefix("sqlite:") {
            let folder = folder.strip_prefix("//").unwrap_or(folder);
            if folder.is_empty() {
                return Err("`sqlite:` names no folder; write `sqlite:FOLDER`".to_owned());
            }
            return Ok(Self::Sqlite { folder: PathBuf::from(folder) });
        }
        if Server::is_url(text) {
            return match Server::parse(text, OWN_PARAMETERS) {
                Ok(_) => Ok(Self::Postgres { url: secret }),
                Err(problem) => Err(format!("the URL of the database {problem}")),
            };
        }
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_word = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
        let what = if is_word { format!("`{scheme}:`") } else { "this".to_owned() };
        Err(format!(
            "{what} is not a store; write `sqlite:FOLDER` or `postgres://USER@HOST/DATABASE`"
        ))
    }

    /// The URL as it can be shown: without a password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite:{}", folder.display()),
            Self::Postgres { url } => without_password(url.expose()),
        }
    }

    /// The folder of SQLite.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { folder } => Some(folder),
            Self::Postgres { .. } => None,
        }
    }

    fn based(self, reader: &Reader<'_>) -> Self {
        match self {
            Self::Sqlite { folder } => Self::Sqlite { folder: folder.based(reader) },
            Self::Postgres { url } => Self::Postgres { url },
        }
    }
}

fn first_folder(list: &str) -> Option<PathBuf> {
    let first = list.split(':').next().filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(first))
}

/// A URL of PostgreSQL with everything left out that could be a password.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "postgres://".to_owned() };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let base = match base.rsplit_once('@') {
        Some((who, place)) => match who.split_once(':') {
            Some((user, _)) => format!("{user}:<redacted>@{place}"),
            None => format!("{who}@{place}"),
        },
        None => base.to_owned(),
    };
    let shown = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if name.contains("pass") { format!("{name}=<redacted>") } else { pair.to_owned() }
    };
    let query: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(shown).collect();
    match query[..] {
        [] => format!("{scheme}://{base}"),
        _ => format!("{scheme}://{base}?{}", query.join("&")),
    }
}

impl Value for StoreUrl {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        if let Some(given) = reader.given_outside(slot) {
            return Self::load_text(reader, slot, &given.text, &given.from);
        }
        let Some(node) = slot.node else {
            if let Some(folder) = reader.env(STATE_DIRECTORY).and_then(first_folder) {
                let from = Origin::Env(STATE_DIRECTORY.to_owned());
                reader.origins.insert(slot.path.clone(), from);
                return Some(Self::Sqlite { folder });
            }
            let default = slot.default?;
            reader.origins.insert(slot.path.clone(), Origin::Default);
            return Self::load_text(reader, slot, default, &Origin::Default)
                .map(|url| url.based(reader));
        };
        // A folder is no secret, and worth showing in the line that an error is about.
        let secret = match node.get_ref() {
            DeValue::String(text) if text.starts_with("sqlite:") => {
                reader.came_from_file(slot, node.span());
                Secret::plain(text.as_ref())
            }
            _ => Secret::load(reader, slot)?,
        };
        match Self::of(secret) {
            Ok(url) => Some(url.based(reader)),
            Err(message) => {
                reader.error(slot, node.span(), "wrong_value", message);
                None
            }
        }
    }

    fn load_text(
        reader: &mut Reader<'_>,
        slot: &Slot<'_>,
        text: &str,
        from: &Origin,
    ) -> Option<Self> {
        let url = Self::of(Secret::plain(text));
        url.map_err(|message| reader.wrong_outside(slot, from, &message)).ok()
    }

    fn schema() -> Json {
        Secret::schema()
    }

    fn words() -> String {
        "store URL, or a secret with one".to_owned()
    }

    fn show(&self) -> Json {
        match self {
            Self::Postgres { url } if *url.origin() != SecretOrigin::Plain => url.show(),
            _ => json!(self.shown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{LoadArgs, load, parse};
    use super::*;

    #[test]
    fn no_password_is_ever_shown() {
        for (url, shown) in [
            ("postgres://u:hunter2@h1,h2:5433/d", "postgres://u:<redacted>@h1,h2:5433/d"),
            ("postgres://u:a@b:c@h/d?schema=x", "postgres://u:<redacted>@h/d?schema=x"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://h/d?user=u&password=hunter2", "postgres://h/d?user=u&password=<redacted>"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let url = StoreUrl::of(Secret::plain("postgres://u:hunter2@h/d")).unwrap();
        assert!(!format!("{url:?} {}", url.show()).contains("hunter2"));
    }

    #[test]
    fn a_service_manager_gives_the_default_and_nothing_more() {
        let of = |text: &'static str, env: &[(&str, &str)]| {
            let read = move |_: &Path| Ok::<_, String>(text.to_owned());
            let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let path = Some("becket.toml".into());
            let args = LoadArgs { path, env, flags: Vec::new(), read: &read };
            load(args).unwrap().config.store.url.shown()
        };
        let given = [("STATE_DIRECTORY", "/var/lib/becket:/var/lib/other")];
        assert_eq!(of("", &given), "sqlite:/var/lib/becket");
        assert_eq!(of("", &[("STATE_DIRECTORY", "")]), "sqlite:data");
        assert_eq!(of("[store]\nurl = \"sqlite:/srv/b\"\n", &given), "sqlite:/srv/b");
        let both = [given[0], ("BECKET_STORE_URL", "sqlite:/srv/c")];
        assert_eq!(of("", &both), "sqlite:/srv/c");
    }

    #[test]
    fn it_may_come_from_everywhere_and_an_error_repeats_nothing() {
        let text = "[store]\nurl = \"postgres://u:hunter2@h/d?sslmode=nonsense\"\n";
        let wrong = parse(text).unwrap_err();
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        let text = "[store]\nurl = \"mysql://u:hunter2@h/d\"\n";
        let wrong = parse(text).unwrap_err();
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        assert!(wrong.to_string().contains("`mysql:` is not a store"), "{wrong}");
        let args = |text: &'static str, env: &[(&str, &str)]| LoadArgs {
            path: Some("becket.toml".into()),
            env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            flags: Vec::new(),
            read: Box::leak(Box::new(move |_: &Path| Ok::<_, String>(text.to_owned()))),
        };
        let secret = "postgres://u:hunter2@h/d?sslmode=disable";
        for args in [
            args("", &[("BECKET_STORE_URL", secret)]),
            args("[store]\nurl = { env = \"DB\" }\n", &[("DB", secret)]),
        ] {
            let loaded = load(args).unwrap();
            let StoreUrl::Postgres { url } = &loaded.config.store.url else { panic!("a database") };
            assert_eq!(url.expose(), secret);
            let shown = format!("{:?}", loaded.config.settings(&BTreeMap::new()));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let wrong = args("", &[("BECKET_STORE_URL", "postgres://u:hunter2@h/d?sslmode=x")]);
        let wrong = load(wrong).unwrap_err();
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    }
}
