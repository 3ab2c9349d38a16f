//! An endpoint's filter in the file: a table, or a JSON text.

use becket_filter::Filter;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::compound::json_of;
use super::reader::{Reader, Slot};
use super::value::{Value, article};

impl Value for Filter {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let read = match node.get_ref() {
            DeValue::String(text) => Self::parse(text),
            DeValue::Table(_) => Self::from_document(json_of(node)),
            other => {
                let message =
                    format!("`{}` takes a table or a JSON text, not {}", slot.path, article(other));
                let hint = Some("write { body = { ref = \"refs/heads/main\" } }".to_owned());
                reader.problem(slot, node.span(), "wrong_type", message, hint);
                return None;
            }
        };
        match read {
            Ok(filter) => {
                reader.came_from_file(slot, node.span());
                Some(filter)
            }
            Err(error) => {
                let hint = Some("docs/guides/filters.md explains the syntax".to_owned());
                reader.problem(slot, node.span(), error.code(), error.to_string(), hint);
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": ["object", "string"] })
    }

    fn words() -> String {
        "filter".to_owned()
    }

    fn show(&self) -> Json {
        self.document().clone()
    }
}
