//! Compares the mapping with the real table, and says for each column what is wrong with it.

use crate::column::{ColumnType, Gives};
use crate::plan::{Column, SqlPlan, Target, Write};
use crate::statement::Dialect;

/// A column of the real table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RealColumn {
    pub(crate) name: String,
    /// Its type as the database names it, without a length.
    pub(crate) type_name: String,
    /// The type that a text is cast to on its way into it; PostgreSQL only.
    pub(crate) cast: String,
    pub(crate) kind: ColumnType,
    pub(crate) not_null: bool,
    /// Whether the database fills it when nobody else does.
    pub(crate) has_default: bool,
    /// Whether the database alone fills it.
    pub(crate) generated: bool,
}

/// The real table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RealTable {
    pub(crate) columns: Vec<RealColumn>,
    /// The columns of each unique index that has no condition.
    pub(crate) unique: Vec<Vec<String>>,
}

impl SqlPlan {
    /// Where each column's value goes, or a sentence for everything that does not fit.
    pub(crate) fn targets(&self, real: &RealTable) -> Result<Vec<Target>, Vec<String>> {
        let mut problems = Vec::new();
        let mut targets = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            match self.target(column, real) {
                Ok(target) => targets.push(target),
                Err(problem) => problems.push(problem),
            }
        }
        let filled = |name: &str| self.columns.iter().any(|own| self.same(&own.name, name));
        for column in &real.columns {
            let needs = column.not_null && !column.has_default && !column.generated;
            if needs && !filled(&column.name) {
                problems.push(format!(
                    "The column `{}` must have a value (NOT NULL without a default), and nothing in \
                     `columns` fills it.",
                    column.name
                ));
            }
        }
        let known = |name: &String| real.columns.iter().any(|column| self.same(&column.name, name));
        if self.conflict().iter().all(known) && !self.is_unique(real) {
            problems.push(self.not_unique());
        }
        if problems.is_empty() { Ok(targets) } else { Err(problems) }
    }

    fn target(&self, column: &Column, real: &RealTable) -> Result<Target, String> {
        let name = &column.name;
        let Some(found) = real.columns.iter().find(|real| self.same(&real.name, name)) else {
            let near = real.columns.iter().find(|real| real.name.eq_ignore_ascii_case(name));
            let hint =
                near.map_or_else(String::new, |near| format!(" (but it has `{}`)", near.name));
            return Err(format!("The table has no column `{name}`{hint}."));
        };
        if found.generated {
            return Err(format!(
                "The column `{name}` is filled by the database alone; take it out of `columns`."
            ));
        }
        let kind = match (column.kind, self.dialect()) {
            (None, _) => found.kind,
            // SQLite stores what it is given; how it is written is the mapping's choice.
            (Some(kind), Dialect::Sqlite) => kind,
            (Some(kind), Dialect::Postgres) if holds(found.kind, kind) => found.kind,
            (Some(kind), Dialect::Postgres) => {
                return Err(format!(
                    "The column `{name}` is {} in the table and {kind} in `columns`.",
                    found.type_name
                ));
            }
        };
        if !can_give(column.origin.gives(), kind) {
            return Err(format!(
                "The column `{name}` is {}, which `{}` never is.",
                found.type_name, column.from
            ));
        }
        Ok(Target { cast: found.cast.clone(), kind, required: found.not_null })
    }

    /// SQLite does not distinguish the letters' case in names.
    fn same(&self, one: &str, other: &str) -> bool {
        match self.dialect() {
            Dialect::Postgres => one == other,
            Dialect::Sqlite => one.eq_ignore_ascii_case(other),
        }
    }

    fn is_unique(&self, real: &RealTable) -> bool {
        let wanted = self.conflict();
        real.unique.iter().any(|index| {
            index.len() == wanted.len()
                && wanted.iter().all(|name| index.iter().any(|own| self.same(own, name)))
        })
    }

    fn not_unique(&self) -> String {
        let names = self.conflict().join("`, `");
        let reason = match self.write {
            Write::Insert { .. } => "by which a redelivered event is recognised",
            Write::Upsert { .. } => "by which the row to change is found",
        };
        let list: Vec<String> =
            self.conflict().iter().map(|name| crate::statement::quoted(name)).collect();
        format!(
            "There is no unique index on `{names}`, {reason}; make one with CREATE UNIQUE INDEX ON {} \
             ({}).",
            self.table.sql(),
            list.join(", ")
        )
    }
}

/// Whether a real column of one kind holds what the mapping calls by the other.
fn holds(real: ColumnType, mapped: ColumnType) -> bool {
    use ColumnType::{Float, Integer, Numeric, Other};
    real == mapped
        || real == Other
        || matches!((real, mapped), (Numeric, Integer | Float) | (Float, Integer | Numeric))
}

/// Whether an origin's values can be of this kind at all.
fn can_give(gives: Gives, kind: ColumnType) -> bool {
    use ColumnType::{
        Boolean, Bytes, Date, Float, Integer, Json, Numeric, Other, Text, Timestamp, Uuid,
    };
    match gives {
        Gives::Anything => true,
        Gives::Word => matches!(kind, Text | Json | Bytes | Other),
        Gives::Integer => !matches!(kind, Uuid | Timestamp | Date | Boolean),
        Gives::Moment => {
            matches!(kind, Timestamp | Date | Text | Integer | Float | Numeric | Json | Other)
        }
        Gives::Body => matches!(kind, Text | Json | Bytes | Other),
    }
}
