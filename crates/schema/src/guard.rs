//! Bounds for schemas that people hand in, checked before anything is compiled.
//!
//! A schema is small in bytes but can be huge in work: references multiply (`a` is `b` twice, `b` is
//! `c` twice, ...), and a recursive schema with two ways to itself doubles with every level of the
//! payload. The bound here is computed from the graph of schemas and references: for each depth of
//! payload, how many schemas can come to apply to one place. [`Cost::allows`] multiplies that with
//! the payload's size, so that small payloads are never refused for what large ones would cost.

use std::collections::HashMap;
use std::io;

use serde_json::Value;

use crate::error::SchemaError;
use crate::keywords::{self, Applies};
use crate::pointer;

/// The longest schema, in bytes of compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 512 * 1024;

/// The deepest nesting of a schema's JSON, in levels.
pub const MAX_SCHEMA_DEPTH: usize = 64;

/// The most regular expressions in one schema.
pub const MAX_PATTERNS: usize = 256;

/// The most schemas that may be applied while one payload is checked, by an upper bound that is
/// computed beforehand. About a second of work.
pub const MAX_APPLICATIONS: u64 = 50_000_000;

/// The longest chain of schemas that apply to the same value.
const MAX_CHAIN: usize = 128;

/// Depths of payload for which the cost is computed; deeper payloads count as the last.
const DEPTHS: usize = 128;

/// A schema must be affordable for payloads of this depth, or it is refused.
const DEPTH_NEEDED: usize = 4;

/// Upper bounds for what checking payloads costs.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// By the payload's depth: how many schemas may apply to one place.
    by_depth: Vec<f64>,
}

impl Cost {
    /// Whether a payload of that many values and levels can be checked in bounded time.
    pub(crate) fn allows(&self, payload: &Value) -> bool {
        let (values, depth) = size(payload);
        let last = self.by_depth.len().saturating_sub(1);
        let each = self.by_depth.get(depth.min(last)).copied().unwrap_or(1.0);
        #[expect(clippy::cast_precision_loss, reason = "a bound, not an account")]
        let total = each * values as f64;
        total <= most_applications()
    }
}

/// How many values a value holds, itself included, and in how many levels below it.
fn size(payload: &Value) -> (usize, usize) {
    let (mut values, mut deepest) = (0, 0);
    let mut waiting = vec![(payload, 0)];
    while let Some((value, depth)) = waiting.pop() {
        values += 1;
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                waiting.extend(fields.values().map(|field| (field, depth + 1)))
            }
            _ => {}
        }
    }
    (values, deepest)
}

/// Checks a schema's size, references, patterns and cost.
pub(crate) fn check(schema: &Value) -> Result<Cost, SchemaError> {
    let mut counter = Counter(0);
    let (_, depth) = size(schema);
    if depth >= MAX_SCHEMA_DEPTH {
        return Err(SchemaError::TooDeep { most: MAX_SCHEMA_DEPTH });
    }
    serde_json::to_writer(&mut counter, schema)
        .map_err(|error| invalid("", &format!("it cannot be written as JSON: {error}")))?;
    if counter.0 > MAX_SCHEMA_BYTES {
        return Err(SchemaError::TooLong { bytes: counter.0, most: MAX_SCHEMA_BYTES });
    }
    let graph = Graph::of(schema)?;
    graph.cost()
}

fn invalid(at: &str, problem: &str) -> SchemaError {
    SchemaError::Invalid { at: at.to_owned(), problem: problem.to_owned() }
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One schema in the graph.
#[derive(Default)]
struct Node {
    at: String,
    /// Schemas that apply to the same value, references included.
    here: Vec<usize>,
    /// Schemas that can apply together to one value inside, by kind of inside.
    inside: Vec<Vec<usize>>,
}

/// Schemas and what they apply.
struct Graph {
    nodes: Vec<Node>,
    by_place: HashMap<String, usize>,
}

impl Graph {
    /// Collects every schema that the root holds or refers to.
    fn of(root: &Value) -> Result<Self, SchemaError> {
        let anchors = keywords::anchors(root);
        let mut graph = Self { nodes: Vec::new(), by_place: HashMap::new() };
        let mut waiting = Vec::new();
        graph.node("", &mut waiting);
        let mut patterns = 0;
        while let Some(index) = waiting.pop() {
            let at = graph.nodes[index].at.clone();
            let Some(schema) = pointer::look_up(root, &at).filter(|one| keywords::is_schema(one))
            else {
                return Err(invalid(&at, "a schema has to be an object, `true` or `false`"));
            };
            patterns += usize::from(schema.get("pattern").is_some());
            patterns += schema
                .get("patternProperties")
                .and_then(Value::as_object)
                .map_or(0, |named| named.len());
            if patterns > MAX_PATTERNS {
                return Err(SchemaError::TooCostly {
                    at,
                    problem: format!("more than {MAX_PATTERNS} regular expressions"),
                });
            }
            graph.references(root, &anchors, index, schema, &mut waiting)?;
            graph.contained(index, schema, &mut waiting);
        }
        Ok(graph)
    }

    fn node(&mut self, at: &str, waiting: &mut Vec<usize>) -> usize {
        if let Some(&index) = self.by_place.get(at) {
            return index;
        }
        let index = self.nodes.len();
        self.nodes.push(Node { at: at.to_owned(), ..Node::default() });
        self.by_place.insert(at.to_owned(), index);
        waiting.push(index);
        index
    }

    /// Follows the references of one schema.
    fn references(
        &mut self,
        root: &Value,
        anchors: &[(String, String)],
        index: usize,
        schema: &Value,
        waiting: &mut Vec<usize>,
    ) -> Result<(), SchemaError> {
        let at = self.nodes[index].at.clone();
        let nested = schema.get("$id").and_then(Value::as_str);
        if nested.is_some_and(|id| !id.starts_with('#')) && !at.is_empty() {
            return Err(SchemaError::Reference {
                at: pointer::join(&at, "$id"),
                problem: "only the whole schema may have an `$id`; name parts by `$anchor`, or by their place in `$defs`".to_owned(),
            });
        }
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(reference) = schema.get(keyword) else { continue };
            let place = pointer::join(&at, keyword);
            let Some(reference) = reference.as_str() else {
                return Err(invalid(&place, "a reference has to be a string"));
            };
            let found = keywords::target(root, anchors, reference)
                .filter(|target| pointer::look_up(root, target).is_some());
            let Some(target) = found else {
                let problem = if reference.starts_with('#') {
                    format!("`{}` leads to nothing in the schema", shorten(reference))
                } else {
                    format!("`{}` is not in the schema", shorten(reference))
                };
                return Err(SchemaError::Reference { at: place, problem });
            };
            let target = self.node(&target, waiting);
            self.nodes[index].here.push(target);
        }
        Ok(())
    }

    /// Sorts the schemas inside of one schema by what they apply to.
    fn contained(&mut self, index: usize, schema: &Value, waiting: &mut Vec<usize>) {
        let at = self.nodes[index].at.clone();
        let parts = keywords::parts(schema);
        let mut numbered = Vec::with_capacity(parts.len());
        for part in &parts {
            numbered.push((part, self.node(&part.at(&at), waiting)));
        }
        let pick = |wanted: &[Applies]| -> Vec<usize> {
            let fits = |part: &keywords::Part<'_>| wanted.contains(&part.applies);
            numbered.iter().filter(|(part, _)| fits(part)).map(|(_, node)| *node).collect()
        };
        let node = &mut self.nodes[index];
        node.here.extend(pick(&[Applies::Here]));
        let matching = pick(&[Applies::Matching]);
        node.inside.push([matching.clone(), pick(&[Applies::OtherProperties])].concat());
        node.inside.push(pick(&[Applies::Names]));
        node.inside.push(pick(&[Applies::Items]));
        let items = pick(&[Applies::Items]);
        for (part, number) in &numbered {
            match part.applies {
                Applies::Property => node.inside.push([matching.as_slice(), &[*number]].concat()),
                Applies::Item => node.inside.push([items.as_slice(), &[*number]].concat()),
                _ => {}
            }
        }
        node.inside.retain(|group| !group.is_empty());
    }

    /// The schemas in an order in which those that apply to the same value come first.
    fn order(&self) -> Result<Vec<usize>, SchemaError> {
        let mut height = vec![0_usize; self.nodes.len()];
        let mut open = vec![false; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        for start in 0..self.nodes.len() {
            let mut path = vec![(start, 0_usize)];
            while let Some((index, next)) = path.pop() {
                if next == 0 && height[index] > 0 {
                    continue;
                }
                let node = &self.nodes[index];
                if path.len() > MAX_CHAIN {
                    return Err(self.costly(index, "a chain of too many schemas for one value"));
                }
                open[index] = true;
                if let Some(&child) = node.here.get(next) {
                    if open[child] {
                        return Err(self.costly(index, "it refers to itself for the same value"));
                    }
                    path.push((index, next + 1));
                    if height[child] == 0 {
                        path.push((child, 0));
                    }
                    continue;
                }
                open[index] = false;
                let below = node.here.iter().map(|&child| height[child]).max().unwrap_or(0);
                height[index] = below + 1;
                if height[index] > MAX_CHAIN {
                    return Err(self.costly(index, "a chain of too many schemas for one value"));
                }
                order.push(index);
            }
        }
        Ok(order)
    }

    fn costly(&self, index: usize, problem: &str) -> SchemaError {
        SchemaError::TooCostly { at: self.nodes[index].at.clone(), problem: problem.to_owned() }
    }

    /// For each depth of payload, how many schemas may apply to one place of it.
    fn cost(&self) -> Result<Cost, SchemaError> {
        let order = self.order()?;
        let mut before = vec![0.0_f64; self.nodes.len()];
        let mut by_depth = Vec::with_capacity(DEPTHS);
        for depth in 0..DEPTHS {
            let now = self.deeper(&order, &before);
            if now[0] > most_applications() && depth <= DEPTH_NEEDED {
                return Err(self.costly(0, "its references multiply each other"));
            }
            let settled = now == before;
            by_depth.push(now[0]);
            before = now;
            if settled || before[0] > most_applications() {
                break;
            }
        }
        Ok(Cost { by_depth })
    }

    /// The cost of every schema for payloads one level deeper than those of `before`.
    fn deeper(&self, order: &[usize], before: &[f64]) -> Vec<f64> {
        let mut now = vec![0.0_f64; self.nodes.len()];
        for &index in order {
            let node = &self.nodes[index];
            let here: f64 = node.here.iter().map(|&child| now[child]).sum();
            let group = |group: &Vec<usize>| group.iter().map(|&child| before[child]).sum();
            let inside = node.inside.iter().map(group).fold(0.0, f64::max);
            now[index] = (1.0 + here + inside).min(1e300);
        }
        now
    }
}

/// The limit as it is compared with bounds.
#[expect(clippy::cast_precision_loss, reason = "a bound, not an account")]
fn most_applications() -> f64 {
    MAX_APPLICATIONS as f64
}

/// What checking a value against a part of a schema costs, for every part.
pub(crate) struct PartCosts {
    by_place: HashMap<String, usize>,
    levels: Vec<Vec<f64>>,
}

impl PartCosts {
    /// For values of at most so many levels.
    pub(crate) fn of(schema: &Value, depths: usize) -> Result<Self, SchemaError> {
        let graph = Graph::of(schema)?;
        let order = graph.order()?;
        let mut levels: Vec<Vec<f64>> = Vec::with_capacity(depths);
        for _ in 0..depths {
            let level = match levels.last() {
                Some(before) => graph.deeper(&order, before),
                None => graph.deeper(&order, &vec![0.0; graph.nodes.len()]),
            };
            levels.push(level);
        }
        Ok(Self { by_place: graph.by_place, levels })
    }

    /// How many schemas may be applied when a value is checked against the part at a place.
    pub(crate) fn at(&self, place: &str, value: &Value) -> f64 {
        let (values, depth) = size(value);
        let level = self.levels.get(depth.min(self.levels.len().saturating_sub(1)));
        let each =
            self.by_place.get(place).zip(level).map_or(f64::MAX, |(&node, level)| level[node]);
        #[expect(clippy::cast_precision_loss, reason = "a bound, not an account")]
        let values = values as f64;
        each * values
    }
}

/// Text of the schema for a message, bounded.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn chain(links: usize, link: impl Fn(String) -> Value) -> Value {
        let mut defs = Map::new();
        for index in 0..links {
            defs.insert(format!("d{index}"), link(format!("#/$defs/d{}", index + 1)));
        }
        defs.insert(format!("d{links}"), json!({ "type": "string" }));
        json!({ "$defs": defs, "$ref": "#/$defs/d0" })
    }

    #[test]
    fn what_multiplies_is_refused() {
        let doubling =
            |links| chain(links, |next| json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }));
        assert!(check(&doubling(10)).is_ok());
        assert!(matches!(check(&doubling(40)), Err(SchemaError::TooCostly { .. })));
        let long = chain(200, |next| json!({ "$ref": next }));
        assert!(matches!(check(&long), Err(SchemaError::TooCostly { .. })));
        let deep = chain(200, |next| json!({ "properties": { "x": { "$ref": next } } }));
        assert!(check(&deep).is_ok());
        for circle in [
            json!({ "$ref": "#" }),
            json!({ "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }] } } }),
            json!({ "$defs": { "a": { "not": { "$ref": "#b" } }, "b": { "$anchor": "b", "$ref": "#/$defs/a" } } }),
        ] {
            assert!(matches!(check(&circle), Err(SchemaError::TooCostly { .. })), "{circle}");
        }
    }

    #[test]
    fn recursion_is_fine_and_its_cost_grows_with_the_payload() {
        let tree = json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
        let twice =
            json!({ "properties": { "x": { "allOf": [{ "$ref": "#" }, { "$ref": "#" }] } } });
        let nested = |levels: usize| {
            (0..levels).fold(json!({}), |inner, _| json!({ "x": inner, "left": {} }))
        };
        let tree = check(&tree).unwrap();
        assert!(tree.allows(&nested(100)));
        let twice = check(&twice).unwrap();
        assert!(twice.allows(&nested(10)));
        assert!(!twice.allows(&nested(60)));
        let wide = Value::Array(vec![json!(1); 100_000]);
        assert!(tree.allows(&wide));
    }

    #[test]
    fn size_depth_and_patterns_are_bounded() {
        let long = json!({ "description": "x".repeat(MAX_SCHEMA_BYTES) });
        assert!(matches!(check(&long), Err(SchemaError::TooLong { .. })));
        let deep = (0..MAX_SCHEMA_DEPTH).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert!(matches!(check(&deep), Err(SchemaError::TooDeep { .. })));
        let many: Map<String, Value> =
            (0..300).map(|index| (format!("p{index}"), json!({ "pattern": "a" }))).collect();
        let refused = check(&json!({ "properties": many }));
        assert!(matches!(refused, Err(SchemaError::TooCostly { .. })));
    }
}
