//! The SQL: every statement that is run, with its identifiers quoted and its values as parameters.
//!
//! Both databases read the same statements but for the names of types and of parameters.

use crate::column::ColumnType;
use crate::error::SqlError;
use crate::plan::{SqlPlan, Target, Write, check_name};

/// The table that remembers which events were applied.
pub(crate) const APPLIED: &str = "becket_applied";
/// How many remembered events are forgotten at a time.
const FORGET_ROWS: u32 = 1_000;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// A table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl Table {
    /// Reads `table`, `schema.table`, and names in quotes that may have dots in them.
    pub(crate) fn parse(text: &str) -> Result<Self, SqlError> {
        let wrong =
            |problem: &str| SqlError::Name { name: text.to_owned(), problem: problem.to_owned() };
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let end =
                        quoted.find('"').ok_or_else(|| wrong("has a quote that is not closed"))?;
                    (&quoted[..end], &quoted[end + 1..])
                }
                None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
            };
            check_name(name)?;
            names.push(name.to_owned());
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return Err(wrong("is no name of a table")),
            }
        }
        match <[String; 2]>::try_from(names) {
            Ok([schema, name]) => Ok(Self { schema: Some(schema), name }),
            Err(mut names) if names.len() == 1 => Ok(Self { schema: None, name: names.remove(0) }),
            Err(_) => Err(wrong("is no name of a table; write `table` or `schema.table`")),
        }
    }

    /// The name as SQL.
    pub(crate) fn sql(&self) -> String {
        self.beside(&self.name)
    }

    /// The name of a table in the same schema, as SQL.
    pub(crate) fn beside(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
            None => quoted(name),
        }
    }
}

/// An identifier, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The statement that writes the row. Parameters are the columns' values in the plan's order.
pub(crate) fn write(plan: &SqlPlan, targets: &[Target]) -> String {
    let names: Vec<String> = plan.columns.iter().map(|column| column.name.clone()).collect();
    let values: Vec<String> = targets
        .iter()
        .enumerate()
        .map(|(index, target)| match plan.dialect() {
            // The cast has no length, so that one that is too long is refused and not cut off.
            Dialect::Postgres if target.kind != ColumnType::Bytes => {
                format!("CAST(${} AS {})", index + 1, target.cast)
            }
            Dialect::Postgres => format!("${}", index + 1),
            Dialect::Sqlite => format!("?{}", index + 1),
        })
        .collect();
    let table = plan.table.sql();
    let insert =
        format!("INSERT INTO {table} AS t ({}) VALUES ({})", list(&names), values.join(", "));
    let conflict = list(plan.conflict());
    match &plan.write {
        Write::Insert { .. } => format!("{insert} ON CONFLICT ({conflict}) DO NOTHING"),
        Write::Upsert { on, newer } => {
            let sets: Vec<String> = names
                .iter()
                .filter(|name| !on.contains(name))
                .map(|name| format!("{0} = excluded.{0}", quoted(name)))
                .collect();
            let only = newer.as_ref().map_or_else(String::new, |newer| {
                let newer = quoted(newer);
                format!(" WHERE t.{newer} IS NULL OR excluded.{newer} >= t.{newer}")
            });
            format!("{insert} ON CONFLICT ({conflict}) DO UPDATE SET {}{only}", sets.join(", "))
        }
    }
}

/// Makes the table as the mapping describes it.
pub(crate) fn create(plan: &SqlPlan) -> String {
    let columns: Vec<String> = plan
        .columns
        .iter()
        .map(|column| {
            let kind = column.kind.or_else(|| column.origin.kind()).unwrap_or(ColumnType::Text);
            let required = if plan.conflict().contains(&column.name) { " NOT NULL" } else { "" };
            format!("{} {}{required}", quoted(&column.name), type_name(kind, plan.dialect()))
        })
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))",
        plan.table.sql(),
        columns.join(", "),
        list(plan.conflict())
    )
}

fn type_name(kind: ColumnType, dialect: Dialect) -> &'static str {
    match (kind, dialect) {
        (ColumnType::Text | ColumnType::Other, _) => "text",
        (ColumnType::Integer, Dialect::Postgres) => "bigint",
        (ColumnType::Integer, Dialect::Sqlite) => "integer",
        (ColumnType::Float, Dialect::Postgres) => "double precision",
        (ColumnType::Float, Dialect::Sqlite) => "real",
        (ColumnType::Numeric, _) => "numeric",
        (ColumnType::Boolean, _) => "boolean",
        (ColumnType::Json, Dialect::Postgres) => "jsonb",
        (ColumnType::Json, Dialect::Sqlite) => "json",
        (ColumnType::Timestamp, Dialect::Postgres) => "timestamptz",
        (ColumnType::Timestamp, Dialect::Sqlite) => "timestamp",
        (ColumnType::Date, _) => "date",
        (ColumnType::Uuid, _) => "uuid",
        (ColumnType::Bytes, Dialect::Postgres) => "bytea",
        (ColumnType::Bytes, Dialect::Sqlite) => "blob",
    }
}

/// The statements around an upsert, which remember what was applied.
pub(crate) struct Remembering {
    pub(crate) create: [String; 2],
    /// Parameters: endpoint, table, event, when (ms). Changes one row, or none if it was applied.
    pub(crate) remember: String,
    /// Parameters: endpoint, table, before when (ms).
    pub(crate) forget: String,
}

impl Remembering {
    pub(crate) fn of(table: &Table) -> Self {
        let applied = table.beside(APPLIED);
        let index = quoted(&format!("{APPLIED}_at"));
        Self {
            create: [
                format!(
                    "CREATE TABLE IF NOT EXISTS {applied} (endpoint text NOT NULL, target text NOT NULL, \
                     event_id text NOT NULL, applied_at_ms bigint NOT NULL, \
                     PRIMARY KEY (endpoint, target, event_id))"
                ),
                format!("CREATE INDEX IF NOT EXISTS {index} ON {applied} (applied_at_ms)"),
            ],
            remember: format!(
                "INSERT INTO {applied} (endpoint, target, event_id, applied_at_ms) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (endpoint, target, event_id) DO NOTHING"
            ),
            forget: format!(
                "DELETE FROM {applied} WHERE (endpoint, target, event_id) IN (SELECT endpoint, target, \
                 event_id FROM {applied} WHERE endpoint = $1 AND target = $2 AND applied_at_ms < $3 \
                 LIMIT {FORGET_ROWS})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, quoted};

    #[test]
    fn names_are_read_and_quoted() {
        let cases = [
            ("events", Some("\"events\"")),
            ("public.events", Some("\"public\".\"events\"")),
            ("\"my.schema\".\"Ev ents\"", Some("\"my.schema\".\"Ev ents\"")),
            ("x; DROP TABLE y", Some("\"x; DROP TABLE y\"")),
            ("a.b.c", None),
            ("", None),
            ("a.", None),
            ("\"a", None),
            ("\"a\"b", None),
        ];
        for (text, expected) in cases {
            let table = Table::parse(text).map(|table| table.sql());
            assert_eq!(table.as_deref().ok(), expected, "{text}");
        }
        assert_eq!(quoted("a\" b"), "\"a\"\" b\"");
    }
}
