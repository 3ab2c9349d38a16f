//! `$ref`: a path to another value of the same part of the event, and following it.
//!
//! Following is remembered for the indexes it was done with, so that a reference inside a list costs
//! no walk from the top for each item.

use crate::json::Json;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    Index(usize),
}

/// A parsed path: `stages[0]` starts at the top, each further one at an item of the list before it,
/// where the path says `[$index]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    stages: Vec<Vec<Step>>,
}

impl Reference {
    /// Reads a path: names with dots between them, `[3]`, `[$index]`, `['a name']`, and `$.` before.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let mut stages = vec![Vec::new()];
        let start = match path.strip_prefix('$') {
            Some(rest) if rest.starts_with(['.', '[']) => 1,
            _ => 0,
        };
        let mut at = start;
        while at < path.len() {
            let rest = &path[at..];
            let taken = if rest.starts_with('[') {
                bracket(rest, &mut stages).map_err(|problem| format!("{problem} at {at}"))?
            } else {
                let dots = usize::from(rest.starts_with('.'));
                if dots == 0 && at > start {
                    return Err(format!("a dot is missing at {at}"));
                }
                let name = &rest[dots..];
                let end = name.find(['.', '[', ']']).unwrap_or(name.len());
                if end == 0 || &name[..end] == "*" {
                    return Err(format!("a name is missing at {}", at + dots));
                }
                push(&mut stages, Step::Name(name[..end].into()));
                dots + end
            };
            at += taken;
        }
        if at == start {
            return Err("it is empty".to_owned());
        }
        Ok(Self { stages })
    }
}

fn push(stages: &mut [Vec<Step>], step: Step) {
    if let Some(stage) = stages.last_mut() {
        stage.push(step);
    }
}

/// Reads `[...]` at the beginning of `rest`; how many bytes it took.
fn bracket(rest: &str, stages: &mut Vec<Vec<Step>>) -> Result<usize, &'static str> {
    let inside = &rest[1..];
    if let Some(quote) = inside.chars().next().filter(|first| "'\"".contains(*first)) {
        let name = inside[1..].split_once(quote).filter(|(_, after)| after.starts_with(']'));
        let (name, _) = name.ok_or("a quoted name is not closed")?;
        push(stages, Step::Name(name.into()));
        return Ok(name.len() + 4);
    }
    let end = inside.find(']').ok_or("a bracket is not closed")?;
    match &inside[..end] {
        "$index" => stages.push(Vec::new()),
        digits => {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let index = plain.then(|| digits.parse().ok()).flatten();
            push(
                stages,
                Step::Index(index.ok_or("neither a number nor $index stands in brackets")?),
            );
        }
    }
    Ok(end + 2)
}

/// Where a reference led, for the indexes it was followed with.
#[derive(Debug, Default)]
pub(crate) struct Followed<'j> {
    indexes: Vec<usize>,
    ends: Vec<Option<&'j Json<'j>>>,
}

impl<'j> Followed<'j> {
    /// Follows a path from `root`; `indexes` are the places in the lists that evaluation is inside.
    pub(crate) fn follow(
        &mut self,
        reference: &Reference,
        root: Option<&'j Json<'j>>,
        indexes: &[usize],
        steps: &mut u64,
    ) -> Option<&'j Json<'j>> {
        let wanted = reference.stages.len() - 1;
        let indexes = indexes.get(..wanted)?;
        let same =
            self.indexes.iter().zip(indexes).take_while(|(left, right)| left == right).count();
        self.indexes.truncate(same);
        self.ends.truncate(same + 1);
        for stage in self.ends.len()..=wanted {
            let begin = if stage == 0 {
                root
            } else {
                let index = indexes[stage - 1];
                self.indexes.push(index);
                match self.ends[stage - 1] {
                    Some(Json::List(items)) => items.get(index),
                    _ => None,
                }
            };
            self.ends.push(walk(begin, &reference.stages[stage], steps));
        }
        *steps += 1;
        self.ends.last().copied().flatten()
    }
}

fn walk<'j>(begin: Option<&'j Json<'j>>, path: &[Step], steps: &mut u64) -> Option<&'j Json<'j>> {
    let mut value = begin?;
    for step in path {
        value = match (step, value) {
            (Step::Index(index), Json::List(items)) => items.get(*index)?,
            (Step::Name(name), Json::List(items)) => items.get(name.parse::<usize>().ok()?)?,
            (Step::Name(name), object) => {
                let (field, looked) = object.field(name);
                *steps += looked as u64;
                field?
            }
            (Step::Index(_), _) => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let name = |text: &str| Step::Name(text.into());
        let table = [
            ("a", vec![vec![name("a")]]),
            ("$.a.b-c", vec![vec![name("a"), name("b-c")]]),
            ("$set.x", vec![vec![name("$set"), name("x")]]),
            ("a[1].b", vec![vec![name("a"), Step::Index(1), name("b")]]),
            ("['a b'][\"c'\"]", vec![vec![name("a b"), name("c'")]]),
            ("v[$index].w[$index]", vec![vec![name("v")], vec![name("w")], vec![]]),
        ];
        for (path, stages) in table {
            assert_eq!(Reference::parse(path), Ok(Reference { stages }), "{path}");
        }
        for bad in ["", "$.", "a..b", "a[*]", "a[-1]", "a.*", "a[1", "['a]", "a]", "a[1]b", "[]"] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
