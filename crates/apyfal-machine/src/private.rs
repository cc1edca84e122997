//! Files and directories for the eyes of their owner.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a directory, and those above it, where they are not there: only its owner may use it.
///
/// # Errors
/// It cannot be made.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file as a whole, in place of the one that is there: whoever reads it, whatever happens
/// meanwhile, finds what was there before or all of this.
///
/// # Errors
/// It cannot be written; what was there stays.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, file) = write_beside(path, content)?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

/// Writes a file as a whole that is not there yet, and that nobody is to write to again.
///
/// # Errors
/// It cannot be written, or something has its name: [`io::ErrorKind::AlreadyExists`].
pub fn create_read_only(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, file) = write_beside(path, content)?;
    file.as_file().set_permissions(Permissions::from_mode(0o400))?;
    file.persist_noclobber(path)?;
    File::open(directory)?.sync_all()
}

/// A temporary file with a content, and the directory of `path`, which it is in.
fn write_beside<'a>(path: &'a Path, content: &[u8]) -> io::Result<(&'a Path, NamedTempFile)> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    // A temporary file has mode 0600 from its start.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok((directory, file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_for_its_owner() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        make_directory(&folder).unwrap();
        make_directory(&folder).unwrap();
        let path = folder.join("file");
        fs::write(&path, "what was there, which is longer").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
        assert!(replace(&folder.join("nowhere/file"), b"").is_err());
    }

    #[test]
    fn a_file_for_ever_takes_the_place_of_no_other() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        create_read_only(&path, b"one").unwrap();
        let again = create_read_only(&path, b"two").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    }
}
