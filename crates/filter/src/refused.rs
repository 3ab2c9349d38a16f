//! Saying why an event was refused: which clause, what it wants, what was found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::compile::{Compiled, Kind, Node, Segment, path_of};
use crate::evaluate::{Fail, Found};
use crate::json::{Cut, Json};
use crate::subject::Subject;

/// Values in an explanation are cut to this length, in bytes.
pub const MAX_SHOWN_BYTES: usize = 200;

/// Why an event did not pass a filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refused {
    /// The path of the clause in the filter, such as `body.pull_request.merged`.
    pub clause: String,
    /// What the clause wants, as JSON; an operator stands in front: `$gt 100`.
    pub expected: String,
    /// What the event has there, as JSON; `nothing` if it has nothing.
    pub found: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clause, expected, found } = self;
        write!(formatter, "clause `{clause}` wants {expected}, found {found}")
    }
}

/// Makes the explanation of a failed condition.
pub(crate) fn explain<'j>(
    filter: &Compiled,
    subject: &'j Subject<'_>,
    fail: &Fail<'_, 'j>,
) -> Refused {
    let negated = matches!(fail.node.kind, Kind::Not(_));
    let mut steps = filter.steps(fail.node.clause);
    let (mut node, mut found) = (fail.node, fail.found);
    if let Kind::Not(inner) = &fail.node.kind {
        (node, found) = narrowed(inner, found, subject);
        // `$not` is told with what is wanted, not as a part of the path.
        let not = steps.len().saturating_sub(1);
        steps = filter.steps(node.clause);
        if not < steps.len() {
            steps.remove(not);
        }
    }
    let mut expected = String::from(if negated { "$not " } else { "" });
    if let Some(Segment::Key(last)) = steps.last()
        && last.starts_with('$')
        && !last.starts_with("$$")
    {
        expected.push_str(last);
        expected.push(' ');
        steps.pop();
    }
    let all = filter.steps(node.clause);
    let header = header_of(&steps);
    if header.is_some_and(is_secret) {
        expected.push_str("(not shown)");
        let found = match found {
            Found::Missing => "nothing".to_owned(),
            _ => "(not shown)".to_owned(),
        };
        return Refused { clause: clause(&steps), expected, found };
    }
    if let Some(written) = filter.written(&all) {
        expected.push_str(&Json::of(written).render(MAX_SHOWN_BYTES));
    }
    if let Some(target) = fail.target {
        expected.push_str(" = ");
        expected.push_str(&target.render(MAX_SHOWN_BYTES));
    }
    let found = match found {
        // Headers as a whole may contain secrets.
        Found::Value(_) if is_headers(&steps) => "the headers".to_owned(),
        Found::Value(value) => value.render(MAX_SHOWN_BYTES),
        Found::Missing => "nothing".to_owned(),
        Found::Event if negated => "an event for which it holds".to_owned(),
        Found::Event => "an event for which none of it holds".to_owned(),
    };
    Refused { clause: clause(&steps), expected: Cut::text(&expected, MAX_SHOWN_BYTES), found }
}

fn clause(steps: &[&Segment]) -> String {
    match steps {
        [] => "the filter".to_owned(),
        steps => path_of(steps.iter().copied()),
    }
}

/// Goes to the one condition that a negated one consists of, as long as there is only one.
fn narrowed<'f, 'j>(
    mut node: &'f Node,
    mut found: Found<'j>,
    subject: &'j Subject<'_>,
) -> (&'f Node, Found<'j>) {
    loop {
        let inner = match &node.kind {
            Kind::And(all) => match all.as_slice() {
                [one] => one,
                _ => return (node, found),
            },
            Kind::Object(group) => match (group.whole.as_slice(), group.each.as_slice(), found) {
                ([one], [], _) => one,
                // Which item of a list it was is not said.
                ([], [one], Found::Value(Json::Object(_))) => one,
                _ => return (node, found),
            },
            Kind::Part(part, inner) => {
                found = subject.part(*part).into();
                inner
            }
            Kind::Field(name, inner) => {
                found = match found {
                    Found::Value(value) => value.field(name).0.into(),
                    other => other,
                };
                inner
            }
            _ => return (node, found),
        };
        node = inner;
    }
}

/// The steps inside the part of the event, without conditions that combine parts.
fn inside_part<'s, 'p>(steps: &'s [&'p Segment]) -> &'s [&'p Segment] {
    let combines = |step: &&Segment| match step {
        Segment::Index(_) => true,
        Segment::Key(key) => key.starts_with('$'),
    };
    let first = steps.iter().position(|step| !combines(step)).unwrap_or(steps.len());
    &steps[first..]
}

fn is_headers(steps: &[&Segment]) -> bool {
    matches!(inside_part(steps), [Segment::Key(part), rest @ ..]
        if &**part == "headers" && inside_part(rest).is_empty())
}

/// The name of the header that a clause is about.
fn header_of<'p>(steps: &[&'p Segment]) -> Option<&'p str> {
    match inside_part(steps) {
        [Segment::Key(part), rest @ ..] if &**part == "headers" => match inside_part(rest) {
            [Segment::Key(name), ..] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a header's value is better not repeated: by its name it proves who is calling.
fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 9] =
        ["auth", "cookie", "secret", "token", "signature", "hmac", "password", "apikey", "api-key"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}
