//! Records from rows.

use apyfal_api::v2::{JobState, Progress};
use apyfal_core::Owner;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use serde::de::DeserializeOwned;

use super::usage::{Usage, UsagePoint};
use super::{JobRecord, Protocol, SessionRecord, TokenRecord};

/// The columns that [`session`] reads.
pub(super) const SESSION_COLUMNS: &str =
    "number, id, accelerator, protocol, used, created, ended, source, parameters, report, owner";

/// The columns that [`job`] reads.
pub(super) const JOB_COLUMNS: &str = "number, id, state, protocol, kept, session, accelerator, \
     created, started, ended, bytes_total, bytes_read, bytes_written, result, fingerprint, \
     request, report, error, digest, owner";

/// The columns that [`usage`] reads.
pub(super) const USAGE_COLUMNS: &str =
    "start, accelerator, owner, jobs, failed, bytes_read, bytes_written, busy";

/// A number as SQLite keeps it; it has no unsigned ones, and none of ours comes near the end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn protocol_number(protocol: Protocol) -> i64 {
    match protocol {
        Protocol::V1 => 1,
        Protocol::V2 => 2,
    }
}

pub(super) fn session(row: &Row<'_>) -> Result<SessionRecord> {
    Ok(SessionRecord {
        number: unsigned(row, 0)?,
        id: row.get(1)?,
        accelerator: row.get(2)?,
        protocol: protocol(row, 3)?,
        used: row.get(4)?,
        created: row.get(5)?,
        ended: row.get(6)?,
        source: row.get(7)?,
        parameters: json(row, 8)?.unwrap_or_default(),
        report: json(row, 9)?,
        owner: owner(row, 10)?,
    })
}

pub(super) fn job(row: &Row<'_>) -> Result<JobRecord> {
    let state: String = row.get(2)?;
    Ok(JobRecord {
        number: unsigned(row, 0)?,
        id: row.get(1)?,
        state: JobState::from_word(&state).ok_or_else(|| odd(2, format!("state '{state}'")))?,
        protocol: protocol(row, 3)?,
        kept: row.get(4)?,
        session: row.get(5)?,
        accelerator: row.get(6)?,
        created: row.get(7)?,
        started: row.get(8)?,
        ended: row.get(9)?,
        progress: Progress {
            total: maybe_unsigned(row, 10)?,
            read: unsigned(row, 11)?,
            written: unsigned(row, 12)?,
        },
        result: maybe_unsigned(row, 13)?,
        fingerprint: row.get(14)?,
        request: json(row, 15)?.unwrap_or_default(),
        report: json(row, 16)?,
        error: json(row, 17)?,
        digest: row.get(18)?,
        owner: owner(row, 19)?,
    })
}

pub(super) fn usage(row: &Row<'_>) -> Result<UsagePoint> {
    Ok(UsagePoint {
        start: unsigned(row, 0)?,
        accelerator: row.get(1)?,
        owner: {
            let owner: String = row.get(2)?;
            Owner::named(Some(&*owner).filter(|owner| !owner.is_empty()))
        },
        usage: Usage {
            jobs: unsigned(row, 3)?,
            failed: unsigned(row, 4)?,
            bytes_read: unsigned(row, 5)?,
            bytes_written: unsigned(row, 6)?,
            busy: row.get(7)?,
        },
    })
}

/// The columns that [`token`] reads.
pub(super) const TOKEN_COLUMNS: &str = "name, hash, created";

pub(super) fn token(row: &Row<'_>) -> Result<TokenRecord> {
    let hash: String = row.get(1)?;
    Ok(TokenRecord {
        name: row.get(0)?,
        hash: hash.parse().map_err(|_| odd(1, format!("hash '{hash}'")))?,
        created: row.get(2)?,
    })
}

fn owner(row: &Row<'_>, column: usize) -> Result<Owner> {
    let name: Option<String> = row.get(column)?;
    Ok(Owner::named(name.as_deref()))
}

/// A column that is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(column, number))
}

fn maybe_unsigned(row: &Row<'_>, column: usize) -> Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    let number = number.map(|number| {
        u64::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(column, number))
    });
    number.transpose()
}

fn protocol(row: &Row<'_>, column: usize) -> Result<Protocol> {
    match row.get::<_, i64>(column)? {
        1 => Ok(Protocol::V1),
        2 => Ok(Protocol::V2),
        other => Err(odd(column, format!("protocol {other}"))),
    }
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text);
    value.map(Some).map_err(|error| odd(column, error.to_string()))
}

fn odd(column: usize, why: String) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, format!("unknown {why}").into())
}
