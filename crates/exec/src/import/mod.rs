//! Reads the configuration of adnanh/webhook, `hooks.json` or `hooks.yaml`, and writes the same as
//! `becket.toml`: a source for each hook, with an endpoint that runs its command.
//!
//! Invariants: a hook is carried over whole, or left out with every reason; only what does not change
//! what runs and when (such as headers of the answer) is dropped alone, and said. A condition is never
//! dropped. Secrets are written as references to variables unless asked otherwise.
//!
//! Deliberately absent: files, the environment, printing; the caller does that.
//!
//! Where next: `read` for the file, `rule` for trigger rules, `pattern` for regular expressions,
//! `write` for what comes out.

mod hook;
mod parameter;
mod pattern;
mod read;
mod rule;
mod write;

use std::collections::BTreeSet;

/// How a file is imported.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Whether secrets are written into the file instead of references to variables.
    pub with_secrets: bool,
}

/// A file that was carried over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The configuration.
    pub toml: String,
    /// The hooks that are in it, by id, each with the id of its source.
    pub carried: Vec<(String, String)>,
    /// The hooks that are not, each with every reason.
    pub left_out: Vec<(String, Vec<String>)>,
    /// What is different from before, by hook.
    pub notes: Vec<(String, String)>,
    /// The variables that have to be set: name, hook, and what each is.
    pub secrets: Vec<Secret>,
}

/// A variable that has to be set before the gateway starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub variable: String,
    /// The hook that needs it.
    pub hook: String,
    /// Where its value stands in the hook.
    pub what: String,
}

/// Why a file cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is neither JSON nor YAML.
    #[error("this is neither JSON nor YAML: {problem}")]
    Syntax {
        /// What the parser says.
        problem: String,
    },
    /// It is a template for a program of its own.
    #[error(
        "the file is a Go template with more in it than `getenv`: {found}; write out what it makes \
         and import that"
    )]
    Template {
        /// The first thing that is not understood.
        found: String,
    },
    /// It holds something else.
    #[error("this is no list of hooks: {problem}")]
    NotHooks {
        /// What is there instead.
        problem: String,
    },
}

/// Imports a file's text. `environment` is asked for variables that the file names with `getenv`
/// outside secrets.
///
/// # Errors
/// [`ImportError`] if it is not a file of hooks.
pub fn import(
    text: &str,
    options: ImportOptions,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Imported, ImportError> {
    let hooks = read::hooks(text)?;
    let mut imported = Imported::default();
    let mut writer = write::Writer::new(options);
    let mut ids = BTreeSet::new();
    for (index, value) in hooks.iter().enumerate() {
        let fields = read::Fields::new(value, environment);
        let name = fields.name(index);
        match hook::Hook::read(&fields) {
            Ok(hook) => {
                let source = source_id(&hook.id, &mut ids);
                let mut say = |note: String| imported.notes.push((name.clone(), note));
                if source != hook.id {
                    say(format!("its source is called `{source}`: `{}` cannot be one", hook.id));
                }
                hook.notes.iter().cloned().for_each(&mut say);
                writer.hook(&source, &hook, &mut imported.secrets);
                imported.carried.push((name, source));
            }
            Err(reasons) => {
                writer.left_out(&name, &reasons);
                imported.left_out.push((name, reasons));
            }
        }
    }
    imported.toml = writer.finish(&imported.secrets);
    Ok(imported)
}

/// An id that a source can have, and that no other has.
fn source_id(hook: &str, taken: &mut BTreeSet<String>) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let made: String = hook.chars().map(fits).take(60).collect();
    let made = made.trim_start_matches('.').to_owned();
    let made = if made.is_empty() { "hook".to_owned() } else { made };
    let mut id = made.clone();
    for number in 2.. {
        if taken.insert(id.clone()) {
            break;
        }
        id = format!("{made}-{number}");
    }
    id
}

#[cfg(test)]
mod tests;
