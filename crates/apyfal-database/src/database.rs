//! A database: its file, its lock, its tables.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::lock::{Lock, Mode};
use rusqlite::{Connection, OpenFlags};

use crate::Failure;
use crate::failure::advised;

/// How long to wait for somebody else who looks into the file with tools of SQLite.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a database is of, and how it came to be what it is.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What it is called in errors: `journal`.
    pub name: &'static str,
    /// Whose it is, one process's at a time: `agent`.
    pub owner: &'static str,
    /// Marks a file as one of these (`application_id`).
    pub mark: i32,
    /// What makes each version out of the one before; the first makes an empty database version 1.
    pub migrations: &'static [&'static str],
}

/// An open database, which is this process's own until this is dropped.
#[derive(Debug)]
pub struct Database {
    // It is closed before the lock is given back.
    connection: Connection,
    lock: Lock,
}

impl Database {
    /// Its connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Its connection, for transactions.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Closes the file, and keeps it from others as long as what is returned is held.
    pub fn close(self) -> Lock {
        self.lock
    }
}

impl Schema {
    /// Opens the database at `path` for the one who writes; makes it where there is none. Each
    /// version that it lacks is made in one transaction, and synced.
    ///
    /// # Errors
    /// Another process has it open, it is damaged, of a newer version or another program's, or it
    /// cannot be written. It is never replaced.
    pub fn open(&self, path: &Path) -> Result<Database> {
        self.try_open(path).map_err(|error| {
            advised(error, path).operation(format!("open the {} '{}'", self.name, path.display()))
        })
    }

    fn try_open(&self, path: &Path) -> Result<Database> {
        let lock = self.lock(path)?;
        make_private(path)?;
        let failed = |error| Failure::from(error).on(path);
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        let version = self.version(&connection, path)?;
        check(&connection, path)?;
        if version == 0 {
            // What is deleted can be given back to the disk. It has no effect on a file that has tables:
            // one of before keeps its size, and what is deleted in it is used anew. To change that takes
            // a copy of it, for which there may be neither room nor time when a host starts.
            connection.pragma_update(None, "auto_vacuum", "incremental").map_err(failed)?;
        }
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        // A burst must not leave a big file behind for good.
        connection.pragma_update(None, "journal_size_limit", 16 << 20).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
        self.migrate(&mut connection, version).map_err(failed)?;
        // The name of a new file must survive a power failure as well.
        File::open(parent(path)).and_then(|folder| folder.sync_all())?;
        Ok(Database { connection, lock })
    }

    /// The lock is on a file of its own: SQLite's own locks would be lost if this process closed
    /// another handle of the database.
    fn lock(&self, path: &Path) -> Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let name = PathBuf::from(name);
        Lock::try_take(&name, Mode::Exclusive)?.ok_or_else(|| {
            let Self { name: what, owner, .. } = self;
            Error::new(ErrorKind::Conflict, format!("another {owner} uses it"))
                .context("lock", name.display())
                .hint(format!("stop that {owner}, or give this one a {what} of its own"))
        })
    }

    /// Which version the file has; 0 where it is new.
    fn version(&self, connection: &Connection, path: &Path) -> Result<usize> {
        let read = |what| connection.pragma_query_value(None, what, |row| row.get::<_, i64>(0));
        let failed = |error| Failure::from(error).on(path);
        let mark = read("application_id").map_err(failed)?;
        if mark != i64::from(self.mark) && !(mark == 0 && is_empty(connection).map_err(failed)?) {
            return Err(Error::new(ErrorKind::Conflict, "it is the database of another program")
                .hint(format!("give the {} another path", self.name)));
        }
        // A negative one is not ours, and no version that will ever be.
        let version = read("user_version").map_err(failed)?;
        let version = usize::try_from(version).unwrap_or(usize::MAX);
        let known = self.migrations.len();
        if version > known {
            let why =
                format!("its schema has version {version}, and this apyfal knows up to {known}");
            return Err(Error::new(ErrorKind::Conflict, why)
                .hint("run the newer apyfal that wrote it, or move it away to begin a new one"));
        }
        Ok(version)
    }

    fn migrate(&self, connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
        for (index, migration) in self.migrations.iter().enumerate().skip(version) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "application_id", self.mark)?;
            transaction.pragma_update(None, "user_version", index as i64 + 1)?;
            transaction.commit()?;
        }
        Ok(())
    }
}

/// Opens a database that another connection of this process has open, for one who reads.
///
/// # Errors
/// It cannot be opened.
pub fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !path.is_file() {
                return Err(Error::new(ErrorKind::Conflict, "it is not a file"));
            }
            Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
        }
        made => Ok(made.map(drop)?),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Looks at every page once, so that damage shows now and not when a promise depends on it.
fn check(connection: &Connection, path: &Path) -> Result<()> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| Failure::from(error).on(path))?;
    if found == "ok" { Ok(()) } else { Err(Failure::Damaged(found).on(path)) }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const FIRST: &str = "CREATE TABLE host (name TEXT PRIMARY KEY) STRICT";
    const SECOND: &str = "ALTER TABLE host ADD COLUMN zone TEXT; UPDATE host SET zone = 'here'";
    /// It fails in its second half.
    const BROKEN: &str = "DELETE FROM host; INSERT INTO nowhere VALUES (1)";

    fn schema(migrations: &'static [&'static str]) -> Schema {
        Schema { name: "ledger", owner: "process", mark: 7, migrations }
    }

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        (folder, path)
    }

    /// What a database of the first version holds.
    fn made(path: &Path) {
        let database = schema(&[FIRST]).open(path).unwrap();
        database.connection().execute_batch("INSERT INTO host VALUES ('a'), ('b')").unwrap();
    }

    fn count(database: &Database, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM host WHERE {condition}");
        database.connection().query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_file_of_before_is_brought_up_to_date_once() {
        let (_folder, path) = place();
        made(&path);
        let database = schema(&[FIRST, SECOND]).open(&path).unwrap();
        assert_eq!(count(&database, "zone = 'here'"), 2);
        database.connection().execute_batch("UPDATE host SET zone = 'there'").unwrap();
        drop(database);
        let database = schema(&[FIRST, SECOND]).open(&path).unwrap();
        assert_eq!(count(&database, "zone = 'there'"), 2);
    }

    #[test]
    fn a_version_is_made_as_a_whole_or_not_at_all() {
        let (_folder, path) = place();
        made(&path);
        let error = schema(&[FIRST, SECOND, BROKEN]).open(&path).unwrap_err();
        assert!(error.to_string().starts_with("cannot open the ledger '"), "{error}");
        // The version before it is there, whole.
        let database = schema(&[FIRST, SECOND]).open(&path).unwrap();
        assert_eq!(count(&database, "zone = 'here'"), 2);
    }

    #[test]
    fn what_it_does_not_understand_is_refused_and_left_alone() {
        let (_folder, path) = place();
        drop(schema(&[FIRST, SECOND]).open(&path).unwrap());
        let error = schema(&[FIRST]).open(&path).unwrap_err();
        let why = "its schema has version 2, and this apyfal knows up to 1";
        assert_eq!(
            error.to_string(),
            format!("cannot open the ledger '{}': {why}", path.display())
        );
        let other = Schema { mark: 8, ..schema(&[FIRST, SECOND]) };
        let error = other.open(&path).unwrap_err();
        assert_eq!(error.message(), "it is the database of another program");
        let database = schema(&[FIRST, SECOND]).open(&path).unwrap();
        assert_eq!(count(&database, "true"), 0);
    }

    #[test]
    fn it_is_one_processs_own_until_it_is_given_back() {
        let (folder, path) = place();
        let schema = schema(&[FIRST]);
        let database = schema.open(&path).unwrap();
        let refused = || schema.open(&path).unwrap_err().message() == "another process uses it";
        assert!(refused());
        let lock = database.close();
        assert!(refused());
        drop(lock);
        schema.open(&path).unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_told_and_left_alone() {
        let (folder, path) = place();
        made(&path);
        let mut damaged = fs::read(&path).unwrap();
        let from = damaged.len() - 512;
        damaged[from..].fill(0xa5);
        for damaged in [b"not a database".repeat(1000), damaged] {
            fs::write(&path, &damaged).unwrap();
            let error = schema(&[FIRST]).open(&path).unwrap_err();
            assert!(error.message().starts_with("it is damaged: "), "{error}");
            assert!(error.hints()[0].starts_with("move '"), "{error:?}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
        let error = schema(&[FIRST]).open(folder.path()).unwrap_err();
        assert_eq!(error.message(), "it is not a file");
    }
}
