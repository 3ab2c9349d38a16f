//! `[cluster]`: one node among several that share a PostgreSQL database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use becket_store::cluster::Roles;
use serde_json::{Value as Json, json};

use super::Config;
use super::kinds::choice;
use super::problem::Severity;
use super::reader::{Origin, Reader};
use super::store_url::StoreUrl;
use super::table::table;
use super::value::Scalar;

table! {
    /// One node among several that share a PostgreSQL database.
    pub struct Cluster {
        /// The node's name for people; the name of the machine if absent.
        name: Option<String>,
        /// What this node does: `ingress` receives, `engine` delivers, `api` serves the API, the
        /// dashboard and the portal. Everything if absent.
        roles: Vec<NodeRole>,
        /// How long the node counts as alive after it was last heard of. What it was delivering is
        /// taken over by others after that.
        lease: Duration = "15s",
        /// How often it is heard of.
        renew: Duration = "5s",
    }
}

choice! {
    /// Something that a node does.
    pub enum NodeRole ("role") {
        /// It receives webhooks.
        Ingress = "ingress",
        /// It delivers.
        Engine = "engine",
        /// It serves the API, the dashboard and the portal.
        Api = "api",
    }
}

impl Cluster {
    /// What the node does.
    #[must_use]
    pub fn roles(&self) -> Roles {
        let has = |role| self.roles.is_empty() || self.roles.contains(&role);
        Roles {
            ingress: has(NodeRole::Ingress),
            engine: has(NodeRole::Engine),
            api: has(NodeRole::Api),
        }
    }
}

impl Config {
    /// Where this machine keeps what is its own: SQLite's folder, or `server.folder` beside a
    /// database.
    #[must_use]
    pub fn local_folder(&self) -> PathBuf {
        self.store.url.folder().unwrap_or(&self.server.folder).to_owned()
    }
}

/// Checks what has to fit the kind of store.
pub(super) fn check(reader: &mut Reader<'_>, config: &Config) {
    let Cluster { lease, renew, .. } = &config.cluster;
    let is_set = |reader: &Reader<'_>, key: &str| {
        reader.origins.get(key).is_some_and(|origin| *origin != Origin::Default)
    };
    if let StoreUrl::Sqlite { .. } = config.store.url {
        if config.cluster.roles() != Roles::ALL {
            let message = "a node that does only a part needs others, and they need PostgreSQL";
            let hint = "leave out `roles`, or write `url = \"postgres://...\"` into [store]";
            error(reader, "roles_without_database", "cluster.roles", message, hint);
        }
        if is_set(reader, "server.folder") {
            let message = "`server.folder` is for a store on PostgreSQL";
            let hint = "on SQLite, everything is in the folder of `store.url`: leave it out";
            error(reader, "folder_twice", "server.folder", message, hint);
        }
    }
    if renew.is_zero() {
        error(reader, "zero", "cluster.renew", "`cluster.renew` must be longer than nothing", "");
    }
    // A second before the lease ends a node stops starting attempts; it has to have two chances.
    if *lease < *renew * 2 + Duration::from_secs(1) {
        let message = "`cluster.lease` is too short for `cluster.renew`";
        let hint = "make it at least twice as long and a second: 15s and 5s are usual";
        error(reader, "lease_short", "cluster.lease", message, hint);
    }
    if config.store.connections < 2 {
        let message = "`store.connections` must be at least 2";
        error(reader, "wrong_value", "store.connections", message, "16 is usual");
    }
    let folder: &Path = &config.server.folder;
    if folder.as_os_str().is_empty() {
        let message = "`server.folder` is empty";
        error(reader, "wrong_value", "server.folder", message, "");
    }
}

fn error(reader: &mut Reader<'_>, code: &'static str, key: &str, message: &str, hint: &str) {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    reader.report(Severity::Error, code, &[key], message.to_owned(), hint);
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const URL: &str = "[store]\nurl = \"postgres://u@h/d?sslmode=disable\"\n";

    #[test]
    fn a_part_needs_a_database() {
        let wrong = parse("[cluster]\nroles = [\"api\"]\n").unwrap_err();
        assert!(wrong.to_string().contains("PostgreSQL"), "{wrong}");
        let loaded = parse(&format!("{URL}[cluster]\nroles = [\"api\", \"ingress\"]\n")).unwrap();
        let roles = loaded.config.cluster.roles();
        assert!(roles.api && roles.ingress && !roles.engine);
        assert_eq!(parse(URL).unwrap().config.cluster.roles(), Roles::ALL);
        assert_eq!(parse(URL).unwrap().config.local_folder(), PathBuf::from("data"));
    }

    #[test]
    fn a_lease_has_to_leave_two_chances() {
        let with = |lease: &str, renew: &str| {
            parse(&format!("{URL}[cluster]\nlease = \"{lease}\"\nrenew = \"{renew}\"\n"))
        };
        assert!(with("15s", "5s").is_ok() && with("2s", "500ms").is_ok());
        assert!(with("2s", "1s").is_err() && with("15s", "0s").is_err());
    }
}
