//! Secret values: where they come from, and that they are never shown.

use std::fmt;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Origin, Reader, Slot};
use super::value::Value;

/// A secret that was found; neither `Debug` nor any output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    from: SecretOrigin,
}

/// Where a secret came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// It is written in the file or was given as a flag.
    Plain,
    /// An environment variable of this name.
    Env(String),
    /// A file, as it is named in the configuration.
    File(String),
}

impl Secret {
    /// A secret that was written out.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), from: SecretOrigin::Plain }
    }

    /// The secret itself. Hand it on; never print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> &SecretOrigin {
        &self.from
    }

    pub(super) fn new(text: String, from: SecretOrigin) -> Self {
        Self { text, from }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

impl Value for Secret {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        if let Some(given) = reader.given_outside(slot) {
            return Some(Self::plain(given.text));
        }
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let secret = match node.get_ref() {
            DeValue::String(text) => {
                reader.hide(node.span());
                Self::plain(text.as_ref())
            }
            DeValue::Table(table) => {
                let mut parts = table.iter();
                let (Some((key, value)), None) = (parts.next(), parts.next()) else {
                    return wrong(reader, slot, node);
                };
                let DeValue::String(name) = value.get_ref() else {
                    return wrong(reader, slot, node);
                };
                match key.get_ref().as_ref() {
                    "env" => from_env(reader, slot, value, name)?,
                    "file" => from_file(reader, slot, value, name)?,
                    _ => return wrong(reader, slot, node),
                }
            }
            _ => {
                reader.hide(node.span());
                return wrong(reader, slot, node);
            }
        };
        if secret.text.is_empty() {
            reader.error(slot, node.span(), "secret_empty", format!("`{}` is empty", slot.path));
            return None;
        }
        reader.came_from_file(slot, node.span());
        Some(secret)
    }

    fn load_text(
        _reader: &mut Reader<'_>,
        _slot: &Slot<'_>,
        text: &str,
        _from: &Origin,
    ) -> Option<Self> {
        Some(Self::plain(text))
    }

    fn schema() -> Json {
        let one = |name: &str, meaning: &str| {
            json!({
                "type": "object",
                "additionalProperties": false,
                "required": [name],
                "properties": { name: { "type": "string", "description": meaning } },
            })
        };
        json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            one("env", "The name of an environment variable."),
            one("file", "The path of a file; a final line end is dropped."),
        ] })
    }

    fn is_secret() -> bool {
        true
    }

    fn words() -> String {
        "secret".to_owned()
    }

    fn show(&self) -> Json {
        match &self.from {
            SecretOrigin::Plain => json!("<redacted>"),
            SecretOrigin::Env(name) => json!({ "env": name }),
            SecretOrigin::File(path) => json!({ "file": path }),
        }
    }
}

fn wrong(reader: &mut Reader<'_>, slot: &Slot<'_>, node: &Spanned<DeValue<'_>>) -> Option<Secret> {
    reader.problem(
        slot,
        node.span(),
        "wrong_type",
        format!("`{}` takes a secret, not {}", slot.path, super::value::article(node.get_ref())),
        Some("write a string, { env = \"NAME\" } or { file = \"PATH\" }".to_owned()),
    );
    None
}

fn from_env(
    reader: &mut Reader<'_>,
    slot: &Slot<'_>,
    node: &Spanned<DeValue<'_>>,
    name: &str,
) -> Option<Secret> {
    reader.env_used(name);
    match reader.env(name) {
        Some(text) => Some(Secret::new(text.to_owned(), SecretOrigin::Env(name.to_owned()))),
        None => {
            reader.problem(
                slot,
                node.span(),
                "secret_env_missing",
                format!("the environment variable `{name}` is not set"),
                Some(format!("set it, or give `{}` in another way", slot.path)),
            );
            None
        }
    }
}

fn from_file(
    reader: &mut Reader<'_>,
    slot: &Slot<'_>,
    node: &Spanned<DeValue<'_>>,
    name: &str,
) -> Option<Secret> {
    match reader.read_text(std::path::Path::new(name)) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            Some(Secret::new(text.to_owned(), SecretOrigin::File(name.to_owned())))
        }
        Err(problem) => {
            reader.problem(
                slot,
                node.span(),
                "secret_file_unreadable",
                format!("the secret file `{name}` cannot be read: {problem}"),
                Some("paths are relative to the folder of the configuration file".to_owned()),
            );
            None
        }
    }
}
