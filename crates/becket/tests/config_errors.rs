//! A table of wrong configurations and exactly what is said about each.

use std::collections::BTreeMap;
use std::path::Path;

use becket::config::{self, LoadArgs, Problem};

const SOURCE: &str = "[[source]]\nid = \"a\"\nprovider = \"github\"\nsecrets = [\"s\"]\n";
const ENDPOINT: &str = "[[source.endpoint]]\nid = \"e\"\nurl = \"http://localhost:1/\"\n";

fn problems(text: &str) -> Vec<String> {
    let read = |path: &Path| match path.to_str() {
        Some("becket.toml") => Ok(text.to_owned()),
        Some("bad.json") => Ok("{".to_owned()),
        Some("wrong.json") => Ok(r#"{"type": "strin"}"#.to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let loaded =
        config::load(LoadArgs { path: None, env: BTreeMap::new(), flags: Vec::new(), read: &read });
    let problems = match loaded {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.problems,
    };
    problems.iter().map(brief).collect()
}

fn brief(problem: &Problem) -> String {
    let place = problem
        .place
        .as_ref()
        .map_or(String::new(), |place| format!("{}:{} ", place.line, place.column));
    let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" | {hint}"));
    format!("{place}{}{hint}", problem.message)
}

#[track_caller]
fn says(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn unknown_keys_name_the_nearest() {
    says(
        "[server]\nlissten = 1\n",
        &["2:1 unknown key `lissten` in `server` | did you mean `listen`?"],
    );
    says("[sever]\n", &["1:2 unknown key `sever` | did you mean `server`?"]);
    says("[[sources]]\n", &["1:3 unknown key `sources` | did you mean `source`?"]);
    says(
        "[store.retention]\n  deliverd = \"1d\"\n",
        &["2:3 unknown key `deliverd` in `store.retention` | did you mean `delivered`?"],
    );
    says("[log]\nzzz = 1\n", &["2:1 unknown key `zzz` in `log` | known here: format, level"]);
    says(
        &format!("{SOURCE}rate-limit = \"1/s\"\n{ENDPOINT}retrys = \"none\"\n"),
        &[
            "5:1 unknown key `rate-limit` in `source[0]` | did you mean `rate_limit`?",
            "9:1 unknown key `retrys` in `source[0].endpoint[0]` | did you mean `retry`?",
        ],
    );
}

#[test]
fn wrong_types_say_what_is_wanted() {
    says(
        "[server]\nlisten = 8080\n",
        &["2:10 `server.listen` takes an address and port, not a whole number"],
    );
    says(
        "server = []\n",
        &[
            "1:10 `server` takes a table, not a list | there is only one of it: write [ ] instead of [[ ]]",
        ],
    );
    says("[source]\nid = \"a\"\n", &["1:1 `source` takes a list, not a table | write [[source]]"]);
    says(
        &format!("{SOURCE}event_types = \"push\"\n{ENDPOINT}"),
        &["5:15 `source[0].event_types` takes a list, not a string | put it into [ ]"],
    );
    says(
        &format!("{SOURCE}{ENDPOINT}retry = 5\nheaders = []\nforward_authorization = \"yes\"\n"),
        &[
            "8:9 `source[0].endpoint[0].retry` takes a schedule's name or a list of durations, not a whole number",
            "9:11 `source[0].endpoint[0].headers` takes a table, not a list | write { name = ... }",
            "10:25 `source[0].endpoint[0].forward_authorization` takes a truth value, not a string",
        ],
    );
}

#[test]
fn wrong_values_show_the_right_form() {
    let table: [(&str, &str, &str); 12] = [
        (
            "server",
            "header_timeout = \"10 s\"",
            "2:18 `10 s` is not a duration; write it like `250ms`, `10s`, `5m`, `72h` or `30d`",
        ),
        (
            "server",
            "unverified_rate_limit = \"9\"",
            "2:25 `9` is not a rate; write it like `100/s`, `30/min` or `1000/h`",
        ),
        (
            "server",
            "public_url = \"hooks.example.com\"",
            "2:14 `hooks.example.com` cannot be used: The URL must begin with http:// or https://.",
        ),
        ("server", "threads = 70000", "2:11 `70000` is not a whole number from 0 to 65535"),
        ("server", "threads = 0", "2:11 `server.threads` must be at least 1"),
        (
            "server",
            "trusted_proxies = [\"10.0.0.1/8\"]",
            "2:20 `10.0.0.1/8` has bits beyond its prefix; write `10.0.0.0/8`",
        ),
        (
            "server",
            "admin_listen = \"127.0.0.1:8080\"",
            "2:16 `server.admin_listen` is the same as `server.listen` | leave it out to serve both on one address",
        ),
        (
            "store",
            "cap = \"20 Gib\"",
            "2:7 `20 Gib` is not a size; write it like `64KiB`, `5MiB` or `20GiB`",
        ),
        (
            "store",
            "url = \"data\"",
            "2:7 this is not a store; write `sqlite:FOLDER` or `postgres://USER@HOST/DATABASE`",
        ),
        (
            "store",
            "url = \"postgres://me@db/x?sslmode=no\"",
            "2:7 the URL of the database has an unknown `sslmode`; there are disable, prefer, require, verify-full",
        ),
        (
            "log",
            "level = \"loud\"",
            "2:9 `loud` is not possible here; use error, warn, info, debug, trace",
        ),
        (
            "egress",
            "nat64_prefix = \"10.0.0.0/8\"",
            "2:16 `10.0.0.0/8` is not an IPv6 network; write it like `64:ff9b::/96`",
        ),
    ];
    for (section, line, expected) in table {
        says(&format!("[{section}]\n{line}\n"), &[expected]);
    }
}

#[test]
fn sections_must_be_complete_and_fit_together() {
    says(
        "[server.tls]\ncert_file = \"c\"\n",
        &["1:9 `server.tls` has no `key_file` | add `key_file = ...`"],
    );
    says(
        "[server.acme]\n",
        &["1:1 [server.acme] names no domain | add domains = [\"hooks.example.com\"]"],
    );
    says(
        "[server.tls]\ncert_file = \"c\"\nkey_file = \"k\"\n[server.acme]\ndomains = [\"a\"]\n",
        &["4:1 both [server.tls] and [server.acme] are set | keep one of them"],
    );
    says(
        "master_key = \"AAAA\"\n",
        &[
            "1:14 the master key is not 32 bytes in base64 | make one with `openssl rand -base64 32`",
        ],
    );
    says(
        "[[source]]\n",
        &[
            "1:1 `source[0]` has no `id` | add `id = ...`",
            "1:1 `source[0]` has no `provider` | add `provider = ...`",
        ],
    );
}

#[test]
fn secrets_must_be_there() {
    says(
        &format!("[[source]]\nid = \"a\"\nprovider = \"github\"\n{ENDPOINT}"),
        &[
            "3:12 source `a`: `github` needs a secret (The webhook's Secret) | add secrets = [{ env = \"NAME\" }]",
        ],
    );
    says(
        &format!(
            "[[source]]\nid = \"a\"\nprovider = \"github\"\nsecrets = [{{ env = \"NOPE\" }}, {{ file = \"nope\" }}, \"\"]\n{ENDPOINT}"
        ),
        &[
            "4:20 the environment variable `NOPE` is not set | set it, or give `source[0].secrets[0]` in another way",
            "4:39 the secret file `nope` cannot be read: there is no such file | paths are relative to the folder of the configuration file",
            "4:49 `source[0].secrets[2]` is empty",
        ],
    );
    says(
        &format!("{SOURCE}{ENDPOINT}secret = {{ evn = \"X\" }}\n"),
        &[
            "8:10 `source[0].endpoint[0].secret` takes a secret, not a table | write a string, { env = \"NAME\" } or { file = \"PATH\" }",
        ],
    );
}

#[test]
fn sources_and_endpoints_are_checked() {
    says(
        &format!("{SOURCE}{ENDPOINT}{SOURCE}{ENDPOINT}{ENDPOINT}"),
        &[
            "9:6 there are two sources `a` | the id is the receiving URL: give each its own",
            "16:6 source `a` has two endpoints `e` | give each its own id",
        ],
    );
    says(
        &format!("{}{ENDPOINT}", SOURCE.replace("github", "githb")),
        &["3:12 there is no provider `githb` | did you mean `github`?"],
    );
    says(
        &format!("{}{ENDPOINT}", SOURCE.replace("\"a\"", "\"a b\"")),
        &[
            "2:6 `a b` cannot be an id | use 1 to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`",
        ],
    );
    says(
        &format!(
            "{SOURCE}invalid_status = 200\nack = {{ status = 302 }}\nmethods = [\"post\", \"BREW\"]\n{ENDPOINT}"
        ),
        &[
            "5:18 200 is no status for a rejected event | use 400 to 499",
            "6:18 302 is no status for an accepted event | use 200 to 299",
            "7:20 `BREW` is not a method; use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ],
    );
    says(
        &format!(
            "{SOURCE}{ENDPOINT}timeout = \"2m\"\nconcurrency = 0\nretry = \"standart\"\nheaders = {{ Host = \"x\", \"a b\" = \"x\" }}\nsecret = \"whsec_c2hvcnQ=\"\n"
        ),
        &[
            "8:11 `timeout` is longer than 60s | let the handler answer at once and work afterwards",
            "9:15 `source[0].endpoint[0].concurrency` must be at least 1",
            "10:9 there is no retry schedule `standart` | did you mean `standard`?",
            "11:13 the header `Host` is set by the gateway itself",
            "11:25 `a b` is no header name",
            "12:10 the signing key has the wrong length: 24 to 64 bytes for `whsec_`, 32 or 64 for `whsk_` | write `whsec_` and 24 to 64 bytes in base64, or leave it out: one is made and kept",
        ],
    );
    says(
        &format!("{SOURCE}{}", ENDPOINT.replace("http://localhost:1/", "ftp://x/")),
        &["7:7 `ftp://x/` cannot be used: The URL must begin with http:// or https://."],
    );
}

#[test]
fn schemas_and_parameters_are_checked() {
    says(
        &format!(
            "{SOURCE}schemas = {{ a = {{ file = \"gone.json\" }}, b = {{ file = \"bad.json\" }} }}\nschema = {{ file = \"wrong.json\" }}\n{ENDPOINT}"
        ),
        &[
            "5:17 the schema file `gone.json` cannot be read: there is no such file",
            "5:45 the schema file `bad.json` is not JSON: EOF while parsing an object at line 1 column 1",
            "6:10 `source[0].schema` is no JSON Schema at `/type`: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        ],
    );
    let found = problems(&format!(
        "{}params = {{ heade = \"x-a\" }}\n{ENDPOINT}",
        SOURCE.replace("github", "hmac")
    ));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("5:10 parameter `heade` of `hmac`: it does not exist; there are "),
        "{found:?}"
    );
    let found = problems(&format!("{SOURCE}dedupe = {{ id = \"cookie:x\" }}\n{ENDPOINT}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("5:17 not a place in a request: `cookie:x` is no variable: "),
        "{found:?}"
    );
}

#[test]
fn syntax_errors_come_alone_and_all_at_once() {
    let found = problems("[server\nlisten = \"x\"\nlissten = 1\na = = 2\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found.iter().all(|line| line.contains("this is not TOML")), "{found:?}");
}

#[test]
fn everything_wrong_is_said_at_once_and_shown() {
    let text = "[server]\nlissten = 1\nthreads = \"x\"\n\n[log]\nlevel = \"loud\"\n";
    let read = |_: &Path| Ok(text.to_owned());
    let errors =
        config::load(LoadArgs { path: None, env: BTreeMap::new(), flags: Vec::new(), read: &read })
            .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "error: unknown key `lissten` in `server`
 --> becket.toml:2:1
  |
2 | lissten = 1
  | ^^^^^^^
hint: did you mean `listen`?

error: `server.threads` takes a whole number, not a string
 --> becket.toml:3:11
  |
3 | threads = \"x\"
  |           ^^^

error: `loud` is not possible here; use error, warn, info, debug, trace
 --> becket.toml:6:9
  |
6 | level = \"loud\"
  |         ^^^^^^"
    );
}
