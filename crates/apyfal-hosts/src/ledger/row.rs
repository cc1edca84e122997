//! A row of the ledger.

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_providers::{InstanceId, Token};
use rusqlite::Row;
use serde_json::Value;

use super::record::{HostRecord, HostState, StopMode, Usage};
use crate::FirstContact;

/// A row, as it is read.
pub(super) struct RawRow {
    host: HostRecord,
    state: String,
    stop_mode: String,
    request: Option<String>,
    contact: Option<String>,
    login: Option<String>,
    pushed: String,
    holds: String,
}

impl RawRow {
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            host: HostRecord {
                id: row.get(0)?,
                usage: Usage::of(&row.get::<_, String>(1)?),
                name: row.get(2)?,
                accelerator: row.get(3)?,
                provider: row.get(4)?,
                region: row.get(5)?,
                state: HostState::Ended,
                stop_mode: StopMode::Term,
                token: Token(row.get(8)?),
                asked: row.get(10)?,
                instance: row.get::<_, Option<String>>(11)?.map(InstanceId),
                url: row.get(13)?,
                request: None,
                login: None,
                pushed: Vec::new(),
                holds: Vec::new(),
                good_until: row.get(15)?,
                sent: row.get(16)?,
                account: row.get(17)?,
                contact: None,
            },
            state: row.get(6)?,
            stop_mode: row.get(7)?,
            request: row.get(9)?,
            contact: row.get(12)?,
            login: row.get(14)?,
            pushed: row.get(18)?,
            holds: row.get(19)?,
        })
    }

    pub(super) fn record(self) -> Result<HostRecord> {
        let Self { host, state, stop_mode, request, contact, login, pushed, holds } = self;
        let damaged = |what: String| {
            Error::new(ErrorKind::Conflict, what)
                .operation(format!("read of the host '{}' in the ledger", host.name))
        };
        let unknown = |word: &str| damaged(format!("'{word}' is of a newer version"));
        let text = |error: serde_json::Error| damaged(error.to_string());
        let request = request.map(|request| serde_json::from_str(&request)).transpose();
        let contact = contact.map(|contact| serde_json::from_str::<Value>(&contact)).transpose();
        let contact = contact.map_err(text)?;
        let login = login.map(|login| serde_json::from_str(&login)).transpose();
        Ok(HostRecord {
            state: HostState::from_word(&state).ok_or_else(|| unknown(&state))?,
            stop_mode: StopMode::from_word(&stop_mode).ok_or_else(|| unknown(&stop_mode))?,
            request: request.map_err(text)?,
            login: login.map_err(text)?,
            pushed: serde_json::from_str(&pushed).map_err(text)?,
            holds: serde_json::from_str(&holds).map_err(text)?,
            contact: contact.as_ref().map(FirstContact::from_json).transpose()?,
            ..host
        })
    }
}
