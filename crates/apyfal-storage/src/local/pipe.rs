//! Pipes, terminals and devices, which may keep a reader or writer waiting for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::bridge::WAIT;

/// How much a pipe that is ready takes without waiting: `PIPE_BUF` of `pipe(7)`.
const PIPE_BUF: usize = 4096;

fn wait_for(file: &File, event: PollFlags) -> io::Result<()> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: WAIT.as_nanos() as i64 };
    match poll(&mut [PollFd::new(file, event)], Some(&timeout)) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file that may have nothing to read for now.
#[derive(Debug)]
pub(crate) struct PollReader(File);

impl PollReader {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }
}

impl Read for PollReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait_for(&self.0, PollFlags::IN)?;
        self.0.read(buffer)
    }
}

/// Writes a file that may have no room for now.
#[derive(Debug)]
pub(crate) struct PollWriter {
    file: File,
    /// How much may be written at once without waiting.
    limit: usize,
}

impl PollWriter {
    /// For a file that was opened so that it never waits.
    fn nonblocking(file: File) -> Self {
        Self { file, limit: usize::MAX }
    }

    /// For a file that other processes share, whose flags must not be changed.
    pub(crate) fn shared(file: File) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() {
            // Opening it anew gives a description of our own.
            use std::os::fd::AsRawFd;
            let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
            if let Ok(own) = open_for_writing(Path::new(&path), OFlags::empty()) {
                return Ok(Self::nonblocking(own));
            }
        }
        let limit = if kind.is_file() { usize::MAX } else { PIPE_BUF };
        Ok(Self { file, limit })
    }
}

impl Write for PollWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        wait_for(&self.file, PollFlags::OUT)?;
        self.file.write(&buffer[..buffer.len().min(self.limit)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A named pipe or device as a destination. A pipe is opened when it is first written, because that
/// waits for a reader.
#[derive(Clone, Debug)]
pub(crate) struct LazyPipe {
    path: PathBuf,
    file: Arc<OnceLock<File>>,
}

impl LazyPipe {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Arc::default() }
    }

    /// A device or a file that is written in place, which is opened at once.
    pub(crate) fn opened(path: &Path, append: bool) -> io::Result<Self> {
        let flags = if append { OFlags::APPEND } else { OFlags::empty() };
        let file = Arc::new(OnceLock::from(open_for_writing(path, flags)?));
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What writes to it.
    pub(crate) fn writer(&self) -> impl Write + Send + use<> {
        PipeWriter { pipe: self.clone(), writer: None }
    }

    /// Opens it, so that its reader sees an end even where nothing was written. True once it is.
    pub(crate) fn try_open(&self) -> io::Result<bool> {
        match self.open() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        match open_for_writing(&self.path, OFlags::empty()) {
            Ok(file) => Ok(self.file.get_or_init(|| file)),
            // No reader yet.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }
}

fn open_for_writing(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = (flags | OFlags::NONBLOCK).bits() as i32;
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

struct PipeWriter {
    pipe: LazyPipe,
    writer: Option<PollWriter>,
}

impl Write for PipeWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = self.pipe.open().inspect_err(|_| std::thread::sleep(WAIT))?;
                none.insert(PollWriter::nonblocking(file.try_clone()?))
            }
        };
        let path = &self.pipe.path;
        writer.write(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => error,
            _ => super::io_error("write", path, error).into_io(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
