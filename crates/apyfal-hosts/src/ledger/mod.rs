//! The ledger: what was asked for of providers, durable before it is asked for.
//!
//! Each host is a row. Whoever works on one holds its lock, a file; the database is opened for each
//! look and change alone, so that many processes have it at a time. What is secret in a row goes with
//! the end of its host.

mod record;
mod row;

use std::path::{Path, PathBuf};

use apyfal_core::{Cancel, Error, ErrorKind, Result, unix_time};
use apyfal_database::{Failure, Schema};
use apyfal_machine::lock::{Lock, Mode};
use apyfal_machine::{file_name, private};
use apyfal_providers::{HostSpec, InstanceId, Prepared, ProviderInfo, Token};
use apyfal_tls::token;
use rusqlite::{Connection, OptionalExtension, params};

pub use record::{HostRecord, HostState, StopMode, Usage};

use row::RawRow;

use crate::FirstContact;

const SCHEMA: Schema = Schema {
    name: "ledger",
    owner: "process",
    // "Apyl".
    mark: 0x4170_796c,
    migrations: &[
        include_str!("1.sql"),
        include_str!("2.sql"),
        include_str!("3.sql"),
        include_str!("4.sql"),
    ],
};
const COLUMNS: &str = "id, use, name, accelerator, provider, region, state, stop_mode, token, \
                       request, asked, instance, contact, url, login, \
                       good_until, sent, account, pushed, holds";
/// How long is remembered that a host has ended, in seconds.
const REMEMBERED: f64 = 30.0 * 24.0 * 3600.0;

/// What is recorded of the hosts that were asked for.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
}

impl Ledger {
    /// The ledger in a directory, which is made with the first host.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Which installation this is: a word that no other one has.
    ///
    /// # Errors
    /// It cannot be read, or made.
    pub fn installation(&self) -> Result<String> {
        let id = token::load_or_generate(&self.directory.join("installation"))?;
        Ok(id.expose().to_owned())
    }

    /// Whether a host was ever asked for.
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// The keys by which machines are known to ssh.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("ssh_known_hosts")
    }

    fn path(&self) -> PathBuf {
        self.directory.join("ledger.db")
    }

    /// Keeps all others from a host, for as long as what is returned is held. None where somebody else
    /// works on it.
    ///
    /// # Errors
    /// It cannot be locked.
    pub fn try_lock(&self, id: &str) -> Result<Option<Lock>> {
        Lock::try_take(&self.lock_path(id), Mode::Exclusive)
    }

    /// The same, once nobody else does.
    ///
    /// # Errors
    /// It cannot be locked, or `cancel` was thrown.
    pub async fn lock(&self, id: &str, cancel: &Cancel) -> Result<Lock> {
        Lock::take(&self.lock_path(id), Mode::Exclusive, cancel).await
    }

    fn lock_path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.lock"))
    }

    /// Lets one alone look for the host of a named use, or ask for one. None for what has no name.
    ///
    /// # Errors
    /// It cannot be locked, or `cancel` was thrown.
    pub(crate) async fn lock_usage(&self, usage: &Usage, cancel: &Cancel) -> Result<Option<Lock>> {
        let Usage::Named(name) = usage else { return Ok(None) };
        private::make_directory(&self.directory)?;
        self.lock(&format!("of-{}", file_name::encode(name)), cancel).await.map(Some)
    }

    /// Works on the database, which nobody else has open meanwhile.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        private::make_directory(&self.directory).map_err(|error| {
            let doing = format!("make the directory '{}'", self.directory.display());
            Error::from(error).operation(doing)
        })?;
        let _turn = Lock::wait(&self.directory.join("turn"), &Cancel::default())?;
        let path = self.path();
        let database = SCHEMA.open(&path)?;
        let connection = database.connection();
        let failed = |error| {
            let doing = format!("use the ledger of hosts '{}'", path.display());
            Failure::from(error).on(&path).operation(doing)
        };
        // What is removed is not there any more.
        connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        work(connection).map_err(failed)
    }

    /// A row of its own for a host, with what is going to be asked for: from here on it is not
    /// forgotten.
    pub(crate) fn begin(
        &self,
        usage: &Usage,
        provider: &ProviderInfo,
        stop_mode: StopMode,
        spec: &HostSpec,
        prepared: Prepared,
        contact: FirstContact,
    ) -> Result<(HostRecord, Lock)> {
        let id = unique()?;
        let host = HostRecord {
            id: id.clone(),
            usage: usage.clone(),
            name: spec.name.clone(),
            accelerator: spec.accelerator.clone(),
            provider: provider.name.to_owned(),
            region: provider.region.clone(),
            state: HostState::Requested,
            stop_mode,
            asked: unix_time().as_secs_f64(),
            instance: None,
            url: None,
            token: Token(token::generate()?.expose().to_owned()),
            request: Some(prepared.request),
            login: prepared.login,
            pushed: prepared.pushed,
            holds: prepared.holds,
            account: prepared.account,
            sent: None,
            good_until: prepared
                .good_for
                .map(|time| unix_time().as_secs_f64() + time.as_secs_f64()),
            contact: Some(contact),
        };
        private::make_directory(&self.directory)?;
        let lock = self.try_lock(&id)?.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "somebody else has the id of a new host")
        })?;
        self.save(&host)?;
        Ok((host, lock))
    }

    /// Writes down how a host is.
    pub(crate) fn save(&self, host: &HostRecord) -> Result<()> {
        let json = |value: serde_json::Result<String>| {
            value.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
        };
        let has_ended = host.state == HostState::Ended;
        let request = host.request.as_ref().filter(|_| !has_ended);
        let request = request.map(serde_json::to_string).map(json).transpose()?;
        let login = host.login.as_ref().map(serde_json::to_string).map(json).transpose()?;
        let pushed = json(serde_json::to_string(&host.pushed))?;
        let holds = json(serde_json::to_string(&host.holds))?;
        let contact = host.contact.as_ref().filter(|_| !has_ended);
        let contact = contact.map(|contact| contact.to_json().to_string());
        self.with(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO host (id, use, name, accelerator, provider, region, state, \
                 stop_mode, token, request, asked, instance, contact, url, login, good_until, \
                 sent, account, pushed, holds) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
                 ?18, ?19, ?20)",
                params![
                    host.id,
                    host.usage.text(),
                    host.name,
                    host.accelerator,
                    host.provider,
                    host.region,
                    host.state.as_str(),
                    host.stop_mode.as_str(),
                    host.token.0,
                    request,
                    host.asked,
                    host.instance.as_ref().map(|id| &id.0),
                    contact,
                    host.url,
                    login,
                    host.good_until,
                    host.sent,
                    host.account,
                    pushed,
                    holds,
                ],
            )?;
            if has_ended {
                connection.execute(
                    "DELETE FROM host WHERE state = 'ended' AND asked < ?1",
                    [unix_time().as_secs_f64() - REMEMBERED],
                )?;
                // What was secret is in no file any more.
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            Ok(())
        })?;
        if has_ended {
            // Nobody works on it again.
            let _ = std::fs::remove_file(self.lock_path(&host.id));
        }
        Ok(())
    }

    /// A host, as it is recorded by now.
    pub(crate) fn read(&self, id: &str) -> Result<Option<HostRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM host WHERE id = ?1");
        let row =
            self.with(|connection| connection.query_row(&sql, [id], RawRow::of).optional())?;
        row.map(RawRow::record).transpose()
    }

    /// All hosts that have not ended, the oldest first.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn hosts(&self) -> Result<Vec<HostRecord>> {
        self.select("state <> 'ended'")
    }

    /// Where hosts were asked for: providers, and their regions.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn places(&self) -> Result<Vec<(String, Option<String>)>> {
        if !self.exists() {
            return Ok(Vec::new());
        }
        self.with(|connection| {
            let mut select = connection.prepare("SELECT DISTINCT provider, region FROM host")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Those of one use.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn of(&self, usage: &Usage) -> Result<Vec<HostRecord>> {
        Ok(self.hosts()?.into_iter().filter(|host| host.usage == *usage).collect())
    }

    /// The host whose machine its provider calls so.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn with_instance(&self, id: &InstanceId) -> Result<Option<HostRecord>> {
        Ok(self.hosts()?.into_iter().find(|host| host.instance.as_ref() == Some(id)))
    }

    /// The same, kept from all others for as long as the lock is held.
    ///
    /// # Errors
    /// There is none here, or somebody else works on it.
    pub fn take(&self, id: &InstanceId) -> Result<(HostRecord, Lock)> {
        let doing = || format!("use the instance '{id}'");
        let unknown = || {
            Error::new(ErrorKind::Configuration, "this installation has made no such host")
                .operation(doing())
                .hint("'apyfal list' shows those that it has")
        };
        let found = self.with_instance(id)?.ok_or_else(unknown)?;
        let lock = self.try_lock(&found.id)?.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("a process uses the host {}", found.name))
                .operation(doing())
                .hint("name it by its address to use it too: host_ip")
        })?;
        // Whoever had it may have ended it.
        let host = self.read(&found.id)?.filter(|host| host.state != HostState::Ended);
        Ok((host.ok_or_else(unknown)?, lock))
    }

    fn select(&self, condition: &str) -> Result<Vec<HostRecord>> {
        if !self.exists() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM host WHERE {condition} ORDER BY asked, id");
        let rows = self.with(|connection| {
            connection.prepare(&sql)?.query_map([], RawRow::of)?.collect::<Result<Vec<_>, _>>()
        })?;
        rows.into_iter().map(RawRow::record).collect()
    }
}

/// The ledger of a home directory.
pub fn ledger_of(home: &Path) -> Ledger {
    Ledger::at(home.join(".apyfal/hosts"))
}

/// A word that nobody else has.
fn unique() -> Result<String> {
    let random = token::generate()?;
    let characters = random.expose().chars().rev().filter(char::is_ascii_alphanumeric);
    Ok(characters.take(16).map(|c| c.to_ascii_lowercase()).collect())
}

#[cfg(test)]
mod tests;
