//! Walks a parsed file, collects what is wrong, and remembers where each value came from.
//!
//! Invariants: a setting is looked for in the flags, then in the environment, then in the file; nothing
//! stops at the first problem; the world outside (environment, files) is reached through what was handed in.
//!
//! Next: `value` for how single values are read, `table` for how sections are declared.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Problem, Severity, nearest, place_of};

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The setting, such as `server.listen`.
    pub key: &'static str,
    /// The flag, such as `--listen`.
    pub name: &'static str,
    /// The value as it was given.
    pub value: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, at this line.
    File(usize),
    /// An environment variable of this name.
    Env(String),
    /// A flag of this name.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(line) => write!(formatter, "file, line {line}"),
            Self::Env(name) => formatter.write_str(name),
            Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// Reads a text file, or says in words why not.
pub type ReadFile<'w> = dyn Fn(&Path) -> Result<String, String> + 'w;

/// One setting that is about to be read.
pub(super) struct Slot<'a> {
    /// Its full name, such as `source[0].rate_limit`.
    pub path: String,
    /// Its value in the file.
    pub node: Option<&'a Spanned<DeValue<'a>>>,
    /// Where it, or else the table it belongs to, is in the file.
    pub span: Option<Range<usize>>,
    /// What holds when nobody sets it, as text.
    pub default: Option<&'static str>,
    /// Whether flags and environment may set it.
    pub outside: bool,
}

/// A value from a flag or the environment.
pub(super) struct Given {
    pub text: String,
    pub from: Origin,
}

/// The state of one reading.
pub(super) struct Reader<'w> {
    pub text: &'w str,
    pub file: Option<PathBuf>,
    pub base: PathBuf,
    pub env: &'w BTreeMap<String, String>,
    pub flags: &'w [Flag],
    pub read: &'w ReadFile<'w>,
    pub problems: Vec<Found>,
    pub origins: BTreeMap<String, Origin>,
    pub spans: BTreeMap<String, Range<usize>>,
    pub files: BTreeSet<PathBuf>,
    /// Slugs of the file's own providers that cannot be used.
    pub broken_providers: BTreeSet<String>,
    secrets: Vec<Range<usize>>,
    env_used: BTreeSet<String>,
}

/// A problem whose place is not worked out yet, because secrets that follow must be hidden in it.
pub(super) struct Found {
    severity: Severity,
    code: &'static str,
    key: String,
    message: String,
    hint: Option<String>,
    span: Option<Range<usize>>,
}

impl<'w> Reader<'w> {
    pub fn new(
        text: &'w str,
        file: Option<PathBuf>,
        env: &'w BTreeMap<String, String>,
        flags: &'w [Flag],
        read: &'w ReadFile<'w>,
    ) -> Self {
        let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        Self {
            text,
            file,
            base,
            env,
            flags,
            read,
            problems: Vec::new(),
            origins: BTreeMap::new(),
            spans: BTreeMap::new(),
            files: BTreeSet::new(),
            broken_providers: BTreeSet::new(),
            secrets: Vec::new(),
            env_used: BTreeSet::new(),
        }
    }

    /// The value that a flag or the environment gives, and remembers that it did.
    pub fn given_outside(&mut self, slot: &Slot<'_>) -> Option<Given> {
        if !slot.outside {
            return None;
        }
        let given = self.flag_or_env(&slot.path)?;
        self.origins.insert(slot.path.clone(), given.from.clone());
        Some(given)
    }

    fn flag_or_env(&mut self, path: &str) -> Option<Given> {
        if let Some(flag) = self.flags.iter().find(|flag| flag.key == path) {
            return Some(Given { text: flag.value.clone(), from: Origin::Flag(flag.name) });
        }
        let name = env_name(path);
        // An empty variable is how many tools say "not set".
        let text = self.env.get(&name).filter(|text| !text.is_empty())?.clone();
        self.env_used.insert(name.clone());
        Some(Given { text, from: Origin::Env(name) })
    }

    /// Whether anything outside the file sets this setting or, if it is a section, one in it.
    pub fn is_given_outside(&self, slot: &Slot<'_>, is_section: bool) -> bool {
        let below = format!("{}.", slot.path);
        let name = env_name(&slot.path);
        let env_below = format!("{name}_");
        slot.outside
            && (self
                .flags
                .iter()
                .any(|flag| flag.key == slot.path || (is_section && flag.key.starts_with(&below)))
                || self.env.iter().any(|(key, value)| {
                    let inside = is_section && key.starts_with(&env_below);
                    !value.is_empty() && (*key == name || inside)
                }))
    }

    pub fn env(&self, name: &str) -> Option<&'w str> {
        self.env.get(name).map(String::as_str)
    }

    pub fn env_used(&mut self, name: &str) {
        self.env_used.insert(name.to_owned());
    }

    /// Reads a file named in the configuration, relative to the configuration's folder.
    pub fn read_text(&mut self, path: &Path) -> Result<String, String> {
        let path = self.base.join(path);
        let text = (self.read)(&path);
        self.files.insert(path);
        text
    }

    /// Remembers that a value came from the file.
    pub fn came_from_file(&mut self, slot: &Slot<'_>, span: Range<usize>) {
        let line = place_of(self.text, &span, &[]).line;
        self.origins.insert(slot.path.clone(), Origin::File(line));
    }

    /// Never shows this part of the file.
    pub fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    pub fn missing(&mut self, slot: &Slot<'_>) {
        let (table, key) = slot.path.rsplit_once('.').unwrap_or(("", &slot.path));
        let message = if table.is_empty() {
            format!("`{key}` is missing")
        } else {
            format!("`{table}` has no `{key}`")
        };
        let hint = format!("add `{key} = ...`");
        self.add(Severity::Error, slot, slot.span.clone(), "missing_key", message, Some(hint));
    }

    pub fn error(&mut self, slot: &Slot<'_>, span: Range<usize>, code: &'static str, text: String) {
        self.add(Severity::Error, slot, Some(span), code, text, None);
    }

    pub fn problem(
        &mut self,
        slot: &Slot<'_>,
        span: Range<usize>,
        code: &'static str,
        text: String,
        hint: Option<String>,
    ) {
        self.add(Severity::Error, slot, Some(span), code, text, hint);
    }

    /// Reports a value from a flag or the environment that cannot be used.
    pub fn wrong_outside(&mut self, slot: &Slot<'_>, from: &Origin, message: &str) {
        let message = format!("{from}: {message}");
        self.add(Severity::Error, slot, None, "wrong_value", message, None);
    }

    fn add(
        &mut self,
        severity: Severity,
        slot: &Slot<'_>,
        span: Option<Range<usize>>,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        let key = slot.path.clone();
        self.problems.push(Found { severity, code, key, message, hint, span });
    }

    /// Whether something has been reported about this setting, one above it or one below it.
    pub fn is_broken(&self, key: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems.iter().any(|problem| {
            problem.severity == Severity::Error
                && !problem.key.is_empty()
                && (within(&problem.key, key)
                    || (problem.code == "wrong_type" && within(key, &problem.key)))
        })
    }

    /// Whether a key of this section has been reported as unknown.
    pub fn has_unknown_key(&self, table: &str) -> bool {
        self.problems.iter().any(|problem| {
            let inner = problem.key.strip_prefix(table).and_then(|rest| rest.strip_prefix('.'));
            problem.code == "unknown_key" && inner.is_some_and(|rest| !rest.contains('.'))
        })
    }

    /// Reports something about settings that have been read, at the place of the first of `keys`
    /// that is in the file; nothing if the first has been reported already.
    pub fn report(
        &mut self,
        severity: Severity,
        code: &'static str,
        keys: &[&str],
        message: String,
        hint: Option<String>,
    ) {
        if keys.first().is_some_and(|key| self.is_broken(key)) {
            return;
        }
        let outside =
            |key: &&str| matches!(self.origins.get(*key), Some(Origin::Env(_) | Origin::Flag(_)));
        let (message, span) = match keys.first().filter(|key| outside(key)) {
            Some(key) => (format!("{}: {message}", self.origins[*key]), None),
            None => (message, keys.iter().find_map(|key| self.spans.get(*key)).cloned()),
        };
        let key = keys.first().map_or(String::new(), |key| (*key).to_owned());
        self.problems.push(Found { severity, code, key, message, hint, span });
    }

    /// Reports a key that does not exist, with the one that was probably meant.
    pub fn unknown_key(
        &mut self,
        table: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        known: &[&'static str],
    ) {
        let name = key.get_ref().as_ref();
        let near = nearest(name, known.iter().copied());
        // A misspelt secret is a secret all the same.
        let sensitive = ["secret", "key", "token", "credential", "password"];
        if sensitive.iter().any(|word| {
            name.to_lowercase().contains(word) || near.is_some_and(|near| near.contains(word))
        }) {
            self.hide(value.span());
        }
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "nothing is known here".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        let message = if table.is_empty() {
            format!("unknown key `{name}`")
        } else {
            format!("unknown key `{name}` in `{table}`")
        };
        let path = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
        self.problems.push(Found {
            severity: Severity::Error,
            code: "unknown_key",
            key: path,
            message,
            hint: Some(hint),
            span: Some(key.span()),
        });
    }

    /// Reports a text that is not TOML.
    pub fn syntax(&mut self, error: &toml::de::Error) {
        // Nobody knows which part of a broken line was to be a secret.
        let span = error.span();
        if let Some(span) = &span {
            let line_start =
                self.text[..span.start.min(self.text.len())].rfind('\n').map_or(0, |at| at + 1);
            let line = &self.text[line_start..];
            let line = &line[..line.find('\n').unwrap_or(line.len())];
            if let Some(at) = line.find(['"', '\'']) {
                self.hide(line_start + at..line_start + line.len());
            }
        }
        self.problems.push(Found {
            severity: Severity::Error,
            code: "syntax",
            key: String::new(),
            message: format!("this is not TOML: {}", error.message().trim_end()),
            hint: None,
            span,
        });
    }

    /// Warns about `BECKET_SERVER_...` and the like that set nothing.
    pub fn unknown_env(&mut self, known: &BTreeSet<String>, sections: &[&str]) {
        let mut found = Vec::new();
        for name in self.env.keys() {
            let ours =
                sections.iter().any(|section| name.starts_with(&format!("{}_", env_name(section))));
            if ours && !known.contains(name) && !self.env_used.contains(name) {
                let near = nearest(name, known.iter().map(String::as_str));
                found.push((name.clone(), near.map(|near| format!("did you mean `{near}`?"))));
            }
        }
        for (name, hint) in found {
            let message = format!("the environment variable `{name}` sets nothing");
            self.report(Severity::Warning, "unknown_variable", &[], message, hint);
        }
    }

    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All problems in the order of the file, those that are not in it first.
    pub fn finish(&mut self) -> Vec<Problem> {
        let mut found = std::mem::take(&mut self.problems);
        found.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        found
            .into_iter()
            .map(|found| Problem {
                severity: found.severity,
                code: found.code,
                key: found.key,
                message: found.message,
                hint: found.hint,
                file: found.span.as_ref().and(self.file.clone()),
                place: found.span.map(|span| place_of(self.text, &span, &self.secrets)),
            })
            .collect()
    }
}

/// The environment variable of a setting: `server.listen` is `BECKET_SERVER_LISTEN`.
pub(super) fn env_name(path: &str) -> String {
    format!("BECKET_{}", path.replace('.', "_").to_uppercase())
}
