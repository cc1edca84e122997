//! Files, directories, devices and pipes of this machine.

mod authorized;
mod file;
mod in_place;
mod pipe;
pub mod standard;

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, FileId, Input, Output, Result};
use rustix::fs::{Mode, OFlags};

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
    let failed = |error: rustix::io::Errno| io_error("read", path, error.into());
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
    if metadata.is_file() && tells_its_length(&file, metadata.len()) {
        return Input::file(file, path);
    }
    Ok(Input::stream(PollReader::new(file)))
}

/// Whether a file is as long as it says. Files of /proc say that they are empty, and those of /sys
/// that they fill a page, which they do not.
fn tells_its_length(file: &File, len: u64) -> bool {
    const PAGE: u64 = 64 << 10;
    let read = |at| file.read_at(&mut [0], at).ok();
    // One that cannot be read tells nothing: whoever reads it as a stream is told why.
    match len {
        0 => read(0) == Some(0),
        1..=PAGE => read(len - 1) == Some(1),
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
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(io_error("write", path, error));
        }
        _ => {}
    }
    let Some(name) =
        path.file_name().filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"))
    else {
        return Err(is_a_directory("write", path));
    };
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(|error| {
        let missing = error == rustix::io::Errno::NOENT;
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
    use std::os::unix::fs::MetadataExt;
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    let (changed, of_changed) = (metadata.ctime(), metadata.ctime_nsec());
    format!("{seconds}.{nanoseconds:09} {changed}.{of_changed:09} {}", metadata.ino())
}
