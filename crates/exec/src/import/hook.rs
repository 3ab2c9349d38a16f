//! One hook: everything that it says, or every reason why it cannot be carried over.

use serde_json::Value;

use super::parameter::{Parameter, Source};
use super::read::Fields;
use super::rule::{Trigger, trigger};

/// A hook that can be carried over.
#[derive(Debug, Clone, Default)]
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) working_directory: Option<String>,
    pub(super) methods: Vec<String>,
    pub(super) trigger: Trigger,
    pub(super) ack: Option<Ack>,
    /// Whether something in it says that GitHub sends.
    pub(super) from_github: bool,
    pub(super) notes: Vec<String>,
}

/// The answer to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
}

const KNOWN: [&str; 21] = [
    "id",
    "execute-command",
    "command-working-directory",
    "response-message",
    "response-headers",
    "success-http-response-code",
    "incoming-payload-content-type",
    "include-command-output-in-response",
    "include-command-output-in-response-on-error",
    "parse-parameters-as-json",
    "pass-arguments-to-command",
    "pass-environment-to-command",
    "pass-file-to-command",
    "trigger-rule",
    "trigger-rule-mismatch-http-response-code",
    "trigger-signature-soft-failures",
    "http-methods",
    "pre-hook-command",
    "keep-file-environment",
    "stream-command-output",
    "restricted-execution",
];

impl Hook {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Vec<String>> {
        let mut hook = Self::default();
        let mut reasons = Vec::new();
        let mut attempt = |done: Result<(), String>| reasons.extend(done.err());
        attempt(hook.read_command(fields));
        attempt(hook.read_values(fields));
        attempt(hook.read_trigger(fields));
        attempt(hook.read_answer(fields));
        attempt(hook.read_rest(fields));
        if reasons.is_empty() { Ok(hook) } else { Err(reasons) }
    }

    fn read_command(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        self.id = fields.text("id")?.filter(|id| !id.is_empty()).ok_or("it has no `id`")?;
        let program = fields.text("execute-command")?.filter(|program| !program.is_empty());
        let program = program.ok_or("it has no `execute-command`")?;
        self.working_directory =
            fields.text("command-working-directory")?.filter(|folder| !folder.is_empty());
        let folder = self.working_directory.as_deref();
        if folder.is_some_and(|folder| !folder.starts_with('/')) {
            return Err(
                "its `command-working-directory` is relative to where webhook was started; \
                        write it from / on"
                    .to_owned(),
            );
        }
        self.program = match (program.starts_with('/'), folder) {
            (true, _) => program,
            (false, Some(folder)) => {
                let program = program.trim_start_matches("./");
                format!("{}/{program}", folder.trim_end_matches('/'))
            }
            (false, None) if program.contains('/') => {
                return Err(format!(
                    "its command `{program}` is relative to where webhook was started; write it \
                     from / on"
                ));
            }
            (false, None) => program,
        };
        if crate::is_template(&self.program) {
            return Err("its command has `{{` in its name".to_owned());
        }
        Ok(())
    }

    fn read_values(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        let parsed = names(fields, "parse-parameters-as-json")?;
        let parameters = |key: &str| -> Result<Vec<Parameter>, String> {
            let values = fields.list(key)?;
            values
                .into_iter()
                .map(|value| {
                    let value = Parameter::read(&fields.inner(value))
                        .map_err(|problem| format!("`{key}`: {problem}"))?;
                    inside_json_text(&value, &parsed).map_or(Ok(()), Err)?;
                    Ok(value)
                })
                .collect()
        };
        let mut leading = false;
        for value in parameters("pass-arguments-to-command")? {
            leading |= value.source != Source::Text;
            let template = value
                .template()
                .map_err(|problem| format!("`pass-arguments-to-command`: {problem}"))?;
            self.arguments.push(template);
        }
        if leading {
            self.notes.push(
                "a value that begins with `-` is now refused as an argument; put \"--\" before it in \
                 `command` if the program knows that, or set allow_option_values = true"
                    .to_owned(),
            );
        }
        for value in parameters("pass-environment-to-command")? {
            let name = value.variable.clone().unwrap_or_else(|| format!("HOOK_{}", value.name));
            let template = value
                .template()
                .map_err(|problem| format!("`pass-environment-to-command`: {problem}"))?;
            if name.starts_with("BECKET_") || name.contains(|c: char| c == '=' || c.is_whitespace())
            {
                return Err(format!("the variable `{name}` cannot be set"));
            }
            self.env.retain(|(known, _)| *known != name);
            self.env.push((name, template));
        }
        if !fields.list("pass-file-to-command")?.is_empty() {
            return Err(
                "`pass-file-to-command`: no files are made; the command gets the whole payload \
                        on its standard input"
                    .to_owned(),
            );
        }
        if let Some(parameter) = parsed.iter().find(|parameter| parameter.source != Source::Payload)
        {
            self.notes.push(format!(
                "`parse-parameters-as-json` of {} was dropped: nothing uses what is inside",
                parameter.words()
            ));
        }
        Ok(())
    }

    fn read_trigger(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        let Some(rule) = fields.get("trigger-rule") else { return Ok(()) };
        let text = rule.to_string().to_lowercase();
        self.from_github = text.contains("\"x-github-");
        let parsed = names(fields, "parse-parameters-as-json")?;
        let mut inside = Vec::new();
        parameters_of(&fields.inner(rule), &mut inside);
        for parameter in &inside {
            inside_json_text(parameter, &parsed).map_or(Ok(()), Err)?;
        }
        self.trigger =
            trigger(&fields.inner(rule)).map_err(|problem| format!("`trigger-rule`: {problem}"))?;
        self.notes.append(&mut self.trigger.notes);
        if let (Some(signature), Some(token)) = (&self.trigger.signature, &self.trigger.token) {
            self.notes.push(format!(
                "{} is not compared any more: the signature in {} proves more",
                token.at.words(),
                signature.at.words()
            ));
            self.trigger.token = None;
        }
        if fields.flag("trigger-signature-soft-failures")? {
            self.notes.push(
                "`trigger-signature-soft-failures` was dropped: each source judges for itself"
                    .to_owned(),
            );
        }
        if fields.get("trigger-rule-mismatch-http-response-code").is_some() {
            self.notes.push(
                "`trigger-rule-mismatch-http-response-code` was dropped: who cannot prove to be the \
                 sender gets 401; an event that a filter keeps back is accepted"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn read_answer(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        let message = fields.text("response-message")?;
        let status = fields.text("success-http-response-code")?.filter(|code| code != "0");
        let mut content_type = None;
        for header in fields.list("response-headers")? {
            let header = fields.inner(header);
            let name = header.text("name")?.unwrap_or_default();
            if name.eq_ignore_ascii_case("content-type") {
                content_type = header.text("value")?;
            } else {
                self.notes.push(format!("the header {name} of the answer was dropped"));
            }
        }
        for key in [
            "include-command-output-in-response",
            "include-command-output-in-response-on-error",
            "stream-command-output",
        ] {
            if fields.flag(key)? {
                self.notes.push(format!(
                    "`{key}` was dropped: the sender is answered before the command runs; its output \
                     is kept with the attempt"
                ));
            }
        }
        let status = match status.as_deref().map(str::parse::<u16>) {
            None => 200,
            Some(Ok(code)) if (200..300).contains(&code) => code,
            Some(_) => {
                self.notes.push(
                    "`success-http-response-code` was dropped: it is not between 200 and 299"
                        .to_owned(),
                );
                200
            }
        };
        if message.is_some() || content_type.is_some() || status != 200 {
            self.ack = Some(Ack { status, content_type, body: message.unwrap_or_default() });
        }
        Ok(())
    }

    fn read_rest(&mut self, fields: &Fields<'_>) -> Result<(), String> {
        if fields.get("pre-hook-command").is_some() {
            return Err("`pre-hook-command` has no counterpart".to_owned());
        }
        for method in fields.list("http-methods")? {
            let method = method.as_str().unwrap_or_default().trim().to_uppercase();
            if !["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
                .contains(&method.as_str())
            {
                return Err(format!("`http-methods`: `{method}` is no method"));
            }
            self.methods.push(method);
        }
        if fields.get("incoming-payload-content-type").is_some() {
            self.notes.push(
                "`incoming-payload-content-type` was dropped: JSON is recognised by itself, a form by \
                 its content type"
                    .to_owned(),
            );
        }
        for key in fields.unknown(&KNOWN) {
            self.notes.push(format!("the unknown key `{key}` was dropped"));
        }
        Ok(())
    }
}

fn names(fields: &Fields<'_>, key: &str) -> Result<Vec<Parameter>, String> {
    let values = fields.list(key)?;
    values.into_iter().map(|value| Parameter::read(&fields.inner(value))).collect()
}

/// Why a value cannot be reached, if it is inside a text that was read as JSON.
fn inside_json_text(value: &Parameter, parsed: &[Parameter]) -> Option<String> {
    let outer = parsed.iter().find(|outer| {
        outer.source == value.source
            && value.name.strip_prefix(&outer.name).is_some_and(|rest| rest.starts_with('.'))
    })?;
    Some(format!(
        "{} is inside {}, which is JSON in a text (`parse-parameters-as-json`); let the sender post \
         JSON, or let the command take it apart",
        value.words(),
        outer.words()
    ))
}

/// Every value that a rule looks at, wherever it is.
fn parameters_of(fields: &Fields<'_>, found: &mut Vec<Parameter>) {
    for name in ["and", "or"] {
        for rule in fields.list(name).unwrap_or_default() {
            parameters_of(&fields.inner(rule), found);
        }
    }
    for name in ["not", "match"] {
        if let Some(rule) = fields.get(name) {
            parameters_of(&fields.inner(rule), found);
        }
    }
    if let Some(parameter @ Value::Object(_)) = fields.get("parameter") {
        // One that cannot be read is reported with the rule itself.
        found.extend(Parameter::read(&fields.inner(parameter)).ok());
    }
}
