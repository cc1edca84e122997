//! A file that is read again where it changed.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::regular;
use parking_lot::Mutex;

type Read<T> = fn(&str, &str) -> Result<T>;

/// A file is refused beyond this many bytes.
const LIMIT: u64 = 64 << 20;

/// What a file says. A change that cannot be read is told and passed over.
pub(super) struct Watched<T> {
    path: PathBuf,
    read: Read<T>,
    show: Box<dyn Fn(&str) + Send + Sync>,
    known: Mutex<(Stamp, Arc<T>)>,
}

/// What tells one state of a file from another: when it was written, the same by a time that nobody
/// can set back, how long it is, and which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    written: (i64, i64),
    changed: (i64, i64),
    len: u64,
    file: u64,
}

impl<T> Watched<T> {
    pub(super) fn open(
        path: PathBuf,
        show: impl Fn(&str) + Send + Sync + 'static,
        read: Read<T>,
    ) -> Result<Self> {
        let (stamp, value) = load(&path, read)?;
        Ok(Self { path, read, show: Box::new(show), known: Mutex::new((stamp, Arc::new(value))) })
    }

    /// What it says now.
    pub(super) fn now(&self) -> Arc<T> {
        let mut known = self.known.lock();
        let name = self.path.display();
        match stamp(&self.path) {
            Ok(now) if now != known.0 => match load(&self.path, self.read) {
                Ok((stamp, value)) => {
                    *known = (stamp, Arc::new(value));
                    (self.show)(&format!("read '{name}' again"));
                }
                Err(error) => {
                    // Told once for each state of the file.
                    known.0 = now;
                    (self.show)(&format!("{error}; what it said before stays"));
                }
            },
            // While it is being replaced it may be missing.
            _ => {}
        }
        known.1.clone()
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("path", &self.path).finish_non_exhaustive()
    }
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let found = std::fs::metadata(path)?;
    Ok(Stamp {
        written: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        len: found.size(),
        file: found.ino(),
    })
}

fn load<T>(path: &Path, read: Read<T>) -> Result<(Stamp, T)> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Configuration,
        };
        Error::new(kind, Error::from(error).message()).operation(format!("read '{name}'"))
    };
    // Looked at before, so that what is written meanwhile counts as a change.
    let stamp = stamp(path).map_err(failed)?;
    let text = regular::read_text(path, LIMIT).map_err(failed)?;
    Ok((stamp, read(&text, &name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_whose_time_was_set_back_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let before = std::fs::metadata(&path).unwrap();
        let watched = Watched::open(path.clone(), |_| {}, |text, _| Ok(text.to_owned())).unwrap();
        assert_eq!(*watched.now(), "one");
        // The system's clock for files ticks slowly.
        while std::fs::metadata(&path).unwrap().ctime_nsec() == before.ctime_nsec() {
            std::fs::write(&path, "two").unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(before.modified().unwrap()).unwrap();
        }
        assert_eq!(*watched.now(), "two");
    }
}
