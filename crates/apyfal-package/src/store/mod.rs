//! The packages that are installed.
//!
//! ```text
//! ROOT/.lock                              held by who changes something
//! ROOT/.new-XXXXXX/                       what is being unpacked and tested
//! ROOT/NAME/VERSION-DIGEST/package.json   the record; locked, shared, by who uses the version
//! ROOT/NAME/VERSION-DIGEST/signed         the keys that signed it, one a line; missing where none did
//! ROOT/NAME/VERSION-DIGEST/files/         what was in the archive
//! ROOT/NAME/current                       link to the version in use
//! ROOT/NAME/previous                      link to the one before
//! ```
//!
//! A version is complete before its directory gets its name, and in use from when the link leads to
//! it. What neither link leads to and nobody uses is left over, of an install that was interrupted or
//! of a version that was in use when it was removed: the next change sweeps it away.

mod change;
mod install;
mod record;
mod sweep;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use apyfal_core::{Cancel, Error, ErrorKind, Result, nearest};
use apyfal_machine::lock::Lock;
use apyfal_machine::private;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::Manifest;
use crate::manifest::is_name;
pub use change::Uninstalled;
pub use install::{Incoming, Outcome, Terms};
pub use record::{Installed, Record};

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
const LOCK: &str = ".lock";
/// What directories are called until they are complete.
const NEW: &str = ".new-";
/// What a link is called until it is used.
const FRESH: &str = ".new-link";
/// The file of a version's record.
const RECORD: &str = "package.json";
/// The file with the keys that signed a version. The record has a lock, so it is never written anew.
const SIGNED: &str = "signed";
const FILES: &str = "files";

/// A directory with installed packages.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in a directory, which is made when it is needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether any package is installed.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        for name in self.names()? {
            if self.linked(&name, CURRENT)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The current version of each package by its name, or why it cannot be used.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Result<Installed>)>> {
        let mut names = self.names()?;
        names.sort();
        let current = names.into_iter().filter_map(|name| {
            let found = self.current(&name).transpose()?;
            Some((name, found))
        });
        Ok(current.collect())
    }

    /// The current version of a package.
    ///
    /// # Errors
    /// It is not installed, or cannot be used.
    pub fn find(&self, name: &str) -> Result<Installed> {
        match self.current(name)? {
            Some(found) => Ok(found),
            None => Err(self.missing(name)),
        }
    }

    fn current(&self, name: &str) -> Result<Option<Installed>> {
        if !is_name(name) {
            return Ok(None);
        }
        // Another process may replace it meanwhile, and the version after it too.
        for _ in 0..100 {
            let Some(version) = self.linked(name, CURRENT)? else { return Ok(None) };
            let found = record::open(&self.root.join(name).join(&version))
                .map_err(|error| error.operation(format!("use the package '{name}'")))?;
            if let Some(mut found) = found {
                found.previous = self.previous(name, &version)?;
                return Ok(Some(found));
            }
            if self.linked(name, CURRENT)?.as_ref() == Some(&version) {
                return Err(Error::new(ErrorKind::Conflict, "its directory is not complete")
                    .operation(format!("use the package '{name}'"))
                    .hint(format!("remove it: apyfal uninstall {name}"))
                    .hint("then install it again"));
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "it is replaced again and again")
            .operation(format!("use the package '{name}'")))
    }

    fn previous(&self, name: &str, current: &str) -> Result<Option<Record>> {
        let version = self.linked(name, PREVIOUS)?.filter(|version| version != current);
        Ok(version.and_then(|version| {
            let path = self.root.join(name).join(version).join(RECORD);
            Record::parse(&fs::read(path).ok()?).ok()
        }))
    }

    /// The names that have a directory.
    fn names(&self) -> Result<Vec<String>> {
        let reading =
            |error| Error::from_io(error).operation(format!("read '{}'", self.root.display()));
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(reading(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(reading)?.file_name();
            if let Some(name) = name.to_str().filter(|name| is_name(name)) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The version that a link of a package leads to.
    fn linked(&self, name: &str, link: &str) -> Result<Option<String>> {
        let path = self.root.join(name).join(link);
        match fs::read_link(&path) {
            // A link that we did not make leads nowhere.
            Ok(target) => Ok(target
                .to_str()
                .filter(|target| !target.contains('/') && !target.starts_with('.'))
                .map(str::to_owned)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::from(error).operation(format!("read '{}'", path.display()))),
        }
    }

    /// Makes a link lead to a version, at once.
    fn link(&self, name: &str, link: &str, version: &str) -> Result<()> {
        let fresh = self.fresh_link(name, version)?;
        let path = self.root.join(name).join(link);
        fs::rename(&fresh, &path).map_err(|error| writing(&path, error))?;
        sync(&self.root.join(name))
    }

    /// Makes a version the current one, and the one that was it the previous one. At every moment
    /// there are two that can be used.
    fn replace(&self, name: &str, version: &str) -> Result<()> {
        let folder = self.root.join(name);
        self.fresh_link(name, version)?;
        self.exchange(name, FRESH, CURRENT)?;
        let previous = folder.join(PREVIOUS);
        fs::rename(folder.join(FRESH), &previous).map_err(|error| writing(&previous, error))?;
        sync(&folder)
    }

    /// Makes each of two links lead to where the other one did, at once.
    fn exchange(&self, name: &str, one: &str, other: &str) -> Result<()> {
        let folder = self.root.join(name);
        let (one, other) = (folder.join(one), folder.join(other));
        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)
            .map_err(|error| writing(&other, error.into()))?;
        sync(&folder)
    }

    /// A link that is not used yet.
    fn fresh_link(&self, name: &str, version: &str) -> Result<PathBuf> {
        let fresh = self.root.join(name).join(FRESH);
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(writing(&fresh, error));
            }
            _ => {}
        }
        std::os::unix::fs::symlink(version, &fresh).map_err(|error| writing(&fresh, error))?;
        Ok(fresh)
    }

    /// Lets one process at a time change the store; waits for the others.
    fn lock(&self, cancel: &Cancel) -> Result<Lock> {
        self.make()?;
        Lock::wait(&self.root.join(LOCK), cancel)
    }

    fn make(&self) -> Result<()> {
        private::make_directory(&self.root).map_err(|error| {
            Error::from(error).operation(format!("make the directory '{}'", self.root.display()))
        })
    }

    fn missing(&self, name: &str) -> Error {
        let error = Error::new(ErrorKind::NotFound, format!("no package '{name}' is installed"));
        let names = self.names().unwrap_or_default();
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint("'apyfal accelerators' lists those that are"),
        }
    }
}

/// Puts the entries of a directory on the disk.
fn sync(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| writing(folder, error))
}

fn writing(path: &Path, error: io::Error) -> Error {
    Error::from(error).operation(format!("write '{}'", path.display()))
}

/// The manifest of a version's directory.
fn manifest(version: &Path) -> Result<Manifest> {
    Manifest::load(&version.join(FILES))
}
