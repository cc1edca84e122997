//! What SQLite complains about, in our words.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use apyfal_core::{Error, ErrorKind};
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Error as Sqlite, ErrorCode};

/// Why a statement or a whole transaction failed.
#[derive(Debug)]
pub enum Failure {
    /// Only what was to be written is wrong: whatever else is in the transaction may go on.
    Entry(Error),
    /// The file is not what was written into it.
    Damaged(String),
    /// The database failed, and with it the transaction.
    Database(Sqlite),
}

impl From<Sqlite> for Failure {
    fn from(error: Sqlite) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::ConstraintViolation) => {
                let entry = match error.sqlite_error().map(|error| error.extended_code) {
                    Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY) => {
                        Error::new(ErrorKind::Conflict, "its id or number is recorded already")
                    }
                    _ => Error::new(ErrorKind::Internal, error.to_string()),
                };
                Self::Entry(entry.source(error))
            }
            Some(ErrorCode::TooBig) => {
                Self::Entry(Error::new(ErrorKind::InvalidData, "it is too long").source(error))
            }
            _ if is_of_another_schema(&error) => Self::Damaged(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

/// Whether a database has not what was written into it: all statements are ours, and so is what
/// their columns hold.
fn is_of_another_schema(error: &Sqlite) -> bool {
    match error {
        Sqlite::SqlInputError { .. }
        | Sqlite::FromSqlConversionFailure(..)
        | Sqlite::IntegralValueOutOfRange(..)
        | Sqlite::InvalidColumnType(..)
        | Sqlite::QueryReturnedNoRows => true,
        Sqlite::SqliteFailure(_, Some(why)) => {
            ["no such ", "duplicate column", "already exists"].iter().any(|odd| why.contains(odd))
        }
        _ => false,
    }
}

/// An error about the database at `path`, with what to do where the disk is full.
pub(crate) fn advised(error: Error, path: &Path) -> Error {
    match error.kind() {
        ErrorKind::StorageFull if error.hints().is_empty() => {
            error.hint(format!("make room on the disk of '{}'", path.display())).retryable()
        }
        _ => error,
    }
}

/// Tries to write as much beside a database as SQLite does: the index of its log is a file of 32 KiB.
fn write_beside(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    tempfile::tempfile_in(parent.unwrap_or(Path::new(".")))?.write_all(&[0; 64 << 10])
}

impl Failure {
    /// The error about the database at `path`.
    pub fn on(self, path: &Path) -> Error {
        let error = match self {
            Self::Entry(error) => return error,
            Self::Damaged(why) => {
                return Error::new(ErrorKind::Conflict, format!("it is damaged: {why}")).hint(
                    format!(
                        "move '{}' away, with the '-wal' file beside it, to begin a new one; \
                         what it recorded is lost then, so keep it for a repair with sqlite3",
                        path.display()
                    ),
                );
            }
            Self::Database(error) => error,
        };
        let made = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                advised(Error::new(ErrorKind::StorageFull, "no space left on its disk"), path)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::new(ErrorKind::Unavailable, "another program holds it locked").retryable()
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Error::new(ErrorKind::Security, "this user may not write it")
            }
            // The system says why, and SQLite does not.
            Some(code @ (ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)) => {
                let tried = File::open(path).and_then(|_| write_beside(path));
                let refused = match tried.map_err(Error::from) {
                    Err(refused) => advised(refused, path),
                    Ok(()) => Error::new(ErrorKind::Storage, error.to_string()),
                };
                match code {
                    ErrorCode::SystemIoFailure => refused.retryable(),
                    _ => refused,
                }
            }
            _ => Error::new(ErrorKind::Internal, error.to_string()),
        };
        made.source(error)
    }
}
