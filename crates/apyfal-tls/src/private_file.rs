//! Files for the eyes of their owner.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result};

/// The mode of what is secret.
pub(crate) const PRIVATE: u32 = 0o600;
/// The mode of what anybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// Makes files in a directory, one process at a time.
///
/// Where the file system has no locks, the files still appear whole and are never replaced.
pub(crate) struct Maker(Option<File>);

impl Maker {
    /// Waits for its turn in the directory of `path`, which is made where it is missing.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        make_directory(path)?;
        let directory = directory(path);
        let file = File::open(directory).map_err(|error| into_directory(error, directory))?;
        Ok(Self(file.lock().is_ok().then_some(file)))
    }

    /// Makes a file that does not exist yet, all of it or nothing, and on disk.
    pub(crate) fn create(&self, path: &Path, text: &[u8], mode: u32) -> Result<()> {
        let directory = directory(path);
        let write = || -> io::Result<()> {
            // A temporary file is private from its start.
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(text)?;
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist_noclobber(path).map_err(|error| error.error)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Conflict, "another process just made it")
                    .operation(format!("write '{}'", path.display()))
                    .retryable()
            }
            _ => Error::from(error).operation(format!("write '{}'", path.display())),
        })
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // Closing it ends the lock anyway, once no child process has it.
            let _ = directory.unlock();
        }
    }
}

/// Makes the directory of a file where it is missing.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    let directory = directory(path);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| into_directory(error, directory))
}

fn into_directory(error: io::Error, directory: &Path) -> Error {
    Error::from(error).operation(format!("write into '{}'", directory.display()))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
