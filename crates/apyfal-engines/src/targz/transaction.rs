//! An archive that is made over several calls, kept in the session's state.
//!
//! Three files: `lock`, held by whoever works on the transaction; `spool`, the finished bytes of
//! what was added; and `manifest.json`, which says how many of those bytes count. A member counts
//! once the manifest says so, which happens by an atomic rename after its bytes are on the disk.
//! So a crash at any moment loses nothing that was added and leaves nothing half added: whatever
//! the spool has beyond the manifest's length is cut off by the next call.
//!
//! A transaction that starts has the other one of two spools, so that the archive that ended before
//! is there until the first call of the next has succeeded.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, JobContext, Result};
use apyfal_machine::lock::Lock;
use serde::{Deserialize, Serialize};

const SPOOLS: [&str; 2] = ["spool", "other-spool"];
const MANIFEST: &str = "manifest.json";

/// The transaction of a session, locked while this value lives.
#[derive(Debug)]
pub(super) struct Transaction {
    _lock: Lock,
    directory: PathBuf,
    manifest: Option<Manifest>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Manifest {
    length: u64,
    members: u64,
    /// The archive was given out. It is kept until the next transaction starts, in case the one
    /// who asked for it never got it.
    ended: bool,
    /// Which spool it has.
    #[serde(default)]
    spool: usize,
}

impl Transaction {
    /// Waits for the lock and reads how things stand.
    ///
    /// # Errors
    /// The state cannot be read, or the job was cancelled.
    pub(super) fn lock(state: &Path, ctx: &JobContext) -> Result<Self> {
        let directory = state.join("transaction");
        fs::create_dir_all(&directory)?;
        let lock = Lock::wait(&directory.join("lock"), ctx.cancel())?;
        let path = directory.join(MANIFEST);
        let manifest = match fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| {
                Error::new(ErrorKind::Internal, "the transaction's manifest is damaged")
                    .context("path", path.display())
                    .hint("stop the session and start it again")
                    .source(error)
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { _lock: lock, directory, manifest })
    }

    /// Whether it was started and has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| !manifest.ended)
    }

    /// Whether the last one has ended and its archive is still there.
    pub(super) fn has_ended(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.ended)
    }

    /// How many members were added.
    pub(super) fn members(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.members)
    }

    /// Starts an empty one in the place of one that has ended. It is there, and the other one is gone,
    /// once something was [committed](Draft::commit).
    pub(super) fn begin(&mut self) {
        let spool = self.manifest.as_ref().map_or(0, |ended| 1 - ended.spool % 2);
        self.manifest = Some(Manifest { spool, ..Manifest::default() });
    }

    fn spool(&self) -> usize {
        self.manifest.as_ref().map_or(0, |manifest| manifest.spool % 2)
    }

    /// The spool, cut to what counts, to add something to it.
    ///
    /// # Errors
    /// The spool cannot be opened.
    pub(super) fn draft(&mut self) -> Result<Draft<'_>> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut spool = options.open(self.directory.join(SPOOLS[self.spool()]))?;
        let length = self.manifest.as_ref().map_or(0, |manifest| manifest.length);
        if spool.metadata()?.len() < length {
            return Err(Error::new(ErrorKind::Internal, "the transaction's spool is damaged")
                .hint("stop the session and start it again"));
        }
        spool.set_len(length)?;
        spool.seek(SeekFrom::End(0))?;
        Ok(Draft { transaction: self, spool })
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The state cannot be changed.
    pub(super) fn discard(&mut self) -> Result<()> {
        self.manifest = None;
        [MANIFEST].iter().chain(&SPOOLS).try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn save(&mut self, manifest: Manifest) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(&manifest).map_err(std::io::Error::from)?)?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(MANIFEST)).map_err(|error| error.error)?;
        File::open(&self.directory)?.sync_all()?;
        self.manifest = Some(manifest);
        Ok(())
    }
}

/// The spool with bytes that do not count yet. Dropping it leaves the transaction as it was.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    transaction: &'a mut Transaction,
    /// What is written here is added.
    pub(super) spool: File,
}

impl Draft<'_> {
    /// Makes what was written count, as so many members, and ends the transaction if asked to.
    ///
    /// # Errors
    /// The disk is full or failing; then nothing was added.
    pub(super) fn commit(self, members: u64, ended: bool) -> Result<()> {
        self.spool.sync_data()?;
        let length = self.spool.metadata()?.len();
        let members = self.transaction.members() + members;
        let spool = self.transaction.spool();
        self.transaction.save(Manifest { length, members, ended, spool })?;
        self.transaction.remove(SPOOLS[1 - spool])
    }
}
