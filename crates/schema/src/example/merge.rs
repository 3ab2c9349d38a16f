//! All that the schemas which apply to one value say about it, put together.
//!
//! References are followed, `allOf` is merged, and of `anyOf`, `oneOf` and `if` one branch is chosen,
//! by a number whose digits are the branches.

use serde_json::{Number, Value};

use super::number::{Bound, NumberRules};
use super::text::TextRules;
use super::{Context, DEEP, Problem};
use crate::keywords;
use crate::pointer;

/// A schema and its place in the document.
#[derive(Debug, Clone)]
pub(crate) struct Placed<'a> {
    pub(crate) at: String,
    pub(crate) schema: &'a Value,
}

/// What one schema says of an object's properties.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectRule<'a> {
    pub(crate) named: Vec<(&'a str, Placed<'a>)>,
    pub(crate) matching: Vec<(&'a str, Placed<'a>)>,
    pub(crate) others: Option<Placed<'a>>,
    /// `unevaluatedProperties`: does not speak of what other schemas here name.
    pub(crate) leftover: Option<Placed<'a>>,
}

/// What one schema says of an array's items.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArrayRule<'a> {
    pub(crate) first: Vec<Placed<'a>>,
    pub(crate) rest: Option<Placed<'a>>,
}

/// Types as bits, in the order in which they are tried if the schema names none.
pub(crate) const OBJECT: u8 = 1;
pub(crate) const ARRAY: u8 = 2;
pub(crate) const STRING: u8 = 4;
pub(crate) const INTEGER: u8 = 8;
pub(crate) const NUMBER: u8 = 16;
pub(crate) const BOOLEAN: u8 = 32;
pub(crate) const NULL: u8 = 64;

/// The merged rules for one value.
#[derive(Debug, Default)]
pub(crate) struct Rules<'a> {
    /// The permitted types in the schema's order; none if nothing was said.
    pub(crate) types: Option<Vec<u8>>,
    pub(crate) allowed: Option<Vec<&'a Value>>,
    pub(crate) number: NumberRules,
    pub(crate) text: TextRules<'a>,
    pub(crate) objects: Vec<ObjectRule<'a>>,
    pub(crate) required: Vec<&'a str>,
    pub(crate) dependent: Vec<(&'a str, Vec<&'a str>)>,
    pub(crate) names: Vec<Placed<'a>>,
    pub(crate) properties_least: u64,
    pub(crate) properties_most: Option<u64>,
    pub(crate) arrays: Vec<ArrayRule<'a>>,
    pub(crate) contains: Vec<(Placed<'a>, u64)>,
    pub(crate) items_least: u64,
    pub(crate) items_most: Option<u64>,
    pub(crate) unique: bool,
    pub(crate) hints: Vec<&'a Value>,
    /// Places of the schemas that were merged, for judging the value.
    pub(crate) places: Vec<String>,
    /// Targets of references that were followed here.
    pub(crate) followed: Vec<String>,
    /// Whether the merged rules do not say everything, so that the value has to be judged.
    pub(crate) hard: bool,
    /// Schemas that apply once a property is there.
    waiting: Vec<(&'a str, Placed<'a>)>,
}

/// Which branches are chosen: digits of a number, and how many numbers there are.
pub(crate) struct Choice {
    rest: usize,
    pub(crate) total: usize,
}

impl Choice {
    pub(crate) fn new(number: usize) -> Self {
        Self { rest: number, total: 1 }
    }

    fn of(&mut self, branches: usize) -> usize {
        let chosen = self.rest % branches;
        self.rest /= branches;
        self.total = self.total.saturating_mul(branches);
        chosen
    }
}

impl<'a> Rules<'a> {
    /// Adds everything that a schema says.
    pub(crate) fn add(
        &mut self,
        context: &Context<'a>,
        placed: Placed<'a>,
        choice: &mut Choice,
    ) -> Result<(), Problem> {
        let Placed { at, schema } = placed;
        let Some(fields) = schema.as_object() else {
            return match schema {
                Value::Bool(false) => Err(Problem::new(&at, "nothing is allowed here")),
                _ => Ok(()),
            };
        };
        if self.places.contains(&at) {
            return Ok(());
        }
        self.places.push(at.clone());
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = fields.get(keyword).and_then(Value::as_str) {
                let target = context.target(reference).ok_or_else(|| {
                    Problem::new(&pointer::join(&at, keyword), "the reference leads to nothing")
                })?;
                let times = context.open.iter().filter(|open| **open == target).count();
                if times >= context.reopen {
                    return Err(Problem::recursion(&at));
                }
                let schema = pointer::look_up(context.root, &target)
                    .ok_or_else(|| Problem::new(&at, "the reference leads to nothing"))?;
                self.followed.push(target.clone());
                self.add(context, Placed { at: target, schema }, choice)?;
                if context.reference_alone {
                    return Ok(());
                }
            }
        }
        self.own(&at, schema)?;
        self.branches(context, &at, schema, choice)
    }

    /// The schemas that are in place because of `allOf`, of chosen branches and of conditions.
    fn branches(
        &mut self,
        context: &Context<'a>,
        at: &str,
        schema: &'a Value,
        choice: &mut Choice,
    ) -> Result<(), Problem> {
        let parts = keywords::parts(schema);
        for wanted in ["allOf", "anyOf", "oneOf"] {
            let mut group: Vec<_> = parts.iter().filter(|part| part.keyword == wanted).collect();
            if wanted != "allOf" && context.depth > DEEP {
                // What refers to nothing ends soonest.
                group.sort_by_key(|part| part.schema.get("$ref").is_some());
            }
            let chosen = match wanted {
                "allOf" => group.as_slice(),
                _ if group.is_empty() => continue,
                _ => std::slice::from_ref(&group[choice.of(group.len())]),
            };
            // More than one branch may fit by accident.
            self.hard |= wanted == "oneOf";
            for part in chosen {
                self.add(context, Placed { at: part.at(at), schema: part.schema }, choice)?;
            }
        }
        let find = |keyword: &str| parts.iter().find(|part| part.keyword == keyword);
        if let Some(condition) = find("if")
            && (find("then").is_some() || find("else").is_some())
        {
            self.hard = true;
            let holds = choice.of(2) == 0;
            let branch = find(if holds { "then" } else { "else" });
            for part in branch.into_iter().chain(holds.then_some(condition)) {
                self.add(context, Placed { at: part.at(at), schema: part.schema }, choice)?;
            }
        }
        for part in
            parts.iter().filter(|part| matches!(part.keyword, "dependentSchemas" | "dependencies"))
        {
            self.hard = true;
            self.waiting.push((part.key, Placed { at: part.at(at), schema: part.schema }));
        }
        Ok(())
    }

    /// Adds the schemas that wait for a property which will be there.
    pub(crate) fn settle(
        &mut self,
        context: &Context<'a>,
        optional: bool,
        choice: &mut Choice,
    ) -> Result<(), Problem> {
        loop {
            let there = |rules: &Self, name: &str| {
                rules.required.contains(&name)
                    || optional
                        && rules
                            .objects
                            .iter()
                            .any(|one| one.named.iter().any(|(own, _)| *own == name))
            };
            let Some(next) = self.waiting.iter().position(|(name, _)| there(self, name)) else {
                break;
            };
            let (_, placed) = self.waiting.swap_remove(next);
            self.add(context, placed, choice)?;
        }
        let mut changed = true;
        while changed {
            changed = false;
            for (name, needed) in self.dependent.clone() {
                let declared =
                    self.objects.iter().any(|one| one.named.iter().any(|(own, _)| *own == name));
                if self.required.contains(&name) || optional && declared {
                    for needed in needed {
                        if !self.required.contains(&needed) {
                            self.required.push(needed);
                            changed = true;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What the schema itself says.
    fn own(&mut self, at: &str, schema: &'a Value) -> Result<(), Problem> {
        if let Some(named) = schema.get("type") {
            self.restrict(named)
                .map_err(|problem| Problem::new(&pointer::join(at, "type"), problem))?;
        }
        let constant = schema.get("const").map(|value| vec![value]);
        let listed =
            schema.get("enum").and_then(Value::as_array).map(|values| values.iter().collect());
        for values in [constant, listed].into_iter().flatten() {
            self.allowed = Some(match self.allowed.take() {
                None => values,
                Some(before) => {
                    before.into_iter().filter(|value: &&Value| values.contains(value)).collect()
                }
            });
            if self.allowed.as_ref().is_some_and(Vec::is_empty) {
                return Err(Problem::new(
                    at,
                    "no value is allowed by all of the schemas that apply here",
                ));
            }
        }
        self.hard |= schema.get("not").is_some();
        let examples = schema.get("examples").and_then(Value::as_array);
        self.hints.extend(examples.into_iter().flatten());
        self.hints.extend(schema.get("example"));
        self.hints.extend(schema.get("default"));
        self.own_numbers(schema);
        self.own_text(schema);
        self.own_object(at, schema);
        self.own_array(at, schema);
        Ok(())
    }

    fn restrict(&mut self, named: &Value) -> Result<(), &'static str> {
        let one = |name: &Value| match name.as_str() {
            Some("object") => OBJECT,
            Some("array") => ARRAY,
            Some("string") => STRING,
            Some("integer") => INTEGER,
            Some("number") => NUMBER | INTEGER,
            Some("boolean") => BOOLEAN,
            Some("null") => NULL,
            _ => 0,
        };
        let types: Vec<u8> = match named {
            Value::Array(names) => names.iter().map(one).collect(),
            name => vec![one(name)],
        };
        let all = types.iter().fold(0, |all, one| all | one);
        let types = match self.types.take() {
            None => types,
            Some(before) => {
                before.into_iter().map(|one| one & all).filter(|one| *one != 0).collect()
            }
        };
        let empty = types.is_empty();
        self.types = Some(types);
        if empty { Err("no type is allowed by all of the schemas that apply here") } else { Ok(()) }
    }

    fn own_numbers(&mut self, schema: &'a Value) {
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_number).cloned();
        // Draft 4 has `exclusiveMinimum: true` beside `minimum`.
        let flag = |keyword: &str| schema.get(keyword).and_then(Value::as_bool).unwrap_or(false);
        let bound = |number: Number, excluded| Bound { number, excluded };
        let least = number("minimum").map(|one| bound(one, flag("exclusiveMinimum")));
        let above = number("exclusiveMinimum").map(|one| bound(one, true));
        self.number.least.extend(least.into_iter().chain(above));
        let most = number("maximum").map(|one| bound(one, flag("exclusiveMaximum")));
        let below = number("exclusiveMaximum").map(|one| bound(one, true));
        self.number.most.extend(most.into_iter().chain(below));
        self.number.multiples.extend(number("multipleOf"));
    }

    fn own_text(&mut self, schema: &'a Value) {
        let text = &mut self.text;
        text.least = text.least.max(limit(schema, "minLength").unwrap_or(0));
        text.most = lower(text.most, limit(schema, "maxLength"));
        text.patterns.extend(schema.get("pattern").and_then(Value::as_str));
        text.formats.extend(schema.get("format").and_then(Value::as_str));
    }

    fn own_object(&mut self, at: &str, schema: &'a Value) {
        let mut rule = ObjectRule::default();
        for part in keywords::parts(schema) {
            let placed = Placed { at: part.at(at), schema: part.schema };
            match part.keyword {
                "properties" => rule.named.push((part.key, placed)),
                "patternProperties" => rule.matching.push((part.key, placed)),
                "additionalProperties" => rule.others = Some(placed),
                "unevaluatedProperties" => rule.leftover = Some(placed),
                "propertyNames" => {
                    self.names.push(placed);
                    self.hard = true;
                }
                _ => {}
            }
        }
        let said = !rule.named.is_empty() || !rule.matching.is_empty() || rule.others.is_some();
        if said || rule.leftover.is_some() {
            self.hard |= !self.objects.is_empty();
            self.objects.push(rule);
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
        for keyword in ["dependentRequired", "dependencies"] {
            let named = schema.get(keyword).and_then(Value::as_object);
            for (name, needed) in named.into_iter().flatten() {
                if let Some(needed) = needed.as_array() {
                    self.dependent.push((name, needed.iter().filter_map(Value::as_str).collect()));
                }
            }
        }
        self.properties_least =
            self.properties_least.max(limit(schema, "minProperties").unwrap_or(0));
        self.properties_most = lower(self.properties_most, limit(schema, "maxProperties"));
    }

    fn own_array(&mut self, at: &str, schema: &'a Value) {
        let mut rule = ArrayRule::default();
        let mut listed = false;
        for part in keywords::parts(schema) {
            let placed = Placed { at: part.at(at), schema: part.schema };
            match (part.keyword, part.applies) {
                ("prefixItems", _) | ("items", keywords::Applies::Item) => {
                    listed = true;
                    rule.first.push(placed);
                }
                ("items", _) => rule.rest = Some(placed),
                ("additionalItems", _) if listed => rule.rest = Some(placed),
                ("unevaluatedItems", _) if rule.rest.is_none() => rule.rest = Some(placed),
                ("contains", _) => {
                    self.hard = true;
                    let needed = limit(schema, "minContains").unwrap_or(1);
                    self.contains.push((placed, needed));
                }
                _ => {}
            }
        }
        if !rule.first.is_empty() || rule.rest.is_some() {
            self.arrays.push(rule);
        }
        self.items_least = self.items_least.max(limit(schema, "minItems").unwrap_or(0));
        self.items_most = lower(self.items_most, limit(schema, "maxItems"));
        self.unique |= schema.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false);
    }
}

/// A limit that is a whole number; drafts allow it to be written as `3.0`.
fn limit(schema: &Value, keyword: &str) -> Option<u64> {
    let value = schema.get(keyword)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a limit is not negative, and a cast of too large a number saturates"
    )]
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
}

fn lower(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    match (before, now) {
        (Some(before), Some(now)) => Some(before.min(now)),
        (before, now) => before.or(now),
    }
}
