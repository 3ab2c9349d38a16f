//! Changes to a body: `data.items[0].id=7`.
//!
//! Invariants: a change that finds nothing to change is an error that names the path, never silence; objects on
//! the way are made, places of lists are not. In a form the first step is a field; further steps lead into a
//! field that holds JSON.

use serde_json::{Map, Value};

use super::TriggerError;

/// The way to a value: keys joined by dots, places of lists in brackets, keys with dots in `["a.b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    /// Counted from 0, or from the end where it is negative.
    Index(i64),
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    text: String,
    /// The text as JSON, or as a JSON text where it is none.
    value: Value,
}

/// One change of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes a value, whatever was there.
    Set(Path, Given),
    /// Appends a value to a list, or another field of the name to a form.
    Add(Path, Given),
    /// Takes a value away.
    Remove(Path),
}

impl Change {
    /// `path=value`: the value is JSON where it reads as JSON, and a text otherwise.
    pub fn set(text: &str) -> Result<Self, TriggerError> {
        assignment(text).map(|(path, value)| Self::Set(path, value))
    }

    /// `path=value` for [`Change::Add`].
    pub fn add(text: &str) -> Result<Self, TriggerError> {
        assignment(text).map(|(path, value)| Self::Add(path, value))
    }

    /// A path for [`Change::Remove`].
    pub fn remove(text: &str) -> Result<Self, TriggerError> {
        Path::parse(text).map(Self::Remove)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Set(path, _) | Self::Add(path, _) | Self::Remove(path) => path,
        }
    }

    /// Changes a document.
    pub(super) fn apply(&self, document: &mut Value) -> Result<(), TriggerError> {
        let path = self.path();
        self.apply_steps(document, &path.steps).map_err(|message| path.refuses(message))
    }

    fn apply_steps(&self, document: &mut Value, steps: &[Step]) -> Result<(), String> {
        match self {
            Self::Set(_, value) => {
                *walk(document, steps)? = value.value.clone();
                Ok(())
            }
            Self::Add(_, value) => match walk(document, steps)? {
                Value::Array(items) => {
                    items.push(value.value.clone());
                    Ok(())
                }
                place @ Value::Null => {
                    *place = Value::Array(vec![value.value.clone()]);
                    Ok(())
                }
                other => Err(format!("there is {} and no list", kind(other))),
            },
            Self::Remove(_) => remove(document, steps),
        }
    }

    /// Changes a form, which is a list of fields in their order.
    pub(super) fn apply_form(
        &self,
        fields: &mut Vec<(String, String)>,
    ) -> Result<(), TriggerError> {
        let path = self.path();
        let (Some(Step::Key(name)), inner) = (path.steps.first(), path.steps.get(1..)) else {
            return Err(path.refuses("a form has fields with names".to_owned()));
        };
        let found = fields.iter().position(|(known, _)| known == name);
        if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
            let at = found.ok_or_else(|| path.refuses(format!("there is no field `{name}`")))?;
            let mut document: Value = serde_json::from_str(&fields[at].1)
                .map_err(|_| path.refuses(format!("the field `{name}` holds no JSON")))?;
            self.apply_steps(&mut document, inner).map_err(|message| path.refuses(message))?;
            fields[at].1 = document.to_string();
            return Ok(());
        }
        match (self, found) {
            (Self::Set(_, value), Some(at)) => fields[at].1 = value.plain(),
            (Self::Set(_, value), None) | (Self::Add(_, value), _) => {
                fields.push((name.clone(), value.plain()));
            }
            (Self::Remove(_), Some(_)) => fields.retain(|(known, _)| known != name),
            (Self::Remove(_), None) => {
                return Err(path.refuses(format!("there is no field `{name}`")));
            }
        }
        Ok(())
    }
}

impl Given {
    /// As a form writes it: numbers with the digits that were given.
    fn plain(&self) -> String {
        self.value.as_str().unwrap_or(&self.text).to_owned()
    }
}

fn assignment(text: &str) -> Result<(Path, Given), TriggerError> {
    // The first `=` outside of brackets: a quoted key may hold one.
    let mut depth = 0i32;
    let at = text.char_indices().find(|(_, character)| {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && *character == '='
    });
    let (at, _) = at.ok_or_else(|| TriggerError::Path {
        path: text.to_owned(),
        message: "there is no `=` with a value behind it",
    })?;
    let given = &text[at + 1..];
    let value = serde_json::from_str(given).unwrap_or_else(|_| Value::from(given));
    Ok((Path::parse(&text[..at])?, Given { text: given.to_owned(), value }))
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, TriggerError> {
        let wrong = |message| TriggerError::Path { path: text.to_owned(), message };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let quote = after.chars().next().filter(|first| matches!(first, '"' | '\''));
                if let Some(quote) = quote {
                    let (key, behind) =
                        after[1..].split_once(quote).ok_or_else(|| wrong("a quote has no end"))?;
                    rest = behind.strip_prefix(']').ok_or_else(|| wrong("a bracket has no end"))?;
                    steps.push(Step::Key(key.to_owned()));
                } else {
                    let (index, behind) =
                        after.split_once(']').ok_or_else(|| wrong("a bracket has no end"))?;
                    let index = index.parse().map_err(|_| wrong("a bracket holds no number"))?;
                    rest = behind;
                    steps.push(Step::Index(index));
                }
            } else {
                let key = rest.strip_prefix('.').filter(|_| !steps.is_empty()).unwrap_or(rest);
                let end = key.find(['.', '[']).unwrap_or(key.len());
                if end == 0 {
                    return Err(wrong("a key is empty"));
                }
                steps.push(Step::Key(key[..end].to_owned()));
                rest = &key[end..];
            }
        }
        if steps.is_empty() {
            return Err(wrong("it is empty"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    fn refuses(&self, message: String) -> TriggerError {
        TriggerError::Change { path: self.text.clone(), message }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Where an index leads; the place behind the last one is not among them.
fn place(index: i64, length: usize) -> Result<usize, String> {
    let from_end = i64::try_from(length).unwrap_or(i64::MAX).saturating_add(index);
    let at = if index < 0 { from_end } else { index };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < length)
        .ok_or_else(|| format!("the list has {length} items and no [{index}]"))
}

fn walk<'v>(document: &'v mut Value, steps: &[Step]) -> Result<&'v mut Value, String> {
    let mut here = document;
    for step in steps {
        here = match (step, here) {
            (Step::Index(index), Value::Array(items)) => {
                // One place behind the end grows the list, as `--add` would.
                if usize::try_from(*index).is_ok_and(|at| at == items.len()) {
                    items.push(Value::Null);
                }
                let at = place(*index, items.len())?;
                &mut items[at]
            }
            (Step::Key(key), Value::Object(members)) => {
                members.entry(key.as_str()).or_insert(Value::Null)
            }
            (Step::Key(key), place @ Value::Null) => {
                *place = Value::Object(Map::new());
                match place {
                    Value::Object(members) => members.entry(key.as_str()).or_insert(Value::Null),
                    _ => return Err("it cannot be made".to_owned()),
                }
            }
            (Step::Key(key), other) => {
                return Err(format!("`{key}` would be in {}", kind(other)));
            }
            (Step::Index(index), other) => {
                return Err(format!("[{index}] would be in {}", kind(other)));
            }
        };
    }
    Ok(here)
}

fn remove(document: &mut Value, steps: &[Step]) -> Result<(), String> {
    let Some((last, before)) = steps.split_last() else {
        return Err("it is the whole body".to_owned());
    };
    let mut here = document;
    for step in before {
        here = match (step, here) {
            (Step::Index(index), Value::Array(items)) => {
                let at = place(*index, items.len())?;
                &mut items[at]
            }
            (Step::Key(key), Value::Object(members)) => {
                members.get_mut(key).ok_or_else(|| format!("there is no `{key}`"))?
            }
            _ => return Err("there is no such value".to_owned()),
        };
    }
    match (last, here) {
        (Step::Index(index), Value::Array(items)) => {
            let at = place(*index, items.len())?;
            items.remove(at);
            Ok(())
        }
        (Step::Key(key), Value::Object(members)) => match members.shift_remove(key) {
            Some(_) => Ok(()),
            None => Err(format!("there is no `{key}`")),
        },
        _ => Err("there is no such value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(mut document: Value, change: Result<Change, TriggerError>) -> Result<Value, String> {
        let change = change.map_err(|error| error.to_string())?;
        change.apply(&mut document).map_err(|error| error.to_string())?;
        Ok(document)
    }

    #[test]
    fn values_are_typed_and_paths_lead_into_lists() {
        let body = || json!({ "a": { "b": [{ "c": 1 }] }, "x.y": 1 });
        let set = |text: &str| changed(body(), Change::set(text)).expect("is set");
        assert_eq!(set("a.b[0].c=2")["a"]["b"][0]["c"], json!(2));
        assert_eq!(set("a.b[-1].c=two")["a"]["b"][0]["c"], json!("two"));
        assert_eq!(set("a.b[1]={\"d\":null}")["a"]["b"][1], json!({ "d": null }));
        assert_eq!(set("n.e.w=\"007\"")["n"]["e"]["w"], json!("007"));
        assert_eq!(set("['x.y']=true")["x.y"], json!(true));
        assert_eq!(set("[\"k=v\"]=a=b")["k=v"], json!("a=b"));
        assert_eq!(set("text=")["text"], json!(""));
        let added = changed(body(), Change::add("a.b=7")).expect("is added");
        assert_eq!(added["a"]["b"][1], json!(7));
        assert_eq!(changed(body(), Change::add("new=7")).expect("is added")["new"], json!([7]));
        let removed = changed(body(), Change::remove("a.b[0].c")).expect("is removed");
        assert_eq!(removed["a"]["b"][0], json!({}));
    }

    #[test]
    fn what_leads_nowhere_is_said() {
        let body = || json!({ "a": { "b": [1] } });
        for wrong in
            ["a.b[5]=1", "a.b.c=1", "a.b[0].c=1", "novalue", "=1", "a..b=1", "a[x]=1", "a[0=1"]
        {
            assert!(changed(body(), Change::set(wrong)).is_err(), "{wrong}");
        }
        assert!(changed(body(), Change::add("a=1")).is_err(), "an object is no list");
        for wrong in ["a.c", "b.c", "a.b[1]", ""] {
            assert!(changed(body(), Change::remove(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn forms_have_fields() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut fields = vec![field("Body", "hi"), field("payload", "{\"a\":1}")];
        for change in [
            Change::set("Body=1e5"),
            Change::set("New=x"),
            Change::set("payload.a=\"z\""),
            Change::add("New=y"),
        ] {
            change.expect("parses").apply_form(&mut fields).expect("is changed");
        }
        let texts: Vec<&str> = fields.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(texts, ["1e5", "{\"a\":\"z\"}", "x", "y"]);
        Change::remove("New").expect("parses").apply_form(&mut fields).expect("is removed");
        assert_eq!(fields.len(), 2);
        let missing = Change::remove("New").expect("parses").apply_form(&mut fields);
        assert!(missing.is_err());
    }
}
