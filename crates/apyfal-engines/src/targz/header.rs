//! Tar headers in the format of GNU tar, which GNU tar and libarchive read.
//!
//! Names and link targets are stored byte for byte. Those over 100 bytes stand in an entry of their
//! own before the header; numbers too large for octal digits are stored in base 256. See "Basic Tar
//! Format" in the manual of GNU tar.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use apyfal_core::{Error, ErrorKind, Result};
use tar::{EntryType, Header};

/// The unit in which tar counts.
pub(super) const RECORD: usize = 512;
/// Two empty records end an archive.
pub(super) const TRAILER: [u8; 2 * RECORD] = [0; 2 * RECORD];

const LONG_NAME: &[u8] = b"././@LongLink";

/// A header with what the system says of a file.
pub(super) fn of_file(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    set_mtime(&mut header, metadata.mtime());
    header
}

/// Sets a time, which before 1970 is a negative number: in base 256, as GNU tar has it.
fn set_mtime(header: &mut Header, seconds: i64) {
    match u64::try_from(seconds) {
        Ok(seconds) => header.set_mtime(seconds),
        Err(_) => {
            let mut field = [0xff; 12];
            field[4..].copy_from_slice(&seconds.to_be_bytes());
            header.as_old_mut().mtime = field;
        }
    }
}

/// A header of a file that exists only as data.
pub(super) fn of_data(size: u64, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header
}

/// The records of a header with its name and, for links, its target.
pub(super) fn encode(mut header: Header, name: &[u8], target: &[u8]) -> Result<Vec<u8>> {
    let mut records = Vec::with_capacity(RECORD);
    if target.len() > 100 {
        long(&mut records, EntryType::GNULongLink, target)?;
    }
    if name.len() > 100 {
        long(&mut records, EntryType::GNULongName, name)?;
    }
    set_names(&mut header, name, target)?;
    records.extend_from_slice(header.as_bytes());
    Ok(records)
}

fn long(records: &mut Vec<u8>, kind: EntryType, text: &[u8]) -> Result<()> {
    let mut header = of_data(text.len() as u64 + 1, 0);
    header.set_entry_type(kind);
    set_names(&mut header, LONG_NAME, b"")?;
    records.extend_from_slice(header.as_bytes());
    records.extend_from_slice(text);
    records.push(0);
    records.resize(records.len().next_multiple_of(RECORD), 0);
    Ok(())
}

/// Sets both as they are, where the crate's own setters would rewrite them as paths.
fn set_names(header: &mut Header, name: &[u8], target: &[u8]) -> Result<()> {
    let Some(fields) = header.as_gnu_mut() else {
        return Err(Error::new(ErrorKind::Internal, "a tar header is not in the GNU format"));
    };
    for (field, text) in [(&mut fields.name, name), (&mut fields.linkname, target)] {
        let kept = text.len().min(field.len());
        field[..kept].copy_from_slice(&text[..kept]);
    }
    header.set_cksum();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_comes_back() {
        bolero::check!().with_iterations(2_000).with_max_len(600).for_each(|bytes: &[u8]| {
            let Some((at, rest)) = bytes.split_first() else { return };
            let (name, target) = rest.split_at(rest.len().min(usize::from(*at) * 2));
            if name.is_empty() || rest.contains(&0) {
                return;
            }
            let mut header = of_data(0, 0);
            header.set_entry_type(EntryType::Symlink);
            let records = encode(header, name, target).unwrap();
            let archive = [&records[..], &TRAILER].concat();
            let mut archive = tar::Archive::new(&archive[..]);
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(&*entry.path_bytes(), name);
            assert_eq!(entry.link_name_bytes().as_deref().unwrap_or_default(), target);
        });
    }
}
