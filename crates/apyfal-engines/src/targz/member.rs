//! What a call adds: one file, one stream, or a directory with all that is in it.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, FileId, Input, JobContext, Result, Source, unix_time};
use rustix::fs::{OFlags, major, minor};
use tar::EntryType;
use walkdir::{DirEntry, WalkDir};

use super::header;
use crate::copy::copy;

/// One entry of the archive: the records of its header and, for a regular file, its content.
pub(super) struct Entry {
    pub(super) header: Vec<u8>,
    pub(super) content: Option<Content>,
}

/// The content of a regular file.
pub(super) struct Content {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    /// Whether reading it is progress; that of a stream was counted when it was copied.
    pub(super) counts: bool,
}

/// The entries that one source becomes.
pub(super) enum Member {
    /// One entry, until it was taken.
    Single(Option<Entry>),
    /// A directory.
    Tree(Box<Tree>),
}

impl Member {
    /// Takes a source under a name. A stream is copied to scratch space first: its length stands
    /// before its content.
    ///
    /// `output` are the files of the archive itself, which are left out of a directory.
    ///
    /// # Errors
    /// The source cannot be read.
    pub(super) fn new(
        input: Input,
        name: Vec<u8>,
        output: Vec<FileId>,
        ctx: &JobContext,
    ) -> Result<Self> {
        let (header, content) = match input.source() {
            Source::Directory(path) => {
                return Ok(Self::Tree(Box::new(Tree::new(path, name, output))));
            }
            Source::File { file, path } => {
                let metadata = file.metadata()?;
                // What it got since it was opened does not count.
                let size = input.len().unwrap_or(metadata.len());
                ctx.progress().set_total(size);
                let (file, path) = (file.try_clone()?, path.clone());
                let content = Content { file, path, size, counts: true };
                (header::of_file(&metadata, EntryType::Regular, content.size), content)
            }
            Source::Stream(_) => {
                let path = PathBuf::from(input.name().unwrap_or("the source"));
                let mut file = tempfile::tempfile_in(ctx.scratch()?)?;
                copy(&mut ctx.reader(input)?, &mut ctx.scratch_writer(&mut file))?;
                let size = file.metadata()?.len();
                (
                    header::of_data(size, unix_time().as_secs()),
                    Content { file, path, size, counts: false },
                )
            }
        };
        let header = header::encode(header, &name, b"")?;
        Ok(Self::Single(Some(Entry { header, content: Some(content) })))
    }

    /// The next entry.
    ///
    /// # Errors
    /// A file or directory cannot be read; the error names it.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Single(entry) => Ok(entry.take()),
            Self::Tree(tree) => tree.next(),
        }
    }

    /// How many sockets were left out: they mean nothing without the program behind them.
    pub(super) fn skipped(&self) -> u64 {
        match self {
            Self::Single(_) => 0,
            Self::Tree(tree) => tree.skipped,
        }
    }
}

/// A directory on its way into the archive, in the order of its names, so that the same tree gives
/// the same bytes.
pub(super) struct Tree {
    walk: walkdir::IntoIter,
    root: PathBuf,
    name: Vec<u8>,
    output: Vec<FileId>,
    /// Names of files with more links that may still come, and how many.
    links: HashMap<FileId, (Vec<u8>, u64)>,
    skipped: u64,
}

impl Tree {
    fn new(root: &Path, name: Vec<u8>, output: Vec<FileId>) -> Self {
        Self {
            walk: WalkDir::new(root).sort_by_file_name().into_iter(),
            root: root.to_owned(),
            name,
            output,
            links: HashMap::new(),
            skipped: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        for found in self.walk.by_ref() {
            let found = found.map_err(|error| unreadable(&self.root, error))?;
            let mut name = self.name.clone();
            if let Some(inside) = found.path().strip_prefix(&self.root).ok()
                && inside != Path::new("")
            {
                name.push(b'/');
                name.extend_from_slice(inside.as_os_str().as_bytes());
            }
            let entry = entry(&found, name, &mut self.links, &self.output)
                .map_err(|error| error.operation(format!("read '{}'", found.path().display())))?;
            match entry {
                Some(entry) => return Ok(Some(entry)),
                None if found.file_type().is_socket() => self.skipped += 1,
                None => {}
            }
        }
        Ok(None)
    }
}

fn unreadable(root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    let error = match error.into_io_error() {
        Some(error) => Error::from(error),
        None => Error::new(ErrorKind::InvalidData, "its links lead in a circle"),
    };
    error.operation(format!("read '{}'", path.display()))
}

/// None for what is left out.
fn entry(
    found: &DirEntry,
    mut name: Vec<u8>,
    links: &mut HashMap<FileId, (Vec<u8>, u64)>,
    output: &[FileId],
) -> Result<Option<Entry>> {
    let path = found.path();
    // The root may be a link to the directory that was asked for; nothing below it is followed.
    let metadata = if found.depth() == 0 {
        std::fs::metadata(path)?
    } else {
        found.metadata().map_err(|error| unreadable(path, error))?
    };
    let kind = metadata.file_type();
    if kind.is_file() {
        return regular(path, name, links, output);
    }
    let mut target = Vec::new();
    let header = if kind.is_dir() {
        name.push(b'/');
        header::of_file(&metadata, EntryType::Directory, 0)
    } else if kind.is_symlink() {
        target = std::fs::read_link(path)?.into_os_string().into_encoded_bytes();
        header::of_file(&metadata, EntryType::Symlink, 0)
    } else if kind.is_fifo() {
        header::of_file(&metadata, EntryType::Fifo, 0)
    } else if kind.is_block_device() {
        device(&metadata, EntryType::Block)?
    } else if kind.is_char_device() {
        device(&metadata, EntryType::Char)?
    } else {
        return Ok(None);
    };
    Ok(Some(Entry { header: header::encode(header, &name, &target)?, content: None }))
}

fn device(metadata: &Metadata, kind: EntryType) -> Result<tar::Header> {
    let mut header = header::of_file(metadata, kind, 0);
    header.set_device_major(major(metadata.rdev()))?;
    header.set_device_minor(minor(metadata.rdev()))?;
    Ok(header)
}

fn regular(
    path: &Path,
    name: Vec<u8>,
    links: &mut HashMap<FileId, (Vec<u8>, u64)>,
    output: &[FileId],
) -> Result<Option<Entry>> {
    // What was a file a moment ago may now be a link to elsewhere, or a FIFO that blocks.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidData, "it was replaced while it was read"));
    }
    let id = FileId::of(&metadata);
    if output.contains(&id) {
        return Ok(None);
    }
    if let Some((first, left)) = links.get_mut(&id) {
        let header = header::of_file(&metadata, EntryType::Link, 0);
        let header = header::encode(header, &name, first)?;
        *left -= 1;
        if *left == 0 {
            links.remove(&id);
        }
        return Ok(Some(Entry { header, content: None }));
    }
    let size = metadata.len();
    let records = header::encode(header::of_file(&metadata, EntryType::Regular, size), &name, b"")?;
    if metadata.nlink() > 1 {
        links.insert(id, (name, metadata.nlink() - 1));
    }
    let content = Content { file, path: path.to_owned(), size, counts: true };
    Ok(Some(Entry { header: records, content: Some(content) }))
}
