//! Where a job's result goes: written here, by a thread where that may take a while.

use std::fs::File;
use std::io::{ErrorKind as Io, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use apyfal_core::{Cancel, Error, Output, Progress, Result, Sink as Given};
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::body::Count;

/// How many pieces may wait to be written.
const AHEAD: usize = 8;

/// The destination of a job. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    to: Option<Arc<To>>,
    name: Option<String>,
    /// What errors call it.
    place: Option<Arc<str>>,
    is_in_memory: bool,
    /// How many bytes were written, or begun to be.
    taken: Arc<AtomicU64>,
    /// Whether anything may be written any moment.
    has_begun: Arc<AtomicBool>,
    count: Arc<Count>,
    cancel: Cancel,
}

enum To {
    File(File),
    Stream(Mutex<Box<dyn Write + Send>>),
}

impl Sink {
    pub(crate) fn of(output: Option<Output>, cancel: &Cancel, progress: &Arc<Progress>) -> Self {
        let is_in_memory = output.as_ref().is_some_and(Output::is_in_memory);
        let name = output.as_ref().and_then(|output| output.name().map(str::to_owned));
        let place = output.as_ref().and_then(Output::place).map(Arc::from);
        let to = output.map(|output| match output.into_sink() {
            Given::File { file, .. } => To::File(file),
            Given::Stream(writer) => To::Stream(Mutex::new(writer)),
        });
        Self {
            to: to.map(Arc::new),
            name,
            place,
            is_in_memory,
            taken: Arc::default(),
            has_begun: Arc::default(),
            count: Count::written(progress),
            cancel: cancel.clone(),
        }
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.to.is_some()
    }

    /// What the result is to be called.
    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    /// How many bytes were handed on.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether any of a result came, be it not written yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Whether a result can be written from its start.
    pub(crate) fn can_restart(&self) -> bool {
        self.taken() == 0 || self.to.as_deref().is_some_and(|to| matches!(to, To::File(_)))
    }

    /// Takes back what was written.
    pub(crate) fn restart(&self) -> Result<()> {
        if let Some(To::File(file)) = self.to.as_deref()
            && self.taken() > 0
        {
            file.set_len(0)?;
        }
        self.taken.store(0, Ordering::Release);
        self.has_begun.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes a short result, all of it.
    pub(super) async fn write_short(&self, bytes: Bytes) -> Result<()> {
        self.has_begun.store(true, Ordering::Release);
        if self.is_in_memory || self.to.as_deref().is_none_or(|to| matches!(to, To::File(_))) {
            return self.write(&bytes).and_then(|()| self.flush());
        }
        let sink = self.clone();
        let writing =
            tokio::task::spawn_blocking(move || sink.write(&bytes).and_then(|()| sink.flush()));
        writing.await.map_err(std::io::Error::from)?
    }

    /// A thread that writes what it is sent, and flushes at the end.
    pub(super) fn writer(&self) -> (mpsc::Sender<Bytes>, JoinHandle<Result<()>>) {
        self.has_begun.store(true, Ordering::Release);
        let (sender, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
        let sink = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(piece) = pieces.blocking_recv() {
                sink.write(&piece)?;
            }
            sink.flush()
        });
        (sender, writing)
    }

    fn write(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.cancel.check()?;
            let at = self.taken();
            let written = match self.to.as_deref() {
                None => Ok(bytes.len()),
                Some(To::File(file)) => file.write_at(bytes, at),
                Some(To::Stream(writer)) => {
                    writer.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
                }
            };
            let written = match written {
                Ok(0) => return Err(std::io::Error::from(Io::WriteZero).into()),
                Ok(written) => written,
                Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => continue,
                Err(error) => return Err(Error::of_write(error, self.place.as_deref())),
            };
            self.taken.store(at + written as u64, Ordering::Release);
            self.count.at(at + written as u64);
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let Some(To::Stream(writer)) = self.to.as_deref() else { return Ok(()) };
        loop {
            self.cancel.check()?;
            match writer.lock().unwrap_or_else(PoisonError::into_inner).flush() {
                Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {}
                flushed => {
                    let place = self.place.as_deref();
                    return flushed.map_err(|error| Error::of_write(error, place));
                }
            }
        }
    }
}

impl std::fmt::Debug for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Stream(_) => "Stream",
        })
    }
}
