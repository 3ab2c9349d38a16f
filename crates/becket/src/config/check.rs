//! What must fit together: settings that are each right and yet cannot be used like this.
//!
//! Invariant: every check reports and goes on; nothing here reads what has not been read before, except
//! the files that settings name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use becket_signature::{
    Catalogue, CredentialKind, CredentialSpec, Entry, Expr, unsigned_body_warning,
};

use super::problem::{Severity, nearest};
use super::reader::Reader;
use super::secret::{Secret, SecretOrigin};
use super::source::{Endpoint, Source, signing_secret};
use super::{Config, OwnProvider};

const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const ID_MAX: usize = 64;

/// Checks a configuration, and fills in what is made from other settings.
pub(super) fn check(reader: &mut Reader<'_>, config: &mut Config) {
    check_tokens(reader, config);
    check_server(reader, config);
    check_store(reader, config);
    check_providers(reader, &config.providers);
    check_source_ids(reader, config);
    for index in 0..config.sources.len() {
        let prefix = format!("source[{index}]");
        name_endpoints(reader, &prefix, &mut config.sources[index]);
        let source = &config.sources[index];
        check_rules(reader, &prefix, source);
        check_provider(reader, &prefix, config, source);
        for (number, endpoint) in source.endpoints.iter().enumerate() {
            check_endpoint(reader, &format!("{prefix}.endpoint[{number}]"), endpoint);
        }
    }
    super::cluster::check(reader, config);
    super::portal::check(reader, config);
    super::oidc::check(reader, config);
    super::alerts::check(reader, config);
}

fn error(reader: &mut Reader<'_>, code: &'static str, keys: &[&str], message: String, hint: &str) {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    reader.report(Severity::Error, code, keys, message, hint);
}

fn warn(reader: &mut Reader<'_>, code: &'static str, keys: &[&str], message: String, hint: &str) {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    reader.report(Severity::Warning, code, keys, message, hint);
}

fn check_tokens(reader: &mut Reader<'_>, config: &mut Config) {
    if config.admin_token.as_ref().is_some_and(|token| token.expose().chars().count() < 32) {
        error(
            reader,
            "admin_token_short",
            &["admin_token"],
            "the admin token has fewer than 32 characters".to_owned(),
            "make one with `openssl rand -hex 32`",
        );
    }
    if let Some(path) = config.master_key_file.clone() {
        if config.master_key.is_some() {
            let message = "both `master_key` and `master_key_file` are set".to_owned();
            error(reader, "master_key_twice", &["master_key_file"], message, "keep one of them");
        }
        match (reader.read)(&path) {
            Ok(text) => {
                let origin = SecretOrigin::File(path.display().to_string());
                config.master_key = Some(Secret::new(text.trim_end().to_owned(), origin));
            }
            Err(problem) => {
                let message =
                    format!("the master key file {} cannot be read: {problem}", path.display());
                error(reader, "secret_file_unreadable", &["master_key_file"], message, "");
            }
        }
        reader.files.insert(path);
    }
    if let Some(key) = &config.master_key
        && crate::serve::read_keys(key.expose()).is_none()
    {
        error(
            reader,
            "master_key_unusable",
            &["master_key", "master_key_file"],
            "the master key is not 32 bytes in base64".to_owned(),
            "make one with `openssl rand -base64 32`",
        );
    }
}

fn check_server(reader: &mut Reader<'_>, config: &Config) {
    let server = &config.server;
    if server.admin_listen == Some(server.listen) && server.listen.port() != 0 {
        error(
            reader,
            "listen_twice",
            &["server.admin_listen"],
            "`server.admin_listen` is the same as `server.listen`".to_owned(),
            "leave it out to serve both on one address",
        );
    }
    if let Some(url) = &server.public_url {
        let key = ["server.public_url"];
        if url.as_str().contains('?') {
            let message = "`server.public_url` has a query".to_owned();
            error(reader, "public_url_query", &key, message, "leave out everything from the `?`");
        }
        if !url.is_https() {
            warn(
                reader,
                "public_url_not_https",
                &key,
                "`server.public_url` is not https: webhooks and their signatures travel in the open"
                    .to_owned(),
                "put a certificate into [server.tls], or https in front, and write https://",
            );
        }
    }
    if let (Some(_), Some(_)) = (&server.tls, &server.acme) {
        let message = "both [server.tls] and [server.acme] are set".to_owned();
        error(reader, "tls_twice", &["server.acme"], message, "keep one of them");
    }
    if server.acme.as_ref().is_some_and(|acme| acme.domains.is_empty()) {
        let message = "[server.acme] names no domain".to_owned();
        let hint = "add domains = [\"hooks.example.com\"]";
        error(
            reader,
            "acme_without_domain",
            &["server.acme.domains", "server.acme"],
            message,
            hint,
        );
    }
    let positive = [
        ("server.connections_max", server.connections_max),
        ("server.connections_per_address_max", server.connections_per_address_max),
        ("server.unverified_burst", server.unverified_burst),
        ("server.threads", server.threads.map_or(1, u32::from)),
        ("egress.concurrency", config.egress.concurrency),
    ];
    for (key, value) in positive {
        at_least_one(reader, key, value);
    }
    for (key, value) in [
        ("server.header_timeout", server.header_timeout),
        ("server.body_idle_timeout", server.body_idle_timeout),
        ("server.request_timeout", server.request_timeout),
    ] {
        not_zero(reader, key, value);
    }
}

fn check_store(reader: &mut Reader<'_>, config: &Config) {
    let store = &config.store;
    not_zero(reader, "store.retention.delivered", store.retention.delivered);
    not_zero(reader, "store.retention.failed", store.retention.failed);
    if let Some(events) = store.segment_events {
        at_least_one(reader, "store.segment_events", events);
    }
    if store.cap.0 < 1 << 20 {
        let message = "`store.cap` is less than 1MiB".to_owned();
        error(
            reader,
            "cap_small",
            &["store.cap"],
            message,
            "events need room: 1GiB is a good start",
        );
    }
}

fn at_least_one(reader: &mut Reader<'_>, key: &str, value: u32) {
    if value == 0 {
        error(reader, "zero", &[key], format!("`{key}` must be at least 1"), "");
    }
}

fn not_zero(reader: &mut Reader<'_>, key: &str, value: Duration) {
    if value.is_zero() {
        error(reader, "zero", &[key], format!("`{key}` must be longer than nothing"), "");
    }
}

fn check_providers(reader: &mut Reader<'_>, providers: &[OwnProvider]) {
    if !reader.broken_providers.is_empty() {
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, own) in providers.iter().enumerate() {
        let key = format!("provider[{index}]");
        let slug = own.0.slug.as_str();
        if !seen.insert(slug) {
            let message = format!("there are two providers `{slug}`");
            error(reader, "duplicate_id", &[&key], message, "give each its own slug");
        } else if Catalogue::builtin().get(slug).is_some() {
            let message = format!("your provider `{slug}` takes the place of the built-in one");
            warn(reader, "provider_replaced", &[&key], message, "");
        }
    }
}

fn check_source_ids(reader: &mut Reader<'_>, config: &Config) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, source) in config.sources.iter().enumerate() {
        let key = format!("source[{index}].id");
        check_id(reader, &key, &source.id);
        if reader.is_broken(&key) {
            continue;
        }
        if seen.insert(&source.id, index).is_some() {
            let message = format!("there are two sources `{}`", source.id);
            error(
                reader,
                "duplicate_id",
                &[&key],
                message,
                "the id is the receiving URL: give each its own",
            );
        }
    }
}

fn check_id(reader: &mut Reader<'_>, key: &str, id: &str) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(fits) || id.starts_with('.') {
        let message = format!("`{id}` cannot be an id");
        let hint = "use 1 to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`";
        error(reader, "wrong_value", &[key], message, hint);
    }
}

/// Gives every endpoint an id, and reports those that are there twice.
pub(super) fn name_endpoints(reader: &mut Reader<'_>, prefix: &str, source: &mut Source) {
    let mut seen: BTreeSet<String> =
        source.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect();
    let mut given = BTreeSet::new();
    for (index, endpoint) in source.endpoints.iter_mut().enumerate() {
        let table = format!("{prefix}.endpoint[{index}]");
        let key = format!("{table}.id");
        if endpoint.id.is_empty() {
            let Some(url) = &endpoint.url else {
                let kind = endpoint.kind().as_str();
                let message =
                    format!("an endpoint of source `{}` with `{kind}` has no id", source.id);
                let hint = "add id = \"NAME\": deliveries that wait belong to it";
                error(reader, "endpoint_without_id", &[&table], message, hint);
                continue;
            };
            let made = id_from_url(url.as_str());
            let mut id = made.clone();
            for number in 2.. {
                if seen.insert(id.clone()) {
                    break;
                }
                id = format!("{made}-{number}");
            }
            let message =
                format!("an endpoint of source `{}` has no id: it is called `{id}`", source.id);
            let hint = format!(
                "write id = \"{id}\", or deliveries that wait are lost when its URL changes"
            );
            endpoint.id = id;
            warn(reader, "endpoint_without_id", &[&format!("{table}.url"), &table], message, &hint);
            continue;
        }
        check_id(reader, &key, &endpoint.id);
        if !given.insert(endpoint.id.clone()) {
            let message = format!("source `{}` has two endpoints `{}`", source.id, endpoint.id);
            error(reader, "duplicate_id", &[&key], message, "give each its own id");
        }
    }
}

/// `http://127.0.0.1:3000/hooks/app` becomes `127.0.0.1-3000-hooks-app`.
fn id_from_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let mut id = String::new();
    for character in rest.chars() {
        let fits = character.is_ascii_alphanumeric() || matches!(character, '.' | '_');
        if fits {
            id.push(character.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
        if id.len() >= ID_MAX - 4 {
            break;
        }
    }
    let id = id.trim_matches(['-', '.']);
    if id.is_empty() { "endpoint".to_owned() } else { id.to_owned() }
}

fn check_rules(reader: &mut Reader<'_>, prefix: &str, source: &Source) {
    let key = |name: &str| format!("{prefix}.{name}");
    if source.event_types.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("source `{}` keeps no event type at all", source.id);
        warn(
            reader,
            "nothing_kept",
            &[&key("event_types")],
            message,
            "leave out `event_types` to keep all",
        );
    }
    if !(400..=499).contains(&source.invalid_status) {
        let message = format!("{} is no status for a rejected event", source.invalid_status);
        error(reader, "wrong_value", &[&key("invalid_status")], message, "use 400 to 499");
    }
    if let Some(ack) = &source.ack {
        if !(200..=299).contains(&ack.status) {
            let message = format!("{} is no status for an accepted event", ack.status);
            error(reader, "wrong_value", &[&key("ack.status")], message, "use 200 to 299");
        }
        if ack.content_type.is_empty() || http::HeaderValue::from_str(&ack.content_type).is_err() {
            let message = "the content type of the acknowledgement cannot be sent".to_owned();
            error(reader, "wrong_value", &[&key("ack.content_type")], message, "");
        }
    }
    if source.body_limit.is_some_and(|limit| limit.0 == 0 || limit.0 > 1 << 30) {
        let message = "`body_limit` must be from 1B to 1GiB".to_owned();
        error(reader, "wrong_value", &[&key("body_limit")], message, "");
    }
    if source.endpoints.is_empty() {
        let message =
            format!("source `{}` has no endpoint: events are kept and go nowhere", source.id);
        let hint = "add [[source.endpoint]] with a url below it";
        warn(reader, "source_without_endpoint", &[&key("id")], message, hint);
    }
    if source.required.iter().any(String::is_empty) {
        let message = "`required` has an empty path".to_owned();
        error(reader, "wrong_value", &[&key("required")], message, "");
    }
}

fn check_provider(reader: &mut Reader<'_>, prefix: &str, config: &Config, source: &Source) {
    let provider_key = format!("{prefix}.provider");
    let Some(entry) = config.entry_of(source) else {
        let own = config.providers.iter().map(|own| own.0.slug.as_str());
        let known = Catalogue::builtin().slugs().chain(own);
        let hint = nearest(&source.provider, known).map_or_else(
            || "`becket providers list` shows all; [[provider]] makes your own".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        if reader.broken_providers.contains(&source.provider) {
            return;
        }
        let message = format!("there is no provider `{}`", source.provider);
        return error(reader, "unknown_provider", &[&provider_key], message, &hint);
    };
    let missing: Vec<&CredentialSpec> =
        entry.credentials().iter().filter(|spec| is_missing(spec, source)).collect();
    let given = ["secrets", "public_key", "public_keys", "credentials", "params"];
    let broken = given.iter().any(|name| reader.is_broken(&format!("{prefix}.{name}")))
        || reader.has_unknown_key(prefix);
    if !broken {
        for spec in &missing {
            report_missing(reader, &provider_key, source, &entry, spec);
        }
    }
    if missing.is_empty()
        && !broken
        && let Some(Err(problem)) = config.verifier_of(source)
    {
        let keys = ["secrets", "public_key", "public_keys", "credentials", "params", "provider"]
            .map(|name| format!("{prefix}.{name}"));
        let first = match problem.code() {
            "parameter_unusable" => [4, 3, 5],
            _ => [0, 1, 5],
        };
        let keys = first.map(|index| keys[index].as_str());
        let keys: Vec<&str> =
            keys.into_iter().filter(|key| reader.spans.contains_key(*key)).collect();
        error(reader, problem.code(), &keys, problem.to_string(), "");
    }
    let signs_url = entry.schemes.iter().any(|scheme| scheme.message.uses(&Expr::Url));
    if signs_url && config.public_url_of(source).is_none() {
        let message = format!("`{}` signs the URL, and the public URL is not known", entry.slug);
        let hint = "set `public_url` in [server] to what the sender uses";
        warn(reader, "public_url_missing", &[&provider_key], message, hint);
    }
    if let Some(warning) = unsigned_body_warning(&entry) {
        let message = format!("source `{}`: {warning}", source.id);
        warn(reader, "weak_provider", &[&provider_key], message, "");
    }
}

fn is_missing(spec: &CredentialSpec, source: &Source) -> bool {
    !spec.optional
        && match spec.kind {
            CredentialKind::Secret => source.secrets.is_empty(),
            CredentialKind::PublicKey => {
                source.public_key.is_none() && source.public_keys.is_empty()
            }
            CredentialKind::Named => !source.credentials.contains_key(&spec.name),
        }
}

fn report_missing(
    reader: &mut Reader<'_>,
    key: &str,
    source: &Source,
    entry: &Entry,
    spec: &CredentialSpec,
) {
    let label = if spec.label.is_empty() { String::new() } else { format!(" ({})", spec.label) };
    let (what, hint) = match spec.kind {
        CredentialKind::Secret => {
            ("a secret".to_owned(), "add secrets = [{ env = \"NAME\" }]".to_owned())
        }
        CredentialKind::PublicKey => {
            ("a public key".to_owned(), "add public_key = { file = \"PATH\" }".to_owned())
        }
        CredentialKind::Named => (
            format!("`{}`", spec.name),
            format!("add credentials = {{ {} = {{ env = \"NAME\" }} }}", spec.name),
        ),
    };
    let message = format!("source `{}`: `{}` needs {what}{label}", source.id, entry.slug);
    error(reader, "missing_secret", &[key], message, &hint);
}

pub(super) fn check_endpoint(reader: &mut Reader<'_>, prefix: &str, endpoint: &Endpoint) {
    let key = |name: &str| format!("{prefix}.{name}");
    let (longest, words, hint) = if endpoint.exec.is_some() {
        (super::act::EXEC_TIMEOUT_MAX, "1h", "let the program start the work and end")
    } else {
        (TIMEOUT_MAX, "60s", "let the handler answer at once and work afterwards")
    };
    for (name, value, longest, words) in [
        ("timeout", endpoint.timeout(), longest, words),
        ("connect_timeout", endpoint.connect_timeout, TIMEOUT_MAX, "60s"),
    ] {
        not_zero(reader, &key(name), value);
        if value > longest {
            let message = format!("`{name}` is longer than {words}");
            error(reader, "wrong_value", &[&key(name)], message, hint);
        }
    }
    at_least_one(reader, &key("concurrency"), endpoint.concurrency());
    super::act::check(reader, prefix, endpoint);
    if let Some(secret) = &endpoint.secret {
        match signing_secret(secret.expose()) {
            Ok((_, false)) => {}
            Ok((_, true)) => {
                let message =
                    "the endpoint's secret is not in the usual form, `whsec_` and base64: \
                               its characters are the key"
                        .to_owned();
                let hint =
                    "receivers need it as whsec_ and base64: `becket endpoints secret` shows it";
                warn(reader, "secret_form", &[&key("secret")], message, hint);
            }
            Err(problem) => {
                let hint = "write `whsec_` and 24 to 64 bytes in base64, or leave it out: one is made and kept";
                error(reader, "secret_unusable", &[&key("secret")], problem.to_string(), hint);
            }
        }
    }
    for (name, value) in &endpoint.headers {
        let key = key(&format!("headers.{name}"));
        let reserved = ["host", "content-length", "transfer-encoding", "connection", "expect"];
        let lower = name.to_ascii_lowercase();
        if reserved.contains(&lower.as_str()) || lower.starts_with("webhook-") {
            let message = format!("the header `{name}` is set by the gateway itself");
            error(reader, "header_reserved", &[&key], message, "");
        } else if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            error(reader, "wrong_value", &[&key], format!("`{name}` is no header name"), "");
        } else if http::HeaderValue::from_str(value.expose()).is_err() {
            let message = format!("the value of the header `{name}` cannot be sent");
            error(reader, "wrong_value", &[&key], message, "use visible ASCII characters");
        }
    }
}
