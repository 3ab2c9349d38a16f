//! What the configuration accepts, refuses, and says about it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use becket::config::{
    self, ByteSize, Config, ConfigErrors, Flag, LoadArgs, Loaded, Origin, Problem, Secret,
    Severity, StoreUrl,
};

/// The example of the design, to the letter.
const EXAMPLE: &str = r#"[server]
listen = "127.0.0.1:8080"
public_url = "https://hooks.example.com"

[store]
url = "sqlite:data"                 # a folder, made if missing; or postgres://...

[egress]
allow_networks = []                 # private networks that API-created endpoints may reach, e.g. "10.0.0.0/8"

[[source]]
id = "github"
provider = "github"
secrets = [{ env = "GITHUB_WEBHOOK_SECRET" }]
event_types = ["push", "pull_request"]
rate_limit = "100/s"

  [[source.endpoint]]
  id = "app"
  url = "http://127.0.0.1:3000/webhooks/github"
  secret = { env = "APP_WEBHOOK_SECRET" }   # or { file = "..." }, or a plain string; made and kept if absent
  retry = "standard"
"#;

const APP_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A small world: one configuration file, an environment, other files, flags.
#[derive(Default)]
struct World {
    text: String,
    env: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    flags: Vec<Flag>,
}

impl World {
    fn with(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    fn flag(mut self, key: &'static str, name: &'static str, value: &str) -> Self {
        self.flags.push(Flag { key, name, value: value.to_owned() });
        self
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        let read = |path: &Path| match path.to_str() {
            Some("etc/becket.toml") => Ok(self.text.clone()),
            _ => self.files.get(path).cloned().ok_or_else(|| "there is no such file".to_owned()),
        };
        config::load(LoadArgs {
            path: Some(PathBuf::from("etc/becket.toml")),
            env: self.env.clone(),
            flags: self.flags.clone(),
            read: &read,
        })
    }

    fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(errors) => errors.problems,
        }
    }
}

/// `line:column code message (hint)`, as compact as a table needs it.
fn brief(problem: &Problem) -> String {
    let place = problem
        .place
        .as_ref()
        .map_or(String::new(), |place| format!("{}:{} ", place.line, place.column));
    let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{place}{}: {}{hint}", problem.code, problem.message)
}

fn example() -> World {
    World::with(EXAMPLE)
        .env("GITHUB_WEBHOOK_SECRET", "It's a Secret to Everybody")
        .env("APP_WEBHOOK_SECRET", APP_SECRET)
}

#[test]
fn the_design_example_works_to_the_letter() {
    let loaded = example().load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.store.url, StoreUrl::Sqlite { folder: PathBuf::from("etc/data") });
    assert!(config.egress.allow_networks.is_empty());
    let [source] = &config.sources[..] else { panic!("{:?}", config.sources) };
    assert_eq!((source.id.as_str(), source.provider.as_str()), ("github", "github"));
    assert_eq!(source.secrets[0].expose(), "It's a Secret to Everybody");
    assert_eq!(source.event_types.as_deref().unwrap(), ["push", "pull_request"]);
    assert_eq!(source.rate_limit.unwrap().to_string(), "100/s");
    let url = config.public_url_of(source);
    assert_eq!(url.as_deref(), Some("https://hooks.example.com/in/github"));
    assert!(config.verifier_of(source).unwrap().is_ok());
    let endpoint = &source.endpoints[0];
    assert_eq!(endpoint.id, "app");
    assert_eq!(endpoint.signing_secret().unwrap().as_deref(), Some(APP_SECRET));
    let settings = endpoint.settings();
    assert_eq!(settings.url, "http://127.0.0.1:3000/webhooks/github");
    assert_eq!(settings.retry, becket_model::RetrySchedule::standard());
    assert_eq!((settings.timeout_ms, settings.connect_timeout_ms), (15_000, 5_000));
    assert!(settings.allow_private);
    assert_eq!(loaded.watched, [PathBuf::from("etc/becket.toml")]);
}

#[test]
fn nothing_configured_is_a_configuration() {
    let nothing = config::parse("").unwrap();
    assert_eq!(nothing.config, Config::default());
    assert!(nothing.config.is_empty_of_sources());
    assert_eq!(nothing.warnings, []);
    assert_eq!(nothing.config.store.min_free, ByteSize(512 << 20));
    assert_eq!(nothing.config.server.unverified_rate_limit.to_string(), "100/s");
    let denied = &nothing.config.egress.denied_ports;
    assert_eq!(denied[..], becket_egress::policy::DEFAULT_DENIED_PORTS);
}

#[test]
fn a_named_file_must_exist_and_the_default_one_need_not() {
    let read = |_: &Path| Err("there is no such file".to_owned());
    let args = |path: Option<&str>, env: &[(&str, &str)]| LoadArgs {
        path: path.map(PathBuf::from),
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: Vec::new(),
        read: &read,
    };
    assert!(config::load(args(None, &[])).unwrap().file.is_none());
    for named in [args(Some("gone.toml"), &[]), args(None, &[("BECKET_CONFIG", "gone.toml")])] {
        let errors = config::load(named).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "error: the configuration file gone.toml cannot be read: there is no such file\n\
             hint: name another with --config, or leave it out for the defaults"
        );
    }
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let key = "server.listen";
    let mut world = World::default();
    let check = |world: &World, listen: &str, origin: Origin| {
        let loaded = world.load().unwrap();
        assert_eq!(loaded.config.server.listen.to_string(), listen);
        assert_eq!(loaded.origins[key], origin);
    };
    check(&world, "127.0.0.1:8080", Origin::Default);
    world.text = "# a line\n[server]\nlisten = \"127.0.0.1:1\"\n".to_owned();
    check(&world, "127.0.0.1:1", Origin::File(3));
    world = world.env("BECKET_SERVER_LISTEN", "127.0.0.1:2");
    check(&world, "127.0.0.1:2", Origin::Env("BECKET_SERVER_LISTEN".to_owned()));
    world = world.flag(key, "--listen", "localhost:3");
    check(&world, "127.0.0.1:3", Origin::Flag("--listen"));
    let emptied = World::default().env("BECKET_SERVER_LISTEN", "");
    check(&emptied, "127.0.0.1:8080", Origin::Default);
}

#[test]
fn every_section_can_be_set_from_the_environment() {
    let loaded = World::default()
        .env("BECKET_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
        .env("BECKET_SERVER_TLS_CERT_FILE", "cert.pem")
        .env("BECKET_SERVER_TLS_KEY_FILE", "key.pem")
        .env("BECKET_STORE_URL", "sqlite:/var/lib/becket")
        .env("BECKET_STORE_RETENTION_DELIVERED", "7d")
        .env("BECKET_EGRESS_DENIED_PORTS", "25, 6379")
        .env("BECKET_LOG_FORMAT", "json")
        .env("BECKET_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")
        .env("BECKET_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let config = loaded.config;
    let proxies: Vec<String> =
        config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32"]);
    // Paths from the environment are relative to the working folder, not to the file's.
    assert_eq!(config.server.tls.unwrap().cert_file, PathBuf::from("cert.pem"));
    assert_eq!(config.store.url, StoreUrl::Sqlite { folder: PathBuf::from("/var/lib/becket") });
    assert_eq!(config.store.retention.delivered, Duration::from_secs(7 * 86_400));
    assert_eq!(config.egress.denied_ports, [25, 6379]);
    assert_eq!(config.log.format, config::LogFormat::Json);
    assert_eq!(config.admin_token.unwrap().expose().len(), 32);
    assert!(config.master_key.is_some());
}

#[test]
fn a_variable_that_sets_nothing_is_pointed_out() {
    let world = World::default().env("BECKET_SERVER_LISTN", "x").env("BECKET_OTHER", "y");
    let found: Vec<String> = world.problems().iter().map(brief).collect();
    assert_eq!(
        found,
        ["unknown_variable: the environment variable `BECKET_SERVER_LISTN` sets nothing \
          (did you mean `BECKET_SERVER_LISTEN`?)"]
    );
    let world = World::default().env("BECKET_STORE_CAP", "big");
    let found: Vec<String> = world.problems().iter().map(brief).collect();
    assert_eq!(
        found,
        [
            "wrong_value: BECKET_STORE_CAP: `big` is not a size; write it like `64KiB`, `5MiB` or `20GiB`"
        ]
    );
    let world = World::default().env("BECKET_ADMIN_TOKEN", "short");
    let found: Vec<String> = world.problems().iter().map(brief).collect();
    assert_eq!(
        found,
        ["admin_token_short: BECKET_ADMIN_TOKEN: the admin token has fewer than 32 characters \
          (make one with `openssl rand -hex 32`)"]
    );
}

#[test]
fn the_master_key_may_be_in_a_file() {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let world = World::default().file("key", key).env("BECKET_MASTER_KEY_FILE", "key");
    assert_eq!(world.load().unwrap().config.master_key.unwrap().expose(), key.trim_end());
    let world = World::default().file("key", "AAAA").env("BECKET_MASTER_KEY_FILE", "key");
    assert_eq!(world.problems()[0].code, "master_key_unusable");
}

#[test]
fn secrets_come_from_files_too_and_are_never_shown() {
    let text = "[[source]]\nid = \"a\"\nprovider = \"github\"\nsecrets = [{ file = \"s\" }, \"plain-one\"]\n\
                [[source.endpoint]]\nid = \"e\"\nurl = \"http://localhost:1/\"\nheaders = { X-Key = \"plain-two\" }\n";
    let loaded = World::with(text).file("etc/s", "from-file\r\n").load().unwrap();
    let source = &loaded.config.sources[0];
    assert_eq!(source.secrets[0].expose(), "from-file");
    assert_eq!(loaded.watched, [PathBuf::from("etc/becket.toml"), PathBuf::from("etc/s")]);
    let settings = loaded.config.settings(&loaded.origins);
    let shown = format!("{:?} {settings:?}", loaded.config);
    for secret in ["from-file", "plain-one", "plain-two"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("<redacted>"), "{shown}");
}

#[test]
fn broken_lines_do_not_show_their_secrets() {
    for text in [
        "[[source]]\nsecretz = \"hush-hush\"\n",
        "[[source]]\nsecrets = [\"hush-hush\", 7]\n",
        "[[source]]\nsecrets = \"hush-hush\"\n",
        "[[source]]\nsecrets = [\"hush-hush\n",
        "admin_token = \"hush-hush\"\n",
        "[[source]]\nid = \"a\"\nprovider = \"svix\"\nsecrets = [\"hush-hush!\"]\n",
        "[[source]]\nid = \"a\"\nprovider = \"github\"\nsecrets = [\"x\"]\n[[source.endpoint]]\n\
         url = \"http://localhost/\"\nsecret = \"hush-hush\"\n",
        "[server]\npublic_url = \"https://user:hush-hush@example.com/\"\n",
    ] {
        let errors = World::with(text).load().expect_err(text);
        let shown = errors.to_string();
        let is_url = text.contains("public_url");
        assert!(is_url || !shown.contains("hush-hush"), "{shown}");
        for problem in &errors.problems {
            assert!(!problem.one_line().contains("hush-hush"), "{}", problem.one_line());
        }
    }
}

#[test]
fn own_providers_are_used_and_checked() {
    let text = r#"
[[provider]]
slug = "acme"
name = "Acme"
  [[provider.credential]]
  name = "secret"
  kind = "secret"
  [[provider.scheme]]
  class = "hmac"
  digest = "sha256"
  signature = { at = "header:x-acme", encoding = "hex" }
  message = "{body}"

[[source]]
id = "a"
provider = "acme"
secrets = ["s"]
dedupe = { id = "json:data.id" }
  [[source.endpoint]]
  id = "e"
  url = "http://localhost:1/"
"#;
    let loaded = World::with(text).load().unwrap_or_else(|errors| panic!("{errors}"));
    let source = &loaded.config.sources[0];
    let entry = loaded.config.entry_of(source).unwrap();
    assert_eq!(entry.name, "Acme");
    assert!(entry.delivery_id.is_some(), "the source's own place of the delivery id");
    let broken = text.replace("digest =", "digset =");
    let found: Vec<String> = World::with(&broken).problems().iter().map(brief).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(
            "10:3 entry_unusable: the provider entry cannot be read: unknown field `digset`"
        ),
        "{found:?}"
    );
    assert!(
        found[0].ends_with("(did you mean `digest`? docs/catalogue.md explains the format)"),
        "{found:?}"
    );
}

#[test]
fn a_demo_source_is_a_source_with_every_default() {
    let secret = Secret::plain("generated");
    let source = config::Source::demo("demo", "github", secret, "http://127.0.0.1:9/echo").unwrap();
    assert_eq!((source.id.as_str(), source.endpoints.len()), ("demo", 1));
    assert_eq!(source.secrets[0].expose(), "generated");
    assert!(Config::default().verifier_of(&source).unwrap().is_ok());
}

#[test]
fn no_text_makes_the_parser_fail_otherwise_than_by_answering() {
    for end in 0..=EXAMPLE.len() {
        let _ = config::parse(&EXAMPLE[..end]);
    }
    let odd = [
        "\u{feff}",
        "\0",
        "a=",
        "[[source]]\nid=\"é\u{301}\"\nprovider=\"ü\"",
        "[server]\r\nlisten=1\r\n",
        "source = [5, {}]",
        "source = 5",
        "server = []",
        "[store]\ncap = 99999999999999999999",
        "x = 0xzz",
        "[server]\nthreads = 0x10",
        "[[source]]\nschema = { $ref = \"http://x/\" }",
        "[log]\nlevel = \"INFO\"",
    ];
    for text in odd {
        if let Err(errors) = config::parse(text) {
            assert!(!errors.to_string().is_empty());
        }
    }
    for at in (0..EXAMPLE.len()).step_by(3) {
        for byte in ['"', '[', '=', '{', '\n', '0', 'é'] {
            let mut text = EXAMPLE.to_owned();
            text.replace_range(at..=at, &byte.to_string());
            if let Err(errors) = config::parse(&text) {
                assert!(errors.error_count() > 0);
            }
        }
    }
}

#[test]
fn warnings_do_not_stop_anybody() {
    let text = r#"
[server]
public_url = "http://hooks.example.com"
[[source]]
id = "open"
provider = "none"
[[source]]
id = "calls"
provider = "github"
secrets = ["s"]
event_types = []
  [[source.endpoint]]
  url = "https://app.example.com/hooks/"
  secret = "thirty-two characters of a text!"
"#;
    let loaded = World::with(text).load().unwrap_or_else(|errors| panic!("{errors}"));
    let codes: Vec<&str> = loaded.warnings.iter().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        [
            "public_url_not_https",
            "source_without_endpoint",
            "weak_provider",
            "nothing_kept",
            "endpoint_without_id",
            "secret_form"
        ]
    );
    assert!(loaded.warnings.iter().all(|problem| problem.severity == Severity::Warning));
    assert_eq!(loaded.config.sources[1].endpoints[0].id, "app.example.com-hooks");
}

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text, command) in [
        ("config.schema.json", config::schema_text(), "becket config schema"),
        ("docs/configuration.md", config::reference_markdown(), "becket config reference"),
    ] {
        let committed = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(committed == text, "{file} is out of date: `{command} > {file}`");
    }
}

#[test]
fn the_schema_accepts_the_example_and_refuses_unknown_keys() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema_text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value: toml::Value = toml::from_str(EXAMPLE).unwrap();
    let value = serde_json::to_value(value).unwrap();
    let found: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(!validator.is_valid(&serde_json::json!({ "server": { "lissten": "x" } })));
    assert!(!validator.is_valid(&serde_json::json!({ "source": [{ "id": "x" }] })));
}
