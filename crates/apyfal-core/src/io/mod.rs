//! What an engine reads and writes.

mod spare;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::{Error, ErrorKind, Result};

/// What makes a file the same file, whatever it is called: its device and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// That of the file with this number on this device.
    pub fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// That of a file of which this is known.
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

pub use spare::{SpareInput, SpareOutput};

/// The data of a job: a stream that may also be a real file or directory.
#[derive(Debug)]
pub struct Input {
    name: Option<Name>,
    len: Option<u64>,
    source: Source,
    in_memory: bool,
    /// The file behind a stream.
    file: Option<FileId>,
}

/// What an input is called: mostly text.
#[derive(Clone, Debug)]
enum Name {
    Text(String),
    /// A file may be called by any bytes; as text they are not all there.
    Other {
        own: OsString,
        text: String,
    },
}

impl From<OsString> for Name {
    fn from(own: OsString) -> Self {
        match own.into_string() {
            Ok(text) => Self::Text(text),
            Err(own) => Self::Other { text: own.to_string_lossy().into_owned(), own },
        }
    }
}

/// Where the bytes of an [`Input`] are.
pub enum Source {
    /// Only a stream. It may answer [`WouldBlock`](std::io::ErrorKind::WouldBlock) after a short
    /// wait, so that the job can notice that it was cancelled.
    Stream(Box<dyn Read + Send>),
    /// A regular file, positioned at its start, that can be read at any offset.
    File {
        /// The open file.
        file: File,
        /// Where it was opened, for programs that want a path.
        path: PathBuf,
    },
    /// A directory, for engines that take one.
    Directory(PathBuf),
}

impl Input {
    /// An input that can only be read from start to end.
    pub fn stream(reader: impl Read + Send + 'static) -> Self {
        let source = Source::Stream(Box::new(reader));
        Self { name: None, len: None, source, in_memory: false, file: None }
    }

    /// A regular file; its name and length are taken from it.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub fn file(file: File, path: impl Into<PathBuf>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self::known_file(file, path, &metadata))
    }

    /// The same, of which this is known.
    pub fn known_file(file: File, path: impl Into<PathBuf>, metadata: &Metadata) -> Self {
        let path = path.into();
        Self {
            name: path.file_name().map(|name| name.to_owned().into()),
            len: Some(metadata.len()),
            source: Source::File { file, path },
            in_memory: false,
            file: Some(FileId::of(metadata)),
        }
    }

    /// A directory.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_owned().into());
        Self { name, len: None, source: Source::Directory(path), in_memory: false, file: None }
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::memory(bytes.into())
    }

    /// Bytes in memory that need not be a `Vec`. Engines see a stream.
    pub fn memory(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        let len = bytes.as_ref().len() as u64;
        Self { in_memory: true, ..Self::stream(std::io::Cursor::new(bytes)).with_len(len) }
    }

    /// Sets the name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<OsString>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// Says which file a stream reads.
    #[must_use]
    pub fn with_file(mut self, file: FileId) -> Self {
        self.file = Some(file);
        self
    }

    /// Sets the length in bytes. A stream that turns out longer is read to its end; shorter, it was
    /// cut off.
    #[must_use]
    pub fn with_len(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }

    /// The last part of the path or URL, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| match name {
            Name::Text(text) | Name::Other { text, .. } => text.as_str(),
        })
    }

    /// The same with all its bytes, which need not be text.
    pub fn os_name(&self) -> Option<&OsStr> {
        self.name.as_ref().map(|name| match name {
            Name::Text(text) => OsStr::new(text),
            Name::Other { own, .. } => own,
        })
    }

    /// The length in bytes, where it is known before reading.
    pub fn len(&self) -> Option<u64> {
        self.len
    }

    /// Whether it is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
    }

    /// Whether the bytes are in memory, so that nobody has to wait for them.
    pub fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Where the bytes are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Takes the input apart.
    pub fn into_source(self) -> Source {
        self.source
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File { path, .. } => f.debug_tuple("File").field(path).finish(),
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
        }
    }
}

/// Where a job writes its result.
///
/// Nothing of it is visible to others before the one who opened it commits it, which happens only
/// after the job ended well.
#[derive(Debug)]
pub struct Output {
    name: Option<String>,
    sink: Sink,
    in_memory: bool,
    if_any: bool,
    is_new: bool,
    /// The file that a stream goes to, or that a file is to replace.
    file: Option<FileId>,
    place: Option<String>,
}

/// Where the bytes of an [`Output`] go.
pub enum Sink {
    /// Only a stream.
    Stream(Box<dyn Write + Send>),
    /// An empty regular file that may be written at any offset.
    File {
        /// The open file.
        file: File,
        /// Where it is, for programs that want a path. They may write to it, not replace it.
        path: PathBuf,
    },
}

impl Output {
    /// An output that can only be written from start to end.
    pub fn stream(writer: impl Write + Send + 'static) -> Self {
        let sink = Sink::Stream(Box::new(writer));
        Self {
            name: None,
            sink,
            in_memory: false,
            if_any: false,
            is_new: false,
            file: None,
            place: None,
        }
    }

    /// A stream into memory: writing to it neither blocks nor takes long.
    pub fn memory(writer: impl Write + Send + 'static) -> Self {
        Self { in_memory: true, ..Self::stream(writer) }
    }

    /// An empty regular file.
    pub fn file(file: File, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self { name, sink: Sink::File { file, path }, ..Self::stream(io::sink()) }
    }

    /// Says that the file was just made, so that nobody can read it yet.
    #[must_use]
    pub fn new_file(mut self) -> Self {
        self.is_new = true;
        self
    }

    /// Is there for a result if the job has one, from a caller that cannot know.
    #[must_use]
    pub fn if_any(mut self) -> Self {
        self.if_any = true;
        self
    }

    /// Whether the caller goes without a result as well.
    pub fn is_if_any(&self) -> bool {
        self.if_any
    }

    /// Sets the name, which for a file is that of its final place.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what errors of writing call it, such as `'out.gz'`.
    #[must_use]
    pub fn with_place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// What errors of writing call it.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Says which file a stream goes to, or a file is to replace.
    #[must_use]
    pub fn with_file(mut self, file: FileId) -> Self {
        self.file = Some(file);
        self
    }

    /// The files that hold the result or will: what reads directories leaves them out.
    ///
    /// # Errors
    /// The system says nothing of its own file.
    pub fn files(&self) -> io::Result<Vec<FileId>> {
        let own = match &self.sink {
            Sink::File { file, .. } => Some(FileId::of(&file.metadata()?)),
            Sink::Stream(_) => None,
        };
        Ok(own.into_iter().chain(self.file).collect())
    }

    /// Checks that it does not go to the very file that an input reads: what is written would be
    /// read. A file that replaces another at the end is not that one until then.
    ///
    /// # Errors
    /// It does; or the system says nothing of its own file.
    pub fn check_apart_from(&self, input: &Input) -> Result<()> {
        if self.is_new {
            return Ok(());
        }
        let own = match &self.sink {
            Sink::File { file, .. } => Some(FileId::of(&file.metadata()?)),
            Sink::Stream(_) => self.file,
        };
        if own.is_none() || own != input.file {
            return Ok(());
        }
        let shown = input.name().map_or_else(|| "one file".to_owned(), |name| format!("'{name}'"));
        let why = format!("{shown} cannot be source and destination at once");
        Err(Error::new(ErrorKind::Usage, why).hint("write to another file"))
    }

    /// The last part of the path or URL, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the bytes go to memory, so that nobody has to wait until they are taken.
    pub fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Where the bytes go.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Takes the output apart.
    pub fn into_sink(self) -> Sink {
        self.sink
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File { path, .. } => f.debug_tuple("File").field(path).finish(),
        }
    }
}
