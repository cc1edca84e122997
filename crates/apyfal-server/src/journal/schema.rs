//! The database: its file, its lock, its tables.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;

/// What makes each version out of the one before; the first makes an empty database version 1.
const MIGRATIONS: [&str; 3] =
    [include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// Marks the file as a journal of Apyfal: "Apyf".
const APPLICATION: i32 = 0x4170_7966;

/// How long to wait for somebody else who looks into the file with tools of SQLite.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database at `path` for the one who writes; makes it where there is none. It is this
/// process's own until the file that is returned with it is dropped.
pub(super) fn open(path: &Path) -> Result<(Connection, File)> {
    let opening = |error: Error| error.operation(format!("open the journal '{}'", path.display()));
    let lock = lock(path).map_err(opening)?;
    make_private(path).map_err(opening)?;
    let failed = |error| opening(Failure::from(error).on(path));
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let version = version(&connection).map_err(failed)?;
    let known = MIGRATIONS.len();
    if application != APPLICATION && !(application == 0 && is_empty(&connection).map_err(failed)?) {
        return Err(opening(
            Error::new(ErrorKind::Conflict, "it is the database of another program")
                .hint("give the journal another path"),
        ));
    }
    if version > known {
        return Err(opening(
            Error::new(
                ErrorKind::Conflict,
                format!("its schema has version {version}, and this apyfal knows up to {known}"),
            )
            .hint("run the newer apyfal that wrote it, or move it away to begin a new one"),
        ));
    }
    check(&connection, path).map_err(opening)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
    // A burst must not leave a big file behind for good.
    connection.pragma_update(None, "journal_size_limit", 16 << 20).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
    migrate(&mut connection, version).map_err(failed)?;
    // The name of a new file must survive a power failure as well.
    let synced = File::open(parent(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| opening(error.into()))?;
    Ok((connection, lock))
}

/// Opens the database for one who reads.
pub(super) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// The lock is on a file of its own: SQLite's own locks would be lost if this process closed
/// another handle of the database.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Conflict, "another agent uses it")
                .context("lock", name.display())
                .hint("stop that agent, or give this one a journal of its own"))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
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

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A negative one is not ours, and no version that will ever be.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
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

fn migrate(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
