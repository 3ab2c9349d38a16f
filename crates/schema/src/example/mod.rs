//! Examples of payloads: the one that a schema documents, or one made from the schema.
//!
//! A made example is the same for the same schema and index, and fits the schema: it is judged by the
//! schema before it is handed out, and where the rules of several schemas meet (`oneOf`, `not`,
//! conditions) other branches and values are tried. Work is bounded; a schema that cannot be
//! satisfied within it gives an error that names the place.
//!
//! Deliberately absent: solving. A schema whose parts contradict each other in subtle ways may have
//! an example that is not found; its author can write one into `examples`.

mod array;
mod merge;
mod number;
mod object;
mod pattern;
mod text;

use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::compiled::{self, CompiledSchema};
use crate::error::ExampleError;
use crate::guard::PartCosts;
use crate::keywords;
use merge::{ARRAY, BOOLEAN, Choice, INTEGER, NULL, NUMBER, OBJECT, Placed, Rules, STRING};

/// Values that may be started while one example is made.
const MAX_STEPS: u32 = 20_000;

/// The deepest nesting of an example.
const MAX_DEPTH: usize = 24;

/// Combinations of branches that are tried at one place.
const MAX_BRANCHES: usize = 24;

/// Schemas that may be applied, by an upper bound, while values are judged piecemeal.
const MAX_JUDGING: f64 = 5e6;

/// What compiling one schema costs, measured in schemas that are applied.
const COMPILING: f64 = 200.0;

/// Under which name parts of the schema are referred to while they are judged; nothing is fetched.
const DOCUMENT: &str = "urn:becket:schema";

/// How many allowed values are tried for one place.
const MAX_ALLOWED_TRIED: usize = 200;

/// Below this depth, branches that end soon are tried first.
pub(crate) const DEEP: usize = 6;

/// Schemas larger than this many parts are not judged part by part.
const MAX_JUDGED_PARTS: usize = 2_000;

/// The example that the schema's author wrote, otherwise one that is made from the schema.
///
/// `index` chooses among `examples`, and varies what is made where the schema leaves a choice.
///
/// # Errors
/// [`ExampleError`] if the schema is none, if its own example does not fit it, or if nothing could be
/// made; never a value that does not fit.
pub fn of_schema(schema: &Value, index: usize) -> Result<Value, ExampleError> {
    let judge = CompiledSchema::compile(schema)?;
    if let Some((at, value)) = documented(schema, index) {
        return match judge.violation(value) {
            None => Ok(value.clone()),
            Some(problem) => Err(ExampleError::Documented { at, problem }),
        };
    }
    if let Some(value) = schema.get("default")
        && judge.fits(value)
    {
        return Ok(value.clone());
    }
    make(schema, &judge, index)
}

/// The example that the schema's author wrote, with its place: `examples[index]`, otherwise `example`.
/// Whether it fits is not looked at.
#[must_use]
pub fn documented(schema: &Value, index: usize) -> Option<(String, &Value)> {
    let listed = schema.get("examples").and_then(|examples| examples.get(index));
    let listed = listed.map(|value| (format!("/examples/{index}"), value));
    listed.or_else(|| schema.get("example").map(|value| ("/example".to_owned(), value)))
}

/// An example made from the schema alone, whatever its author wrote at its root.
///
/// # Errors
/// [`ExampleError`] if the schema is none, or if nothing that fits could be made.
pub fn generate(schema: &Value, index: usize) -> Result<Value, ExampleError> {
    make(schema, &CompiledSchema::compile(schema)?, index)
}

fn make(schema: &Value, judge: &CompiledSchema, index: usize) -> Result<Value, ExampleError> {
    let mut first: Option<Problem> = None;
    let mut broken = None;
    // A required part that contains itself needs to be opened again; and what was left unjudged the
    // first time is judged at every place the second.
    for (reopen, suspicious) in [(1, false), (2, false), (3, false), (2, true)] {
        let mut maker = Maker::new(schema, reopen, suspicious);
        let root = vec![Placed { at: String::new(), schema }];
        match maker.value(&root, "", index) {
            Ok(value) => match judge.violations(&value, 1).into_iter().next() {
                None => return Ok(value),
                Some(violation) => broken = Some(violation),
            },
            Err(problem) => {
                first.get_or_insert(problem);
            }
        }
    }
    let problem = match (first, broken) {
        (_, Some(violation)) => Problem {
            at: violation.rule_at,
            words: format!(
                "no value was found that keeps this rule together with the others ({})",
                violation.message
            ),
        },
        (Some(problem), None) => problem,
        (None, None) => Problem::new("", "no value was found"),
    };
    Err(ExampleError::Unsatisfied { at: problem.at, problem: problem.words })
}

/// Why a part could not be made.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    at: String,
    words: String,
}

impl Problem {
    pub(crate) fn new(at: &str, words: &str) -> Self {
        Self { at: at.to_owned(), words: words.to_owned() }
    }

    pub(crate) fn recursion(at: &str) -> Self {
        Self::new(at, "the part requires itself without an end")
    }
}

/// What stays the same below a place: the document, and which references are open.
pub(crate) struct Context<'a> {
    pub(crate) root: &'a Value,
    anchors: Vec<(String, String)>,
    /// Targets of the references that lead to where we are, and the root.
    pub(crate) open: Vec<String>,
    /// How often one target may be open at once.
    pub(crate) reopen: usize,
    /// How many values lie around the one that is made, it included.
    pub(crate) depth: usize,
    /// Whether a `$ref` hides what stands beside it, as up to draft 7.
    pub(crate) reference_alone: bool,
}

impl Context<'_> {
    pub(crate) fn target(&self, reference: &str) -> Option<String> {
        keywords::target(self.root, &self.anchors, reference)
    }
}

/// How a value is made in one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Examples and defaults of parts are taken over.
    pub(crate) hints: bool,
    /// Optional properties are there.
    pub(crate) optional: bool,
    /// Varies values.
    pub(crate) pick: usize,
}

/// Makes one example.
pub(crate) struct Maker<'a> {
    pub(crate) context: Context<'a>,
    steps: u32,
    /// What is left of [`MAX_JUDGING`].
    work: f64,
    /// Every value is judged at its place.
    suspicious: bool,
    /// For judging parts; none if the schema is too large for that.
    parts: OnceCell<Option<Parts<'a>>>,
    judges: HashMap<String, Option<jsonschema::Validator>>,
    patterns: HashMap<String, Option<jsonschema::Validator>>,
}

impl<'a> Maker<'a> {
    fn new(root: &'a Value, reopen: usize, suspicious: bool) -> Self {
        let draft = root.get("$schema").and_then(Value::as_str).unwrap_or("");
        let reference_alone =
            ["draft-04", "draft-06", "draft-07"].iter().any(|old| draft.contains(old));
        let context = Context {
            root,
            anchors: keywords::anchors(root),
            open: vec![String::new()],
            reopen,
            depth: 0,
            reference_alone,
        };
        Self {
            context,
            steps: MAX_STEPS,
            work: MAX_JUDGING,
            suspicious,
            parts: OnceCell::new(),
            judges: HashMap::new(),
            patterns: HashMap::new(),
        }
    }

    /// A value that all of the schemas allow. `name` is the property's name, if it is one.
    pub(crate) fn value(
        &mut self,
        schemas: &[Placed<'a>],
        name: &str,
        pick: usize,
    ) -> Result<Value, Problem> {
        let here = schemas.first().map_or("", |placed| placed.at.as_str()).to_owned();
        if self.context.depth >= MAX_DEPTH {
            return Err(Problem::new(&here, "the parts are nested too deep"));
        }
        self.context.depth += 1;
        let made = self.attempts(schemas, &here, name, pick);
        self.context.depth -= 1;
        made
    }

    fn attempts(
        &mut self,
        schemas: &[Placed<'a>],
        here: &str,
        name: &str,
        pick: usize,
    ) -> Result<Value, Problem> {
        let styles = [
            Style { hints: true, optional: true, pick },
            Style { hints: false, optional: true, pick },
            Style { hints: false, optional: false, pick },
            Style { hints: false, optional: true, pick: pick + 1 },
            Style { hints: false, optional: false, pick: pick + 2 },
        ];
        let mut first = None;
        for style in styles {
            let mut total = 1;
            let mut number = 0;
            while number < total.min(MAX_BRANCHES) {
                self.steps = self.steps.checked_sub(1).ok_or_else(|| {
                    first
                        .clone()
                        .unwrap_or_else(|| Problem::new(here, "the schema is too complicated"))
                })?;
                // The first branch is a different one for every pick, so that examples vary.
                let mut choice = Choice::new(number.wrapping_add(style.pick));
                let made = self.attempt(schemas, here, name, style, &mut choice);
                total = total.max(choice.total);
                match made {
                    Ok(value) => return Ok(value),
                    Err(problem) => {
                        first.get_or_insert(problem);
                    }
                }
                number += 1;
            }
        }
        Err(first.unwrap_or_else(|| Problem::new(here, "no value was found")))
    }

    /// One try with one choice of branches.
    fn attempt(
        &mut self,
        schemas: &[Placed<'a>],
        here: &str,
        name: &str,
        style: Style,
        choice: &mut Choice,
    ) -> Result<Value, Problem> {
        let mut rules = Rules::default();
        for placed in schemas {
            rules.add(&self.context, placed.clone(), choice)?;
        }
        rules.settle(&self.context, style.optional, choice)?;
        if style.hints && self.context.depth > 1 && !rules.hints.is_empty() {
            let wanted = rules.hints[style.pick % rules.hints.len()];
            let hints = std::iter::once(wanted).chain(rules.hints.iter().copied());
            for hint in hints {
                if self.judged(&rules.places, hint) == Some(true) {
                    return Ok(hint.clone());
                }
            }
        }
        let before = self.context.open.len();
        self.context.open.append(&mut rules.followed);
        let made = self.typed(&rules, here, name, style);
        self.context.open.truncate(before);
        let value = made?;
        if (rules.hard || self.suspicious) && self.judged(&rules.places, &value) == Some(false) {
            return Err(Problem::new(here, "no value was found that fits all of the rules here"));
        }
        Ok(value)
    }

    /// A value of the first type that works.
    fn typed(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        name: &str,
        style: Style,
    ) -> Result<Value, Problem> {
        if let Some(allowed) = &rules.allowed {
            let count = allowed.len();
            for turn in 0..count.min(MAX_ALLOWED_TRIED) {
                let value = allowed[(turn + style.pick) % count];
                if self.judged(&rules.places, value) != Some(false) {
                    return Ok(value.clone());
                }
            }
            return Err(Problem::new(here, "none of the allowed values keeps the other rules"));
        }
        let mut types = match &rules.types {
            Some(types) => types.clone(),
            None => vec![self.guess(rules)],
        };
        // `null` is what a value is only if it can be nothing better.
        types.sort_by_key(|one| *one == NULL);
        let mut first = None;
        for one in types {
            let made = if one & OBJECT != 0 {
                self.object(rules, here, style).map(Value::Object)
            } else if one & ARRAY != 0 {
                self.array(rules, here, style).map(Value::Array)
            } else if one & STRING != 0 {
                self.text(rules, here, name, style).map(Value::String)
            } else if one & NUMBER != 0 {
                let fraction = rules.number.fraction(style.pick);
                fraction
                    .or_else(|_| rules.number.integer(style.pick))
                    .map_err(|words| Problem::new(here, &words))
            } else if one & INTEGER != 0 {
                rules.number.integer(style.pick).map_err(|words| Problem::new(here, &words))
            } else if one & BOOLEAN != 0 {
                Ok(json!(style.pick.is_multiple_of(2)))
            } else {
                Ok(Value::Null)
            };
            match made {
                Ok(value) => return Ok(value),
                Err(problem) => {
                    first.get_or_insert(problem);
                }
            }
        }
        Err(first.unwrap_or_else(|| Problem::new(here, "no type is allowed")))
    }

    /// The type that the keywords speak of, if none is named.
    fn guess(&self, rules: &Rules<'a>) -> u8 {
        let number = &rules.number;
        if !rules.objects.is_empty()
            || !rules.required.is_empty()
            || rules.properties_least > 0
            || !rules.names.is_empty()
        {
            OBJECT
        } else if !rules.arrays.is_empty() || !rules.contains.is_empty() || rules.items_least > 0 {
            ARRAY
        } else if !rules.text.patterns.is_empty()
            || !rules.text.formats.is_empty()
            || rules.text.least > 0
            || rules.text.most.is_some()
        {
            STRING
        } else if !number.least.is_empty()
            || !number.most.is_empty()
            || !number.multiples.is_empty()
        {
            INTEGER
        } else if self.context.depth == 1 {
            OBJECT
        } else {
            STRING
        }
    }

    fn text(
        &mut self,
        rules: &Rules<'a>,
        here: &str,
        name: &str,
        style: Style,
    ) -> Result<String, Problem> {
        let made = rules.text.make(name, style.pick, &mut |regex, text| self.matches(regex, text));
        let text = made.map_err(|words| Problem::new(here, &words))?;
        let weight = u32::try_from(text.len() / 256).unwrap_or(u32::MAX);
        self.steps = self.steps.saturating_sub(weight);
        Ok(text)
    }

    /// Whether a text matches a pattern, by the engine that judges payloads.
    pub(crate) fn matches(&mut self, pattern: &str, text: &str) -> bool {
        let judge = self.patterns.entry(pattern.to_owned()).or_insert_with(|| {
            let schema = json!({ "pattern": pattern });
            compiled::options(&schema).build(&schema).ok()
        });
        judge.as_ref().is_some_and(|judge| judge.is_valid(&Value::String(text.to_owned())))
    }

    /// Whether a value fits the schemas at these places; none if that cannot be told piecemeal.
    pub(crate) fn judged(&mut self, places: &[String], value: &Value) -> Option<bool> {
        let root = self.context.root;
        let parts = self.parts.get_or_init(|| Parts::of(root)).as_ref()?;
        let mut all = true;
        for place in places {
            let cost = parts.costs.at(place, value);
            let known = self.judges.contains_key(place);
            let cost = if known { cost } else { cost + parts.compiling };
            if cost > self.work {
                return None;
            }
            self.work -= cost;
            let judge =
                self.judges.entry(place.clone()).or_insert_with(|| parts.judge(root, place));
            all &= judge.as_ref()?.is_valid(value);
        }
        Some(all)
    }
}

/// What is needed to judge values by parts of a schema.
struct Parts<'a> {
    registry: jsonschema::Registry<'a>,
    costs: PartCosts,
    /// What it costs to compile one part with everything that it refers to.
    compiling: f64,
}

impl<'a> Parts<'a> {
    /// None if the schema is too large. Other failures only mean that the whole is judged at the end.
    fn of(root: &'a Value) -> Option<Self> {
        let count = count_parts(root);
        if count > MAX_JUDGED_PARTS {
            return None;
        }
        let registry = jsonschema::Registry::new().add(DOCUMENT, root).ok()?.prepare().ok()?;
        let costs = PartCosts::of(root, MAX_DEPTH + 1).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "a bound, not an account")]
        let compiling = count as f64 * COMPILING;
        Some(Self { registry, costs, compiling })
    }

    fn judge(&self, root: &Value, place: &str) -> Option<jsonschema::Validator> {
        let fragment = crate::pointer::encode_fragment(place);
        let schema = json!({ "$ref": format!("{DOCUMENT}#{fragment}") });
        compiled::options(root).with_registry(&self.registry).build(&schema).ok()
    }
}

/// How many schemas a schema holds.
fn count_parts(root: &Value) -> usize {
    let mut count = 0;
    let mut waiting = vec![root];
    while let Some(schema) = waiting.pop() {
        count += 1;
        waiting.extend(keywords::parts(schema).into_iter().map(|part| part.schema));
    }
    count
}

/// Properties in the making.
pub(crate) type Fields = Map<String, Value>;
