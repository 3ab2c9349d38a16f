//! A schema of a document, made independent: everything that it refers to is copied into its `$defs`,
//! and its references lead there. Schemas that contain themselves stay finite, because each place of
//! the document is copied once.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::dialect;
use crate::error::ImportError;
use crate::guard::shorten;
use crate::keywords;
use crate::pointer;

/// The most parts that are copied for one schema.
const MAX_COPIED: usize = 2_000;

/// What is the same for every schema of a document.
pub(super) struct Source<'a> {
    pub(super) document: &'a Value,
    /// Whether the document is OpenAPI 3.0, whose schemas have to be translated.
    pub(super) old: bool,
}

/// What a pointer into the document leads to.
pub(super) struct Found<'a> {
    pub(super) at: String,
    pub(super) value: &'a Value,
}

impl<'a> Source<'a> {
    /// Where a reference in the document leads.
    fn target(&self, at: &str, unit: &str, reference: &str) -> Result<String, ImportError> {
        let refuse = |problem: &str| ImportError::Reference {
            at: at.to_owned(),
            reference: shorten(reference),
            problem: problem.to_owned(),
        };
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(refuse("leads out of the document"));
        };
        let fragment =
            pointer::decode_fragment(fragment).ok_or_else(|| refuse("has broken percent signs"))?;
        let own = pointer::look_up(self.document, unit);
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.anchor(unit, own, &fragment).ok_or_else(|| refuse("leads to nothing"));
        }
        // A schema with an identifier is a document of its own: its references start at itself.
        let separate = own.and_then(|own| own.get("$id")).is_some();
        let target = if separate { format!("{unit}{fragment}") } else { fragment };
        match pointer::look_up(self.document, &target) {
            Some(_) => Ok(target),
            None => Err(refuse("leads to nothing")),
        }
    }

    /// The place of an anchor: in the same part, otherwise in any component.
    fn anchor(&self, unit: &str, own: Option<&Value>, name: &str) -> Option<String> {
        let find = |base: &str, schema: &Value| {
            let anchors = keywords::anchors(schema);
            anchors.into_iter().find(|(own, _)| own == name).map(|(_, at)| format!("{base}{at}"))
        };
        if let Some(found) = own.and_then(|own| find(unit, own)) {
            return Some(found);
        }
        let components = self.document.pointer("/components/schemas").and_then(Value::as_object)?;
        components.iter().find_map(|(key, schema)| find(&pointer::join("/components/schemas", key), schema))
    }

    /// Follows references that stand alone, from a place to what is meant.
    pub(super) fn follow(&self, at: &str) -> Result<Found<'a>, ImportError> {
        let mut at = at.to_owned();
        let mut seen = HashSet::new();
        loop {
            let value = pointer::look_up(self.document, &at).ok_or_else(|| ImportError::Malformed {
                at: at.clone(),
                problem: "there is nothing here".to_owned(),
            })?;
            let Some(fields) = value.as_object() else { return Ok(Found { at, value }) };
            let Some(Value::String(reference)) = fields.get("$ref") else { return Ok(Found { at, value }) };
            if fields.len() > 1 && !self.old {
                return Ok(Found { at, value });
            }
            let here = pointer::join(&at, "$ref");
            let target = self.target(&here, &at, reference)?;
            if !seen.insert(at) {
                return Err(ImportError::Reference {
                    at: here,
                    reference: shorten(reference),
                    problem: "leads back to itself".to_owned(),
                });
            }
            at = target;
        }
    }

    /// The schema at a place of the document, independent of the document.
    pub(super) fn bundle(&self, at: &str) -> Result<Value, ImportError> {
        let root = self.follow(at)?;
        if !keywords::is_schema(root.value) {
            return Err(ImportError::Malformed {
                at: root.at,
                problem: "a schema has to be an object, `true` or `false`".to_owned(),
            });
        }
        let mut bundle = Bundle {
            source: self,
            root: root.at.clone(),
            names: HashMap::new(),
            taken: HashSet::new(),
            waiting: VecDeque::new(),
        };
        if let Some(own) = root.value.get("$defs").and_then(Value::as_object) {
            bundle.taken.extend(own.keys().cloned());
        }
        let mut schema = bundle.copy(&root.at, root.value)?;
        let mut copied = Map::new();
        while let Some((name, at)) = bundle.waiting.pop_front() {
            if copied.len() >= MAX_COPIED {
                return Err(ImportError::Malformed {
                    at: root.at,
                    problem: format!("the schema refers to more than {MAX_COPIED} parts of the document"),
                });
            }
            let value = pointer::look_up(self.document, &at).unwrap_or(&Value::Null);
            if !keywords::is_schema(value) {
                return Err(ImportError::Malformed {
                    at,
                    problem: "a schema has to be an object, `true` or `false`".to_owned(),
                });
            }
            copied.insert(name, bundle.copy(&at, value)?);
        }
        if let Some(fields) = schema.as_object_mut()
            && !copied.is_empty()
        {
            match fields.entry("$defs").or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(defs) => defs.extend(copied),
                _ => {
                    return Err(ImportError::Malformed {
                        at: pointer::join(&root.at, "$defs"),
                        problem: "`$defs` has to be an object".to_owned(),
                    });
                }
            }
        }
        Ok(schema)
    }
}

/// One schema on its way out of the document.
struct Bundle<'s, 'a> {
    source: &'s Source<'a>,
    /// Where the schema itself is in the document.
    root: String,
    /// Places of the document and the names that they have in `$defs`.
    names: HashMap<String, String>,
    taken: HashSet<String>,
    waiting: VecDeque<(String, String)>,
}

impl Bundle<'_, '_> {
    /// A copy of a part, translated, with references into the schema instead of the document.
    fn copy(&mut self, unit: &str, value: &Value) -> Result<Value, ImportError> {
        let mut copy = value.clone();
        let old = self.source.old;
        keywords::rewrite(&mut copy, unit, &mut |fields, at| {
            if old {
                dialect::translate(fields);
            }
            if let Some(Value::Object(discriminator)) = fields.get_mut("discriminator") {
                // Its references mean nothing outside of the document, and no rule depends on them.
                discriminator.remove("mapping");
            }
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let target = self.source.target(&pointer::join(at, "$ref"), unit, reference)?;
                let rewritten = self.reference(&target);
                fields.insert("$ref".to_owned(), Value::String(rewritten));
            }
            Ok(())
        })?;
        if let Some(fields) = copy.as_object_mut()
            && unit != self.root
        {
            fields.remove("$id");
        }
        Ok(copy)
    }

    /// The reference, from within the schema, to a place of the document.
    fn reference(&mut self, target: &str) -> String {
        if target == self.root {
            return "#".to_owned();
        }
        // Translating may move what is inside of a part, so that only whole parts are referred to.
        let rest = target.strip_prefix(&self.root).filter(|rest| rest.starts_with('/'));
        if let Some(rest) = rest
            && !self.source.old
        {
            return format!("#{}", pointer::encode_fragment(rest));
        }
        let name = match self.names.get(target) {
            Some(name) => name.clone(),
            None => {
                let name = self.new_name(target);
                self.names.insert(target.to_owned(), name.clone());
                self.waiting.push_back((name.clone(), target.to_owned()));
                name
            }
        };
        format!("#{}", pointer::encode_fragment(&pointer::join("/$defs", &name)))
    }

    fn new_name(&mut self, target: &str) -> String {
        let last = pointer::unescape(target.rsplit('/').next().unwrap_or(""));
        let stem = if last.is_empty() { "document".to_owned() } else { last };
        let mut name = stem.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{stem}_{number}");
            number += 1;
        }
        name
    }
}
