//! Connections that read, beside the one that writes: SQLite lets them see the last commit without
//! waiting for the next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_database::{Failure, open_for_reading};
use parking_lot::Mutex;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row};

use super::age::{Age, Moment};
use super::rows::{
    self, JOB_COLUMNS, SESSION_COLUMNS, TOKEN_COLUMNS, USAGE_COLUMNS, protocol_number, signed,
};
use super::usage::UsagePoint;
use super::{
    JobFilter, JobRecord, Listed, Page, Resolution, SessionFilter, SessionRecord, TokenRecord,
};

/// How many connections are kept for the next one who reads.
const IDLE: usize = 4;

/// The connections.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Runs `read` on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().pop();
            let connection = idle.map_or_else(|| open_for_reading(&readers.path), Ok)?;
            let value = read(&connection)?;
            let mut idle = readers.idle.lock();
            if idle.len() < IDLE {
                idle.push(connection);
            }
            Ok(value)
        });
        let outcome = task.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the reading thread ended").source(error)
        })?;
        outcome.map_err(|error: rusqlite::Error| {
            let error = Failure::from(error).on(&self.path);
            error.operation(format!("read the journal '{}'", self.path.display()))
        })
    }

    /// Closes the connections that nobody uses now.
    pub(super) fn clear(&self) {
        self.idle.lock().clear();
    }
}

/// The session whose `column` is `key`.
pub(super) fn session(
    connection: &Connection,
    column: &str,
    key: &dyn ToSql,
) -> rusqlite::Result<Option<SessionRecord>> {
    let sql = format!("SELECT {SESSION_COLUMNS} FROM session WHERE {column} = ?1");
    connection.query_row(&sql, [key], rows::session).optional()
}

/// The job whose `column` is `key`.
pub(super) fn job(
    connection: &Connection,
    column: &str,
    key: &dyn ToSql,
) -> rusqlite::Result<Option<JobRecord>> {
    let sql = format!("SELECT {JOB_COLUMNS} FROM job WHERE {column} = ?1");
    connection.query_row(&sql, [key], rows::job).optional()
}

pub(super) fn sessions(
    connection: &Connection,
    filter: &SessionFilter,
    page: Page,
) -> rusqlite::Result<Listed<SessionRecord>> {
    let mut conditions = Conditions::default();
    match filter.open {
        Some(true) => conditions.text.push("ended IS NULL"),
        Some(false) => conditions.text.push("ended IS NOT NULL"),
        None => {}
    }
    conditions.equal("protocol = ?", filter.protocol.map(protocol_number));
    conditions.equal("accelerator = ?", filter.accelerator.clone());
    conditions.list(connection, "session", SESSION_COLUMNS, page, rows::session)
}

pub(super) fn jobs(
    connection: &Connection,
    filter: JobFilter,
    page: Page,
) -> rusqlite::Result<Listed<JobRecord>> {
    let mut conditions = Conditions::default();
    conditions.equal("state = ?", filter.state.map(|state| state.as_str()));
    conditions.equal("session = ?", filter.session);
    conditions.equal("protocol = ?", filter.protocol.map(protocol_number));
    conditions.equal("accelerator = ?", filter.accelerator);
    match filter.kept {
        // As the index of kept jobs says it.
        Some(true) => conditions.text.push("kept"),
        Some(false) => conditions.text.push("NOT kept"),
        None => {}
    }
    conditions.list(connection, "job", JOB_COLUMNS, page, rows::job)
}

/// Jobs with a kept result that ended so long ago, the oldest first.
pub(super) fn kept(connection: &Connection, ended: Duration) -> rusqlite::Result<Vec<JobRecord>> {
    let before = Age::read(connection, &Moment::now())? - ended.as_secs_f64();
    // What ended this very moment counts, however the sum is rounded.
    let sql = format!("SELECT {JOB_COLUMNS} FROM job WHERE kept AND age < ?1 + 1e-3 ORDER BY age");
    connection.prepare(&sql)?.query_map([before], rows::job)?.collect()
}

/// Usage since a time, the oldest first.
pub(super) fn history(
    connection: &Connection,
    since: f64,
    resolution: Resolution,
) -> rusqlite::Result<Vec<UsagePoint>> {
    // The step that `since` is in counts.
    let seconds = signed(resolution.seconds());
    let since = since as i64 / seconds * seconds;
    let sql = format!(
        "SELECT {USAGE_COLUMNS} FROM usage WHERE seconds = ?1 AND start >= ?2 \
         ORDER BY start, accelerator, owner"
    );
    connection.prepare(&sql)?.query_map([seconds, since], rows::usage)?.collect()
}

pub(super) fn kept_of(
    connection: &Connection,
    owner: Option<String>,
) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT count(*), coalesce(sum(result), 0) FROM job WHERE kept AND owner IS ?1";
    connection.query_row(sql, [owner], |row| Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?)))
}

pub(super) fn tokens(connection: &Connection) -> rusqlite::Result<Vec<TokenRecord>> {
    let sql = format!("SELECT {TOKEN_COLUMNS} FROM token ORDER BY name");
    connection.prepare(&sql)?.query_map([], rows::token)?.collect()
}

/// What the rows of a list have in common.
#[derive(Default)]
struct Conditions {
    text: Vec<&'static str>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    fn equal<T: ToSql + 'static>(&mut self, text: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.text.push(text);
            self.values.push(Box::new(value));
        }
    }

    /// Counts and lists, as of one moment.
    fn list<T>(
        mut self,
        connection: &Connection,
        table: &str,
        columns: &str,
        page: Page,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Listed<T>> {
        let condition = match self.text.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.text.join(" AND ")),
        };
        let moment = connection.unchecked_transaction()?;
        let count = moment.query_row(
            &format!("SELECT count(*) FROM {table} {condition}"),
            rusqlite::params_from_iter(&self.values),
            |row| rows::unsigned(row, 0),
        )?;
        self.values.push(Box::new(signed(page.limit)));
        self.values.push(Box::new(signed(page.offset)));
        let sql = format!(
            "SELECT {columns} FROM {table} {condition} ORDER BY number DESC LIMIT ? OFFSET ?"
        );
        let mut statement = moment.prepare(&sql)?;
        let found = statement.query_map(rusqlite::params_from_iter(&self.values), read)?;
        Ok(Listed { count, items: found.collect::<rusqlite::Result<_>>()? })
    }
}
