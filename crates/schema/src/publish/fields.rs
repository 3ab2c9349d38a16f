//! A schema as a table for readers: one row for each field, with its type and what is allowed.
//!
//! References are followed until they come back to themselves, `allOf` is merged, and alternatives
//! are named in the rows that only they have. The number of rows is bounded.

use std::cell::Cell;

use serde_json::Value;

use crate::guard::shorten;
use crate::keywords::{self, Part};
use crate::pointer;

/// The most rows of a table.
const MAX_ROWS: usize = 400;

/// The deepest nesting that is shown.
const MAX_DEPTH: usize = 10;

/// The most schemas that are put together for one row.
const MAX_MERGED: usize = 64;

/// How often a field is looked at, for all rows together: alternatives may multiply.
const MAX_VIEWS: usize = 20_000;

/// The most values that are listed.
const MAX_LISTED: usize = 40;

/// One field of a payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Where it is: `data.lines[].price`.
    pub(super) path: String,
    /// Its type in words.
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) deprecated: bool,
    /// The alternative that has it, if only one has.
    pub(super) only: Option<String>,
    pub(super) description: String,
    /// What is allowed: a word, and values as they would be written.
    pub(super) facts: Vec<(&'static str, Vec<String>)>,
}

/// The rows of a schema, and whether some were left out.
pub(super) fn rows(root: &Value) -> (Vec<Row>, bool) {
    let mut walker = Walker {
        root,
        anchors: keywords::anchors(root),
        rows: Vec::new(),
        cut: false,
        views: Cell::new(MAX_VIEWS),
    };
    let view = walker.view(String::new(), root, &[String::new()]);
    if view.has_children() {
        walker.children("", &view, None, 0);
    } else {
        walker.row("(the payload)".to_owned(), &view, true, None);
    }
    (walker.rows, walker.cut)
}

/// All schemas that say something about one field.
#[derive(Default)]
struct View<'a> {
    schemas: Vec<(String, &'a Value)>,
    alternatives: Vec<(String, String, &'a Value)>,
    nullable: bool,
    /// References that are open here.
    open: Vec<String>,
    /// The name of what it repeats, if it contains itself.
    circle: Option<String>,
}

impl<'a> View<'a> {
    fn has_children(&self) -> bool {
        let named = |schema: &Value| {
            ["properties", "items", "prefixItems"]
                .iter()
                .any(|keyword| schema.get(keyword).is_some())
                || schema.get("additionalProperties").is_some_and(Value::is_object)
        };
        !self.alternatives.is_empty() || self.schemas.iter().any(|(_, schema)| named(schema))
    }

    /// The first value of a keyword among the schemas, the outermost first.
    fn first(&self, keyword: &str) -> Option<&'a Value> {
        self.schemas.iter().find_map(|(_, schema)| schema.get(keyword))
    }
}

struct Walker<'a> {
    root: &'a Value,
    anchors: Vec<(String, String)>,
    rows: Vec<Row>,
    cut: bool,
    views: Cell<usize>,
}

impl<'a> Walker<'a> {
    fn view(&self, at: String, schema: &'a Value, open: &[String]) -> View<'a> {
        let mut view = View { open: open.to_vec(), ..View::default() };
        let Some(left) = self.views.get().checked_sub(1) else { return view };
        self.views.set(left);
        self.gather(&mut view, at, schema);
        view
    }

    fn gather(&self, view: &mut View<'a>, at: String, schema: &'a Value) {
        if view.schemas.len() >= MAX_MERGED {
            return;
        }
        view.schemas.push((at.clone(), schema));
        if let Some(target) =
            schema.get("$ref").and_then(Value::as_str).and_then(|one| self.target(one))
        {
            if view.open.contains(&target) {
                view.circle = Some(name_of(&target));
            } else if let Some(found) = pointer::look_up(self.root, &target) {
                view.open.push(target.clone());
                self.gather(view, target, found);
            }
        }
        let parts = keywords::parts(schema);
        for part in parts.iter().filter(|part| part.keyword == "allOf") {
            self.gather(view, part.at(&at), part.schema);
        }
        for keyword in ["anyOf", "oneOf"] {
            let is_null =
                |part: &&Part<'_>| part.schema.get("type").and_then(Value::as_str) == Some("null");
            let all: Vec<_> = parts.iter().filter(|part| part.keyword == keyword).collect();
            let real: Vec<_> = all.iter().filter(|part| !is_null(part)).collect();
            view.nullable |= real.len() < all.len();
            if let [one] = real.as_slice() {
                self.gather(view, one.at(&at), one.schema);
                continue;
            }
            for (number, part) in real.into_iter().enumerate() {
                let label = self
                    .label(part.schema)
                    .unwrap_or_else(|| format!("alternative {}", number + 1));
                view.alternatives.push((label, part.at(&at), part.schema));
            }
        }
    }

    fn target(&self, reference: &str) -> Option<String> {
        keywords::target(self.root, &self.anchors, reference)
    }

    /// What an alternative is called: its title, or the name that it is referred to by.
    fn label(&self, schema: &Value) -> Option<String> {
        let title = schema.get("title").and_then(Value::as_str).map(str::to_owned);
        title.or_else(|| {
            let target =
                schema.get("$ref").and_then(Value::as_str).and_then(|one| self.target(one))?;
            let found = pointer::look_up(self.root, &target);
            let title = found.and_then(|found| found.get("title")).and_then(Value::as_str);
            Some(title.map_or_else(|| name_of(&target), str::to_owned))
        })
    }

    /// Rows for everything inside of a field.
    fn children(&mut self, prefix: &str, view: &View<'a>, only: Option<&str>, depth: usize) {
        if depth >= MAX_DEPTH || view.schemas.len() >= MAX_MERGED || self.views.get() == 0 {
            self.cut = true;
            return;
        }
        let mut seen: Vec<&str> = Vec::new();
        for (at, schema) in &view.schemas {
            for part in keywords::parts(schema) {
                let place = part.at(at);
                match part.keyword {
                    "properties" if !seen.contains(&part.key) => {
                        seen.push(part.key);
                        let required =
                            view.schemas.iter().any(|(_, schema)| requires(schema, part.key));
                        let path = step(prefix, part.key);
                        self.field(path, place, part.schema, view, required, only, depth);
                    }
                    "additionalProperties" | "patternProperties" if part.schema.is_object() => {
                        self.field(step(prefix, "*"), place, part.schema, view, false, only, depth);
                    }
                    "items"
                        if part.schema.is_object() && part.applies == keywords::Applies::Items =>
                    {
                        let item = self.view(place, part.schema, &view.open);
                        if item.circle.is_none() && item.has_children() {
                            self.children(&format!("{prefix}[]"), &item, only, depth + 1);
                        }
                    }
                    "prefixItems" | "items" if part.applies == keywords::Applies::Item => {
                        let path = format!("{prefix}[{}]", part.index);
                        self.field(path, place, part.schema, view, false, only, depth);
                    }
                    _ => {}
                }
            }
        }
        for (label, at, schema) in &view.alternatives {
            let alternative = self.view(at.clone(), schema, &view.open);
            if alternative.circle.is_none() && alternative.has_children() {
                self.children(prefix, &alternative, Some(label), depth + 1);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call's worth of place and context, used twice"
    )]
    fn field(
        &mut self,
        path: String,
        at: String,
        schema: &'a Value,
        parent: &View<'a>,
        required: bool,
        only: Option<&str>,
        depth: usize,
    ) {
        if self.rows.len() >= MAX_ROWS || self.views.get() == 0 {
            self.cut = true;
            return;
        }
        let view = self.view(at, schema, &parent.open);
        self.row(path.clone(), &view, required, only);
        if view.circle.is_none() && view.has_children() {
            self.children(&path, &view, only, depth + 1);
        }
    }

    fn row(&mut self, path: String, view: &View<'a>, required: bool, only: Option<&str>) {
        let text = |keyword: &str| view.first(keyword).and_then(Value::as_str);
        let description = text("description").or_else(|| text("title")).unwrap_or("").to_owned();
        let deprecated = view.first("deprecated").and_then(Value::as_bool).unwrap_or(false);
        let only = only.map(str::to_owned);
        let kind = self.kind(view, 0);
        let facts = facts(view);
        self.rows.push(Row { path, kind, required, deprecated, only, description, facts });
    }

    /// A field's type in words.
    fn kind(&self, view: &View<'a>, depth: usize) -> String {
        if let Some(name) = &view.circle {
            let null = if view.nullable { " or null" } else { "" };
            return format!("{name} (as above){null}");
        }
        let mut kinds: Vec<String> = Vec::new();
        match view.first("type") {
            Some(Value::String(one)) => kinds.push(one.clone()),
            Some(Value::Array(several)) => {
                kinds.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => kinds.extend(self.inferred(view)),
        }
        for kind in &mut kinds {
            let items = view.first("items").filter(|items| items.is_object());
            if kind == "array"
                && depth < 4
                && let Some((at, items)) = items.and_then(|items| {
                    let holder =
                        view.schemas.iter().find(|(_, schema)| schema.get("items").is_some())?;
                    Some((pointer::join(&holder.0, "items"), items))
                })
            {
                let item = self.view(at, items, &view.open);
                *kind = format!("array of {}", self.kind(&item, depth + 1));
            }
        }
        if view.nullable && !kinds.iter().any(|kind| kind == "null") {
            kinds.push("null".to_owned());
        }
        if kinds.is_empty() { "any".to_owned() } else { kinds.join(" or ") }
    }

    /// The types that follow from other keywords.
    fn inferred(&self, view: &View<'a>) -> Vec<String> {
        if !view.alternatives.is_empty() {
            let mut labels: Vec<String> = Vec::new();
            for (label, at, schema) in &view.alternatives {
                let alternative = self.view(at.clone(), schema, &view.open);
                let label = if alternative.has_children() || alternative.circle.is_some() {
                    label.clone()
                } else {
                    self.kind(&alternative, 3)
                };
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
            return labels;
        }
        let values = view.first("const").map(std::slice::from_ref);
        let values =
            values.or_else(|| view.first("enum").and_then(Value::as_array).map(Vec::as_slice));
        if let Some(values) = values {
            let mut kinds: Vec<String> =
                values.iter().map(|value| word(value).to_owned()).collect();
            kinds.dedup();
            kinds.sort_unstable();
            kinds.dedup();
            return kinds;
        }
        let has = |keyword: &str| view.first(keyword).is_some();
        let guess = if has("properties") || has("additionalProperties") || has("patternProperties")
        {
            "object"
        } else if has("items") || has("prefixItems") {
            "array"
        } else if has("pattern") || has("format") || has("maxLength") || has("minLength") {
            "string"
        } else if has("minimum") || has("maximum") || has("multipleOf") {
            "number"
        } else {
            return Vec::new();
        };
        vec![guess.to_owned()]
    }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn requires(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|one| one.as_str() == Some(name)))
}

/// The last step of a reference's target.
fn name_of(target: &str) -> String {
    let last = pointer::unescape(target.rsplit('/').next().unwrap_or(""));
    if last.is_empty() { "the payload".to_owned() } else { last }
}

/// A path with one more name, quoted where it would be ambiguous.
fn step(prefix: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|one| one.is_alphanumeric() || matches!(one, '_' | '-' | '$' | '@' | ':'));
    match (prefix, plain || name == "*") {
        ("", true) => name.to_owned(),
        (_, true) => format!("{prefix}.{name}"),
        (_, false) => format!("{prefix}[{}]", Value::from(name)),
    }
}

/// What is allowed in a field.
fn facts(view: &View<'_>) -> Vec<(&'static str, Vec<String>)> {
    let mut facts = Vec::new();
    let written = |value: &Value| shorten(&value.to_string());
    if let Some(value) = view.first("const") {
        facts.push(("Always", vec![written(value)]));
    }
    if let Some(values) = view.first("enum").and_then(Value::as_array) {
        let mut listed: Vec<String> = values.iter().take(MAX_LISTED).map(written).collect();
        if values.len() > MAX_LISTED {
            listed.push(format!("and {} more", values.len() - MAX_LISTED));
        }
        facts.push(("One of", listed));
    }
    for (label, keyword) in [("Format", "format"), ("Pattern", "pattern")] {
        if let Some(text) = view.first(keyword).and_then(Value::as_str) {
            facts.push((label, vec![shorten(text)]));
        }
    }
    for (label, keyword) in [
        ("At least", "minimum"),
        ("More than", "exclusiveMinimum"),
        ("At most", "maximum"),
        ("Less than", "exclusiveMaximum"),
        ("Multiple of", "multipleOf"),
        ("Default", "default"),
    ] {
        if let Some(value) = view.first(keyword) {
            facts.push((label, vec![written(value)]));
        }
    }
    for (label, least, most) in [
        ("Length", "minLength", "maxLength"),
        ("Items", "minItems", "maxItems"),
        ("Properties", "minProperties", "maxProperties"),
    ] {
        facts.extend(range(view.first(least), view.first(most)).map(|words| (label, vec![words])));
    }
    facts
}

/// Two limits in words.
fn range(least: Option<&Value>, most: Option<&Value>) -> Option<String> {
    Some(match (least, most) {
        (None, None) => return None,
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("up to {most}"),
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(schema: &Value) -> Vec<String> {
        let (rows, _) = rows(schema);
        rows.iter()
            .map(|row| {
                let mark = if row.required { "!" } else { "" };
                let only = row.only.as_deref().map(|only| format!(" ({only})")).unwrap_or_default();
                format!("{}{mark}: {}{only}", row.path, row.kind)
            })
            .collect()
    }

    #[test]
    fn fields_of_schemas() {
        let schema = json!({
            "type": "object", "required": ["id", "data"],
            "properties": {
                "id": { "type": "string" },
                "data": { "$ref": "#/$defs/Order" },
                "a.b": { "enum": [1, "x"] }
            },
            "$defs": {
                "Order": { "allOf": [{ "properties": { "lines": { "type": "array", "items": { "$ref": "#/$defs/Line" } } } }],
                    "required": ["lines"],
                    "properties": {
                        "parent": { "anyOf": [{ "$ref": "#/$defs/Order" }, { "type": "null" }] },
                        "tags": { "type": "object", "additionalProperties": { "type": "string" } },
                        "pay": { "oneOf": [{ "title": "Card", "properties": { "last4": { "type": "string" } } }, { "$ref": "#/$defs/Bank" }] },
                        "note": { "type": ["string", "null"] },
                        "either": { "oneOf": [{ "type": "string" }, { "type": "integer" }] }
                    } },
                "Line": { "properties": { "price": { "type": "number" } } },
                "Bank": { "properties": { "iban": { "type": "string" } } }
            }
        });
        assert_eq!(
            table(&schema),
            [
                "id!: string",
                "data!: object",
                "data.parent: Order (as above) or null",
                "data.tags: object",
                "data.tags.*: string",
                "data.pay: Card or Bank",
                "data.pay.last4: string (Card)",
                "data.pay.iban: string (Bank)",
                "data.note: string or null",
                "data.either: string or integer",
                "data.lines!: array of object",
                "data.lines[].price: number",
                "[\"a.b\"]: integer or string",
            ]
        );
        assert_eq!(table(&json!({ "type": "string" })), ["(the payload)!: string"]);
        assert_eq!(table(&json!(true)), ["(the payload)!: any"]);
    }

    #[test]
    fn tables_end() {
        let wide: serde_json::Map<String, Value> =
            (0..5000).map(|index| (format!("p{index}"), json!({ "type": "string" }))).collect();
        let (many, cut) = rows(&json!({ "properties": wide }));
        assert!(cut && many.len() == MAX_ROWS);
        // Every level refers to the next one twice: a hundred levels would have 2^100 rows.
        let mut defs = serde_json::Map::new();
        for level in 0..100 {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            defs.insert(format!("d{level}"), json!({ "properties": { "a": next, "b": next } }));
        }
        let (many, cut) = rows(&json!({ "$defs": defs, "$ref": "#/$defs/d0" }));
        assert!(cut && many.len() <= MAX_ROWS);
        let mut defs = serde_json::Map::new();
        for level in 0..20 {
            let next = vec![json!({ "$ref": format!("#/$defs/d{}", level + 1) }); 20];
            defs.insert(format!("d{level}"), json!({ "anyOf": next }));
        }
        assert!(rows(&json!({ "$defs": defs, "$ref": "#/$defs/d0" })).0.len() <= MAX_ROWS);
        let twice: Vec<Value> = (0..100).map(|_| json!({ "$ref": "#" })).collect();
        assert!(rows(&json!({ "allOf": twice })).0.len() <= MAX_ROWS);
    }
}
