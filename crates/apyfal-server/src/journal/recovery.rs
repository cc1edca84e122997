//! What is done about jobs of an agent that ended.

use apyfal_api::WireError;
use apyfal_api::v2::JobState;
use apyfal_core::{Error, ErrorKind};
use apyfal_database::Failure;
use rusqlite::Connection;

use super::age::{Age, Moment};
use super::ids::BLOCK;
use super::rows::{self, JOB_COLUMNS, SESSION_COLUMNS};
use super::statements::Statements;
use super::usage::Tally;
use super::{JobChange, Recovered};

/// A journal that is opened.
pub(super) struct Opened {
    pub(super) recovered: Recovered,
    /// The first number that is free.
    pub(super) next: u64,
    /// The first beyond those that are reserved.
    pub(super) limit: u64,
    pub(super) age: Age,
}

/// Marks what waited or ran as interrupted, and reserves numbers. Durable when it returns.
pub(super) fn recover(
    connection: &mut Connection,
    now: f64,
    plain_rows: u64,
) -> Result<Opened, Failure> {
    let transaction = connection.transaction()?;
    let age = Age::open(&transaction, Moment::now())?;
    let mut recovered = Recovered {
        sessions: transaction
            .prepare(&format!(
                "SELECT {SESSION_COLUMNS} FROM session WHERE ended IS NULL ORDER BY number"
            ))?
            .query_map([], rows::session)?
            .collect::<rusqlite::Result<_>>()?,
        interrupted: transaction
            .prepare(&format!(
                "SELECT {JOB_COLUMNS} FROM job WHERE state IN ('waiting', 'running') \
                 ORDER BY number"
            ))?
            .query_map([], rows::job)?
            .collect::<rusqlite::Result<_>>()?,
    };
    let next =
        transaction.query_row("SELECT value FROM counter WHERE name = 'number'", [], |row| {
            rows::unsigned(row, 0)
        })?;
    let limit = next + BLOCK;
    let mut statements = Statements::new(&transaction, plain_rows, age.clone())?;
    let mut tally = Tally::default();
    for job in &mut recovered.interrupted {
        let change = JobChange {
            state: Some(JobState::Interrupted),
            ended: Some(now),
            error: Some(interrupted(job.started.is_some())),
            ..JobChange::default()
        };
        job.state = JobState::Interrupted;
        job.ended = change.ended;
        job.error.clone_from(&change.error);
        statements.change_job(job.number, &change, &mut tally)?;
    }
    statements.apply_usage(&tally)?;
    statements.reserve(limit)?;
    drop(statements);
    transaction.commit()?;
    Ok(Opened { recovered, next, limit, age })
}

fn interrupted(ran: bool) -> WireError {
    let why = if ran { "the agent ended while it ran" } else { "the agent ended before it did" };
    let error = Error::new(ErrorKind::Unavailable, why).hint("run it again").retryable();
    WireError::from(&error)
}
