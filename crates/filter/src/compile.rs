//! From the document to a tree that is evaluated: everything that can be wrong is found here.
//!
//! Every node knows its clause: the place in the document it came from. Paths and texts for people
//! are made from it only when something was refused.

use serde_json::{Map, Value};

use crate::error::{FilterError, hint};
use crate::json::{Cut, Json};
use crate::reference::Reference;

/// How deep objects and lists may be nested.
pub const MAX_DEPTH: usize = 64;
/// How long the document may be as JSON, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

const OPERATORS: [&str; 15] = [
    "$eq",
    "$neq",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$startsWith",
    "$endsWith",
    "$exist",
    "$ref",
    "$or",
    "$and",
    "$not",
];
const PARTS: [&str; 6] = ["headers", "query", "body", "path", "method", "event_type"];
/// How the TOML reader hands on a date that has no quotes.
const TOML_DATE: &str = "$__toml_private_datetime";

/// A part of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Headers,
    Query,
    Body,
    Path,
    Method,
    EventType,
}

/// A step from a clause to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(Box<str>),
    Index(usize),
}

/// What is compared with: written in the filter, or another value of the event.
#[derive(Debug)]
pub(crate) enum Operand {
    Literal(Json<'static>),
    Reference(usize),
}

/// How two values are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a node asks.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Equal to a simple value, or a list that contains one that is.
    Simple(Json<'static>),
    /// A list that contains something for each of these.
    List(Vec<Node>),
    /// The conditions of an object.
    Object(Group),
    Part(Part, Box<Node>),
    Field(Box<str>, Box<Node>),
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Equal {
        operand: Operand,
        negated: bool,
    },
    Order(Comparison, Operand),
    In {
        operand: Operand,
        negated: bool,
    },
    Starts(Operand),
    Ends(Operand),
    Exist(bool),
    /// Equal to the value of a reference, or a list that contains it.
    Same(usize),
}

/// The conditions of an object: all must hold.
#[derive(Debug)]
pub(crate) struct Group {
    /// Those about the value itself, also when it is a list.
    pub(crate) whole: Vec<Node>,
    /// Those about one and the same item when the value is a list.
    pub(crate) each: Vec<Node>,
    /// Whether only objects can satisfy it: it names fields, or is empty.
    pub(crate) needs_object: bool,
}

/// A condition and the clause it came from.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) clause: usize,
    pub(crate) kind: Kind,
}

/// Everything made from a document.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) document: Value,
    pub(crate) top: Node,
    pub(crate) references: Vec<Reference>,
    /// Where each clause is: inside which, and under which name or number. The first is the document.
    clauses: Vec<(usize, Segment)>,
}

impl Compiled {
    /// Compiles a document.
    pub(crate) fn new(document: Value) -> Result<Self, FilterError> {
        let bytes = document.to_string().len();
        if bytes > MAX_BYTES {
            return Err(FilterError::TooLarge { bytes, max: MAX_BYTES });
        }
        let mut compiler = Compiler { clauses: Vec::new(), references: Vec::new() };
        let clause = compiler.clause(0, Segment::Index(0));
        let top = compiler.event(&document, clause, 1)?;
        let Compiler { clauses, references } = compiler;
        Ok(Self { document, top, references, clauses })
    }

    /// The steps from the document to a clause.
    pub(crate) fn steps(&self, clause: usize) -> Vec<&Segment> {
        steps(&self.clauses, clause)
    }

    /// What stands in the document at the end of some steps.
    pub(crate) fn written(&self, steps: &[&Segment]) -> Option<&Value> {
        steps.iter().try_fold(&self.document, |value, step| match step {
            Segment::Key(key) => value.get(&**key),
            Segment::Index(index) => value.get(*index),
        })
    }
}

fn steps(clauses: &[(usize, Segment)], mut clause: usize) -> Vec<&Segment> {
    let mut steps = Vec::new();
    while clause > 0 {
        let (parent, segment) = &clauses[clause];
        steps.push(segment);
        clause = *parent;
    }
    steps.reverse();
    steps
}

/// Steps as a path for people: `body.items[0]['a name']`; at most 200 bytes.
pub(crate) fn path_of<'s>(steps: impl IntoIterator<Item = &'s Segment>) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Segment::Index(index) => path.push_str(&format!("[{index}]")),
            Segment::Key(key) => {
                let plain = |c: char| c.is_alphanumeric() || "_-$".contains(c);
                if key.is_empty() || !key.chars().all(plain) {
                    path.push_str(&format!("['{key}']"));
                } else {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
            }
        }
    }
    Cut::text(&path, 200)
}

/// What kind of thing a value is, with its article.
const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

struct Compiler {
    clauses: Vec<(usize, Segment)>,
    references: Vec<Reference>,
}

impl Compiler {
    fn clause(&mut self, parent: usize, segment: Segment) -> usize {
        self.clauses.push((parent, segment));
        self.clauses.len() - 1
    }

    fn key(&mut self, parent: usize, key: &str) -> usize {
        self.clause(parent, Segment::Key(key.into()))
    }

    fn path(&self, clause: usize) -> String {
        match clause {
            0 => "the filter".to_owned(),
            _ => path_of(steps(&self.clauses, clause)),
        }
    }

    fn deep(&self, clause: usize, depth: usize) -> Result<(), FilterError> {
        if depth > MAX_DEPTH {
            return Err(FilterError::TooDeep { clause: self.path(clause), max: MAX_DEPTH });
        }
        Ok(())
    }

    fn bad<T>(&self, clause: usize, wants: &'static str, value: &Value) -> Result<T, FilterError> {
        let found = match value {
            Value::Object(fields) if fields.contains_key(TOML_DATE) => "a date without quotes",
            Value::Array(_) => "a list with anything else",
            value => kind_of(value),
        };
        Err(FilterError::BadOperand { clause: self.path(clause), wants, found })
    }

    /// A condition about the whole event: parts, and `$or`, `$and`, `$not` beside them.
    fn event(&mut self, value: &Value, clause: usize, depth: usize) -> Result<Node, FilterError> {
        self.deep(clause, depth)?;
        let Value::Object(fields) = value else {
            return Err(FilterError::NotAnObject {
                clause: self.path(clause),
                found: kind_of(value),
            });
        };
        let mut all = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            let inner = self.key(clause, key);
            let part = match key.as_str() {
                "headers" => Part::Headers,
                "query" => Part::Query,
                "body" => Part::Body,
                "path" => Part::Path,
                "method" => Part::Method,
                "event_type" => Part::EventType,
                "$or" | "$and" => {
                    let conditions = self.conditions(value, inner, |compiler, value, clause| {
                        compiler.event(value, clause, depth + 2)
                    })?;
                    let kind =
                        if key == "$or" { Kind::Or(conditions) } else { Kind::And(conditions) };
                    all.push(Node { clause: inner, kind });
                    continue;
                }
                "$not" => {
                    let kind = Kind::Not(Box::new(self.event(value, inner, depth + 1)?));
                    all.push(Node { clause: inner, kind });
                    continue;
                }
                unknown => {
                    return Err(FilterError::UnknownPart {
                        clause: self.path(inner),
                        hint: hint(unknown, &PARTS),
                    });
                }
            };
            let node = self.value(value, inner, depth + 1, part == Part::Headers)?;
            all.push(Node { clause: inner, kind: Kind::Part(part, Box::new(node)) });
        }
        Ok(Node { clause, kind: Kind::And(all) })
    }

    fn conditions(
        &mut self,
        value: &Value,
        clause: usize,
        mut compile: impl FnMut(&mut Self, &Value, usize) -> Result<Node, FilterError>,
    ) -> Result<Vec<Node>, FilterError> {
        let Value::Array(items) = value else {
            return self.bad(clause, "a list of conditions", value);
        };
        let mut conditions = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let inner = self.clause(clause, Segment::Index(index));
            conditions.push(compile(self, item, inner)?);
        }
        Ok(conditions)
    }

    /// A condition about one value. `lower`: its fields are names of headers.
    fn value(
        &mut self,
        value: &Value,
        clause: usize,
        depth: usize,
        lower: bool,
    ) -> Result<Node, FilterError> {
        let kind = match value {
            Value::Object(fields) => {
                self.deep(clause, depth)?;
                Kind::Object(self.group(fields, clause, depth, lower)?)
            }
            Value::Array(_) => {
                self.deep(clause, depth)?;
                Kind::List(self.conditions(value, clause, |compiler, value, clause| {
                    compiler.value(value, clause, depth + 1, false)
                })?)
            }
            simple => Kind::Simple(Json::of(simple).into_owned()),
        };
        Ok(Node { clause, kind })
    }

    fn group(
        &mut self,
        fields: &Map<String, Value>,
        clause: usize,
        depth: usize,
        lower: bool,
    ) -> Result<Group, FilterError> {
        let (mut whole, mut each, mut nots) = (Vec::new(), Vec::new(), Vec::new());
        let mut needs_object = fields.is_empty();
        for (key, value) in fields {
            let inner = self.key(clause, key);
            let name = match key.strip_prefix("$$") {
                Some(rest) => Some(format!("${rest}")),
                None if key.starts_with('$') => None,
                None => Some(key.clone()),
            };
            if let Some(name) = name {
                let name = if lower { name.to_lowercase() } else { name };
                let node = Box::new(self.value(value, inner, depth + 1, false)?);
                each.push(Node { clause: inner, kind: Kind::Field(name.into(), node) });
                needs_object = true;
                continue;
            }
            match key.as_str() {
                "$or" | "$and" => {
                    let conditions = self.conditions(value, inner, |compiler, value, clause| {
                        compiler.value(value, clause, depth + 2, lower)
                    })?;
                    let kind =
                        if key == "$or" { Kind::Or(conditions) } else { Kind::And(conditions) };
                    each.push(Node { clause: inner, kind });
                }
                "$not" => {
                    let node = self.value(value, inner, depth + 1, lower)?;
                    nots.push(Node { clause: inner, kind: Kind::Not(Box::new(node)) });
                }
                operator => {
                    let kind = self.operator(operator, value, inner)?;
                    whole.push(Node { clause: inner, kind });
                }
            }
        }
        // Alone, `$not` is the opposite of what it contains, also for a list; beside conditions about
        // an item it is one of them.
        if each.is_empty() {
            whole.append(&mut nots)
        } else {
            each.append(&mut nots)
        }
        Ok(Group { whole, each, needs_object })
    }

    fn operator(&mut self, name: &str, value: &Value, clause: usize) -> Result<Kind, FilterError> {
        let one_of_texts = "a text or a list of texts";
        Ok(match name {
            "$eq" => Kind::Equal { operand: self.operand(value, clause)?, negated: false },
            "$neq" | "$ne" => Kind::Equal { operand: self.operand(value, clause)?, negated: true },
            "$gt" => Kind::Order(Comparison::Greater, self.ordered(value, clause)?),
            "$gte" => Kind::Order(Comparison::GreaterOrEqual, self.ordered(value, clause)?),
            "$lt" => Kind::Order(Comparison::Less, self.ordered(value, clause)?),
            "$lte" => Kind::Order(Comparison::LessOrEqual, self.ordered(value, clause)?),
            "$in" | "$nin" => {
                let wants = "a list of simple values, or a text or number to find in a text";
                let operand = self.operand(value, clause)?;
                let usable = match &operand {
                    Operand::Reference(_) => true,
                    Operand::Literal(Json::List(items)) => !items.iter().any(Json::is_container),
                    Operand::Literal(literal) => matches!(literal, Json::Text(_) | Json::Number(_)),
                };
                if !usable {
                    return self.bad(clause, wants, value);
                }
                Kind::In { operand, negated: name == "$nin" }
            }
            "$startsWith" | "$endsWith" => {
                let operand = self.operand(value, clause)?;
                let text = |literal: &Json<'_>| matches!(literal, Json::Text(_));
                let usable = match &operand {
                    Operand::Reference(_) => true,
                    Operand::Literal(Json::List(items)) => items.iter().all(text),
                    Operand::Literal(literal) => text(literal),
                };
                if !usable {
                    return self.bad(clause, one_of_texts, value);
                }
                if name == "$startsWith" { Kind::Starts(operand) } else { Kind::Ends(operand) }
            }
            "$exist" => match value {
                Value::Bool(wanted) => Kind::Exist(*wanted),
                other => return self.bad(clause, "true or false", other),
            },
            "$ref" => Kind::Same(self.reference(value, clause)?),
            TOML_DATE => {
                return self.bad(
                    clause,
                    "a text",
                    &Value::from(Map::from_iter([(TOML_DATE.to_owned(), Value::Null)])),
                );
            }
            unknown => {
                return Err(FilterError::UnknownOperator {
                    clause: self.path(clause),
                    hint: hint(unknown, &OPERATORS),
                });
            }
        })
    }

    fn ordered(&mut self, value: &Value, clause: usize) -> Result<Operand, FilterError> {
        let operand = self.operand(value, clause)?;
        match &operand {
            Operand::Reference(_) | Operand::Literal(Json::Text(_) | Json::Number(_)) => {
                Ok(operand)
            }
            Operand::Literal(_) => self.bad(clause, "a number or a text", value),
        }
    }

    fn operand(&mut self, value: &Value, clause: usize) -> Result<Operand, FilterError> {
        match value {
            Value::Object(fields) if fields.contains_key(TOML_DATE) => {
                self.bad(clause, "a simple value", value)
            }
            Value::Object(fields) if fields.contains_key("$ref") => {
                if fields.len() > 1 {
                    return self.bad(clause, "either a value or {\"$ref\": path} alone", value);
                }
                let inner = self.key(clause, "$ref");
                Ok(Operand::Reference(self.reference(&fields["$ref"], inner)?))
            }
            value => {
                self.deep(clause, depth_of(value) + steps(&self.clauses, clause).len())?;
                Ok(Operand::Literal(Json::of(value).into_owned()))
            }
        }
    }

    fn reference(&mut self, value: &Value, clause: usize) -> Result<usize, FilterError> {
        let Value::String(path) = value else { return self.bad(clause, "a path", value) };
        let reference = Reference::parse(path)
            .map_err(|problem| FilterError::BadReference { clause: self.path(clause), problem })?;
        self.references.push(reference);
        Ok(self.references.len() - 1)
    }
}

/// How deep objects and lists are nested in a value.
fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}
