//! The standard streams, which the one who started this process may have left out.

mod closed;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use apyfal_core::{Error, ErrorKind, FileId, Input, Output, Result};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use super::{
    Local, PollReader, PollWriter, follow_links, is_a_directory, is_standard_output, of_file,
    tells_its_length,
};
use crate::Location;

/// Standard input.
pub(crate) fn input() -> Result<Input> {
    let failed = |error| Error::from_io(error).operation("read standard input");
    let stdin = io::stdin();
    check(0, stdin.as_fd(), OFlags::WRONLY).map_err(|error| {
        error.operation("read standard input").hint("to read nothing: </dev/null")
    })?;
    let file = File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?);
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(is_a_directory("read", "-".as_ref()));
    }
    if !metadata.is_file() {
        return Ok(Input::stream(PollReader::new(file)));
    }
    let len = metadata.len();
    let input = match len > 0 && tells_its_length(&file, &metadata) {
        false => Input::stream(PollReader::new(file)),
        true => {
            let left = len.saturating_sub(rustix::fs::tell(&file).unwrap_or(0));
            Input::stream(PollReader::new(file).take(left)).with_len(left)
        }
    };
    Ok(input.with_file(FileId::of(&metadata)))
}

/// Standard output.
pub(crate) fn output() -> Result<(Local, Output)> {
    check_output()?;
    let failed = |error| Error::from_io(error).operation("write to standard output");
    let file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    let metadata = file.metadata().map_err(failed)?;
    let output = Output::stream(PollWriter::shared(file).map_err(failed)?);
    let output = output.with_place("standard output");
    Ok((Local::Standard, of_file(output, &metadata)))
}

/// Whether a location is standard output, by whatever name: nothing else belongs there then.
pub fn is_output(location: &Location) -> bool {
    match location {
        Location::Standard => true,
        Location::File(path) => is_standard_output(&follow_links(path)),
        _ => false,
    }
}

/// Checks that standard output takes what is written to it: the standard library loses it without a
/// word where it is closed.
///
/// # Errors
/// It was closed when this process started, or can only be read.
pub fn check_output() -> Result<()> {
    check(1, io::stdout().as_fd(), OFlags::RDONLY).map_err(|error| {
        error.operation("write to standard output").hint("to do without it: >/dev/null")
    })
}

/// The same for standard error.
///
/// # Errors
/// As [`check_output`].
pub fn check_error() -> Result<()> {
    check(2, io::stderr().as_fd(), OFlags::RDONLY)
        .map_err(|error| error.operation("write to standard error"))
}

/// Checks that a stream is open, and not only for the other direction.
fn check(descriptor: u8, stream: BorrowedFd<'_>, other: OFlags) -> Result<()> {
    let refused = |why| Err(Error::new(ErrorKind::Storage, why));
    if closed::was_closed(descriptor) && is_null(stream) {
        return refused("it is closed");
    }
    match fcntl_getfl(stream) {
        Ok(flags) if flags.contains(OFlags::PATH) || flags & OFlags::RWMODE == other => {
            refused("it is open for the other direction alone")
        }
        _ => Ok(()),
    }
}

/// Whether it is `/dev/null`, which stands for a stream that was closed until something else takes
/// its place.
fn is_null(stream: BorrowedFd<'_>) -> bool {
    let null = rustix::fs::makedev(1, 3);
    fstat(stream).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == null
    })
}
