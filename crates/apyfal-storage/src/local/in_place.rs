//! Files that can be written and not replaced: a result is copied into them once it is complete.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::lock;
use rustix::fs::{
    AtFlags, FallocateFlags, Mode, OFlags, Stat, StatxAttributes, StatxFlags, fallocate, fchmod,
    fstat, openat, statx,
};
use rustix::io::Errno;

use super::file::permissions;
use super::io_error;

/// What the system answers where a file cannot be replaced, whether or not it can be written.
pub(super) const REFUSALS: [Errno; 4] = [Errno::ACCESS, Errno::BUSY, Errno::PERM, Errno::ROFS];

/// Why an existing file cannot be replaced, as far as that shows before it is tried.
pub(super) fn obstacle(
    directory: &OwnedFd,
    name: &OsStr,
    found: &Stat,
) -> io::Result<Option<&'static str>> {
    let attributes = |name: &OsStr, flags| {
        let found = statx(directory, name, flags, StatxFlags::empty());
        // What an old kernel does not tell shows when the file is to be replaced.
        found.map_or(StatxAttributes::empty(), |found| found.stx_attributes)
    };
    let of_file = attributes(name, AtFlags::SYMLINK_NOFOLLOW);
    let of_directory = attributes(OsStr::new(""), AtFlags::EMPTY_PATH);
    let user = rustix::process::geteuid();
    let directory = fstat(directory)?;
    let is_sticky = Mode::from_raw_mode(directory.st_mode).contains(Mode::SVTX);
    let is_anothers = [found.st_uid, directory.st_uid].iter().all(|uid| *uid != user.as_raw());
    Ok(if of_file.contains(StatxAttributes::MOUNT_ROOT) {
        Some("it is a mount point")
    } else if of_file.contains(StatxAttributes::APPEND) {
        Some("it can only be appended to")
    } else if of_directory.contains(StatxAttributes::APPEND) {
        Some("its directory only takes new files")
    } else if is_sticky && is_anothers && !user.is_root() {
        Some("it is another user's, in a directory where each may replace their own")
    } else {
        None
    })
}

/// An existing file that stays the file that it is.
#[derive(Debug)]
pub(super) struct InPlace {
    file: File,
    why: String,
}

impl InPlace {
    /// Opens it, so that it is known before the work that it can be written. `why` says why it
    /// cannot be replaced, and `path` what it is called in messages.
    pub(super) fn open(
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        why: String,
    ) -> Result<Self> {
        let refused = |error: Error| {
            error
                .operation(format!("write '{}'", path.display()))
                .hint(format!("nor can it be replaced: {why}"))
        };
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(directory, name, flags, Mode::empty());
        let opened = opened.map_err(|error| refused(io_error("write", path, error.into())))?;
        let file = File::from(opened);
        if !file.metadata()?.is_file() {
            return Err(refused(Error::new(ErrorKind::Conflict, "it is no file any more")));
        }
        // Two results at once would become a mixture. A file system without locks goes without.
        if let Ok(false) = lock::try_lock(&file, lock::Mode::Exclusive) {
            let why = "another process writes to it, or has it locked";
            return Err(refused(Error::new(ErrorKind::Conflict, why)));
        }
        Ok(Self { file, why })
    }

    /// Why it is not replaced.
    pub(super) fn why(&self) -> &str {
        &self.why
    }

    /// Makes its content that of another file.
    pub(super) fn fill(&self, from: &File) -> io::Result<()> {
        let (mut from, mut to) = (from, &self.file);
        let len = from.metadata()?.len();
        // There is room for all of it before anything changes, where the file system can tell.
        let room = match len {
            0 => Ok(()),
            len => fallocate(to, FallocateFlags::KEEP_SIZE, 0, len),
        };
        if let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = room {
            return Err(error.into());
        }
        self.take_rights_away()?;
        from.rewind()?;
        io::copy(&mut from, &mut to)?;
        to.set_len(len)
    }

    /// Whoever runs it gets no rights of its owner: they were given to what was in it. The system
    /// takes them away from what is written, but not where the superuser writes.
    fn take_rights_away(&self) -> io::Result<()> {
        let found = fstat(&self.file)?;
        let special = Mode::SUID | Mode::SGID;
        if !Mode::from_raw_mode(found.st_mode).intersects(special) {
            return Ok(());
        }
        match fchmod(&self.file, permissions(&found)) {
            // Who may not say so is not the superuser.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
            result => Ok(result?),
        }
    }
}
