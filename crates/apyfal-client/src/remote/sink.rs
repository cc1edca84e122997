//! Where a job's result goes: written here, by a thread where that may take a while.

use std::fs::File;
use std::io::{ErrorKind as Io, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use apyfal_core::{Cancel, Error, Output, Progress, Result, Sink as Given};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::body::Count;

/// How many pieces may wait to be written.
const AHEAD: usize = 8;

/// The destination of a job. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    to: Option<Arc<Target>>,
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
    /// To be asked before anything is written, where this belongs to a second try.
    first: Option<Arc<Mutex<Option<Asks>>>>,
}

/// How a second try asks the first one to end, and is told that it has.
type Asks = oneshot::Sender<oneshot::Sender<()>>;
/// What it asked, for the first one.
pub(crate) type Asked = oneshot::Receiver<oneshot::Sender<()>>;

/// Where it goes, and room for the one thread that writes there.
struct Target {
    to: To,
    room: Semaphore,
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
            to: to.map(|to| Arc::new(Target { to, room: Semaphore::new(1) })),
            name,
            place,
            is_in_memory,
            taken: Arc::default(),
            has_begun: Arc::default(),
            count: Count::written(progress),
            cancel: cancel.clone(),
            first: None,
        }
    }

    /// The same destination for a second try beside this one, which asks before it writes.
    pub(crate) fn beside(&self) -> (Self, Asked) {
        let (asks, asked) = oneshot::channel();
        let first = Some(Arc::new(Mutex::new(Some(asks))));
        let (taken, has_begun) = Default::default();
        (Self { taken, has_begun, first, ..self.clone() }, asked)
    }

    /// Waits until it may be written: the first try, where there is one, has to end before.
    pub(crate) async fn begin(&self) {
        let Some(first) = &self.first else { return };
        let asks = first.lock().take();
        // It did before.
        let Some(asks) = asks else { return };
        self.has_begun.store(true, Ordering::Release);
        let (ends, ended) = oneshot::channel();
        if asks.send(ends).is_err() || ended.await.is_err() {
            // The first one goes on, and this one is about to be dropped.
            std::future::pending::<()>().await;
        }
        self.has_begun.store(false, Ordering::Release);
    }

    /// Whether a second try may still write all of it.
    pub(crate) fn can_be_taken_over(&self) -> bool {
        !self.has_begun() || self.file().is_some()
    }

    /// Leaves it to a second try, once the one that used it was dropped.
    pub(crate) async fn leave(&self) -> Result<()> {
        self.begin().await;
        self.restart().await
    }

    fn file(&self) -> Option<&File> {
        match &self.to.as_deref()?.to {
            To::File(file) => Some(file),
            To::Stream(_) => None,
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
        self.taken() == 0 || self.file().is_some()
    }

    /// Takes back what was written.
    pub(crate) async fn restart(&self) -> Result<()> {
        if let Some(target) = &self.to {
            // The thread of a try that was dropped may be writing still. It is never closed.
            let _room = target.room.acquire().await;
            if let Some(file) = self.file().filter(|_| self.taken() > 0) {
                file.set_len(0)?;
            }
        }
        self.taken.store(0, Ordering::Release);
        self.has_begun.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes a short result, all of it.
    pub(super) async fn write_short(&self, bytes: Bytes) -> Result<()> {
        self.has_begun.store(true, Ordering::Release);
        if self.is_in_memory || self.to.is_none() || self.file().is_some() {
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
        let writes = self.to.clone().and_then(Writes::to);
        let writing = tokio::task::spawn_blocking(move || {
            let _writes = writes;
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
            let written = match self.to.as_deref().map(|target| &target.to) {
                None => Ok(bytes.len()),
                Some(To::File(file)) => file.write_at(bytes, at),
                Some(To::Stream(writer)) => writer.lock().write(bytes),
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
        let Some(To::Stream(writer)) = self.to.as_deref().map(|target| &target.to) else {
            return Ok(());
        };
        loop {
            self.cancel.check()?;
            match writer.lock().flush() {
                Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {}
                flushed => {
                    let place = self.place.as_deref();
                    return flushed.map_err(|error| Error::of_write(error, place));
                }
            }
        }
    }
}

/// A thread that writes, until it ends.
struct Writes(Arc<Target>);

impl Writes {
    fn to(target: Arc<Target>) -> Option<Self> {
        target.room.try_acquire().ok()?.forget();
        Some(Self(target))
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.0.room.add_permits(1);
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.to {
            To::File(_) => "File",
            To::Stream(_) => "Stream",
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn two_tries_do_not_write_at_once() {
        let (cancel, progress) = (Cancel::default(), Arc::default());
        for _ in 0..20 {
            let file = tempfile::NamedTempFile::new().unwrap();
            let output = Output::file(file.reopen().unwrap(), file.path());
            let first = Sink::of(Some(output), &cancel, &progress);
            let (second, mut asked) = first.beside();
            assert!(first.begin().now_or_never().is_some(), "nobody is to be asked");
            // It is dropped in the midst, while a thread has much to write.
            let (sender, writing) = first.writer();
            for _ in 0..AHEAD {
                sender.send(vec![1; 4 << 20].into()).await.unwrap();
            }
            drop((sender, writing));
            let mut begins = Box::pin(second.begin());
            assert!((&mut begins).now_or_never().is_none() && first.can_be_taken_over());
            let ended = asked.try_recv().unwrap();
            first.leave().await.unwrap();
            ended.send(()).unwrap();
            begins.await;
            second.write_short(Bytes::from_static(b"whole")).await.unwrap();
            assert_eq!(std::fs::read(file.path()).unwrap(), b"whole");
            assert!(second.begin().now_or_never().is_some(), "it asked before");
        }
    }

    #[tokio::test]
    async fn what_was_handed_on_cannot_be_taken_over() {
        let (cancel, progress) = (Cancel::default(), Arc::default());
        let first = Sink::of(Some(Output::memory(Vec::new())), &cancel, &progress);
        let (second, asked) = first.beside();
        assert!(first.can_be_taken_over());
        first.write_short(Bytes::from_static(b"x")).await.unwrap();
        assert!(!first.can_be_taken_over());
        // Who asks in vain waits until it is dropped.
        drop(asked);
        assert!(second.begin().now_or_never().is_none());
    }
}
