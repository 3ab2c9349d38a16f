//! What can be set, generated from the declarations: JSON Schema, reference, effective settings.
//!
//! `config.schema.json` and `docs/configuration.md` are written by `becket config schema` and
//! `becket config reference`, and a test compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::Config;
use super::reader::{Origin, env_name};
use super::table::{Key, Table as _};

/// One effective setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its full name.
    pub key: String,
    /// Its value, without secrets; null if it is not set.
    pub value: Json,
    /// Where it came from.
    pub origin: Origin,
}

/// The JSON Schema of the file, with a final line end.
#[must_use]
pub fn schema_text() -> String {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "becket.toml",
        "description": "Configuration of the Becket webhook gateway.",
    });
    if let (Json::Object(all), Json::Object(config)) =
        (&mut schema, super::table::schema(&Config::declared()))
    {
        all.extend(config);
    }
    format!("{schema:#}\n")
}

/// The names of the environment variables that set something.
pub(super) fn env_names() -> BTreeSet<String> {
    fn walk(keys: &[Key], prefix: &str, names: &mut BTreeSet<String>) {
        for key in keys {
            let path = join(prefix, key.name);
            match &key.keys {
                Some(_) if key.is_list => {}
                Some(inner) => walk(inner, &path, names),
                None => {
                    names.insert(env_name(&path));
                }
            }
        }
    }
    let mut names = BTreeSet::new();
    walk(&Config::declared(), "", &mut names);
    names
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

impl Config {
    /// Every setting with its value and where it came from, in the order of the reference.
    #[must_use]
    pub fn settings(&self, origins: &BTreeMap<String, Origin>) -> Vec<Setting> {
        let mut settings = Vec::new();
        flatten(&Config::declared(), &Json::Object(self.shown()), "", origins, &mut settings);
        settings
    }
}

fn flatten(
    keys: &[Key],
    value: &Json,
    prefix: &str,
    origins: &BTreeMap<String, Origin>,
    settings: &mut Vec<Setting>,
) {
    for key in keys {
        let path = join(prefix, key.name);
        let value = &value[key.name];
        match (&key.keys, value) {
            (Some(inner), Json::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    flatten(inner, item, &format!("{path}[{index}]"), origins, settings);
                }
            }
            (Some(inner), Json::Object(_)) => flatten(inner, value, &path, origins, settings),
            _ => {
                let origin = origins.get(&path).cloned().unwrap_or(Origin::Default);
                settings.push(Setting { key: path, value: value.clone(), origin });
            }
        }
    }
}

/// The reference of all settings, as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    let (sections, scalars): (Vec<Key>, Vec<Key>) =
        Config::declared().into_iter().partition(|key| key.keys.is_some());
    text.push_str("\n## Top of the file\n\n");
    write_keys(&mut text, &scalars, "", true);
    for section in &sections {
        write_section(&mut text, section, section.name, !section.is_list);
    }
    text
}

fn write_section(text: &mut String, section: &Key, path: &str, has_env: bool) {
    let heading = if section.is_list { format!("[[{path}]]") } else { format!("[{path}]") };
    let Some(keys) = &section.keys else { return };
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## `{heading}`\n\n{}\n\n", section.doc);
    let (inner, scalars): (Vec<Key>, Vec<Key>) =
        keys.iter().cloned().partition(|key| key.keys.is_some());
    write_keys(text, &scalars, path, has_env);
    for key in &inner {
        write_section(text, key, &format!("{path}.{}", key.name), has_env && !key.is_list);
    }
}

fn write_keys(text: &mut String, keys: &[Key], path: &str, has_env: bool) {
    text.push_str("| key | kind | default | meaning |\n|---|---|---|---|\n");
    for key in keys {
        let default = match (key.default, key.required) {
            (Some(""), _) | (None, false) => "–".to_owned(),
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "required".to_owned(),
        };
        let meaning = key.doc.replace('|', "\\|");
        let variable = match (has_env, path) {
            (true, "") => format!(" Variable: `{}`.", env_name(key.name)),
            _ => String::new(),
        };
        let _ =
            writeln!(text, "| `{}` | {} | {default} | {meaning}{variable} |", key.name, key.words);
    }
}

const INTRODUCTION: &str = "\
<!-- Written by `becket config reference`; change the declarations in crates/becket/src/config instead. -->
# Configuration

Becket reads, each overriding the next: flags, environment variables, one TOML file, defaults. The file
is the one named by `--config` or `BECKET_CONFIG`, else `becket.toml` in the working folder; without a
file everything has its default.

- `becket config check` reports everything that is wrong, all at once, with line and column.
- `becket config show` prints what holds and where each value comes from, without secrets.
- `config.schema.json` is the JSON Schema of the file, for editors.
- The file is read again when it, or a file it names, changes, and on `SIGHUP`. A broken new file
  changes nothing; the log says why.

## How values are written

- Variables: every setting of `[server]`, `[store]`, `[cluster]`, `[egress]`, `[log]`, `[dashboard]` and
  `[portal]` is also `BECKET_`, the section and the key: `server.listen` is `BECKET_SERVER_LISTEN`, `server.tls.cert_file` is
  `BECKET_SERVER_TLS_CERT_FILE`. Lists are separated by commas.
- Durations: `250ms`, `10s`, `5m`, `72h`, `30d`, or several of them joined, `1h30m`. Sizes: `64KiB`,
  `5MiB`, `20GiB`. Rates: `100/s`, `30/min`, `1000/h`.
- Secrets: a text, `{ env = \"NAME\" }`, or `{ file = \"PATH\" }` (a final line end is dropped).
- Paths in the file are relative to the file's folder; paths in flags and variables to the working
  folder.
- An unknown key is an error that names the nearest known one.

## An example

```toml
[server]
listen = \"127.0.0.1:8080\"
public_url = \"https://hooks.example.com\"

[store]
url = \"sqlite:data\"

[[source]]
id = \"github\"                       # receives at https://hooks.example.com/in/github
provider = \"github\"
secrets = [{ env = \"GITHUB_WEBHOOK_SECRET\" }]
event_types = [\"push\", \"pull_request\"]
rate_limit = \"100/s\"

  [[source.endpoint]]
  id = \"app\"
  url = \"http://127.0.0.1:3000/webhooks/github\"
  secret = { env = \"APP_WEBHOOK_SECRET\" }
  retry = \"standard\"
```
";
