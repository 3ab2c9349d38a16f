//! What is to be written: the configuration, checked as far as it can be without a connection.

use std::collections::BTreeMap;

use becket_egress::action::template::Fields;

use crate::column::{ColumnSettings, ColumnType, Found, Origin};
use crate::convert::{Cell, convert};
use crate::error::SqlError;
use crate::statement::{Dialect, Table};
use crate::url::Database;

/// PostgreSQL cuts longer names off without a word.
const NAME_BYTES_MAX: usize = 63;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A row for each event; the key column says which events are there.
    #[default]
    Insert,
    /// One row for each business key, changed by later events.
    Upsert,
}

/// What an endpoint that writes rows is configured with.
#[derive(Clone)]
pub struct SqlSettings {
    /// `postgres://...` or `sqlite:PATH`.
    pub url: String,
    /// The table, with its schema if it has one.
    pub table: String,
    /// The column that holds the event's id, for [`Mode::Insert`]; `event_id` if absent.
    pub key: Option<String>,
    /// How rows are written.
    pub mode: Mode,
    /// The columns of the business key, for [`Mode::Upsert`].
    pub on: Vec<String>,
    /// The column by which an older event is recognised, for [`Mode::Upsert`].
    pub newer: Option<String>,
    /// Whether the table is made if it is missing.
    pub create: bool,
    /// For how long applied events are remembered, in milliseconds, for [`Mode::Upsert`].
    pub remember_ms: u64,
    /// How many connections to a PostgreSQL server there may be.
    pub connections: usize,
    /// What fills each column.
    pub columns: BTreeMap<String, ColumnSettings>,
}

/// A configuration that can work, as far as that shows without a connection.
#[derive(Clone)]
pub struct SqlPlan {
    pub(crate) database: Database,
    pub(crate) table: Table,
    pub(crate) write: Write,
    pub(crate) create: bool,
    pub(crate) remember_ms: i64,
    pub(crate) connections: usize,
    pub(crate) columns: Vec<Column>,
}

/// How rows are written, with what that needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Insert { key: String },
    Upsert { on: Vec<String>, newer: Option<String> },
}

/// A column that is filled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The field that fills it, as it was written.
    pub(crate) from: String,
    pub(crate) origin: Origin,
    pub(crate) kind: Option<ColumnType>,
}

impl SqlPlan {
    /// Checks a configuration.
    ///
    /// # Errors
    /// The first thing that cannot work, in a sentence.
    pub fn new(settings: &SqlSettings) -> Result<Self, SqlError> {
        let database = Database::parse(&settings.url)?;
        let table = Table::parse(&settings.table)?;
        let mut columns = Vec::with_capacity(settings.columns.len() + 1);
        for (name, column) in &settings.columns {
            check_name(name)?;
            columns.push(Column::new(name, column)?);
        }
        let write = match settings.mode {
            Mode::Insert => insert(settings, &mut columns)?,
            Mode::Upsert => upsert(settings)?,
        };
        let plan = Self {
            database,
            table,
            write,
            create: settings.create,
            remember_ms: i64::try_from(settings.remember_ms).unwrap_or(i64::MAX),
            connections: settings.connections.max(1),
            columns,
        };
        if plan.create {
            plan.check_kinds()?;
        }
        if plan.dialect() == Dialect::Sqlite && plan.table.schema.is_some() {
            let problem = "a table of SQLite has no schema in front of its name";
            return Err(SqlError::Settings(problem.to_owned()));
        }
        Ok(plan)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.database {
            Database::Sqlite(_) => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The columns whose values must be unique together, for redelivery to be recognised.
    pub(crate) fn conflict(&self) -> &[String] {
        match &self.write {
            Write::Insert { key } => std::slice::from_ref(key),
            Write::Upsert { on, .. } => on,
        }
    }

    /// Whether a row without a value here would defeat what the column is for.
    fn needs_value(&self, column: &str) -> bool {
        let newer = match &self.write {
            Write::Insert { .. } => None,
            Write::Upsert { newer, .. } => newer.as_deref(),
        };
        self.conflict().iter().any(|name| name == column) || newer == Some(column)
    }

    /// A made table needs to know what its columns are to be.
    fn check_kinds(&self) -> Result<(), SqlError> {
        for column in &self.columns {
            if column.kind.or_else(|| column.origin.kind()).is_none() {
                return Err(SqlError::Column {
                    column: column.name.clone(),
                    problem: format!(
                        "`create` needs its type; write {{ from = \"{}\", type = \"text\" }}",
                        column.from
                    ),
                });
            }
        }
        Ok(())
    }

    /// The values of one row, for columns of these kinds, in the order of [`Self::columns`].
    /// `required` says which must not be NULL. The error is a sentence.
    pub(crate) fn row(&self, fields: &Fields<'_>, targets: &[Target]) -> Result<Vec<Cell>, String> {
        let mut cells = Vec::with_capacity(targets.len());
        for (column, target) in self.columns.iter().zip(targets) {
            let found = column.origin.find(fields);
            let missing = found == Found::Missing;
            if missing && (target.required || self.needs_value(&column.name)) {
                return Err(format!(
                    "The column `{}` must have a value, and the event has no `{}`.",
                    column.name, column.from
                ));
            }
            let cell = convert(found, target.kind).map_err(|problem| {
                format!("The column `{}` {problem} (`{}`).", column.name, column.from)
            })?;
            cells.push(cell);
        }
        Ok(cells)
    }
}

/// What is known of the real column that a value goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The type that a text is cast to; PostgreSQL only.
    pub(crate) cast: String,
    pub(crate) kind: ColumnType,
    /// Whether NULL is refused.
    pub(crate) required: bool,
}

impl Column {
    fn new(name: &str, settings: &ColumnSettings) -> Result<Self, SqlError> {
        let origin = Origin::parse(&settings.from)
            .map_err(|problem| SqlError::Column { column: name.to_owned(), problem })?;
        Ok(Self { name: name.to_owned(), from: settings.from.clone(), origin, kind: settings.kind })
    }
}

fn insert(settings: &SqlSettings, columns: &mut Vec<Column>) -> Result<Write, SqlError> {
    if !settings.on.is_empty() || settings.newer.is_some() {
        let problem = "`on` and `newer` are for mode = \"upsert\"";
        return Err(SqlError::Settings(problem.to_owned()));
    }
    let key = settings.key.clone().unwrap_or_else(|| "event_id".to_owned());
    check_name(&key)?;
    if !columns.iter().any(|column| column.name == key) {
        let from = ColumnSettings { from: "event.id".to_owned(), kind: None };
        columns.insert(0, Column::new(&key, &from)?);
    }
    Ok(Write::Insert { key })
}

fn upsert(settings: &SqlSettings) -> Result<Write, SqlError> {
    if settings.key.is_some() {
        let problem = "`key` is for mode = \"insert\"; with mode = \"upsert\" a small table remembers \
                       the events";
        return Err(SqlError::Settings(problem.to_owned()));
    }
    if settings.on.is_empty() {
        let problem = "mode = \"upsert\" needs `on`, the columns of the business key, such as \
                       on = [\"customer_id\"]";
        return Err(SqlError::Settings(problem.to_owned()));
    }
    for name in settings.on.iter().chain(&settings.newer) {
        if !settings.columns.contains_key(name) {
            let problem = "`on` or `newer` names it, and nothing in `columns` fills it".to_owned();
            return Err(SqlError::Column { column: name.clone(), problem });
        }
    }
    if settings.newer.as_ref().is_some_and(|newer| settings.on.contains(newer)) {
        let problem =
            "`newer` cannot be one of `on`: rows with the same key would never differ in it";
        return Err(SqlError::Settings(problem.to_owned()));
    }
    if settings.columns.len() == settings.on.len() {
        let problem = "mode = \"upsert\" has nothing to change: every column is in `on`";
        return Err(SqlError::Settings(problem.to_owned()));
    }
    Ok(Write::Upsert { on: settings.on.clone(), newer: settings.newer.clone() })
}

/// Refuses names that no database would take as they are.
pub(crate) fn check_name(name: &str) -> Result<(), SqlError> {
    let problem = if name.is_empty() {
        "is no name".to_owned()
    } else if name.contains('\0') {
        "has a character that no name may have".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("is longer than {NAME_BYTES_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(SqlError::Name { name: name.to_owned(), problem })
}
