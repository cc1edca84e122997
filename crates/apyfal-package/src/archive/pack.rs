//! A directory becomes an archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use flate2::{Compression, Crc, write::DeflateEncoder};
use tar::{Builder, EntryType, Header};

use super::seal;
use crate::files::{self, Kind, Member};
use crate::{Digest, Manifest};

/// What was packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// What the package is known by.
    pub digest: Digest,
    /// The files in it.
    pub files: usize,
    /// The length of the archive in bytes.
    pub size: u64,
}

/// Packs a directory into an empty file.
///
/// # Errors
/// The manifest is wrong, what it names is missing, or a file cannot be packed. Where writing fails, the
/// error names no file: the caller knows which it is.
pub fn pack(folder: &Path, manifest: &Manifest, to: &mut File, cancel: &Cancel) -> Result<Packed> {
    let members = files::list(folder, manifest)?;
    let names: BTreeSet<_> = members.iter().map(|member| member.name.as_str()).collect();
    manifest.check_files(folder, |name| names.contains(name))?;
    seal::leave_room(to)?;
    let mut builder = Builder::new(Compressed::new(BufWriter::with_capacity(256 << 10, &mut *to)));
    for member in &members {
        cancel.check()?;
        add(&mut builder, member, cancel)?;
    }
    builder.into_inner()?.finish()?;
    let digest = seal::close(to, cancel)?;
    to.sync_all()?;
    Ok(Packed { digest, files: members.len(), size: to.metadata()?.len() })
}

fn add(builder: &mut Builder<impl Write>, member: &Member, cancel: &Cancel) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match &member.kind {
        Kind::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            builder.append_link(&mut header, &member.name, target)?;
        }
        Kind::File { is_executable } => {
            let opened = File::open(&member.path);
            let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
            let (size, file) = opened.map_err(|error| unread(&member.path, error))?;
            header.set_entry_type(EntryType::Regular);
            header.set_size(size);
            header.set_mode(if *is_executable { 0o755 } else { 0o644 });
            let mut content =
                Content { path: &member.path, file: file.take(size), left: size, cancel };
            builder.append_data(&mut header, &member.name, &mut content)?;
        }
    }
    Ok(())
}

/// The content of a file that must be as long as its header says.
struct Content<'a> {
    path: &'a Path,
    file: io::Take<File>,
    left: u64,
    cancel: &'a Cancel,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(Error::into_io)?;
        let reading = self.file.read(buffer);
        let count = match reading {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            reading => reading.map_err(|error| unread(self.path, error).into_io())?,
        };
        self.left -= count as u64;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            let changed = Error::new(ErrorKind::Conflict, "it became shorter while it was packed");
            return Err(packing(self.path, changed).into_io());
        }
        Ok(count)
    }
}

fn unread(path: &Path, error: io::Error) -> Error {
    packing(path, Error::from(error))
}

fn packing(path: &Path, error: Error) -> Error {
    error.operation(format!("pack '{}'", path.display()))
}

/// What gzip has behind its header: the data compressed, its CRC-32 and its length.
struct Compressed<W: Write> {
    encoder: DeflateEncoder<W>,
    crc: Crc,
}

impl<W: Write> Compressed<W> {
    fn new(to: W) -> Self {
        Self { encoder: DeflateEncoder::new(to, Compression::new(6)), crc: Crc::new() }
    }

    fn finish(self) -> io::Result<()> {
        let mut to = self.encoder.finish()?;
        to.write_all(&self.crc.sum().to_le_bytes())?;
        to.write_all(&self.crc.amount().to_le_bytes())?;
        to.flush()
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encoder.write(bytes)?;
        self.crc.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}
