//! An archive of anybody becomes a directory, or is refused.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::files::leads_inside;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the archive itself.
    pub archive: u64,
    /// Bytes of all its files.
    pub unpacked: u64,
    /// Files, links and directories.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { archive: 16 << 30, unpacked: 64 << 30, entries: 100_000 }
    }
}

/// A path is refused beyond this many bytes.
const PATH: u64 = 4096;
/// So many files are put on the disk one by one.
const SINGLY: usize = 1000;

/// What there is already.
#[derive(Clone, Copy, PartialEq)]
enum Made {
    Folder,
    File,
    Link,
}

/// Unpacks an archive into an empty directory; all is on the disk when this returns.
///
/// Only plain files, directories and links that lead inside are taken. Owners, times and special
/// modes are not.
///
/// # Errors
/// The archive is corrupt, has what no package has, or holds too much; or the disk is full. What was
/// unpacked until then stays.
pub fn unpack(archive: &mut File, folder: &Path, limits: &Limits, cancel: &Cancel) -> Result<()> {
    archive.rewind()?;
    let gunzip = GzDecoder::new(BufReader::with_capacity(256 << 10, archive));
    let mut archive = Archive::new(gunzip);
    let mut unpacker =
        Unpacker { folder, limits, cancel, made: BTreeMap::new(), left: limits.unpacked };
    let (mut long_name, mut long_link) = (None, None);
    let mut count = 0;
    // Raw, since a name of its own entry is otherwise taken whole, however long it is.
    for entry in archive.entries().map_err(corrupt)?.raw(true) {
        cancel.check()?;
        let mut entry = entry.map_err(corrupt)?;
        count += 1;
        if count > limits.entries {
            return Err(hostile(&format!("it has more than {} entries", limits.entries)));
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(long_text(&mut entry)?),
            EntryType::GNULongLink => long_link = Some(long_text(&mut entry)?),
            kind => {
                let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                let target = long_link.take();
                unpacker.add(kind, &name, target, &mut entry)?;
            }
        }
    }
    unpacker.sync()
}

struct Unpacker<'a> {
    folder: &'a Path,
    limits: &'a Limits,
    cancel: &'a Cancel,
    made: BTreeMap<String, Made>,
    left: u64,
}

impl Unpacker<'_> {
    fn add(
        &mut self,
        kind: EntryType,
        name: &[u8],
        target: Option<Vec<u8>>,
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<()> {
        let name = clean(name)?;
        if name.is_empty() {
            // The directory itself, as tar calls it.
            return Ok(());
        }
        let path = self.folder.join(&name);
        let unpacking = || format!("unpack '{}'", path.display());
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.folder_at(parent)?;
        }
        match kind {
            EntryType::Directory => return self.folder_at(&name),
            EntryType::Regular | EntryType::Continuous | EntryType::Symlink => {}
            EntryType::Link => return Err(hostile(&format!("'{name}' is a hard link"))),
            _ => return Err(hostile(&format!("'{name}' is neither file, directory nor link"))),
        }
        let made = if kind == EntryType::Symlink { Made::Link } else { Made::File };
        if self.made.insert(name.clone(), made).is_some() {
            return Err(hostile(&format!("'{name}' is in it twice")));
        }
        if kind == EntryType::Symlink {
            let target = target.or_else(|| Some(entry.link_name_bytes()?.into_owned()));
            let target =
                target.and_then(|target| String::from_utf8(target).ok()).unwrap_or_default();
            if !leads_inside(&name, &target) {
                return Err(hostile(&format!("'{name}' is a link out of it, to '{target}'")));
            }
            return symlink(&target, &path)
                .map_err(|error| Error::from(error).operation(unpacking()));
        }
        let size = entry.size();
        let Some(left) = self.left.checked_sub(size) else {
            return Err(hostile(&format!("it holds more than {} bytes", self.limits.unpacked)));
        };
        self.left = left;
        let is_executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
        self.file(&path, entry, size, is_executable).map_err(|error| error.operation(unpacking()))
    }

    /// Makes a directory and those above it. Nothing else may be in their place: through a link they
    /// would be elsewhere.
    fn folder_at(&mut self, name: &str) -> Result<()> {
        let mut ends: Vec<_> = name.match_indices('/').map(|(end, _)| end).collect();
        ends.push(name.len());
        for end in ends {
            let name = &name[..end];
            match self.made.get(name) {
                Some(Made::Folder) => {}
                Some(Made::File | Made::Link) => {
                    return Err(hostile(&format!("'{name}' is in it twice")));
                }
                None if self.made.len() >= 2 * self.limits.entries => {
                    return Err(hostile("it has too many directories"));
                }
                None => {
                    let path = self.folder.join(name);
                    fs::create_dir(&path).map_err(|error| {
                        Error::from(error).operation(format!("make '{}'", path.display()))
                    })?;
                    self.made.insert(name.to_owned(), Made::Folder);
                }
            }
        }
        Ok(())
    }

    fn file(
        &self,
        path: &Path,
        from: &mut impl Read,
        size: u64,
        is_executable: bool,
    ) -> Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        let mut buffer = vec![0; 256 << 10];
        let mut left = size;
        while left > 0 {
            self.cancel.check()?;
            match from.read(&mut buffer) {
                Ok(0) => return Err(corrupt(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    file.write_all(&buffer[..count])?;
                    left = left.saturating_sub(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(corrupt(error)),
            }
        }
        let mode = if is_executable { 0o755 } else { 0o644 };
        Ok(file.set_permissions(Permissions::from_mode(mode))?)
    }

    /// Puts all on the disk: one by one, or where they are many, with all that waits for this disk.
    fn sync(&self) -> Result<()> {
        let folder = File::open(self.folder)?;
        if self.made.len() > SINGLY {
            return Ok(rustix::fs::syncfs(&folder).map_err(io::Error::from)?);
        }
        for (name, made) in &self.made {
            if *made != Made::Link {
                File::open(self.folder.join(name))?.sync_all()?;
            }
        }
        Ok(folder.sync_all()?)
    }
}

/// A name or target that is too long for a header.
fn long_text(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>> {
    if entry.size() > PATH + 1 {
        return Err(hostile("a name in it is too long"));
    }
    let mut text = Vec::new();
    entry.take(PATH + 1).read_to_end(&mut text).map_err(corrupt)?;
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// The path of an entry within the directory, without `.`.
fn clean(name: &[u8]) -> Result<String> {
    let shown = String::from_utf8_lossy(name);
    let refused = |why: &str| Err(hostile(&format!("the name of '{shown}' {why}")));
    let Ok(text) = std::str::from_utf8(name) else { return refused("is not UTF-8 text") };
    if text.len() as u64 > PATH || text.contains('\0') {
        return refused("is too long, or has a zero in it");
    }
    let mut parts = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            Component::ParentDir => return refused("leads out of it"),
            Component::RootDir | Component::Prefix(_) => return refused("is absolute"),
        }
    }
    Ok(parts.join("/"))
}

/// An archive that no honest tool made.
fn hostile(why: &str) -> Error {
    Error::new(ErrorKind::Security, why.to_owned())
        .hint("do not use it; 'apyfal pack' makes no such package")
}

fn corrupt(error: io::Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return error.into();
    }
    Error::new(ErrorKind::InvalidData, "the archive is corrupt").source(error)
}
