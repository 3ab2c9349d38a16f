//! Group commit of the small state: what several threads want to write at the same time becomes one
//! transaction and one sync.
//!
//! Everybody puts their work into a list. One of them leads: does the work of all who wait by then,
//! tells them, and hands the lead over to one who has come meanwhile. Each piece of work is undone
//! alone if it fails; if the commit fails, all of it is.

use std::sync::mpsc::{SyncSender, sync_channel};

use becket_store::{Result, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::errors::database;

/// A piece of work in a transaction that is shared with others.
trait Work: Send {
    /// Does it; `false` if it failed and has to be undone.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells whoever waits what came of it.
    fn tell(&mut self, committed: Result<()>);

    /// Tells whoever waits to lead.
    fn lead(&self);
}

/// What one who waits is told.
enum Told<T> {
    Lead,
    Done(Result<T>),
}

struct Asked<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    answer: SyncSender<Told<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T> + Send> Work for Asked<T, F> {
    fn run(&mut self, connection: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(connection));
        matches!(self.result, Some(Ok(_)))
    }

    fn tell(&mut self, committed: Result<()>) {
        let result = match (self.result.take(), committed) {
            (Some(Ok(_)) | None, Err(error)) => Err(error),
            (Some(result), _) => result,
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // There is room for both messages, and whoever asked waits for them.
        let _ = self.answer.try_send(Told::Done(result));
    }

    fn lead(&self) {
        let _ = self.answer.try_send(Told::Lead);
    }
}

/// The writing connection and who waits for it.
pub(super) struct Group {
    connection: Mutex<Connection>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: Vec<Box<dyn Work>>,
    /// Whether somebody leads.
    led: bool,
}

/// Leads until it is dropped, then hands over.
struct Lead<'a>(&'a Group);

impl Lead<'_> {
    /// Does the work of all who wait.
    fn work(&self, operation: &'static str) {
        let connection = self.0.connection.lock();
        let mut batch = std::mem::take(&mut self.0.line.lock().waiting);
        let committed = write_all(&connection, operation, &mut batch);
        batch.iter_mut().for_each(|asked| asked.tell(committed.clone()));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        match line.waiting.first() {
            Some(next) => next.lead(),
            None => line.led = false,
        }
    }
}

impl Group {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Mutex::new(connection), line: Mutex::new(Line::default()) }
    }

    /// Does the work in a transaction, which is on disk when this returns.
    pub(super) fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(2);
        let leads = {
            let mut line = self.line.lock();
            line.waiting.push(Box::new(Asked { work: Some(work), result: None, answer }));
            !std::mem::replace(&mut line.led, true)
        };
        if leads {
            Lead(self).work(operation);
        }
        loop {
            match answered.recv() {
                Ok(Told::Lead) => Lead(self).work(operation),
                Ok(Told::Done(result)) => return result,
                Err(_) => return Err(StoreError::Closed),
            }
        }
    }

    /// Works with the connection while nobody writes.
    pub(super) fn alone<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.connection.lock())
    }
}

fn write_all(
    connection: &Connection,
    operation: &'static str,
    batch: &mut [Box<dyn Work>],
) -> Result<()> {
    let failed = database(operation);
    if !connection.is_autocommit() {
        // A thread has ended in the middle; nobody was told that its work is done.
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let written = run_all(connection, operation, batch)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(failed));
    if written.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    written
}

fn run_all(
    connection: &Connection,
    operation: &'static str,
    batch: &mut [Box<dyn Work>],
) -> Result<()> {
    let failed = database(operation);
    for asked in batch {
        connection.execute_batch("SAVEPOINT one").map_err(failed)?;
        if !asked.run(connection) {
            connection.execute_batch("ROLLBACK TO one").map_err(failed)?;
        }
        connection.execute_batch("RELEASE one").map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn what_fails_is_undone_alone() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE kept(number INTEGER PRIMARY KEY)").unwrap();
        let group = Group::new(connection);
        let barrier = Barrier::new(16);
        std::thread::scope(|scope| {
            for number in 0..16_i64 {
                let (group, barrier) = (&group, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let written = group.write("write", move |connection| {
                        connection
                            .execute("INSERT INTO kept VALUES(?1)", [number])
                            .map_err(database("write"))?;
                        if number % 2 == 0 { Err(StoreError::Closed) } else { Ok(number) }
                    });
                    assert_eq!(written.ok(), (number % 2 == 1).then_some(number));
                });
            }
        });
        let kept: i64 = group.alone(|connection| {
            connection
                .query_row("SELECT count(*) FROM kept WHERE number % 2 = 1", [], |row| row.get(0))
                .unwrap()
        });
        let all: i64 = group.alone(|connection| {
            connection.query_row("SELECT count(*) FROM kept", [], |row| row.get(0)).unwrap()
        });
        assert_eq!((kept, all), (8, 8));
    }
}
