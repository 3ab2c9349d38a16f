//! `[source.endpoint.transform]`: JavaScript that changes a delivery before it is signed.
//!
//! Reading finds a missing file and code that is too long. Whether the code can be loaded is found by
//! loading it in a sandbox, which [`check_programs`] does: not every command that reads the
//! configuration should start processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use becket_transform::{Pool, Program};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::reader::{Reader, Slot};
use crate::config::secret::Secret;
use crate::config::table::table;
use crate::config::value::{Value, article};
use crate::config::{Config, Problem, Severity};

table! {
    /// JavaScript that changes a delivery before it is signed: `function handler(webhook) { return
    /// webhook; }`.
    pub struct Transform {
        /// The file with the code, relative to the folder of the configuration file.
        file: Option<CodeFile>,
        /// The code itself.
        code: Option<String>,
        /// What the code finds as `variables`: texts or secrets.
        variables: BTreeMap<String, Secret>,
    }
}

/// A file with code, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFile {
    /// How it is called in the configuration.
    pub name: String,
    /// The code.
    pub code: Arc<str>,
}

impl Value for CodeFile {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let DeValue::String(name) = node.get_ref() else {
            let message = format!("`{}` takes a path, not {}", slot.path, article(node.get_ref()));
            reader.error(slot, node.span(), "wrong_type", message);
            return None;
        };
        match reader.read_text(std::path::Path::new(name.as_ref())) {
            Ok(code) => {
                reader.came_from_file(slot, node.span());
                Some(Self { name: name.to_string(), code: code.into() })
            }
            Err(problem) => {
                let message = format!("the code in `{name}` cannot be read: {problem}");
                let hint = "paths are relative to the folder of the configuration file";
                let hint = Some(hint.to_owned());
                reader.problem(slot, node.span(), "code_unreadable", message, hint);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn words() -> String {
        "path".to_owned()
    }

    fn show(&self) -> Json {
        json!(self.name)
    }
}

impl Transform {
    /// What is run for each delivery.
    ///
    /// # Errors
    /// When there is no code, or too much.
    pub fn program(&self) -> Result<Program, String> {
        let code = match (&self.file, &self.code) {
            (Some(file), None) => file.code.to_string(),
            (None, Some(code)) => code.clone(),
            (None, None) => return Err("`transform` needs `file` or `code`".to_owned()),
            (Some(_), Some(_)) => {
                return Err("`transform` takes either `file` or `code`, not both".to_owned());
            }
        };
        let exposed = |(name, value): (&String, &Secret)| (name.clone(), value.expose().to_owned());
        let program = Program { code, variables: self.variables.iter().map(exposed).collect() };
        becket_transform::check_size(&program).map_err(|trouble| trouble.to_string())?;
        Ok(program)
    }
}

/// Loads the code of every transformation in a sandbox, and reports what is wrong with it.
pub async fn check_programs(config: &Config, pool: &Pool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &config.sources {
        for endpoint in &source.endpoints {
            let Some(Ok(program)) = endpoint.transform.as_ref().map(Transform::program) else {
                continue;
            };
            // One after the other, under the number of no endpoint.
            let Err(trouble) = becket_transform::check(pool, 0, program.into()).await else {
                continue;
            };
            let named = endpoint.transform.as_ref().and_then(|one| one.file.as_ref());
            let named = named.map_or(String::new(), |file| format!(" in `{}`", file.name));
            problems.push(Problem {
                severity: Severity::Error,
                code: "code_unusable",
                key: format!("source.{}.endpoint.{}.transform", source.id, endpoint.id),
                message: format!(
                    "the transformation of the endpoint `{}` of `{}` cannot be used: {trouble}{named}",
                    endpoint.id, source.id
                ),
                hint: None,
                file: None,
                place: None,
            });
        }
    }
    problems
}
