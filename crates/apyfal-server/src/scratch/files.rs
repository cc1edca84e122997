//! The files in the scratch space: those of connections, and results while they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use apyfal_core::{Error, ErrorKind, Result};

use super::{Holder, Scratch};

/// A file without a name, which takes its space until it is dropped.
#[derive(Debug)]
pub(crate) struct ScratchFile(pub(super) Arc<Held>);

/// A file, and what it takes of the quota.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) scratch: Arc<Scratch>,
    pub(super) holder: Option<Holder>,
    pub(super) file: File,
    pub(super) bytes: AtomicU64,
    /// Whether others needed the space.
    pub(super) is_lost: AtomicBool,
}

impl Held {
    /// Gives the space back at once.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
        // Where the system does not do it now, it does when the file is closed.
        let _ = self.file.set_len(0);
        self.scratch.release(self.bytes.swap(0, Ordering::AcqRel));
    }

    fn check(&self) -> io::Result<()> {
        match self.is_lost.load(Ordering::Acquire) {
            true => Err(lost().into_io()),
            false => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.scratch.release(*self.bytes.get_mut());
    }
}

/// The error for one who held more than its share.
fn lost() -> Error {
    Error::new(ErrorKind::StorageFull, "others needed the space in which it waited for its client")
        .hint("read results sooner, or raise scratch_quota of the host")
        .retryable()
}

impl ScratchFile {
    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.0.file
    }

    /// An error where its space was given to others.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.0.check()
    }

    /// Reads as much as there is room for.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let read = self.0.file.read_exact_at(buffer, at);
        // What was read before is good.
        if read.is_err() {
            self.check()?;
        }
        read
    }
}

impl Write for ScratchFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Self(held) = self;
        held.check()?;
        let bytes = buffer.len() as u64;
        held.scratch.take(held.holder.as_ref(), bytes)?;
        held.bytes.fetch_add(bytes, Ordering::AcqRel);
        (&held.file).write_all(buffer)?;
        held.check()?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A result that is being kept. Dropped before [`finish`](Self::finish) it is removed.
#[derive(Debug)]
pub(crate) struct KeptWriter {
    pub(super) file: File,
    /// None once it is finished.
    pub(super) path: Option<PathBuf>,
    pub(super) scratch: Arc<Scratch>,
    /// What it takes of the quota.
    pub(super) bytes: u64,
}

impl KeptWriter {
    /// Keeps what was written and gives its length. With `durable` it is on disk then.
    ///
    /// # Errors
    /// The system could not write it.
    pub(crate) fn finish(mut self, durable: bool) -> Result<u64> {
        if durable {
            self.file.sync_data()?;
        }
        self.path = None;
        // From here on the file itself, by its length, stands for what it takes.
        Ok(std::mem::take(&mut self.bytes))
    }
}

impl Write for KeptWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.scratch.take(None, buffer.len() as u64)?;
        self.bytes += buffer.len() as u64;
        self.file.write_all(buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for KeptWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Where this fails it goes with what has outlived result_ttl.
            if fs::remove_file(path).is_ok() {
                self.scratch.results.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.scratch.release(self.bytes);
    }
}
