//! The way to a value inside a body: `a.b[0]["c d"]`.

use serde_json::Value;

use super::TemplateError;

/// The way to a value inside a JSON or form body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    /// Reads a path: `a.b[0].c`, with `["..."]` around a name that has dots, brackets or spaces.
    /// The empty path is the whole body.
    ///
    /// # Errors
    /// [`TemplateError`] with the position.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let dotted = match source.chars().next() {
            None | Some('[') => source.to_owned(),
            Some(_) => format!(".{source}"),
        };
        let added = dotted.len() - source.len();
        let error = |at: usize, problem: String| TemplateError {
            at: dotted[..at].chars().count() + 1 - added.min(at),
            problem,
        };
        let (path, length) = Self::read(&dotted).map_err(|(at, problem)| error(at, problem))?;
        if length < dotted.len() {
            return Err(error(length, "expected `.` or `[`".to_owned()));
        }
        Ok(path)
    }

    /// Reads steps as far as they go: the path and how many bytes it took, or where it is wrong.
    pub(super) fn read(source: &str) -> Result<(Self, usize), (usize, String)> {
        let mut steps = Vec::new();
        let mut at = 0;
        loop {
            let rest = &source[at..];
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(ends_name).unwrap_or(after.len());
                if end == 0 {
                    return Err((at + 1, "a name is missing after `.`".to_owned()));
                }
                steps.push(Step::Name(after[..end].to_owned()));
                at += 1 + end;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (step, length) = bracket(after).map_err(|problem| (at, problem.to_owned()))?;
                steps.push(step);
                at += 1 + length;
            } else {
                return Ok((Self { steps }, at));
            }
        }
    }

    /// Whether it is the whole body.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// The value there, if there is one.
    #[must_use]
    pub fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Name(name) => value.as_object()?.get(name),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }

    pub(super) fn only_name(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Name(name)] => Some(name),
            _ => None,
        }
    }
}

fn ends_name(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | '[' | ']' | '{' | '}' | '\'' | '"')
}

/// What stands in brackets, after the opening one: the step, and how many bytes with the closing one.
fn bracket(after: &str) -> Result<(Step, usize), &'static str> {
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let name = &after[1..];
        let end = name.find(quote).ok_or("the name in brackets is not closed")?;
        return match name[end + 1..].starts_with(']') {
            true => Ok((Step::Name(name[..end].to_owned()), end + 3)),
            false => Err("`[` is not closed by `]`"),
        };
    }
    let end = after.find(']').ok_or("`[` is not closed by `]`")?;
    let index = after[..end]
        .parse()
        .map_err(|_| "between `[` and `]` stands a number from 0, or a name in quotes")?;
    Ok((Step::Index(index), end + 1))
}
