//! Locks that processes share: `flock` on a file, mostly one that is made for it and stays.

use std::fs::{File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use rustix::fs::OFlags;

/// A file that all may read and write.
const ALL: u32 = 0o666;
/// How long one who waits does so before the next try.
const PAUSE: Duration = Duration::from_millis(5);

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By nobody else.
    Exclusive,
    /// Together with others that share it.
    Shared,
}

/// A lock that is held until this is dropped, or until its process ends, however that ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Waits until nobody else, in this process or another of this user, holds the lock of the file
    /// at `path`, which is made where it is not there.
    ///
    /// # Errors
    /// The file cannot be made, or `cancel` was thrown while it waited.
    pub fn wait(path: &Path, cancel: &Cancel) -> Result<Self> {
        Self::wait_on(open(path)?, path, cancel)
    }

    /// The same for who may not block a thread, also to share it.
    ///
    /// # Errors
    /// As those of [`wait`](Self::wait).
    pub async fn take(path: &Path, mode: Mode, cancel: &Cancel) -> Result<Self> {
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                return Ok(lock);
            }
            cancel.check()?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The same without waiting: none where somebody else has it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn try_take(path: &Path, mode: Mode) -> Result<Option<Self>> {
        Self::try_on(open(path)?, mode).map_err(|error| failed(path, error))
    }

    /// As [`wait`](Self::wait), between all users of the machine, who may all write to the file. Its
    /// directory may be one that everybody can write to, such as `/run/lock`: what somebody else put
    /// in the file's place is refused untouched.
    ///
    /// # Errors
    /// As those of [`wait`](Self::wait); or the file is not one that this function makes.
    pub fn wait_for_all(path: &Path, cancel: &Cancel) -> Result<Self> {
        Self::wait_on(open_for_all(path)?, path, cancel)
    }

    /// The same without waiting: none where somebody else has it.
    ///
    /// # Errors
    /// The file cannot be made, or is not one that these functions make.
    pub fn try_for_all(path: &Path) -> Result<Option<Self>> {
        Self::try_on(open_for_all(path)?, Mode::Exclusive).map_err(|error| failed(path, error))
    }

    /// The lock of any file: none where somebody else has it.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn try_on(file: File, mode: Mode) -> io::Result<Option<Self>> {
        Ok(try_lock(&file, mode)?.then_some(Self(file)))
    }

    fn wait_on(file: File, path: &Path, cancel: &Cancel) -> Result<Self> {
        while !try_lock(&file, Mode::Exclusive).map_err(|error| failed(path, error))? {
            cancel.check()?;
            sleep(PAUSE);
        }
        Ok(Self(file))
    }

    /// The file that is locked.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it does not do for the moment in which another thread starts a program, which
        // has it open too until it is another program.
        let _ = self.0.unlock();
    }
}

/// Locks a file that stays open for the next time; false where somebody else has it locked.
///
/// # Errors
/// The file system has no locks.
pub fn try_lock(file: &File, mode: Mode) -> io::Result<bool> {
    let tried = match mode {
        Mode::Exclusive => file.try_lock(),
        Mode::Shared => file.try_lock_shared(),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The file of [`Lock::wait_for_all`], opened and not locked.
///
/// # Errors
/// The file cannot be made, or is not one that these functions make.
pub fn open_for_all(path: &Path) -> Result<File> {
    let open = || -> io::Result<_> {
        let file = open_or_make(path)?;
        let found = file.metadata()?;
        Ok((file, found))
    };
    let (file, found) = open().map_err(|error| failed(path, error))?;
    match oddity(&found, rustix::process::geteuid().as_raw()) {
        None => Ok(file),
        Some(why) => Err(Error::new(ErrorKind::Security, why)
            .operation(locking(path))
            .hint("find out who put it there, and remove it")),
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| failed(path, error))
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

/// Why a file is not a lock that this user or another one made, if it is not.
fn oddity(found: &Metadata, user: u32) -> Option<&'static str> {
    if !found.is_file() {
        Some("it is not a regular file")
    } else if found.nlink() != 1 {
        Some("it is also a file of another name")
    } else if found.uid() != user && found.mode() & ALL != ALL {
        Some("it is another user's own file")
    } else {
        None
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::from(error).operation(locking(path))
}

fn locking(path: &Path) -> String {
    format!("lock '{}'", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_is_held_by_one_or_shared_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let take = |mode| Lock::try_take(&path, mode).unwrap();
        let alone = take(Mode::Exclusive).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        // As a program has it that was being started when it was taken.
        let copy = alone.file().try_clone().unwrap();
        assert!(take(Mode::Shared).is_none() && take(Mode::Exclusive).is_none());
        let thrown = Cancel::default();
        thrown.cancel();
        assert!(Lock::wait(&path, &thrown).unwrap_err().is_cancelled());
        drop(alone);
        let shared = [take(Mode::Shared).unwrap(), take(Mode::Shared).unwrap()];
        assert!(take(Mode::Exclusive).is_none());
        drop((shared, copy));
        Lock::wait(&path, &thrown).unwrap();
        let error = Lock::try_take(&path.join("nowhere"), Mode::Shared).unwrap_err();
        assert!(error.to_string().starts_with("cannot lock '"), "{error}");
    }

    #[test]
    fn a_lock_for_all_can_be_opened_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        drop(Lock::wait_for_all(&path, &Cancel::default()).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o666);
        let _held = Lock::wait_for_all(&path, &Cancel::default()).unwrap();
        assert!(Lock::try_for_all(&path).unwrap().is_none());
        let other = Cancel::default();
        other.cancel();
        assert!(Lock::wait_for_all(&path, &other).unwrap_err().is_cancelled());
    }

    #[test]
    fn what_somebody_put_in_its_place_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let (path, treasure) = (directory.path().join("lock"), directory.path().join("treasure"));
        let refused = || open_for_all(&path).unwrap_err();
        fs::write(&treasure, "gold").unwrap();
        symlink(&treasure, &path).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        symlink("nowhere", &path).unwrap();
        refused();
        assert!(!directory.path().join("nowhere").exists());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&treasure, &path).unwrap();
        assert_eq!(refused().message(), "it is also a file of another name");
        fs::remove_file(&path).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(pipe.success());
        assert_eq!(refused().message(), "it is not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused();
        assert_eq!(fs::read(&treasure).unwrap(), b"gold");
    }

    #[test]
    fn another_users_file_is_shared_only_if_all_may_write_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = open_for_all(&directory.path().join("lock")).unwrap();
        let user = rustix::process::geteuid().as_raw();
        let odd = |user| oddity(&file.metadata().unwrap(), user);
        assert_eq!((odd(user), odd(user + 1)), (None, None));
        file.set_permissions(Permissions::from_mode(0o644)).unwrap();
        assert_eq!((odd(user), odd(user + 1)), (None, Some("it is another user's own file")));
    }
}
