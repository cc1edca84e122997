//! What an engine reads and writes.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The data of a job: a stream that may also be a real file or directory.
#[derive(Debug)]
pub struct Input {
    name: Option<String>,
    len: Option<u64>,
    source: Source,
    in_memory: bool,
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
        Self { name: None, len: None, source, in_memory: false }
    }

    /// A regular file; its name and length are taken from it.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub fn file(file: File, path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path = path.into();
        Ok(Self {
            name: file_name(&path),
            len: Some(file.metadata()?.len()),
            source: Source::File { file, path },
            in_memory: false,
        })
    }

    /// A directory.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = file_name(&path);
        Self { name, len: None, source: Source::Directory(path), in_memory: false }
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
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the length in bytes. A stream that turns out shorter or longer is read to its end.
    #[must_use]
    pub fn with_len(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }

    /// The last part of the path or URL, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
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

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
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
        Self { name: None, sink, in_memory: false, if_any: false }
    }

    /// A stream into memory: writing to it neither blocks nor takes long.
    pub fn memory(writer: impl Write + Send + 'static) -> Self {
        Self { in_memory: true, ..Self::stream(writer) }
    }

    /// An empty regular file.
    pub fn file(file: File, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = file_name(&path);
        Self { name, sink: Sink::File { file, path }, in_memory: false, if_any: false }
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
