//! Group commit of the small state: what several threads want to write at the same time becomes one
//! transaction and one sync.
//!
//! Everybody puts their work into a list and waits for the writing connection. Whoever gets it does
//! the work of all who wait by then, so the next ones find theirs done. Each piece of work is undone
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
}

struct Asked<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    answer: SyncSender<Result<T>>,
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
        // Whoever asked may have gone.
        let _ = self.answer.send(result);
    }
}

/// The writing connection and who waits for it.
pub(super) struct Group {
    connection: Mutex<Connection>,
    waiting: Mutex<Vec<Box<dyn Work>>>,
}

impl Group {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Mutex::new(connection), waiting: Mutex::new(Vec::new()) }
    }

    /// Does the work in a transaction, which is on disk when this returns.
    pub(super) fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        self.waiting.lock().push(Box::new(Asked { work: Some(work), result: None, answer }));
        {
            let connection = self.connection.lock();
            // Somebody else may have done it meanwhile; then others wait, or nobody.
            let mut batch = std::mem::take(&mut *self.waiting.lock());
            if !batch.is_empty() {
                let committed = write_all(&connection, operation, &mut batch);
                batch.iter_mut().for_each(|asked| asked.tell(committed.clone()));
            }
        }
        answered.recv().unwrap_or(Err(StoreError::Closed))
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
