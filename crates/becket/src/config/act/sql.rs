//! `[source.endpoint.sql]`: a table that gets a row for each event.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::action::Action;
use becket_sql::{ColumnSettings, ColumnType, Mode, SqlAction, SqlPlan, SqlSettings};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::ActContext;
use crate::config::reader::{Reader, Slot};
use crate::config::secret::Secret;
use crate::config::table::table;
use crate::config::value::{Scalar, Value, article};

table! {
    /// A table that gets a row for each event.
    pub struct Sql {
        /// Where it is: `postgres://USER:PASSWORD@HOST/DATABASE` or `sqlite:FILE`.
        url: DatabaseUrl,
        /// The table, with its schema if it has one. Names are taken letter by letter.
        table: String,
        /// `insert` writes a row for each event; `upsert` keeps one row for each business key.
        mode: RowMode = "insert",
        /// The column that holds the event's id, for `insert`; filled by itself. `event_id` if absent.
        key: Option<String>,
        /// The columns of the business key, for `upsert`.
        on: Vec<String>,
        /// The column that tells which of two events is the newer one, for `upsert`; an older event
        /// then changes nothing.
        newer: Option<String>,
        /// Whether the table is made if it is missing.
        create: bool = "false",
        /// For how long applied events are remembered, for `upsert`.
        remember: Duration = "90d",
        /// How many connections to a PostgreSQL server there may be.
        connections: u32 = "2",
        /// What fills each column: `event.id`, `event.received_at`, `header.NAME`, `query.NAME`,
        /// `body`, `body.a.b[0]`, a text with `{{...}}`, or `{ from = "...", type = "..." }`.
        columns: BTreeMap<String, SqlColumn>,
    }
}

impl Sql {
    /// The action that this describes. For an endpoint that is in force, the database is looked at in
    /// the background.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, context: &ActContext) -> Result<Arc<dyn Action>, String> {
        let settings = SqlSettings {
            url: self.url.text(),
            table: self.table.clone(),
            key: self.key.clone(),
            mode: self.mode.0,
            on: self.on.clone(),
            newer: self.newer.clone(),
            create: self.create,
            remember_ms: u64::try_from(self.remember.as_millis()).unwrap_or(u64::MAX),
            connections: usize::try_from(self.connections).unwrap_or(usize::MAX),
            columns: self
                .columns
                .iter()
                .map(|(name, column)| (name.clone(), column.0.clone()))
                .collect(),
        };
        let plan = SqlPlan::new(&settings).map_err(|error| error.to_string())?;
        let action = SqlAction::new(plan, &context.endpoint);
        // Without an id it is only being checked.
        if !context.endpoint_id.is_empty() {
            action.begin().map_err(|error| error.to_string())?;
        }
        Ok(Arc::new(action))
    }
}

/// A database's URL; a relative path of SQLite begins in the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    secret: Secret,
    base: PathBuf,
}

impl DatabaseUrl {
    fn text(&self) -> String {
        let text = self.secret.expose();
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => {
                let path = path.strip_prefix("//").unwrap_or(path);
                format!("sqlite:{}", self.base.join(path).display())
            }
            _ => text.to_owned(),
        }
    }
}

impl Value for DatabaseUrl {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let secret = Secret::load(reader, slot)?;
        Some(Self { secret, base: reader.base.clone() })
    }

    fn schema() -> Json {
        Secret::schema()
    }

    fn words() -> String {
        Secret::words()
    }

    fn show(&self) -> Json {
        self.secret.show()
    }

    fn is_secret() -> bool {
        true
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMode(Mode);

impl Scalar for RowMode {
    const WORDS: &'static str = "word";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "insert" => Ok(Self(Mode::Insert)),
            "upsert" => Ok(Self(Mode::Upsert)),
            _ => Err(format!("`{text}` is not possible here; use insert, upsert")),
        }
    }

    fn text(&self) -> String {
        match self.0 {
            Mode::Insert => "insert".to_owned(),
            Mode::Upsert => "upsert".to_owned(),
        }
    }

    fn json_schema() -> Json {
        json!({ "enum": ["insert", "upsert"] })
    }
}

/// What fills a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlColumn(ColumnSettings);

impl Value for SqlColumn {
    fn load(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<Self> {
        let Some(node) = slot.node else {
            reader.missing(slot);
            return None;
        };
        let (from, kind) = match node.get_ref() {
            DeValue::String(from) => (from.to_string(), None),
            DeValue::Table(table) => {
                if let Some((key, value)) = table
                    .iter()
                    .find(|(key, _)| !["from", "type"].contains(&key.get_ref().as_ref()))
                {
                    reader.unknown_key(&slot.path, key, value, &["from", "type"]);
                    return None;
                }
                let text = |name: &str| table.get(name).and_then(|value| value.get_ref().as_str());
                let Some(from) = text("from") else {
                    return wrong(reader, slot);
                };
                match (table.contains_key("type"), text("type").map(str::parse::<ColumnType>)) {
                    (false, _) => (from.to_owned(), None),
                    (true, Some(Ok(kind))) => (from.to_owned(), Some(kind)),
                    (true, Some(Err(message))) => {
                        reader.error(slot, node.span(), "wrong_value", message);
                        return None;
                    }
                    (true, None) => return wrong(reader, slot),
                }
            }
            _ => return wrong(reader, slot),
        };
        reader.came_from_file(slot, node.span());
        Some(Self(ColumnSettings { from, kind }))
    }

    fn schema() -> Json {
        let kinds = ColumnType::NAMES.map(|(name, _)| name);
        json!({ "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["from"],
                "properties": { "from": { "type": "string" }, "type": { "enum": kinds } },
            },
        ] })
    }

    fn words() -> String {
        "field".to_owned()
    }

    fn show(&self) -> Json {
        match self.0.kind {
            None => json!(self.0.from),
            Some(kind) => json!({ "from": self.0.from, "type": kind.to_string() }),
        }
    }
}

fn wrong(reader: &mut Reader<'_>, slot: &Slot<'_>) -> Option<SqlColumn> {
    if let Some(node) = slot.node {
        let message = format!("`{}` takes a field, not {}", slot.path, article(node.get_ref()));
        let hint = "write \"body.name\", or { from = \"body.name\", type = \"text\" }";
        reader.problem(slot, node.span(), "wrong_type", message, Some(hint.to_owned()));
    }
    None
}
