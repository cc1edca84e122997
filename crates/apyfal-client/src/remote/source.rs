//! What a job sends: read here, by a thread where that may take a while.

use std::fs::File;
use std::io::{ErrorKind as Io, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use apyfal_core::{Cancel, Error, ErrorKind, Input, Progress, Result, Source as Given};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::body::{Count, Data, SendBody};
use super::replay::Replay;

/// How much is read at once.
const BLOCK: usize = 256 << 10;
/// How many blocks may wait to be sent.
const AHEAD: usize = 4;
/// What is not longer is read without a thread.
const SMALL: u64 = 64 << 10;
/// Memory of no more than so many bytes is copied without one.
const SMALL_MEMORY: u64 = 1 << 20;

/// The source of a job.
#[derive(Debug)]
pub(crate) struct Source {
    origin: Origin,
    name: Option<String>,
    cancel: Cancel,
    count: Arc<Count>,
    /// Why it could not be read.
    failure: Arc<Mutex<Option<Error>>>,
}

enum Origin {
    Nothing,
    Memory(Bytes),
    File {
        file: Arc<File>,
        path: PathBuf,
        len: u64,
    },
    /// A stream, which nobody reads before there is a host to send it to.
    Stream(Mutex<Option<Box<dyn Read + Send>>>, OnceLock<Replay>),
}

impl Source {
    /// The source that a job was given.
    ///
    /// # Errors
    /// It is a directory, or memory that cannot be read.
    pub(crate) async fn of(
        input: Option<Input>,
        cancel: &Cancel,
        progress: &Arc<Progress>,
    ) -> Result<Self> {
        if let Some(len) = input.as_ref().and_then(Input::len) {
            progress.set_total(len);
        }
        let name = input.as_ref().and_then(|input| input.name().map(str::to_owned));
        let origin = match input {
            None => Origin::Nothing,
            Some(input) => Origin::of(input).await?,
        };
        let (cancel, count) = (cancel.clone(), Count::read(progress));
        Ok(Self { origin, name, cancel, count, failure: Arc::default() })
    }

    /// The same for several hosts, each of which is sent all of it: a stream is taken in first, unless
    /// it has more than so many bytes.
    ///
    /// # Errors
    /// It is too long, or cannot be read.
    pub(crate) async fn shared(mut self, limit: u64) -> Result<Self> {
        if let Origin::Stream(reader, _) = &self.origin
            && let Some(reader) = take(reader)
        {
            let cancel = self.cancel.clone();
            let read = tokio::task::spawn_blocking(move || take_in(reader, limit, &cancel));
            self.origin = Origin::Memory(read.await.map_err(std::io::Error::from)??);
        }
        Ok(self)
    }

    /// The source once more, for another host. Of a stream it is the same one, which only one may read:
    /// none before anybody does.
    pub(crate) fn again(&self) -> Option<Self> {
        let origin = match &self.origin {
            Origin::Nothing => Origin::Nothing,
            Origin::Memory(bytes) => Origin::Memory(bytes.clone()),
            Origin::File { file, path, len } => {
                Origin::File { file: file.clone(), path: path.clone(), len: *len }
            }
            Origin::Stream(_, replay) => {
                Origin::Stream(Mutex::default(), OnceLock::from(replay.get()?.clone()))
            }
        };
        let (name, cancel, count) = (self.name.clone(), self.cancel.clone(), self.count.clone());
        let failure = if self.is_stream() { self.failure.clone() } else { Arc::default() };
        Some(Self { origin, name, cancel, count, failure })
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self.origin, Origin::Nothing)
    }

    /// What it is called.
    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    /// Whether it is a stream, which may be too long to be sent again.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.origin, Origin::Stream(..))
    }

    /// Whether it can be sent from its start.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.origin {
            Origin::Stream(_, replay) => replay.get().is_none_or(Replay::is_whole),
            _ => true,
        }
    }

    /// Why it could not be read, where that is so.
    pub(super) fn take_failure(&self) -> Option<Error> {
        take(&self.failure)
    }

    /// The source as the body of a request.
    pub(super) fn body(&self) -> Result<SendBody> {
        let data = match &self.origin {
            Origin::Nothing => Data::None,
            Origin::Memory(bytes) => Data::Whole(bytes.clone()),
            Origin::File { file, path, len } if *len <= SMALL => {
                let mut bytes = vec![0; *len as usize];
                let mut at = 0;
                while at < bytes.len() {
                    match read_some(file, &mut bytes[at..], at as u64, *len) {
                        Ok(count) => at += count,
                        Err(error) if error.kind() == Io::Interrupted => {}
                        Err(error) => return Err(reading(error, path)),
                    }
                }
                Data::Whole(bytes.into())
            }
            Origin::File { file, path, len } => {
                let (file, path, len) = (file.clone(), path.clone(), *len);
                let mut at = 0;
                let pieces = self.pieces(
                    move |buffer| {
                        let count = read_some(&file, buffer, at, len)?;
                        at += count as u64;
                        Ok(count)
                    },
                    Some(path),
                );
                Data::Pieces { pieces, left: Some(len) }
            }
            Origin::Stream(reader, replay) => {
                let replay = replay.get_or_init(|| {
                    // There is one as long as nothing was read of it.
                    let mut reader = take(reader).unwrap_or_else(|| Box::new(std::io::empty()));
                    Replay::of(self.pieces(move |buffer| reader.read(buffer), None))
                });
                Data::Stream(replay.clone(), 0)
            }
        };
        Ok(SendBody::new(data, Some(self.count.clone())))
    }

    /// Reads on a thread until the end, or until nobody takes the pieces any more.
    fn pieces(
        &self,
        mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize> + Send + 'static,
        path: Option<PathBuf>,
    ) -> mpsc::Receiver<Result<Bytes>> {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let (cancel, failure) = (self.cancel.clone(), self.failure.clone());
        tokio::task::spawn_blocking(move || {
            let mut block = vec![0; BLOCK];
            let mut filled = 0;
            while !sender.is_closed() && !cancel.is_cancelled() {
                let room = &mut block[filled..];
                // A thread that is gone would look like the end of the source.
                let read = catch_unwind(AssertUnwindSafe(|| read(room)))
                    .unwrap_or_else(|_| Err(std::io::Error::other("it panicked as it was read")));
                match read {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {
                        continue;
                    }
                    Err(error) => {
                        let error = match &path {
                            Some(path) => reading(error, path),
                            None => error.into(),
                        };
                        let told = error.duplicate();
                        *failure.lock() = Some(error);
                        let _ = sender.blocking_send(Err(told));
                        return;
                    }
                }
                if filled == BLOCK {
                    let whole = std::mem::replace(&mut block, vec![0; BLOCK]);
                    filled = 0;
                    if sender.blocking_send(Ok(whole.into())).is_err() {
                        return;
                    }
                } else if sender.capacity() == AHEAD {
                    // Nothing waits to be sent, so a slow source's few bytes go at once.
                    let piece = Bytes::copy_from_slice(&block[..filled]);
                    match sender.try_send(Ok(piece)) {
                        Ok(()) => filled = 0,
                        Err(TrySendError::Full(_)) => {}
                        Err(TrySendError::Closed(_)) => return,
                    }
                }
            }
            if cancel.is_cancelled() {
                let _ = sender.blocking_send(Err(Error::cancelled()));
            } else if filled > 0 {
                block.truncate(filled);
                let _ = sender.blocking_send(Ok(block.into()));
            }
        });
        pieces
    }
}

impl Origin {
    fn unread(reader: Box<dyn Read + Send>) -> Self {
        Self::Stream(Mutex::new(Some(reader)), OnceLock::new())
    }

    async fn of(input: Input) -> Result<Self> {
        let len = input.len();
        let in_memory = len.filter(|_| input.is_in_memory());
        if matches!(input.source(), Given::Stream(_)) {
            let reader = input.into_reader()?;
            return match in_memory {
                None => Ok(Self::unread(reader)),
                Some(len) if len <= SMALL_MEMORY => read_whole(reader, len).map(Self::Memory),
                Some(len) => {
                    let read = tokio::task::spawn_blocking(move || read_whole(reader, len));
                    read.await.map_err(std::io::Error::from)?.map(Self::Memory)
                }
            };
        }
        match input.into_source() {
            Given::File { file, path } => {
                // What it got since it was opened does not count.
                let len = len.map_or_else(|| file.metadata().map(|found| found.len()), Ok)?;
                Ok(Self::File { file: Arc::new(file), path, len })
            }
            Given::Stream(reader) => Ok(Self::unread(reader)),
            Given::Directory(path) => {
                let why = format!("'{}' is a directory", path.display());
                Err(Error::new(ErrorKind::Usage, why)
                    .operation("send it to a host")
                    .hint("send an archive of it: apyfal run targz on this machine makes one"))
            }
        }
    }
}

fn take<T>(mutex: &Mutex<Option<T>>) -> Option<T> {
    mutex.lock().take()
}

fn read_whole(mut reader: Box<dyn Read + Send>, len: u64) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(len as usize);
    reader.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Some of a file that had this length when it was opened. None of it is the end.
fn read_some(file: &File, buffer: &mut [u8], at: u64, len: u64) -> std::io::Result<usize> {
    let room = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
    match file.read_at(&mut buffer[..room], at)? {
        0 if room > 0 => Err(Error::cut_off(at, len).into_io()),
        count => Ok(count),
    }
}

/// Takes in a stream that is not too long.
fn take_in(mut reader: Box<dyn Read + Send>, limit: u64, cancel: &Cancel) -> Result<Bytes> {
    let (mut whole, mut block) = (Vec::new(), vec![0; BLOCK]);
    loop {
        cancel.check()?;
        match reader.read(&mut block) {
            Ok(0) => return Ok(whole.into()),
            Ok(count) => whole.extend_from_slice(&block[..count]),
            Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        if whole.len() as u64 > limit {
            return Err(Error::new(ErrorKind::Usage, format!("it has more than {limit} bytes"))
                .operation("send the stream to several hosts")
                .hint("write it to a file, which each of them is sent from there")
                .hint("or put it where the hosts can read it, such as s3:// or https://"));
        }
    }
}

fn reading(error: std::io::Error, path: &std::path::Path) -> Error {
    Error::from(error).operation(format!("read '{}'", path.display()))
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Memory(bytes) => write!(f, "Memory({})", bytes.len()),
            Self::File { path, .. } => f.debug_tuple("File").field(path).finish(),
            Self::Stream(..) => f.write_str("Stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::body::Body;

    use super::*;

    async fn source(input: Input) -> Source {
        Source::of(Some(input), &Cancel::default(), &Arc::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_stream_that_panics_does_not_end_well() {
        struct Panics(u8);
        impl Read for Panics {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 = self.0.checked_sub(1).expect("no more of it");
                buffer[0] = self.0;
                Ok(1)
            }
        }
        let source = source(Input::stream(Panics(3))).await;
        let mut body = Box::pin(source.body().unwrap());
        let mut sent = 0;
        let end = loop {
            match poll_fn(|context| body.as_mut().poll_frame(context)).await {
                Some(Ok(piece)) => sent += piece.into_data().map_or(0, |data| data.len()),
                end => break end,
            }
        };
        assert!(matches!(end, Some(Err(_))), "it ended well after {sent} bytes");
        let failure = source.take_failure().unwrap();
        assert!(failure.to_string().contains("panicked"), "{failure}");
    }

    #[tokio::test]
    async fn several_hosts_are_sent_one_copy() {
        let stream = source(Input::stream(&b"some text"[..])).await;
        assert!(stream.again().is_none(), "it is not known yet");
        let shared = stream.shared(9).await.unwrap();
        let memory = |source: &Source| match &source.origin {
            Origin::Memory(bytes) => (bytes.as_ptr(), bytes.to_vec()),
            other => panic!("{other:?}"),
        };
        let (one, two) = (shared.again().unwrap(), shared.again().unwrap());
        assert_eq!(memory(&one), memory(&two));
        assert_eq!(memory(&one).1, b"some text");
        let error = source(Input::stream(&b"some text"[..])).await.shared(8).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        // A file is read by each, and has no limit.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[1; 100]).unwrap();
        let input = Input::file(file.reopen().unwrap(), file.path()).unwrap();
        let shared = source(input).await.shared(8).await.unwrap();
        assert!(matches!(shared.again().unwrap().origin, Origin::File { len: 100, .. }));
    }
}
