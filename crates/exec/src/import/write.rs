//! Hooks as `becket.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::hook::Hook;
use super::parameter::{Parameter, Source};
use super::read::Written;
use super::rule::{Signature, Token};
use super::{ImportOptions, Secret};

/// Writes hooks, one after the other.
pub(super) struct Writer {
    options: ImportOptions,
    providers: BTreeMap<String, String>,
    sources: String,
    left_out: String,
    variables: BTreeSet<String>,
}

/// How a source proves its senders.
struct Proof {
    provider: String,
    params: Vec<(&'static str, String)>,
    secrets: Vec<Written>,
    /// What the secrets are, for whoever has to set them.
    what: String,
    /// Whether the sender is known well enough to tell repeats apart.
    known: bool,
    remark: &'static str,
}

impl Writer {
    pub(super) fn new(options: ImportOptions) -> Self {
        Self {
            options,
            providers: BTreeMap::new(),
            sources: String::new(),
            left_out: String::new(),
            variables: BTreeSet::new(),
        }
    }

    /// Writes one hook as a source with one endpoint.
    pub(super) fn hook(&mut self, id: &str, hook: &Hook, secrets: &mut Vec<Secret>) {
        let proof = self.proof(hook);
        let references = self.references(id, &hook.id, &proof, secrets);
        let mut text = String::new();
        let mut line = |text_line: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{text_line}");
        };
        line(format!("\n[[source]]\nid = {}", string(id)));
        if !proof.remark.is_empty() {
            line(format!("# {}", proof.remark));
        }
        line(format!("provider = {}", string(&proof.provider)));
        if !references.is_empty() {
            line(format!("secrets = [{}]", references.join(", ")));
        }
        if !proof.params.is_empty() {
            let params: Vec<String> = proof
                .params
                .iter()
                .map(|(name, value)| format!("{name} = {}", string(value)))
                .collect();
            line(format!("params = {{ {} }}", params.join(", ")));
        }
        if !hook.trigger.networks.is_empty() {
            line(format!("allow_ips = {}", inline(&json!(hook.trigger.networks))));
        }
        if !hook.methods.is_empty() {
            line(format!("methods = {}", inline(&json!(hook.methods))));
        } else if hook.trigger.signature.is_none() && !proof.known {
            line("methods = [\"GET\", \"POST\"]".to_owned());
        }
        if !proof.known {
            line("# The same request twice runs the command twice, as before.".to_owned());
            line("dedupe = { enabled = false }".to_owned());
        }
        if let Some(ack) = &hook.ack {
            let mut parts = vec![format!("status = {}", ack.status)];
            parts.extend(
                ack.content_type.iter().map(|kind| format!("content_type = {}", string(kind))),
            );
            parts.push(format!("body = {}", string(&ack.body)));
            line(format!("ack = {{ {} }}", parts.join(", ")));
        }
        line(format!("\n[[source.endpoint]]\nid = {}", string(id)));
        line("# There was no limit before.\ntimeout = \"10m\"".to_owned());
        line(
            "# As before; \"standard\" tries again what fails, for three days.\nretry = \"none\""
                .to_owned(),
        );
        if let Some(filter) = filter(&hook.trigger.conditions) {
            line(format!("filter = {}", inline(&filter)));
        }
        line("\n[source.endpoint.exec]".to_owned());
        let command: Vec<&String> = std::iter::once(&hook.program).chain(&hook.arguments).collect();
        line(format!("command = {}", inline(&json!(command))));
        if let Some(folder) = &hook.working_directory {
            line(format!("working_directory = {}", string(folder)));
        }
        if !hook.env.is_empty() {
            let env: Vec<String> = hook
                .env
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), string(value)))
                .collect();
            line(format!("env = {{ {} }}", env.join(", ")));
        }
        self.sources.push_str(&text);
    }

    /// Says in the file that a hook is missing.
    pub(super) fn left_out(&mut self, name: &str, reasons: &[String]) {
        let name = name.replace(char::is_control, " ");
        let _ = writeln!(self.left_out, "\n# The hook `{name}` was left out:");
        for reason in reasons {
            let reason = reason.replace(char::is_control, " ");
            let _ = writeln!(self.left_out, "# - {reason}");
        }
    }

    /// The whole file.
    pub(super) fn finish(self, secrets: &[Secret]) -> String {
        let mut text = "# Written by `becket import` from the configuration of adnanh/webhook.\n\
             # Each hook is a source: /hooks/NAME is now /in/NAME.\n"
            .to_owned();
        if !secrets.is_empty() {
            text.push_str("# Set these variables before the gateway starts:\n");
            for secret in secrets {
                let _ = writeln!(text, "#   {}", secret.variable);
            }
        }
        for provider in self.providers.values() {
            text.push_str(provider);
        }
        text.push_str(&self.sources);
        text.push_str(&self.left_out);
        text
    }

    fn proof(&mut self, hook: &Hook) -> Proof {
        let trigger = &hook.trigger;
        if let Some(signature) = &trigger.signature {
            return self.signed(signature, hook.from_github);
        }
        match &trigger.token {
            Some(token) => self.shared(token),
            None => Proof {
                provider: "none".to_owned(),
                params: Vec::new(),
                secrets: Vec::new(),
                what: String::new(),
                known: false,
                remark: if trigger.networks.is_empty() {
                    "Nothing proves the sender: whoever knows the URL can run the command, as before."
                } else {
                    "Nothing but the address proves the sender, as before."
                },
            },
        }
    }

    fn signed(&mut self, signature: &Signature, from_github: bool) -> Proof {
        let name = signature.at.name.to_lowercase();
        let header = signature.at.source == Source::Header;
        let plain = signature.at.signed_headers.is_empty();
        let known = match (name.as_str(), signature.digest) {
            _ if !header || !plain => None,
            ("x-hub-signature-256", "sha256") => Some(("github", "")),
            ("x-hub-signature", "sha1") if from_github => Some((
                "github",
                "GitHub also sends a SHA-256 signature with this secret: that is checked.",
            )),
            ("x-gitea-signature" | "x-gogs-signature" | "x-forgejo-signature", "sha256") => {
                Some(("gitea", ""))
            }
            _ => None,
        };
        let what = format!("the `secret` of its rule about {}", signature.at.words());
        let secrets = signature.secrets.clone();
        if let Some((provider, remark)) = known {
            let provider = provider.to_owned();
            return Proof { provider, params: Vec::new(), secrets, what, known: true, remark };
        }
        let remark = match (name.as_str(), signature.digest) {
            ("x-hub-signature", "sha1") => {
                "If GitHub sends: provider = \"github\" checks its SHA-256 signature, with the same secret."
            }
            ("x-hub-signature", "sha256") => {
                "If Bitbucket sends: provider = \"bitbucket\", with the same secret."
            }
            _ => "",
        };
        let provider = self.own_provider(signature);
        Proof { provider, params: Vec::new(), secrets, what, known: false, remark }
    }

    /// A provider of the file's own: the signature with what may stand before it, or without.
    fn own_provider(&mut self, signature: &Signature) -> String {
        let at = places(&signature.at);
        let digest = signature.digest;
        let mut slug = format!("webhook-{digest}-{}", signature.at.name.to_lowercase());
        slug.extend(
            signature.at.signed_headers.iter().map(|header| format!("-{}", header.to_lowercase())),
        );
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let slug: String = slug.chars().map(fits).take(60).collect();
        let mut message = "{body}".to_owned();
        for header in &signature.at.signed_headers {
            let _ = write!(message, "{{header:{}?}}", header.to_lowercase());
        }
        let mut text = format!(
            "\n[[provider]]\nslug = {}\nname = {}\n",
            string(&slug),
            string(&format!("{} in {}", digest.to_uppercase(), signature.at.words())),
        );
        let mut scheme = |when: &str, how: &str| {
            let _ = write!(
                text,
                "\n[[provider.scheme]]\nclass = \"hmac\"\ndigest = \"{digest}\"\n{when}\
                 signature = {{ at = {at}, {how}encoding = \"hex\" }}\nmessage = {}\n",
                string(&message),
            );
        };
        if !signature.scalr {
            // `sha256=...`, also several with commas between them; a bare signature otherwise.
            scheme(
                &format!(
                    "when = [{{ at = {}, starts_with = \"{digest}=\" }}]\n",
                    string(&place(&signature.at))
                ),
                &format!("split = {{ items = \",\", pair = \"=\", wanted = \"{digest}\" }}, "),
            );
        }
        scheme("", "");
        self.providers.insert(slug.clone(), text);
        slug
    }

    fn shared(&mut self, token: &Token) -> Proof {
        let name = token.at.name.to_lowercase();
        let mut proof = Proof {
            provider: "token".to_owned(),
            params: Vec::new(),
            secrets: token.secrets.clone(),
            what: format!("the `value` of its rule about {}", token.at.words()),
            known: false,
            remark: "",
        };
        match (token.at.source, name.as_str()) {
            (Source::Header, "x-gitlab-token") => {
                proof.provider = "gitlab".to_owned();
                proof.known = true;
            }
            (Source::Header, "authorization") if all_bearer(&proof.secrets) => {
                proof.params = vec![("header", name), ("prefix", "Bearer ".to_owned())];
                proof.secrets = proof.secrets.into_iter().map(without_bearer).collect();
            }
            (Source::Header, _) => proof.params = vec![("header", name)],
            (Source::Query, _) => proof.params = vec![("query", token.at.name.clone())],
            _ => proof.provider = self.own_token(&token.at),
        }
        proof
    }

    /// A field of the payload, which may be JSON or a form.
    fn own_token(&mut self, at: &Parameter) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let slug: String = format!("webhook-token-{}", at.name.to_lowercase())
            .chars()
            .map(fits)
            .take(60)
            .collect();
        let text = format!(
            "\n[[provider]]\nslug = {}\nname = {}\n\n[[provider.scheme]]\nclass = \"token\"\n\
             signature = {{ at = {}, encoding = \"plain\" }}\n",
            string(&slug),
            string(&format!("Token in {}", at.words())),
            places(at),
        );
        self.providers.insert(slug.clone(), text);
        slug
    }

    /// The secrets as they are written: references to variables, or in full if that was asked for.
    fn references(
        &mut self,
        id: &str,
        hook: &str,
        proof: &Proof,
        secrets: &mut Vec<Secret>,
    ) -> Vec<String> {
        let mut references = Vec::new();
        for secret in &proof.secrets {
            let variable = match secret {
                Written::Text(text) if self.options.with_secrets => {
                    references.push(string(text));
                    continue;
                }
                Written::Text(_) => self.fresh_variable(id),
                Written::Variable(name) => name.clone(),
            };
            references.push(format!("{{ env = {} }}", string(&variable)));
            if !secrets.iter().any(|known| known.variable == variable && known.hook == hook) {
                let what = proof.what.clone();
                secrets.push(Secret { variable, hook: hook.to_owned(), what });
            }
        }
        references
    }

    fn fresh_variable(&mut self, id: &str) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let mut name: String = id.chars().map(fits).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("BECKET") {
            name.insert_str(0, "HOOK_");
        }
        name.push_str("_SECRET");
        let made = name.clone();
        for number in 2.. {
            if self.variables.insert(name.clone()) {
                break;
            }
            name = format!("{made}_{number}");
        }
        name
    }
}

fn all_bearer(secrets: &[Written]) -> bool {
    secrets
        .iter()
        .all(|secret| matches!(secret, Written::Text(text) if text.starts_with("Bearer ")))
}

fn without_bearer(secret: Written) -> Written {
    match secret {
        Written::Text(text) => {
            Written::Text(text.strip_prefix("Bearer ").unwrap_or(&text).to_owned())
        }
        other @ Written::Variable(_) => other,
    }
}

/// Where a value is, as the catalogue writes it.
fn place(at: &Parameter) -> String {
    match at.source {
        Source::Query => format!("query:{}", at.name),
        Source::Payload => format!("json:{}", at.name),
        _ => format!("header:{}", at.name.to_lowercase()),
    }
}

/// The same with quotes; a field without dots may also be one of a form.
fn places(at: &Parameter) -> String {
    let place = string(&place(at));
    if at.source == Source::Payload && !at.name.contains('.') {
        return format!("[{place}, {}]", string(&format!("form:{}", at.name)));
    }
    place
}

/// One filter of all conditions. Those about different parts of the event stand beside each other.
fn filter(conditions: &[Value]) -> Option<Value> {
    let mut all = serde_json::Map::new();
    for condition in conditions {
        let Some(fields) = condition.as_object() else { continue };
        if fields.keys().any(|name| all.contains_key(name)) {
            return Some(json!({ "$and": conditions }));
        }
        all.extend(fields.clone());
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

/// A value as TOML in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => string(text),
        // Nothing else is written but numbers and truth values.
        other => other.to_string(),
    }
}

fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { string(name) }
}

/// A text as TOML.
fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            '\r' => written.push_str("\\r"),
            other if other.is_control() => {
                let _ = write!(written, "\\u{:04X}", u32::from(other));
            }
            other => written.push(other),
        }
    }
    written.push('"');
    written
}
