//! The header of gzip, with the digest of what follows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use apyfal_core::{Cancel, Error, ErrorKind, Result};

use crate::Digest;
use crate::digest::Hasher;

/// Gzip, deflate, a comment; no time, no level, no system.
const FIXED: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0xff];
const LABEL: &[u8] = b"sha256:";
const DIGITS: usize = 64;
/// Up to where the header goes: the comment ends with a zero.
pub(super) const HEADER: usize = FIXED.len() + LABEL.len() + DIGITS + 1;

/// The header of what has this digest.
pub(super) fn header(digest: &Digest) -> Vec<u8> {
    let mut header = FIXED.to_vec();
    header.extend(LABEL);
    header.extend(digest.to_string().as_bytes());
    header.push(0);
    header
}

/// Leaves room for the header that [`close`] writes.
pub(super) fn leave_room(file: &mut File) -> io::Result<()> {
    file.write_all(&[0; HEADER])
}

/// Writes the header of what the file has. Returns the digest of the whole file.
pub(super) fn close(file: &mut File, cancel: &Cancel) -> Result<Digest> {
    file.seek(SeekFrom::Start(HEADER as u64))?;
    let digest = Digest::of(&mut *file, cancel)?;
    file.rewind()?;
    file.write_all(&header(&digest))?;
    file.rewind()?;
    Digest::of(&mut *file, cancel)
}

/// Checks that a file is a package as it was made. Returns its digest.
///
/// # Errors
/// It is no package, or it changed since it was made.
pub fn check(file: &mut File, cancel: &Cancel) -> Result<Digest> {
    file.rewind()?;
    let found = begin(&mut *file)?;
    let mut whole = Hasher::default();
    whole.update(&found);
    let rest = Digest::of(Both { file, whole: &mut whole }, cancel)?;
    if header(&rest) != found {
        return Err(changed());
    }
    Ok(whole.finish())
}

/// Reads the header of a package.
///
/// # Errors
/// It is no package, or its header changed.
pub(crate) fn begin(from: impl Read) -> Result<Vec<u8>> {
    let mut found = Vec::with_capacity(HEADER);
    from.take(HEADER as u64).read_to_end(&mut found)?;
    let rest = found.strip_prefix(&FIXED);
    if found.len() == HEADER && rest.is_some_and(|rest| rest.starts_with(LABEL)) {
        return Ok(found);
    }
    match found.len() > 4 && found.starts_with(&FIXED[..4]) {
        true => Err(changed()),
        false => Err(Error::new(ErrorKind::InvalidData, "it is not a package")
            .hint("'apyfal pack' makes one of a directory")),
    }
}

fn changed() -> Error {
    let why = "it is not as it was made: it was cut off, or bytes of it changed";
    Error::new(ErrorKind::InvalidData, why).hint("get it again, whole")
}

/// Reads a file, and adds it to a digest.
struct Both<'a> {
    file: &'a mut File,
    whole: &'a mut Hasher,
}

impl Read for Both<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.whole.update(&buffer[..count]);
        Ok(count)
    }
}
