//! One connection to PostgreSQL with its statements: looking at the table, writing a row.

use becket_egress::action::ActionRequest;
use becket_egress::action::template::Fields;
use becket_postgres::Tls;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Statement};

use super::Failure;
use crate::action::Written;
use crate::check::{RealColumn, RealTable};
use crate::column::ColumnType;
use crate::convert::Cell;
use crate::plan::{SqlPlan, Target, Write};
use crate::statement::{self, APPLIED, Remembering};

/// A connection that has seen the table.
pub(super) struct Session {
    client: Client,
    targets: Vec<Target>,
    write: Statement,
    remember: Option<Statement>,
}

/// Connects; the connection's own work goes on in the background until its client is dropped.
pub(super) async fn connect(config: &Config, tls: Tls) -> Result<Client, Failure> {
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

/// Whether a session that was kept may be the reason, so that a fresh one is worth a try.
pub(super) fn is_stale(error: &tokio_postgres::Error) -> bool {
    let Some(told) = error.as_db_error() else {
        return true;
    };
    let code = told.code();
    ["08", "57"].contains(&&code.code()[..2])
        || [
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::INVALID_COLUMN_REFERENCE,
            SqlState::FEATURE_NOT_SUPPORTED,
            SqlState::UNDEFINED_PSTATEMENT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::NOT_NULL_VIOLATION,
        ]
        .contains(code)
}

impl Session {
    /// Looks at the table (making it if that is wanted) and prepares the statements.
    pub(super) async fn prepare(client: Client, plan: &SqlPlan) -> Result<Self, Failure> {
        let mut real = inspect(&client, plan).await?;
        if real.is_none() && plan.create {
            client.batch_execute(&statement::create(plan)).await?;
            real = inspect(&client, plan).await?;
        }
        let Some(real) = real else {
            let problem = format!(
                "There is no table {} (names are case-sensitive); make it, or set `create = true`.",
                plan.table.sql()
            );
            return Err(Failure::Table(vec![problem]));
        };
        let targets = plan.targets(&real).map_err(Failure::Table)?;
        let types: Vec<Type> = targets
            .iter()
            .map(|target| match target.kind {
                ColumnType::Bytes => Type::BYTEA,
                _ => Type::TEXT,
            })
            .collect();
        let write = client.prepare_typed(&statement::write(plan, &targets), &types).await?;
        let remember = match plan.write {
            Write::Insert { .. } => None,
            Write::Upsert { .. } => Some(prepare_remembering(&client, plan).await?),
        };
        Ok(Self { client, targets, write, remember })
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.client.is_closed()
    }

    /// Writes the row of one event.
    pub(super) async fn write(
        &mut self,
        plan: &SqlPlan,
        request: &ActionRequest,
        fields: &Fields<'_>,
    ) -> Result<Written, Failure> {
        let cells = plan.row(fields, &self.targets).map_err(Failure::Row)?;
        let mut values = Vec::with_capacity(cells.len());
        for (cell, column) in cells.into_iter().zip(&plan.columns) {
            let value = Parameter::of(cell).ok_or_else(|| {
                Failure::Row(format!(
                    "The column `{}` cannot hold a text with a zero byte (`{}`).",
                    column.name, column.from
                ))
            })?;
            values.push(value);
        }
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let Some(remember) = &self.remember else {
            return Ok(match self.client.execute(&self.write, &values).await? {
                0 => Written::AlreadyThere,
                _ => Written::Row,
            });
        };
        let transaction = self.client.transaction().await?;
        let target = plan.table.sql();
        let first = transaction
            .execute(
                remember,
                &[&request.endpoint, &target, &request.event_id, &request.started_at_ms],
            )
            .await?;
        if first == 0 {
            transaction.rollback().await?;
            return Ok(Written::AlreadyApplied);
        }
        let changed = transaction.execute(&self.write, &values).await?;
        transaction.commit().await?;
        Ok(if changed == 0 { Written::Older } else { Written::Row })
    }

    /// Forgets applied events that are older than is remembered.
    pub(super) async fn forget(
        &self,
        plan: &SqlPlan,
        endpoint: &str,
        before_ms: i64,
    ) -> Result<(), tokio_postgres::Error> {
        if self.remember.is_some() {
            let forget = Remembering::of(&plan.table).forget;
            self.client.execute(&forget, &[&endpoint, &plan.table.sql(), &before_ms]).await?;
        }
        Ok(())
    }
}

async fn prepare_remembering(client: &Client, plan: &SqlPlan) -> Result<Statement, Failure> {
    let remembering = Remembering::of(&plan.table);
    let known = client
        .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&plan.table.beside(APPLIED)])
        .await?;
    if !known.get::<_, bool>(0) {
        for make in &remembering.create {
            client.batch_execute(make).await.map_err(|error| {
                if error.as_db_error().is_none() {
                    return Failure::Server(error);
                }
                Failure::Table(vec![format!(
                    "The table that remembers applied events could not be made ({}). Make it as \
                     somebody who may: {};",
                    super::explain(&error),
                    remembering.create.join("; ")
                )])
            })?;
        }
    }
    Ok(client.prepare(&remembering.remember).await?)
}

/// The real table, if there is one.
async fn inspect(client: &Client, plan: &SqlPlan) -> Result<Option<RealTable>, Failure> {
    let name = plan.table.sql();
    let found = client.query_one("SELECT to_regclass($1::text)::oid", &[&name]).await?;
    let Some(table) = found.get::<_, Option<u32>>(0) else {
        return Ok(None);
    };
    let mut wanted = vec!["INSERT", "SELECT"];
    if matches!(plan.write, Write::Upsert { .. }) {
        wanted.push("UPDATE");
    }
    for right in wanted {
        let may = client
            .query_one("SELECT has_any_column_privilege($1::oid, $2::text)", &[&table, &right])
            .await?;
        if !may.get::<_, bool>(0) {
            let problem = format!("The user may not {right} on {name}; GRANT it that right.");
            return Err(Failure::Table(vec![problem]));
        }
    }
    let columns = client
        .query(
            // A domain is followed to the type beneath it: casting to the domain itself would cut off
            // what is too long.
            "SELECT a.attname::text, format_type(a.atttypid, -1), format_type((WITH RECURSIVE \
             beneath (oid) AS (SELECT a.atttypid UNION ALL SELECT d.typbasetype FROM beneath \
             JOIN pg_type d ON d.oid = beneath.oid WHERE d.typbasetype <> 0) \
             SELECT d.oid FROM beneath JOIN pg_type d ON d.oid = beneath.oid \
             WHERE d.typbasetype = 0), -1), \
             a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '', \
             a.attgenerated <> '' OR a.attidentity = 'a' \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&table],
        )
        .await?;
    let columns = columns
        .iter()
        .map(|row| RealColumn {
            name: row.get(0),
            type_name: row.get(1),
            cast: row.get(2),
            kind: kind_of(row.get(2)),
            not_null: row.get(3),
            has_default: row.get(4),
            generated: row.get(5),
        })
        .collect();
    // Indexes with a condition, with expressions or checked at the commit recognise no conflict.
    let unique = client
        .query(
            "SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid \
             AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) FROM pg_index i \
             WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate \
             AND i.indpred IS NULL AND i.indexprs IS NULL",
            &[&table],
        )
        .await?;
    let unique = unique.iter().map(|row| row.get(0)).collect();
    Ok(Some(RealTable { columns, unique }))
}

fn kind_of(type_name: &str) -> ColumnType {
    match type_name {
        "text" | "character varying" | "bpchar" | "citext" | "name" => ColumnType::Text,
        "smallint" | "integer" | "bigint" => ColumnType::Integer,
        "real" | "double precision" => ColumnType::Float,
        "numeric" => ColumnType::Numeric,
        "boolean" => ColumnType::Boolean,
        "json" | "jsonb" => ColumnType::Json,
        "timestamp with time zone" | "timestamp without time zone" => ColumnType::Timestamp,
        "date" => ColumnType::Date,
        "uuid" => ColumnType::Uuid,
        "bytea" => ColumnType::Bytes,
        _ => ColumnType::Other,
    }
}

/// A value as it travels.
#[derive(Debug)]
enum Parameter {
    Null,
    Text(String),
    Bytes(Bytes),
}

impl Parameter {
    /// None for a text that the server cannot hold.
    fn of(cell: Cell) -> Option<Self> {
        Some(match cell {
            Cell::Null => Self::Null,
            Cell::Text(text) if text.contains('\0') => return None,
            Cell::Text(text) => Self::Text(text),
            Cell::Integer(number) => Self::Text(number.to_string()),
            Cell::Float(number) => Self::Text(number.to_string()),
            Cell::Boolean(value) => Self::Text(value.to_string()),
            Cell::Bytes(bytes) => Self::Bytes(bytes),
        })
    }
}

impl ToSql for Parameter {
    fn to_sql(
        &self,
        _kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}
