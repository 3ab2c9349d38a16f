//! What is wrong with a configuration, and where: collected, sorted, and shown with the line.
//!
//! Invariants: texts never contain a secret; a line that is shown has the secrets in it blotted out.
//! [`Problem::one_line`] is for logs and shows no line of the file at all.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Whether a problem prevents the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, and somebody should know.
    Warning,
}

/// A place in the file, counted from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The first character.
    pub column: usize,
    /// How many characters are meant, at least 1 and at most to the end of the line.
    #[serde(skip)]
    pub width: usize,
    /// The line's text, with secrets blotted out.
    #[serde(skip)]
    pub text: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for tools.
    pub code: &'static str,
    /// The setting, such as `source[0].rate_limit`; empty when it is about none.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file, if the problem is in it.
    pub file: Option<PathBuf>,
    /// The place in the file.
    #[serde(flatten)]
    pub place: Option<Place>,
}

impl Problem {
    /// The problem in one line for logs, without any text of the file.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(file) = &self.file {
            line.push_str(&file.display().to_string());
            if let Some(place) = &self.place {
                line.push_str(&format!(":{}:{}", place.line, place.column));
            }
            line.push_str(": ");
        }
        line.push_str(&self.message);
        if let Some(hint) = &self.hint {
            line.push_str(&format!(" ({hint})"));
        }
        line
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "{word}: {}", self.message)?;
        let unnamed = Path::new("<text>");
        if let Some(place) = &self.place {
            let file = self.file.as_deref().unwrap_or(unnamed).display();
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            let indent = " ".repeat(place.column - 1);
            let carets = "^".repeat(place.width);
            write!(formatter, "\n{margin}--> {file}:{number}:{}", place.column)?;
            write!(formatter, "\n{margin} |")?;
            write!(formatter, "\n{number} | {}", place.text)?;
            write!(formatter, "\n{margin} | {indent}{carets}")?;
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in the order of the file; warnings included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Errors and warnings.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// How many of the problems are errors.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Turns a range of bytes into line, column and text.
pub(super) fn place_of(text: &str, span: &Range<usize>, secrets: &[Range<usize>]) -> Place {
    let start = floor_boundary(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = floor_boundary(text, span.end).clamp(start, line_end);
    let shown: String = text[line_start..line_end]
        .char_indices()
        .filter(|(_, character)| *character != '\r')
        .map(|(at, character)| {
            let hidden = secrets.iter().any(|range| range.contains(&(line_start + at)));
            if hidden {
                '*'
            } else if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    Place {
        line: text[..line_start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        width: text[start..end].chars().count().max(1),
        text: shown,
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The candidate that looks most like a word, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let plain = candidate.to_lowercase().replace('-', "_");
            let prefix = plain.len() >= 3 && (plain.starts_with(&word) || word.starts_with(&plain));
            let score = strsim::jaro_winkler(&word, &plain);
            let edits = strsim::damerau_levenshtein(&word, &plain);
            (candidate, score, edits <= 1 + plain.len() / 4 || (prefix && word.len() >= 3))
        })
        .filter(|(_, score, near)| *near || *score >= 0.88)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(candidate, ..)| candidate)
}
