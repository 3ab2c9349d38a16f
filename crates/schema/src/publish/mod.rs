//! The event types of a product, published for the people who receive them: as OpenAPI, as AsyncAPI
//! and as one page.
//!
//! Everything in a catalogue was written by somebody: names, descriptions and schemas are escaped
//! wherever they go, and no part of a page runs. Archived event types are left out, deprecated ones
//! are marked. The newest version of a schema is the one that is described.
//!
//! Deliberately absent: who may see which event type; the catalogue holds what is to be published.

mod asyncapi;
mod documents;
mod fields;
mod html;
mod markdown;
mod openapi;
mod verify;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::example;

pub use asyncapi::asyncapi;
pub use html::html;
pub use openapi::openapi;

/// The style sheet of [`html`]'s page: light, dark, narrow and printed.
pub const STYLESHEET: &str = include_str!("style.css");

/// Marks an example in a document as made from the schema, so that importing does not take it over.
pub const GENERATED: &str = "x-generated";

/// The event types to publish, in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    /// The event types.
    pub event_types: Vec<EventType>,
}

/// One event type as it is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventType {
    /// Its name.
    pub name: String,
    /// What it means: paragraphs, lists, `code`, **bold** and links to the web; may be empty.
    pub description: String,
    /// The group that it is listed in.
    pub group: Option<String>,
    /// Whether it should no longer be used.
    pub deprecated: bool,
    /// Whether it is hidden.
    pub archived: bool,
    /// JSON Schemas of the payload by version. Versions that are numbers are ordered as numbers.
    pub schemas: BTreeMap<String, Value>,
    /// An example that somebody wrote; without one, the schema's own or one made from it is shown.
    pub example: Option<Value>,
}

impl EventType {
    /// The versions and schemas, newest first.
    fn versions(&self) -> Vec<(&str, &Value)> {
        let mut versions: Vec<_> =
            self.schemas.iter().map(|(version, schema)| (version.as_str(), schema)).collect();
        versions.sort_by(|(a, _), (b, _)| by_number(b, a));
        versions
    }

    /// The schema of the newest version.
    fn newest(&self) -> Option<&Value> {
        self.versions().first().map(|(_, schema)| *schema)
    }

    /// The example to show, and whether it was made from the schema.
    fn shown_example(&self) -> Option<(Value, bool)> {
        if let Some(example) = &self.example {
            return Some((example.clone(), false));
        }
        let schema = self.newest()?;
        let written = example::documented(schema, 0).is_some();
        match example::of_schema(schema, 0) {
            Ok(example) => Some((example, !written)),
            // A written example that does not fit would mislead; a made one is better.
            Err(_) if written => example::generate(schema, 0).ok().map(|example| (example, true)),
            Err(_) => None,
        }
    }
}

impl Catalogue {
    /// What is published: without the archived ones, by name.
    fn shown(&self) -> Vec<&EventType> {
        let mut shown: Vec<_> = self.event_types.iter().filter(|one| !one.archived).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        shown
    }

    /// The groups in use, by name; the event types without a group come last.
    fn groups(&self) -> Vec<(Option<&str>, Vec<&EventType>)> {
        let mut groups: BTreeMap<(bool, Option<&str>), Vec<&EventType>> = BTreeMap::new();
        for one in self.shown() {
            let group = one.group.as_deref().filter(|group| !group.is_empty());
            groups.entry((group.is_none(), group)).or_default().push(one);
        }
        groups.into_iter().map(|((_, group), members)| (group, members)).collect()
    }
}

/// Compares versions: `10` is newer than `9`, and `v10` than `v9`.
fn by_number(a: &str, b: &str) -> Ordering {
    let split = |text: &str| {
        let digits = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (front, number) = text.split_at(digits);
        (front.to_owned(), number.trim_start_matches('0').to_owned())
    };
    let ((front_a, number_a), (front_b, number_b)) = (split(a), split(b));
    front_a
        .cmp(&front_b)
        .then(number_a.len().cmp(&number_b.len()))
        .then(number_a.cmp(&number_b))
        .then(a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found() {
        for (versions, newest) in [
            (vec!["1", "10", "9"], "10"),
            (vec!["v2", "v10"], "v10"),
            (vec!["2025-01-01", "2026-01-01"], "2026-01-01"),
            (vec!["01", "2"], "2"),
        ] {
            let mut one = EventType::default();
            for version in versions {
                one.schemas.insert(version.to_owned(), Value::Bool(true));
            }
            assert_eq!(one.versions()[0].0, newest);
        }
    }
}
