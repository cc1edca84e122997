//! Puts what makes a machine a host where it belongs.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use apyfal::{Error, Result};
use rustix::fs::OFlags;

use crate::commands::Context;

/// Puts things where they belong, and says what it did.
pub(super) struct Changes<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) count: usize,
    /// Keeps others from changing the same machine.
    _lock: fs::File,
}

impl<'a> Changes<'a> {
    /// Changes to the machine whose configuration is in this directory, which is made where it is
    /// not there. Waits until nobody else changes it.
    pub(super) fn begin(directory: &Path, context: &'a Context<'a>) -> Result<Self> {
        let is_new = !directory.exists();
        fs::create_dir_all(directory).map_err(|error| failed(error, "make", directory))?;
        let lock = fs::File::open(directory).map_err(|error| failed(error, "open", directory))?;
        lock.lock().map_err(|error| failed(error, "lock", directory))?;
        let mut changes = Self { context, count: 0, _lock: lock };
        if is_new {
            changes.made(&format!("made {}", directory.display()));
        }
        Ok(changes)
    }

    pub(super) fn made(&mut self, what: &str) {
        self.count += 1;
        self.context.printer.note(what);
    }

    pub(super) fn directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(|error| failed(error, "make", path))?;
        self.made(&format!("made {}", path.display()));
        Ok(())
    }

    /// Gives a file or directory the permissions that it must have. Where `path` is a link that
    /// somebody put in a directory of theirs, it is not followed.
    pub(super) fn mode(&mut self, path: &Path, mode: u32) -> Result<()> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| failed(error, "open", path))?;
        let found = file.metadata().map_err(|error| failed(error, "look at", path))?;
        if found.permissions().mode() & 0o777 == mode {
            return Ok(());
        }
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(|error| failed(error, "change", path))?;
        self.made(&format!("changed who may use {}", path.display()));
        Ok(())
    }

    /// Gives a file to the owner of its directory: once the service has run that is its user, who
    /// must be able to read what root makes there.
    pub(super) fn owner_of(&mut self, directory: &Path, path: &Path) -> Result<()> {
        let of = |path: &Path| fs::metadata(path).map_err(|error| failed(error, "look at", path));
        let (wanted, found) = (of(directory)?, of(path)?);
        if (wanted.uid(), wanted.gid()) == (found.uid(), found.gid()) {
            return Ok(());
        }
        lchown(path, Some(wanted.uid()), Some(wanted.gid()))
            .map_err(|error| failed(error, "change the owner of", path))?;
        self.made(&format!("changed the owner of {}", path.display()));
        Ok(())
    }

    /// Writes a file as a whole, unless it is there and equal.
    pub(super) fn file(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        if fs::read(path).is_ok_and(|found| found == content) {
            return self.mode(path, mode);
        }
        put(path, mode, |file| file.write_all(content))?;
        self.made(&format!("wrote {}", path.display()));
        Ok(())
    }

    /// Copies the running program, unless it is that one.
    pub(super) fn binary(&mut self, path: &Path) -> Result<()> {
        let running = std::env::current_exe()
            .map_err(|error| Error::from(error).operation("find the running program"))?;
        if is_same(&running, path) {
            return self.mode(path, 0o755);
        }
        let copy = |to: &mut fs::File| -> std::io::Result<()> {
            std::io::copy(&mut fs::File::open(&running)?, to).map(drop)
        };
        put(path, 0o755, copy)?;
        self.made(&format!("wrote {}", path.display()));
        Ok(())
    }
}

/// Whether two files are one, or have the same content.
fn is_same(one: &Path, other: &Path) -> bool {
    if let (Ok(one), Ok(other)) = (fs::canonicalize(one), fs::canonicalize(other))
        && one == other
    {
        return true;
    }
    let length = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
    length(one).is_some() && length(one) == length(other) && {
        let (one, other) = (fs::read(one).ok(), fs::read(other).ok());
        one.is_some() && one == other
    }
}

/// Writes a file as a whole. A process that is killed leaves a part of it, which the next one writes
/// over: nobody else does so at the time.
fn put(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let new = path.with_file_name(name);
    let put = || -> std::io::Result<()> {
        remove(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        write(&mut file)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    put().map_err(|error| {
        // Why it could not be written matters more.
        let _ = remove(&new);
        failed(error, "write", path)
    })
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

pub(super) fn failed(error: std::io::Error, what: &str, path: &Path) -> Error {
    Error::from(error).operation(format!("{what} '{}'", path.display()))
}
