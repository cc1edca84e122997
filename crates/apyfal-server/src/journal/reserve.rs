//! Room that is kept for the journal itself, so that what frees room works on a full disk.
//!
//! It is a file beside the database that takes room and holds nothing. Once the disk is full that room
//! goes to the write-ahead log, where nobody else can take it, and nothing new is written until there
//! is room again: only ends and what is forgotten. So results can be deleted, jobs end, and the host
//! can be started again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// How much it is: twice what the write-ahead log grows to, and on a small disk a tenth of that.
const SIZE: u64 = 8 << 20;
/// How much of it the index of the write-ahead log may take, which SQLite makes when the database is
/// opened.
const INDEX: u64 = 64 << 10;

/// The room.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// The write-ahead log.
    log: PathBuf,
    size: u64,
    is_spent: bool,
}

impl Reserve {
    /// That of the journal at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let disk = statvfs(parent.unwrap_or(Path::new(".")));
        let whole = disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let size = (whole / 10).min(SIZE);
        Self { path: beside(".reserve"), log: beside("-wal"), size, is_spent: false }
    }

    /// Takes it where that is not done, and where there is room.
    pub(super) fn take(&mut self) {
        let is_taken = fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.size);
        if is_taken {
            self.is_spent = false;
            return;
        }
        let filled = fill(&self.path, FallocateFlags::empty(), 0, self.size);
        if filled.is_err() {
            let _ = fs::remove_file(&self.path);
        }
        // Where the file system reserves nothing, there is none.
        self.is_spent = filled.is_err() && self.room() < self.size;
    }

    /// Whether it is gone, so that only what must be is written.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Whether an error may be gone with it.
    pub(super) fn is_for(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::Storage)
            && self.room() < self.size.max(1 << 20)
    }

    /// Gives the room to the journal; false where that is done.
    pub(super) fn spend(&mut self) -> bool {
        self.is_spent = true;
        let is_given = fs::remove_file(&self.path).is_ok();
        if is_given {
            let written = fs::metadata(&self.log).map_or(0, |log| log.len());
            let size = self.size.saturating_sub(INDEX);
            // Where it fails, the room is free for all.
            let _ = fill(&self.log, FallocateFlags::KEEP_SIZE, written, size);
        }
        is_given
    }

    /// Takes it again, once there is room for more than that.
    pub(super) fn restore(&mut self) {
        if self.is_spent && self.room() >= 2 * self.size {
            self.take();
        }
    }

    /// Why nothing new is written.
    pub(super) fn refusal(&self) -> Error {
        Error::new(ErrorKind::StorageFull, "no space left on its disk")
            .hint(format!("make room on the disk of '{}'", self.path.display()))
            .hint("or delete results that are kept: that works all the same")
            .retryable()
    }

    fn room(&self) -> u64 {
        let disk = self.path.parent().map(statvfs);
        let Some(Ok(disk)) = disk else { return u64::MAX };
        disk.f_bavail.saturating_mul(disk.f_frsize)
    }
}

/// Takes room for a file.
fn fill(path: &Path, flags: FallocateFlags, from: u64, size: u64) -> io::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(fallocate(&file, flags, from, size.max(1))?)
}
