//! Shapes as tables and as examples.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{escape, prose, put, words};

/// How deep an example goes.
const DEPTH_MAX: usize = 4;
/// How many alternatives of a shape are named.
const ALTERNATIVES_MAX: usize = 60;

/// Every shape by its name.
pub(super) struct Shapes(Map<String, Value>);

/// Begins a table of fields.
pub(super) fn begin(html: &mut String) {
    html.push_str("<div class=\"table\"><table><thead><tr><th scope=\"col\">Name</th>");
    html.push_str("<th scope=\"col\">Type</th><th scope=\"col\">About</th></tr></thead><tbody>");
}

/// Ends it.
pub(super) fn end(html: &mut String) {
    html.push_str("</tbody></table></div>");
}

/// A row; `kind` is HTML, `place` is empty for fields of a shape.
pub(super) fn row(
    html: &mut String,
    name: &str,
    kind: &str,
    required: bool,
    place: &str,
    about: &str,
) {
    let mark = if required { " <span class=\"required\">required</span>" } else { "" };
    let place = match place {
        "" => String::new(),
        place => format!(" <span class=\"place\">{place}</span>"),
    };
    let name = escape(name);
    put(
        html,
        format_args!(
            "<tr><th scope=\"row\"><code>{name}</code>{place}{mark}</th><td>{kind}</td><td>{}</td></tr>",
            prose(about)
        ),
    );
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// Whether a type list names null, and the other types.
fn types(schema: &Value) -> (Vec<&str>, bool) {
    let all: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let nullable = all.contains(&"null");
    (all.into_iter().filter(|name| *name != "null").collect(), nullable)
}

impl Shapes {
    pub fn new(shapes: Map<String, Value>) -> Self {
        Self(shapes)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether a shape has a table of its own.
    fn is_table(&self, name: &str) -> bool {
        self.get(name).is_some_and(|shape| {
            shape["properties"].as_object().is_some_and(|properties| !properties.is_empty())
                || shape["oneOf"].is_array()
        })
    }

    /// What a shape of a body or an answer looks like: its table, and for pages that of the items.
    pub fn named(&self, html: &mut String, name: &str, marks: bool, named: &mut BTreeSet<String>) {
        let Some(shape) = self.get(name) else { return };
        let item = shape["properties"]["data"]["items"].clone();
        if let (Some(item), true) = (reference(&item), shape["properties"]["done"].is_object()) {
            let link = self.kind(&json!({ "$ref": format!("#/components/schemas/{item}") }));
            put(
                html,
                format_args!(
                    "<p>A page with <code>data</code> (a list of {link}), <code>iterator</code>, \
                     <code>prevIterator</code> and <code>done</code>; of each item:</p>"
                ),
            );
            named.insert(item.to_owned());
            self.shape(html, item, marks, named);
            return;
        }
        self.shape(html, name, marks, named);
    }

    /// The table of a shape, with what is required marked or not; the shapes that it names are added
    /// to `named`.
    pub fn shape(&self, html: &mut String, name: &str, marks: bool, named: &mut BTreeSet<String>) {
        let Some(shape) = self.get(name) else { return };
        if let Some(about) = shape["description"].as_str() {
            put(html, format_args!("<p>{}</p>", prose(about)));
        }
        self.collect(shape, named);
        if let Some(several) = shape["oneOf"].as_array() {
            self.alternatives(html, several);
        }
        let Some(properties) = shape["properties"].as_object() else {
            if !shape["oneOf"].is_array() {
                put(html, format_args!("<p>{}</p>", self.kind(shape)));
            }
            return;
        };
        let required: Vec<&str> =
            shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        begin(html);
        let (first, then): (Vec<_>, Vec<_>) =
            properties.iter().partition(|(name, _)| required.contains(&name.as_str()));
        for (field, schema) in first.into_iter().chain(then) {
            let about = schema["description"].as_str().unwrap_or_else(|| words::field(name, field));
            let needed = marks && required.contains(&field.as_str());
            row(html, field, &self.kind(schema), needed, "", about);
        }
        end(html);
    }

    fn alternatives(&self, html: &mut String, several: &[Value]) {
        html.push_str("<p>One of these, told by <code>type</code>:</p>");
        begin(html);
        for one in several.iter().take(ALTERNATIVES_MAX) {
            let name = one["properties"]["type"]["enum"][0].as_str().unwrap_or_default();
            let config = match &one["properties"]["config"] {
                Value::Null => "no <code>config</code>".to_owned(),
                config => format!("<code>config</code>: {}", self.kind(config)),
            };
            row(html, name, &config, false, "", "");
        }
        end(html);
    }

    /// Adds the names of the tables that a shape leads to directly.
    fn collect(&self, schema: &Value, named: &mut BTreeSet<String>) {
        match schema {
            Value::Object(object) => {
                if let Some(name) = reference(schema).filter(|name| self.is_table(name)) {
                    named.insert(name.to_owned());
                }
                object.values().for_each(|value| self.collect(value, named));
            }
            Value::Array(list) => list.iter().for_each(|value| self.collect(value, named)),
            _ => {}
        }
    }

    /// A type in words, as HTML.
    pub fn kind(&self, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            if self.is_table(name) {
                let name = escape(name);
                return format!("<a href=\"#shape-{name}\">{}</a>", super::with_breaks(&name));
            }
            return self.get(name).map_or_else(String::new, |shape| self.kind(shape));
        }
        if let Some(several) = schema["anyOf"].as_array() {
            let (null, rest): (Vec<_>, Vec<_>) =
                several.iter().partition(|one| one["type"] == "null");
            let mut words: Vec<String> = rest.iter().map(|one| self.kind(one)).collect();
            words.extend(null.first().map(|_| "null".to_owned()));
            return words.join(" or ");
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<String> = values
                .iter()
                .map(|value| match value.as_str() {
                    Some(text) => format!("<code>{}</code>", escape(text)),
                    None => format!("<code>{value}</code>"),
                })
                .collect();
            return values.join(" <span class=\"or\">or</span> ");
        }
        let (names, nullable) = types(schema);
        let kinds: Vec<String> = names.iter().map(|name| self.plain(name, schema)).collect();
        let mut text = match kinds.is_empty() {
            true => "anything".to_owned(),
            false => kinds.join(" or "),
        };
        if nullable {
            text.push_str(" or null");
        }
        let rules = rules(schema);
        if !rules.is_empty() {
            put(&mut text, format_args!(" <span class=\"rules\">{}</span>", rules.join(", ")));
        }
        text
    }

    fn plain(&self, name: &str, schema: &Value) -> String {
        match (name, schema["format"].as_str()) {
            ("array", _) => format!("list of {}", self.kind(&schema["items"])),
            ("object", _) if schema["additionalProperties"].is_object() => {
                format!("map of {}", self.kind(&schema["additionalProperties"]))
            }
            ("object", _) => "object".to_owned(),
            ("string", Some("date-time")) => "time (RFC 3339)".to_owned(),
            ("string", Some("uri")) => "URL".to_owned(),
            ("string", Some("binary")) => "bytes".to_owned(),
            ("string", _) => "text".to_owned(),
            ("integer", _) => "whole number".to_owned(),
            (other, _) => escape(other),
        }
    }

    /// Something that fits a shape, with what is required and little more.
    pub fn example(&self, schema: &Value) -> Value {
        self.example_at(schema, "", 0)
    }

    fn example_at(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if let Some(name) = reference(schema) {
            return self.get(name).map_or(Value::Null, |shape| self.example_at(shape, name, depth));
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        if let Some(example) = words::example(name).filter(|_| !schema["properties"].is_object()) {
            return example;
        }
        for several in ["anyOf", "oneOf"] {
            if let Some(first) = schema[several].get(0) {
                return self.example_at(first, name, depth);
            }
        }
        match types(schema).0.first().copied() {
            Some("object") if depth < DEPTH_MAX => {
                let required = schema["required"].as_array();
                let names = required.into_iter().flatten().filter_map(Value::as_str);
                let fields = names.map(|name| {
                    let field = &schema["properties"][name];
                    (name.to_owned(), self.example_at(field, name, depth + 1))
                });
                Value::Object(fields.collect())
            }
            Some("object") => json!({}),
            Some("array") => json!([]),
            Some("string") => json!("text"),
            Some("integer" | "number") => schema["minimum"].clone(),
            Some("boolean") => json!(true),
            _ => Value::Null,
        }
    }
}

fn rules(schema: &Value) -> Vec<String> {
    let mut rules = Vec::new();
    let mut between = |least: &Value, most: &Value, what: &str| match (least, most) {
        (Value::Null, Value::Null) => {}
        (least, Value::Null) => rules.push(format!("at least {least}{what}")),
        (Value::Null, most) => rules.push(format!("at most {most}{what}")),
        (least, most) if least == most => rules.push(format!("{least}{what}")),
        (least, most) => rules.push(format!("{least} to {most}{what}")),
    };
    between(&schema["minimum"], &schema["maximum"], "");
    between(&schema["minLength"], &schema["maxLength"], " characters");
    between(&schema["minItems"], &schema["maxItems"], " items");
    if let Some(pattern) = schema["pattern"].as_str() {
        rules.push(format!("<code class=\"pattern\">{}</code>", escape(pattern)));
    }
    match &schema["default"] {
        Value::Null => {}
        default => {
            rules.push(format!("default <code>{}</code>", escape(&default.to_string())));
        }
    }
    if schema["uniqueItems"] == true {
        rules.push("each once".to_owned());
    }
    rules
}
