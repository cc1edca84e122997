//! Locks that processes share: `flock` on a file that is made for it and stays.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use rustix::fs::OFlags;

/// A file that all may read and write.
const ALL: u32 = 0o666;

/// Waits until nobody else, in this process or another of this user, holds the lock. It is held as
/// long as the file is open, however the process ends.
///
/// # Errors
/// The file cannot be made, or `cancel` was thrown while it waited.
pub fn lock(path: &Path, cancel: &Cancel) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(|error| failed(path, error))?;
    wait(file, path, cancel)
}

/// As [`lock`], between all users of the machine, who may all write to the file. Its directory may
/// be one that everybody can write to, such as `/run/lock`: what somebody else put in the file's
/// place is refused untouched.
///
/// # Errors
/// As those of [`lock`]; or the file is not one that this function makes.
pub fn lock_for_all(path: &Path, cancel: &Cancel) -> Result<File> {
    wait(open_for_all(path)?, path, cancel)
}

/// As [`lock_for_all`], without waiting: none where somebody else holds the lock.
///
/// # Errors
/// The file cannot be made, or is not one that these functions make.
pub fn try_lock_for_all(path: &Path) -> Result<Option<File>> {
    let file = open_for_all(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(path, error)),
    }
}

/// The file of such a lock, opened and not locked.
///
/// # Errors
/// The file cannot be made, or is not one that these functions make.
pub fn open_for_all(path: &Path) -> Result<File> {
    let file = open_or_make(path).map_err(|error| failed(path, error))?;
    if let Some(why) = oddity(&file).map_err(|error| failed(path, error))? {
        return Err(Error::new(ErrorKind::Security, why)
            .operation(format!("lock '{}'", path.display()))
            .hint("find out who put it there, and remove it"));
    }
    Ok(file)
}

fn open_or_make(path: &Path) -> io::Result<File> {
    // Neither does a link lead elsewhere, nor does a pipe without a reader keep us waiting.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    loop {
        // In two steps, for Linux may refuse to open another user's file where it could be created
        // (fs.protected_regular).
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // The umask may have taken some of it.
                file.set_permissions(Permissions::from_mode(ALL))?;
                return Ok(file);
            }
        }
    }
}

/// Why a file is not a lock that we or another user made, if it is not.
fn oddity(file: &File) -> io::Result<Option<&'static str>> {
    let found = file.metadata()?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    Ok(if !found.is_file() {
        Some("it is not a regular file")
    } else if found.nlink() != 1 {
        Some("it is also a file of another name")
    } else if !ours && found.mode() & ALL != ALL {
        Some("it is another user's own file")
    } else {
        None
    })
}

fn wait(file: File, path: &Path, cancel: &Cancel) -> Result<File> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                cancel.check()?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::Error(error)) => return Err(failed(path, error)),
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::from(error).operation(format!("lock '{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_lock_for_all_can_be_opened_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        drop(lock_for_all(&path, &Cancel::default()).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o666);
        let _held = lock_for_all(&path, &Cancel::default()).unwrap();
        assert!(try_lock_for_all(&path).unwrap().is_none());
        let other = Cancel::default();
        other.cancel();
        assert!(lock_for_all(&path, &other).unwrap_err().is_cancelled());
    }

    #[test]
    fn what_somebody_put_in_its_place_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let (path, treasure) = (directory.path().join("lock"), directory.path().join("treasure"));
        fs::write(&treasure, "gold").unwrap();
        symlink(&treasure, &path).unwrap();
        lock_for_all(&path, &Cancel::default()).unwrap_err();
        fs::remove_file(&path).unwrap();
        symlink("nowhere", &path).unwrap();
        lock_for_all(&path, &Cancel::default()).unwrap_err();
        assert!(!directory.path().join("nowhere").exists());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&treasure, &path).unwrap();
        let error = lock_for_all(&path, &Cancel::default()).unwrap_err();
        assert_eq!(error.message(), "it is also a file of another name");
        fs::remove_file(&path).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(pipe.success());
        let error = lock_for_all(&path, &Cancel::default()).unwrap_err();
        assert_eq!(error.message(), "it is not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        lock_for_all(&path, &Cancel::default()).unwrap_err();
        assert_eq!(fs::read(&treasure).unwrap(), b"gold");
    }

    #[test]
    fn another_users_file_is_shared_only_if_all_may_write_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        drop(lock_for_all(&path, &Cancel::default()).unwrap());
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
            // Only root can give files away.
            return;
        }
        drop(lock_for_all(&path, &Cancel::default()).unwrap());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = lock_for_all(&path, &Cancel::default()).unwrap_err();
        assert_eq!(error.message(), "it is another user's own file");
    }
}
