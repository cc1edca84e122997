//! Files that appear whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use apyfal_core::{Error, ErrorKind, FileId, Output, Result};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::in_place::{InPlace, REFUSALS, obstacle};
use super::io_error;
use crate::destination::Placed;

/// A file under way, in the directory of its final place.
///
/// It has no name until it is committed, so nothing is left even when this process is killed.
/// Where the file system cannot do that it has a hidden one, `.apyfal-….part`. Existing files are
/// replaced at once; they keep their mode and, where we may say so, their owner. One that cannot be
/// replaced is written in place, when all that is to be in it is known. As everywhere where speed
/// counts, nothing waits for the disk: a power failure may cost recent files.
#[derive(Debug)]
pub(crate) struct PendingFile {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
    file: File,
    hidden: Option<String>,
    replaces: Option<Stat>,
    in_place: Option<InPlace>,
}

impl PendingFile {
    /// Begins the file `name` in a directory; `path` is what it is called in messages.
    pub(crate) fn create(directory: OwnedFd, name: &OsStr, path: &Path) -> Result<(Self, Output)> {
        let replaces =
            existing(&directory, name).map_err(|error| io_error("write", path, error))?;
        Self::replacing(replaces, directory, name, path)
    }

    /// The same, where it is known what is there.
    pub(super) fn replacing(
        replaces: Option<Stat>,
        directory: OwnedFd,
        name: &OsStr,
        path: &Path,
    ) -> Result<(Self, Output)> {
        let failed = |error: io::Error| io_error("write", path, error);
        match replaces.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Some(FileType::Directory) => return Err(super::is_a_directory("write", path)),
            Some(FileType::RegularFile) => {
                // A file that is protected against writing is not replaced either.
                rustix::fs::accessat(&directory, name, Access::WRITE_OK, AtFlags::EACCESS)
                    .map_err(|error| failed(error.into()))?;
            }
            Some(FileType::Symlink) | None => {}
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::StorageConfiguration,
                    "it is not a regular file",
                )
                .operation(format!("write '{}'", path.display())));
            }
        }
        let present = replaces.as_ref().filter(|stat| is_file(stat));
        let mut why = match present {
            Some(found) => obstacle(&directory, name, found).map_err(failed)?.map(str::to_owned),
            None => None,
        };
        let mut elsewhere = None;
        let (file, hidden) = match open_hidden(&directory) {
            Err(error) if present.is_some() && REFUSALS.contains(&error) => {
                let text = Error::from_io(error.into());
                why.get_or_insert(format!("its directory cannot be written: {}", text.message()));
                let place = elsewhere.insert(std::env::temp_dir());
                let file = tempfile::tempfile_in(&*place);
                (file.map_err(|error| io_error("make a file in", place, error))?, None)
            }
            made => made.map_err(|error| failed(error.into()))?,
        };
        let in_place = match why {
            Some(why) => Some(InPlace::open(&directory, name, path, why)?),
            None => None,
        };
        let place = match &hidden {
            // Valid for child processes as well, unlike /proc/self.
            None => format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(),
            Some(hidden) => path.with_file_name(hidden),
        };
        let output = Output::file(file.try_clone().map_err(failed)?, place).new_file();
        // Where there is no room, if there is none.
        let room = elsewhere.as_deref().unwrap_or(path);
        let output = output.with_name(name.to_string_lossy());
        let output = output.with_place(format!("'{}'", room.display()));
        let output = match &replaces {
            Some(found) => output.with_file(FileId::new(found.st_dev, found.st_ino)),
            None => output,
        };
        let (name, path) = (name.to_owned(), path.to_owned());
        Ok((Self { directory, name, path, file, hidden, replaces, in_place }, output))
    }

    /// Makes it what is at its final place.
    pub(crate) fn commit(mut self) -> Result<Placed> {
        if self.in_place.is_none() {
            match self.publish() {
                Ok(()) => return Ok(Placed::Whole),
                Err(error) => match refusal(&error) {
                    Some(why) => self.in_place = Some(self.open_in_place(why, error)?),
                    None => return Err(io_error("write", &self.path, error)),
                },
            }
        }
        let Some(in_place) = &self.in_place else { return Ok(Placed::Whole) };
        in_place.fill(&self.file).map_err(|error| io_error("write", &self.path, error))?;
        Ok(Placed::CopiedInto { path: self.path.clone(), why: in_place.why().to_owned() })
    }

    /// The file that is there, which could not be replaced though nothing foretold it.
    fn open_in_place(&self, why: String, error: io::Error) -> Result<InPlace> {
        match existing(&self.directory, &self.name) {
            Ok(Some(found)) if is_file(&found) => {
                InPlace::open(&self.directory, &self.name, &self.path, why)
            }
            _ => Err(io_error("write", &self.path, error)),
        }
    }

    fn publish(&mut self) -> io::Result<()> {
        if let Some(replaced) = &self.replaces {
            self.inherit(replaced)?;
        }
        let hidden = match &self.hidden {
            Some(hidden) => hidden.clone(),
            None => {
                let link = |name: &OsStr| give_name(&self.file, &self.directory, name);
                // A name that is free can be had at once; one that is taken only by renaming.
                match link(&self.name) {
                    Err(Errno::EXIST) => {}
                    result => return Ok(result?),
                }
                let hidden = hidden_name();
                link(hidden.as_ref())?;
                self.hidden = Some(hidden.clone());
                hidden
            }
        };
        rustix::fs::renameat(&self.directory, &hidden, &self.directory, &self.name)?;
        self.hidden = None;
        Ok(())
    }

    /// Takes over permissions and owner of the file that is replaced, but not that it runs as its
    /// owner: those rights were given to what was in it.
    fn inherit(&self, replaced: &Stat) -> io::Result<()> {
        let own = rustix::fs::fstat(&self.file)?;
        if (own.st_uid, own.st_gid) != (replaced.st_uid, replaced.st_gid) {
            // Only the superuser may give files away; anyone else's copy is their own.
            let _ = rustix::fs::fchown(
                &self.file,
                Some(rustix::fs::Uid::from_raw(replaced.st_uid)),
                Some(rustix::fs::Gid::from_raw(replaced.st_gid)),
            );
        }
        Ok(rustix::fs::fchmod(&self.file, permissions(replaced))?)
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // Where this fails nobody is left to be told.
            let _ = rustix::fs::unlinkat(&self.directory, hidden, AtFlags::empty());
        }
    }
}

/// What a file's mode allows, without the bits that give who runs it the rights of others.
pub(super) fn permissions(found: &Stat) -> Mode {
    Mode::from_raw_mode(found.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO)
}

pub(super) fn is_file(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// What the system said, where it was that a file cannot be replaced.
fn refusal(error: &io::Error) -> Option<String> {
    let is_one = REFUSALS.iter().any(|known| error.raw_os_error() == Some(known.raw_os_error()));
    is_one.then(|| apyfal_core::root_cause(error))
}

/// What is called so in a directory, without following a link.
pub(super) fn existing(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file a name that has none.
fn give_name(file: &File, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    static BY_DESCRIPTOR: AtomicBool = AtomicBool::new(true);
    // Not every system lets everybody do so, and says then that there is no such file.
    if BY_DESCRIPTOR.load(Ordering::Relaxed) {
        match rustix::fs::linkat(file, "", directory, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => {
                BY_DESCRIPTOR.store(false, Ordering::Relaxed);
            }
            result => return result,
        }
    }
    // It takes the system longer to find its way there.
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, &source, directory, name, AtFlags::SYMLINK_FOLLOW)
}

/// Whether files can be had by their descriptors, as one without a name is given one.
fn has_proc() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| Path::new("/proc/self/fd").exists())
}

/// A new file without a name, or else with a hidden one. Its mode follows the umask.
fn open_hidden(directory: &OwnedFd) -> Result<(File, Option<String>), Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::openat(directory, ".", flags | OFlags::TMPFILE, mode) {
        // It gets its name through /proc.
        Ok(file) if has_proc() => {
            return Ok((file.into(), None));
        }
        // What an old kernel or a file system without the feature answers.
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    loop {
        let name = hidden_name();
        match rustix::fs::openat(directory, &name, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            Ok(file) => return Ok((file.into(), Some(name))),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

fn hidden_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".apyfal-{}-{count}-{time:x}.part", std::process::id())
}
