//! Disk space for what waits: results on their way to slow clients, and those that are kept.
//!
//! A connection may fill all of it. Where another one needs room, who holds more than a share makes it
//! (`share.rs`): a client that never reads takes nothing from those that do.
//!
//! ```text
//! ROOT/results/job-NUMBER[.ID]     the result of a kept job
//! ROOT/aside/AGE.job-NUMBER[.ID]   one that the journal did not know when it was this old
//! ```
//! Everything else in it has no name, and so is gone with the process.

mod aside;
mod files;
mod share;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::private;
use files::Held;
pub(crate) use files::{KeptWriter, ScratchFile};
use parking_lot::Mutex;
pub(crate) use share::Holder;

/// What is left of the disk to the journal and to all else on it: a twentieth, and not more than this
/// many bytes.
const RESERVE: u64 = 256 << 20;

/// What the result of a job is called. No two jobs have a number, while one may have the id of another
/// that is forgotten.
pub(crate) fn result_name(id: &str, number: u64) -> String {
    let name = format!("job-{number}");
    if id == name { name } else { format!("{name}.{id}") }
}

const RESULTS: &str = "results";
const ASIDE: &str = "aside";

/// A directory with a limit on the bytes in it, and on those that it leaves on its disk.
#[derive(Debug)]
pub(crate) struct Scratch {
    root: PathBuf,
    quota: u64,
    /// What is left of the disk to others.
    reserve: u64,
    used: AtomicU64,
    /// The files of connections.
    held: Mutex<Vec<Weak<Held>>>,
    /// How many results there are, with those that are being written.
    results: AtomicUsize,
    /// Whether anything may be set aside.
    has_aside: AtomicBool,
}

impl Scratch {
    /// Opens or makes the directory, and counts what earlier lives of the host left in it. `quota` is how
    /// many bytes may be in it in all.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub(crate) fn open(root: &Path, quota: u64) -> Result<Arc<Self>> {
        let open = |name: &str| -> io::Result<(u64, usize)> {
            let directory = root.join(name);
            private::make_directory(&directory)?;
            let entries = fs::read_dir(&directory)?.map(|entry| Ok(entry?.metadata()?.len()));
            let lens: Vec<u64> = entries.collect::<io::Result<_>>()?;
            Ok((lens.iter().sum(), lens.len()))
        };
        let opened = open(RESULTS).and_then(|results| Ok((results, open(ASIDE)?)));
        let ((kept, results), (aside, count)) = opened.map_err(|error| {
            Error::from(error).operation(format!("use the directory '{}'", root.display()))
        })?;
        // Where the system does not tell, writing will.
        let disk = rustix::fs::statvfs(root);
        let size = disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let reserve = (size / 20).min(RESERVE);
        Ok(Arc::new(Self {
            root: root.to_owned(),
            quota,
            reserve,
            used: AtomicU64::new(kept + aside),
            results: AtomicUsize::new(results),
            held: Mutex::default(),
            has_aside: AtomicBool::new(count > 0),
        }))
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub(crate) fn quota(&self) -> u64 {
        self.quota
    }

    /// A file without a name, of the host itself or of a connection.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn file(self: &Arc<Self>, holder: Option<Holder>) -> io::Result<ScratchFile> {
        self.make_room(holder.as_ref(), 0, || self.check_disk(0))?;
        let is_of_connection = holder.is_some();
        let held = Arc::new(Held {
            scratch: self.clone(),
            holder,
            file: tempfile::tempfile_in(&self.root)?,
            bytes: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
        });
        if is_of_connection {
            let mut all = self.held.lock();
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(&held));
        }
        Ok(ScratchFile(held))
    }

    /// Begins the result of a kept job.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn keep(self: &Arc<Self>, id: &str, number: u64) -> Result<KeptWriter> {
        let path = self.result_path(&result_name(id, number));
        self.check_room()?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            Error::from(error).operation(format!("keep the result of job '{id}'"))
        })?;
        self.results.fetch_add(1, Ordering::Relaxed);
        Ok(KeptWriter { file, path: Some(path), scratch: self.clone(), bytes: 0 })
    }

    /// Opens a kept result; its length comes with it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn kept(&self, id: &str, number: u64) -> Result<(File, u64)> {
        let open = || -> io::Result<_> {
            let file = File::open(self.result_path(&result_name(id, number)))?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        open().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("job '{id}' has no result here"))
                    .hint("it was fetched and deleted, or it waited for longer than result_ttl")
            }
            _ => error.into(),
        })
    }

    /// Removes a kept result, where there is one.
    pub(crate) fn remove(&self, id: &str, number: u64) {
        if self.remove_file(&self.result_path(&result_name(id, number))) {
            self.results.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Removes a file, where there is one, and what it takes.
    fn remove_file(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let is_removed = fs::remove_file(path).is_ok();
        if is_removed {
            self.release(metadata.len());
        }
        is_removed
    }

    /// Whether there are so many results or more, or so many bytes in use.
    pub(crate) fn has_so_many(&self, results: usize, bytes: u64) -> bool {
        self.results.load(Ordering::Relaxed) >= results || self.used() >= bytes
    }

    /// Refuses work whose result is to be kept, where there are as many as may be.
    ///
    /// # Errors
    /// There are.
    pub(crate) fn check_results(&self, limit: usize) -> Result<()> {
        if self.results.load(Ordering::Relaxed) < limit {
            return Ok(());
        }
        Err(Error::new(ErrorKind::StorageFull, "the host keeps as many results as it may")
            .context("limit", limit)
            .hint("fetch and delete results that are kept, or raise max_results of the host"))
    }

    /// Takes up a result as hosts of before called it: by its id alone.
    pub(crate) fn take_up(&self, id: &str, number: u64) {
        let (before, path) = (self.result_path(id), self.result_path(&result_name(id, number)));
        if before != path && before.exists() {
            // Where that fails it is not found, as if it were deleted.
            let _ = fs::rename(before, path);
        }
    }

    fn result_path(&self, name: &str) -> PathBuf {
        self.root.join(RESULTS).join(name)
    }

    /// Refuses work whose result or data would be on the disk, where that is as good as full.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn check_room(&self) -> Result<()> {
        self.check_disk(0).map_err(|error| error.operation("take work that needs the disk"))
    }

    /// Whether the disk has room for so many bytes beside what is left to others.
    ///
    /// # Errors
    /// It has not.
    pub(crate) fn check_disk(&self, bytes: u64) -> Result<()> {
        let checked = self.look_at_disk(bytes);
        if checked.is_ok() {
            return checked;
        }
        self.give_up_aside(|scratch| scratch.look_at_disk(bytes).is_ok());
        self.look_at_disk(bytes)
    }

    fn look_at_disk(&self, bytes: u64) -> Result<()> {
        let Ok(disk) = rustix::fs::statvfs(&self.root) else { return Ok(()) };
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        if self.reserve == 0 || left >= self.reserve.saturating_add(bytes) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::StorageFull, "the disk of the host is full")
            .context("left", format_args!("{left} bytes"))
            .context("reserve", format_args!("{} bytes", self.reserve))
            .hint(format!("make room on the disk of '{}'", self.root.display()))
            .hint("or fetch and delete results that are kept"))
    }

    /// Takes space for a connection, or for what is kept.
    fn take(&self, holder: Option<&Holder>, bytes: u64) -> io::Result<()> {
        self.make_room(holder, bytes, || {
            self.check_disk(bytes)?;
            let used = self.used.fetch_add(bytes, Ordering::Relaxed);
            if used.saturating_add(bytes) > self.quota {
                self.give_up_aside(|scratch| scratch.used() <= scratch.quota);
            }
            if used.saturating_add(bytes) <= self.quota || self.used() <= self.quota {
                return Ok(());
            }
            self.release(bytes);
            let hint = "fetch and delete results that are kept, or raise scratch_quota of the host";
            Err(Error::new(ErrorKind::StorageFull, "the host's scratch space is full")
                .context("quota", format_args!("{} bytes", self.quota))
                .hint(hint))
        })
    }

    /// Tries again and again while others have more than their share.
    fn make_room(
        &self,
        holder: Option<&Holder>,
        bytes: u64,
        take: impl Fn() -> Result<()>,
    ) -> io::Result<()> {
        while let Err(error) = take() {
            if !self.lose(holder, bytes) {
                return Err(error.into_io());
            }
        }
        Ok(())
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
