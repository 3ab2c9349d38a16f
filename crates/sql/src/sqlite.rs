//! Writes rows into SQLite: one connection on one thread, in WAL mode.
//!
//! Invariants: the thread ends when the endpoint does; a file that was replaced under its name is
//! opened anew, so that no row goes into one that nobody sees.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use becket_egress::action::ActionRequest;
use becket_egress::action::template::Fields;
use becket_egress::{AttemptError, AttemptOutcome};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, ToSql, ffi, params};
use tokio::sync::oneshot;

use crate::action::{FORGET_EVERY_MS, Told, Written, late};
use crate::check::{RealColumn, RealTable};
use crate::column::ColumnType;
use crate::convert::Cell;
use crate::error::SqlError;
use crate::plan::{SqlPlan, Target, Write};
use crate::statement::{self, Remembering};

/// How long looking at the table at the start may wait for a lock.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// One row to be written.
struct Job {
    request: ActionRequest,
    until: Instant,
    reply: oneshot::Sender<AttemptOutcome>,
}

/// The endpoint's side of the thread.
pub(crate) struct Sqlite {
    jobs: mpsc::Sender<Job>,
}

impl Sqlite {
    pub(crate) fn start(
        plan: Arc<SqlPlan>,
        path: PathBuf,
        endpoint: &str,
    ) -> Result<Self, SqlError> {
        let (jobs, queue) = mpsc::channel();
        let told = Told::new(endpoint, &plan);
        let mut writer = Writer { plan, path, told, session: None, forgot_at_ms: 0 };
        std::thread::Builder::new()
            .name("becket-sql".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| SqlError::Thread(error.to_string()))?;
        Ok(Self { jobs })
    }

    pub(crate) async fn write(&self, request: ActionRequest, limit: Duration) -> AttemptOutcome {
        let (reply, answer) = oneshot::channel();
        let ended = || {
            let note = "The thread that writes has ended; see the log.";
            AttemptOutcome::not_done(AttemptError::DatabaseUnreachable, note)
        };
        if self.jobs.send(Job { request, until: Instant::now() + limit, reply }).is_err() {
            return ended();
        }
        match tokio::time::timeout(limit, answer).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| ended()),
            Err(_) => late(),
        }
    }
}

/// Why nothing was written.
enum Failure {
    Table(Vec<String>),
    Row(String),
    Engine(rusqlite::Error),
    File(std::io::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

struct Writer {
    plan: Arc<SqlPlan>,
    path: PathBuf,
    told: Told,
    session: Option<Session>,
    forgot_at_ms: i64,
}

/// An open file whose table has been looked at.
struct Session {
    connection: Connection,
    file: (u64, u64),
    /// SQLite's count of changes to the schema when the table was looked at.
    schema: i64,
    targets: Vec<Target>,
    write: String,
}

impl Writer {
    fn run(&mut self, queue: &mpsc::Receiver<Job>) {
        if let Err(failure) = self.open(CHECK_LIMIT) {
            self.told.log(&judge(&failure));
        }
        while let Ok(job) = queue.recv() {
            if job.reply.is_closed() {
                continue;
            }
            let limit = job.until.saturating_duration_since(Instant::now());
            let outcome = match self.write(&job.request, limit) {
                Ok(written) => {
                    self.told.fits();
                    written.outcome()
                }
                Err(failure) => {
                    let outcome = judge(&failure);
                    if outcome.error != Some(AttemptError::RowInvalid) {
                        self.session = None;
                    }
                    self.told.log(&outcome);
                    outcome
                }
            };
            // Whoever asked may have stopped waiting; the event is safe to be written again.
            let _ = job.reply.send(outcome);
        }
    }

    fn open(&mut self, limit: Duration) -> Result<(), Failure> {
        if let Some(session) = &self.session
            && file_of(&self.path).is_ok_and(|file| file == session.file)
            && schema_of(&session.connection)? == session.schema
        {
            session.connection.busy_timeout(limit)?;
            return Ok(());
        }
        self.session = None;
        self.session = Some(Session::open(&self.plan, &self.path, limit)?);
        Ok(())
    }

    fn write(&mut self, request: &ActionRequest, limit: Duration) -> Result<Written, Failure> {
        self.open(limit)?;
        let fields = Fields::of(request);
        let written = match self.try_write(request, &fields) {
            // Somebody may have changed the table: see it anew.
            Err(Failure::Engine(error)) if is_stale(&error) => {
                self.session = None;
                self.open(limit)?;
                self.try_write(request, &fields)?
            }
            other => other?,
        };
        let now_ms = request.started_at_ms;
        if now_ms.saturating_sub(self.forgot_at_ms) >= FORGET_EVERY_MS {
            self.forgot_at_ms = now_ms;
            self.forget(&request.endpoint, now_ms.saturating_sub(self.plan.remember_ms));
        }
        Ok(written)
    }

    fn try_write(
        &mut self,
        request: &ActionRequest,
        fields: &Fields<'_>,
    ) -> Result<Written, Failure> {
        let Some(session) = &mut self.session else {
            return Err(Failure::Table(vec!["The database is not open.".to_owned()]));
        };
        let cells = self.plan.row(fields, &session.targets).map_err(Failure::Row)?;
        let values = || rusqlite::params_from_iter(cells.iter().map(Parameter));
        if let Write::Insert { .. } = self.plan.write {
            let mut write = session.connection.prepare_cached(&session.write)?;
            return Ok(match write.execute(values())? {
                0 => Written::AlreadyThere,
                _ => Written::Row,
            });
        }
        let remember = Remembering::of(&self.plan.table).remember;
        let transaction = session
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let first = transaction.prepare_cached(&remember)?.execute(params![
            request.endpoint,
            self.plan.table.sql(),
            request.event_id,
            request.started_at_ms
        ])?;
        if first == 0 {
            transaction.rollback()?;
            return Ok(Written::AlreadyApplied);
        }
        let changed = transaction.prepare_cached(&session.write)?.execute(values())?;
        transaction.commit()?;
        Ok(if changed == 0 { Written::Older } else { Written::Row })
    }

    fn forget(&self, endpoint: &str, before_ms: i64) {
        let (Some(session), Write::Upsert { .. }) = (&self.session, &self.plan.write) else {
            return;
        };
        let forget = Remembering::of(&self.plan.table).forget;
        let values = params![endpoint, self.plan.table.sql(), before_ms];
        if let Err(error) = session.connection.execute(&forget, values) {
            tracing::warn!(endpoint, error = explain(&error), "sql.forget_failed");
        }
    }
}

impl Session {
    fn open(plan: &SqlPlan, path: &Path, limit: Duration) -> Result<Self, Failure> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if plan.create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(limit)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Read first: what changes while the table is looked at is seen with the next row.
        let schema = schema_of(&connection)?;
        let mut real = inspect(&connection, &plan.table.name)?;
        if real.is_none() && plan.create {
            connection.execute_batch(&statement::create(plan))?;
            real = inspect(&connection, &plan.table.name)?;
        }
        let Some(real) = real else {
            let problem =
                format!("There is no table {}; make it, or set `create = true`.", plan.table.sql());
            return Err(Failure::Table(vec![problem]));
        };
        let targets = plan.targets(&real).map_err(Failure::Table)?;
        if let Write::Upsert { .. } = plan.write {
            for make in &Remembering::of(&plan.table).create {
                connection.execute_batch(make)?;
            }
        }
        let write = statement::write(plan, &targets);
        let file = file_of(path).map_err(Failure::File)?;
        Ok(Self { connection, file, schema, targets, write })
    }
}

fn schema_of(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("PRAGMA schema_version", [], |row| row.get(0))
}

/// Which file is behind a name: its device and number.
fn file_of(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn inspect(connection: &Connection, table: &str) -> Result<Option<RealTable>, rusqlite::Error> {
    let known = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 \
                 COLLATE NOCASE";
    if connection.query_row(known, [table], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    // `hidden` is 2 or 3 for generated columns.
    let mut columns = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) \
         WHERE hidden <> 1",
    )?;
    let mut keys = Vec::new();
    let columns = columns
        .query_map([table], |row| {
            let type_name: String = row.get(1)?;
            let (key, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
            Ok((
                RealColumn {
                    name: row.get(0)?,
                    kind: kind_of(&type_name),
                    cast: String::new(),
                    type_name: if type_name.is_empty() { "untyped".to_owned() } else { type_name },
                    not_null: row.get(2)?,
                    has_default: row.get(3)?,
                    generated: hidden > 1,
                },
                key,
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for (column, key) in &columns {
        if *key > 0 {
            keys.push((column.name.clone(), column.type_name.eq_ignore_ascii_case("INTEGER")));
        }
    }
    let mut columns: Vec<RealColumn> = columns.into_iter().map(|(column, _)| column).collect();
    let mut unique = Vec::new();
    // A whole-number primary key is the row's number: it has no index, and fills itself.
    if let [(name, true)] = keys.as_slice() {
        unique.push(vec![name.clone()]);
        for column in columns.iter_mut().filter(|column| column.name == *name) {
            column.has_default = true;
        }
    }
    let mut indexes = connection
        .prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial")?;
    let names = indexes
        .query_map([table], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for name in names {
        let mut parts = connection.prepare("SELECT name FROM pragma_index_info(?1)")?;
        let parts = parts
            .query_map([name], |row| row.get::<_, Option<String>>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        // An expression has no name.
        if let Some(parts) = parts.into_iter().collect::<Option<Vec<String>>>() {
            unique.push(parts);
        }
    }
    Ok(Some(RealTable { columns, unique }))
}

/// What a declared type says about the values. SQLite's own rules decide by parts of the name.
fn kind_of(declared: &str) -> ColumnType {
    let name = declared.split('(').next().unwrap_or_default().trim().to_ascii_uppercase();
    match name.as_str() {
        "" | "ANY" => return ColumnType::Other,
        "JSON" | "JSONB" => return ColumnType::Json,
        "UUID" => return ColumnType::Uuid,
        "DATE" => return ColumnType::Date,
        "DATETIME" | "TIMESTAMP" | "TIMESTAMPTZ" => return ColumnType::Timestamp,
        "BYTEA" => return ColumnType::Bytes,
        _ => {}
    }
    let has = |part: &str| name.contains(part);
    if has("BOOL") {
        ColumnType::Boolean
    } else if has("INT") {
        ColumnType::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        ColumnType::Text
    } else if has("BLOB") {
        ColumnType::Bytes
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        ColumnType::Float
    } else if has("NUMERIC") || has("DECIMAL") {
        ColumnType::Numeric
    } else {
        ColumnType::Other
    }
}

/// A value as it is bound.
struct Parameter<'a>(&'a Cell);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Float(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Cell::Boolean(value) => ToSqlOutput::Owned(Value::Integer(i64::from(*value))),
            Cell::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Whether somebody may have changed the table since it was looked at.
fn is_stale(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::Unknown | ErrorCode::SchemaChanged))
}

/// What a failure means for the delivery.
fn judge(failure: &Failure) -> AttemptOutcome {
    let error = match failure {
        Failure::Table(problems) => {
            return AttemptOutcome::not_done(AttemptError::DatabaseRefused, problems.join(" "));
        }
        Failure::Row(problem) => {
            return AttemptOutcome::given_up(AttemptError::RowInvalid, problem.clone());
        }
        Failure::File(error) => {
            let note = format!("The database's file cannot be reached: {error}.");
            return AttemptOutcome::not_done(AttemptError::DatabaseUnreachable, note);
        }
        Failure::Engine(error) => error,
    };
    let note = explain(error);
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        // A row that this one refers to may be on its way.
        Some(ErrorCode::ConstraintViolation)
            if extended == Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) =>
        {
            AttemptOutcome::not_done(AttemptError::DatabaseRefused, note)
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            AttemptOutcome::given_up(AttemptError::RowInvalid, note)
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::PermissionDenied
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt,
        ) => AttemptOutcome::not_done(AttemptError::DatabaseUnreachable, note),
        _ => AttemptOutcome::not_done(AttemptError::DatabaseRefused, note),
    }
}

/// A sentence about an error of SQLite. Its own texts name tables and columns, never values.
fn explain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "Another program holds the database's lock.".to_owned()
        }
        Some(ErrorCode::CannotOpen) => {
            "The database's file cannot be opened; check its path and its folder's rights, or set \
             `create = true`."
                .to_owned()
        }
        _ => format!("SQLite says: {error}."),
    }
}
