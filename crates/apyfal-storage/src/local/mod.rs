//! Files, directories, devices and pipes of this machine.

mod authorized;
mod file;
mod in_place;
mod pipe;
pub mod standard;

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, FileId, Input, Output, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub use authorized::AuthorizedDirs;
pub(crate) use file::PendingFile;
pub(crate) use pipe::{LazyPipe, PollReader, PollWriter};

/// A destination of this machine.
#[derive(Debug)]
pub(crate) enum Local {
    /// A file that appears when it is committed.
    File(Box<PendingFile>),
    /// A pipe or a device, which cannot take anything back.
    Pipe(LazyPipe),
    /// Standard output.
    Standard,
}

/// How inputs are opened: without waiting for the other end of a pipe.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens a path for reading.
pub(crate) fn open(path: &Path) -> Result<Input> {
    let failed = |error: Errno| io_error("read", path, error.into());
    let file = rustix::fs::open(path, READ, Mode::empty()).map_err(failed)?;
    input(file, path).map_err(|error| io_error("read", path, error))
}

/// What an open file is to an engine.
fn input(file: OwnedFd, path: &Path) -> io::Result<Input> {
    let file = File::from(file);
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Input::directory(path));
    }
    if metadata.is_file() && tells_its_length(&file, &metadata) {
        return Ok(Input::known_file(file, path, &metadata));
    }
    Ok(Input::stream(PollReader::new(file)))
}

/// Whether a file is as long as it says. Files of /proc say that they are empty, and those of /sys
/// that they fill a page, which they do not.
fn tells_its_length(file: &File, metadata: &Metadata) -> bool {
    const PAGE: u64 = 64 << 10;
    let read = |at| file.read_at(&mut [0], at).ok();
    // One that cannot be read tells nothing: whoever reads it as a stream is told why.
    match metadata.len() {
        0 => read(0) == Some(0),
        // Those take no room anywhere.
        _ if metadata.blocks() > 0 => true,
        len @ 1..=PAGE => read(len - 1) == Some(1),
        _ => true,
    }
}

/// A stream that may go to a file: neither its job nor another part of it should read that.
fn of_file(output: Output, metadata: &Metadata) -> Output {
    match metadata.is_file() {
        true => output.with_file(FileId::of(metadata)),
        false => output,
    }
}

/// Begins a file, or opens the device, pipe or open file (`/dev/fd/3`) that the path names.
pub(crate) fn create(path: &Path) -> Result<(Local, Output)> {
    // Most are new files, or take the place of one, and nothing more need be asked of them.
    if let Some((parent, name)) = place(path).filter(|_| !path.starts_with("/proc"))
        && let Ok(directory) = open_directory(parent)
        && let Ok(present) = file::existing(&directory, name)
        && present.as_ref().is_none_or(file::is_file)
    {
        let (file, output) = PendingFile::replacing(present, directory, name, path)?;
        return Ok((Local::File(Box::new(file)), output));
    }
    let path = &follow_links(path);
    // It shares its position with other writers.
    if is_standard_output(path) {
        return standard::output();
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(is_a_directory("write", path)),
        // Nothing can be put in the place of an open file of /proc.
        Ok(metadata) if !metadata.is_file() || path.starts_with("/proc") => {
            let pipe = match metadata.file_type() {
                kind if kind.is_fifo() => Ok(LazyPipe::new(path)),
                kind => LazyPipe::opened(path, kind.is_file()),
            };
            let pipe = pipe.map_err(|error| io_error("write", path, error))?;
            let output = of_file(Output::stream(pipe.writer()), &metadata);
            return Ok((Local::Pipe(pipe), output));
        }
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(io_error("write", path, error));
        }
        _ => {}
    }
    let Some((parent, name)) = place(path) else { return Err(is_a_directory("write", path)) };
    let directory = open_directory(parent).map_err(|error| {
        let missing = error == Errno::NOENT;
        let error = io_error("write", path, error.into());
        match missing {
            true => {
                error.hint(format!("create its directory first: mkdir -p '{}'", parent.display()))
            }
            false => error,
        }
    })?;
    let (file, output) = PendingFile::create(directory, name, path)?;
    Ok((Local::File(Box::new(file)), output))
}

/// The directory that a file is in, and its name there; none of what can only be a directory.
fn place(path: &Path) -> Option<(&Path, &OsStr)> {
    let name = path.file_name().filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")), name))
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Whether a path without links is what `/dev/stdout` stands for.
fn is_standard_output(path: &Path) -> bool {
    *path == *format!("/proc/{}/fd/1", std::process::id())
}

/// The path behind symbolic links, whose last target may be missing. Links keep pointing to the
/// file that is written. Those of /proc stand for open files, not for other names.
fn follow_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&path) else { break };
        let parent = path.parent().unwrap_or(Path::new(""));
        match (parent.canonicalize(), path.file_name()) {
            (Ok(real), Some(name)) if real.starts_with("/proc") => return real.join(name),
            _ => path = parent.join(target),
        }
    }
    path
}

pub(crate) fn is_a_directory(verb: &str, path: &Path) -> Error {
    Error::new(ErrorKind::StorageConfiguration, "it is a directory")
        .operation(format!("{verb} '{}'", path.display()))
        .hint("name a file")
}

/// An error of the system on a path.
pub(crate) fn io_error(verb: &str, path: &Path, error: io::Error) -> Error {
    Error::from_io(error).operation(format!("{verb} '{}'", path.display()))
}

/// What changes with a file of this machine: the time of its last change, as finely as the file system
/// has it; behind it the time that nobody can set back, and which file it is.
pub fn file_version(metadata: &Metadata) -> String {
    // Maps make two for each file: put together so, it takes a quarter of the time of `format`.
    let mut version = String::with_capacity(64);
    let mut add_time = |seconds: i64, nanoseconds: i64| {
        version += &seconds.to_string();
        // A digit before them keeps the zeros.
        let digits = (nanoseconds + 1_000_000_000).to_string();
        version.push('.');
        version += &digits[1..];
        version.push(' ');
    };
    add_time(metadata.mtime(), metadata.mtime_nsec());
    add_time(metadata.ctime(), metadata.ctime_nsec());
    version += &metadata.ino().to_string();
    version
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_version_has_all_digits_of_its_times() {
        let file = tempfile::tempfile().unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(5, 70)).unwrap();
        let metadata = file.metadata().unwrap();
        let (changed, of_changed) = (metadata.ctime(), metadata.ctime_nsec());
        let told = format!("5.000000070 {changed}.{of_changed:09} {}", metadata.ino());
        assert_eq!(file_version(&metadata), told);
    }
}
