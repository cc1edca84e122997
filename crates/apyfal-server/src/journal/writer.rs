//! The one thread that writes.
//!
//! It takes everything that waits, writes it in one transaction, and answers. A transaction is
//! synced to disk as it commits where one of its entries asks for that (`synchronous = FULL`: SQLite
//! syncs the write-ahead log before `COMMIT` returns); others are only handed to the operating
//! system (`NORMAL`: SQLite syncs the log when it moves it into the database, so that a power
//! failure takes the newest of them but never an older one, and damages nothing).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use apyfal_core::{Error, Result};
use apyfal_database::{Database, Failure};
use rusqlite::Connection;

use super::Durability;
use super::age::Age;
use super::ids::Ids;
use super::queue::{Group, Queue};
use super::reserve::Reserve;
use super::statements::Statements;
use super::usage::Tally;

/// What the thread has.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) path: PathBuf,
    pub(super) queue: Arc<Queue>,
    pub(super) ids: Arc<Ids>,
    pub(super) plain_rows: u64,
    pub(super) age: Age,
    pub(super) reserve: Reserve,
}

/// However the thread ends, nobody waits for it any longer.
struct CloseOnDrop(Arc<Queue>, Arc<Ids>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
        self.1.close();
    }
}

impl Writer {
    /// Writes groups until the queue is closed, and syncs all of it.
    pub(super) fn run(self) -> Result<()> {
        let Self { database, path, queue, ids, plain_rows, age, mut reserve } = self;
        let connection = database.connection();
        let _farewell = CloseOnDrop(queue.clone(), ids.clone());
        let failed = |error| writing(error, &path);
        let mut statements =
            Statements::new(connection, plain_rows, age).map_err(|error| failed(error.into()))?;
        let mut synced = Sync { connection, full: None };
        loop {
            let group = queue.next_group();
            let last = group.last;
            reserve.restore();
            let mut write = |full: Option<Error>| {
                let outcome = write(connection, &mut statements, &mut synced, &group, full);
                outcome.map_err(failed)
            };
            let mut outcome = write(reserve.is_spent().then(|| reserve.refusal()));
            if outcome.as_ref().is_err_and(|error| reserve.is_for(error)) && reserve.spend() {
                outcome = write(Some(reserve.refusal()));
            }
            let failure = outcome.as_ref().err().map(Error::duplicate);
            let full = reserve.is_spent().then(|| reserve.refusal().operation(operation(&path)));
            queue.set_failure(failure.as_ref().map(Error::duplicate).or(full));
            answer(group, outcome, reserve.is_spent(), &queue, &path);
            match (last, failure) {
                (false, _) => continue,
                (true, Some(failure)) => return Err(failure),
                (true, None) => {}
            }
            // No number can be given after this, so none of those left is skipped. Writing it syncs
            // the groups before it too.
            let next = ids.close();
            let sealed = synced.set(true).and_then(|()| statements.reserve(next));
            sealed.map_err(|error| failed(error.into()))?;
            drop(statements);
            let checkpoint = || {
                let done = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                done.map_err(|error| failed(error.into()))
            };
            let done = checkpoint().or_else(|error| match reserve.is_for(&error) {
                true if reserve.spend() => checkpoint(),
                _ => Err(error),
            });
            // What the database has no room for stays in the log, which is synced.
            done.or_else(|error| if reserve.is_for(&error) { Ok(()) } else { Err(error) })?;
            let _lock = database.close();
            reserve.take();
            return Ok(());
        }
    }
}

/// How thoroughly the connection syncs.
struct Sync<'c> {
    connection: &'c Connection,
    full: Option<bool>,
}

impl Sync<'_> {
    fn set(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != Some(full) {
            let word = if full { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.full = Some(full);
        }
        Ok(())
    }
}

/// Writes a group, or nothing of it. On success there is an outcome for each entry. What is new is
/// refused where the disk is `full`.
fn write(
    connection: &Connection,
    statements: &mut Statements<'_>,
    synced: &mut Sync<'_>,
    group: &Group,
    full: Option<Error>,
) -> Result<Vec<Result<()>>, Failure> {
    let durability = group.entries.iter().map(|entry| entry.durability).max();
    synced.set(durability == Some(Durability::Disk))?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = write_within(statements, group, full)
        .and_then(|outcomes| Ok(connection.execute_batch("COMMIT").map(|()| outcomes)?));
    if written.is_err() && !connection.is_autocommit() {
        // Where even this fails, so does the next BEGIN, and whoever waits for that is told.
        let _ = connection.execute_batch("ROLLBACK");
    }
    written
}

fn write_within(
    statements: &mut Statements<'_>,
    group: &Group,
    full: Option<Error>,
) -> Result<Vec<Result<()>>, Failure> {
    let mut tally = Tally::default();
    let mut outcomes = Vec::with_capacity(group.entries.len());
    for entry in &group.entries {
        if let Some(full) = full.as_ref().filter(|_| entry.work.is_new()) {
            outcomes.push(Err(full.duplicate()));
            continue;
        }
        outcomes.push(match statements.apply(&entry.work, &mut tally) {
            Ok(()) => Ok(()),
            Err(Failure::Entry(error)) => Err(error),
            Err(failure) => return Err(failure),
        });
    }
    if full.is_none() {
        statements.apply_plain(&group.plain)?;
        tally.merge(&group.plain.tally);
    }
    statements.apply_usage(&tally)?;
    Ok(outcomes)
}

/// Tells everybody who waits. What nobody waits for is tried again, where it failed with its group or
/// was not even tried, the disk being full.
fn answer(
    group: Group,
    outcome: Result<Vec<Result<()>>>,
    is_full: bool,
    queue: &Queue,
    path: &Path,
) {
    match outcome {
        Ok(outcomes) => {
            let mut waiting = Vec::new();
            for (mut entry, outcome) in group.entries.into_iter().zip(outcomes) {
                match entry.answer.take() {
                    Some(answer) => {
                        answer(outcome.map_err(|error| error.operation(operation(path))));
                    }
                    None if is_full && entry.work.is_new() => waiting.push(entry),
                    None => {}
                }
            }
            if is_full {
                queue.give_back(waiting, group.plain);
            }
        }
        Err(error) => {
            let mut unanswered = Vec::new();
            for mut entry in group.entries {
                match entry.answer.take() {
                    Some(answer) => answer(Err(error.duplicate())),
                    None => unanswered.push(entry),
                }
            }
            queue.give_back(unanswered, group.plain);
        }
    }
}

fn operation(path: &Path) -> String {
    format!("write the journal '{}'", path.display())
}

fn writing(failure: Failure, path: &Path) -> Error {
    failure.on(path).operation(operation(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncing_is_switched_from_group_to_group() {
        let connection = Connection::open_in_memory().unwrap();
        let mut sync = Sync { connection: &connection, full: None };
        for (full, level) in [(true, 2), (false, 1), (false, 1), (true, 2)] {
            sync.set(full).unwrap();
            let is: i64 =
                connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(is, level);
        }
    }
}
