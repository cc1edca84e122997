//! Streams between tasks that must not block and threads that may.
//!
//! Each direction is a bounded channel: memory stays flat, and reading or writing the network
//! overlaps with the work of the thread. A thread waits at most [`WAIT`] at a time.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use opendal::Buffer;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The longest wait before [`WouldBlock`](io::ErrorKind::WouldBlock).
pub(crate) const WAIT: Duration = Duration::from_millis(50);
/// How much a writer gathers before it hands it over.
const BLOCK: usize = 1 << 20;
/// How many blocks wait between a writer and its task.
const BLOCKS: usize = 4;

/// Reads a stream of buffers, which runs ahead by one buffer. Dropping the reader ends the stream.
#[derive(Debug)]
pub(crate) struct StreamReader {
    runtime: Handle,
    buffers: mpsc::Receiver<Result<Buffer>>,
    current: Buffer,
    ended: bool,
    task: JoinHandle<()>,
}

impl StreamReader {
    /// Starts reading. To be called inside a runtime.
    pub(crate) fn new(stream: impl Stream<Item = Result<Buffer>> + Send + 'static) -> Self {
        let runtime = Handle::current();
        let (sender, buffers) = mpsc::channel(1);
        let task = runtime.spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(item) = stream.next().await {
                let failed = item.is_err();
                if item.as_ref().is_ok_and(Buffer::is_empty) {
                    continue;
                }
                if sender.send(item).await.is_err() || failed {
                    return;
                }
            }
            // An empty buffer is the end; a channel that closes without one broke off.
            let _ = sender.send(Ok(Buffer::new())).await;
        });
        Self { runtime, buffers, current: Buffer::new(), ended: false, task }
    }

    fn next(&mut self) -> io::Result<Buffer> {
        let next = match self.buffers.try_recv() {
            Ok(next) => Some(next),
            Err(_) => {
                let buffers = &mut self.buffers;
                self.runtime
                    .block_on(async { tokio::time::timeout(WAIT, buffers.recv()).await })
                    .map_err(|_| io::ErrorKind::WouldBlock)?
            }
        };
        match next {
            Some(next) => next.map_err(Error::into_io),
            None => Err(broken_off("read").into_io()),
        }
    }
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.ended && !buffer.is_empty() {
            self.current = self.next()?;
            self.ended = self.current.is_empty();
        }
        let count = buffer.len().min(self.current.remaining());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes to a task that takes the other end, a [`BlockReceiver`].
#[derive(Debug)]
pub(crate) struct BlockWriter {
    runtime: Handle,
    blocks: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

/// What a [`BlockWriter`] writes, in blocks.
#[derive(Debug)]
pub(crate) struct BlockReceiver {
    blocks: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
}

/// Where a task leaves the reason why it failed, for whoever asks first.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// What was written and fills no block yet. It stays here when the writer is dropped, so that
    /// dropping needs neither to wait nor to fail.
    tail: Mutex<BytesMut>,
    error: Mutex<Option<Error>>,
}

/// A writer and its other end. To be called inside a runtime.
pub(crate) fn block_channel() -> (BlockWriter, BlockReceiver) {
    let (sender, receiver) = mpsc::channel(BLOCKS);
    let shared = Arc::<Shared>::default();
    (
        BlockWriter { runtime: Handle::current(), blocks: sender, shared: shared.clone() },
        BlockReceiver { blocks: receiver, shared },
    )
}

impl Write for BlockWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut tail = lock(&self.shared.tail);
        if tail.len() >= BLOCK {
            let blocks = &self.blocks;
            let permit = match blocks.try_reserve() {
                Err(mpsc::error::TrySendError::Full(())) => self
                    .runtime
                    .block_on(async { tokio::time::timeout(WAIT, blocks.reserve()).await })
                    .map_err(|_| io::ErrorKind::WouldBlock)?
                    .ok(),
                reserved => reserved.ok(),
            };
            match permit {
                Some(permit) => permit.send(tail.split().freeze()),
                None => return Err(Failure(self.shared.clone()).take("write").into_io()),
            }
        }
        if tail.capacity() == 0 {
            tail.reserve(BLOCK);
        }
        let count = buffer.len().min(BLOCK - tail.len());
        tail.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.blocks.is_closed() {
            return Err(Failure(self.shared.clone()).take("write").into_io());
        }
        Ok(())
    }
}

impl BlockReceiver {
    /// The next block, or none once the writer was dropped and all it wrote was received.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        match self.blocks.recv().await {
            Some(block) => Some(block),
            None => {
                let tail = std::mem::take(&mut *lock(&self.shared.tail));
                Some(tail.freeze()).filter(|tail| !tail.is_empty())
            }
        }
    }

    /// Where to leave an error for the writer.
    pub(crate) fn failure(&self) -> Failure {
        Failure(self.shared.clone())
    }
}

impl Failure {
    pub(crate) fn set(&self, error: Error) {
        lock(&self.0.error).get_or_insert(error);
    }

    /// The error, or a plain one where it was already taken.
    pub(crate) fn take(&self, operation: &str) -> Error {
        lock(&self.0.error).take().unwrap_or_else(|| broken_off(operation))
    }
}

fn broken_off(operation: &str) -> Error {
    Error::new(ErrorKind::Storage, "the transfer was broken off").operation(operation)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    fn patient<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match step() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    #[tokio::test]
    async fn reading_keeps_order_and_passes_errors_on() {
        let items = vec![
            Ok(Buffer::from("ab")),
            Ok(Buffer::new()),
            Ok(Buffer::from("c")),
            Err(Error::new(ErrorKind::StorageNotFound, "gone")),
        ];
        let mut reader = StreamReader::new(futures::stream::iter(items));
        let (text, result) = blocking(move || {
            let mut text = Vec::new();
            let result = reader.read_to_end(&mut text);
            (text, result)
        })
        .await;
        assert_eq!(text, b"abc");
        assert_eq!(Error::from_io(result.unwrap_err()).kind(), ErrorKind::StorageNotFound);
    }

    #[tokio::test]
    async fn a_silent_stream_would_block_and_ends_when_dropped() {
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let mut reader = StreamReader::new(futures::stream::once(async move {
            let _alive = alive;
            std::future::pending::<Result<Buffer>>().await
        }));
        let error = blocking(move || reader.read(&mut [0; 4]).unwrap_err()).await;
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(ended.await.is_err(), "dropping the reader drops the stream");
    }

    #[tokio::test]
    async fn a_stream_that_panics_is_not_an_end() {
        let mut reader = StreamReader::new(futures::stream::once(async { panic!("on purpose") }));
        let result = blocking(move || patient(|| reader.read(&mut [0; 4]))).await;
        assert!(result.is_err());
    }

    #[tokio::test]
    async fn a_reader_does_not_run_far_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let mut reader = StreamReader::new(futures::stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Buffer::from("x"))
        }));
        blocking(move || patient(|| reader.read(&mut [0; 1])).unwrap()).await;
        assert!(made.load(Ordering::Relaxed) <= 4);
    }

    #[tokio::test]
    async fn writing_hands_over_blocks_and_the_tail() {
        let (mut writer, mut receiver) = block_channel();
        let written = tokio::task::spawn_blocking(move || {
            let data = vec![7; 3 * BLOCK + 5];
            let mut rest = &data[..];
            while !rest.is_empty() {
                let count = patient(|| writer.write(rest)).unwrap();
                rest = &rest[count..];
            }
        });
        let mut sizes = Vec::new();
        while let Some(block) = receiver.next().await {
            sizes.push(block.len());
        }
        written.await.unwrap();
        assert_eq!(sizes, [BLOCK, BLOCK, BLOCK, 5]);
    }

    #[tokio::test]
    async fn a_writer_would_block_then_learns_why_it_failed() {
        let (mut writer, receiver) = block_channel();
        let (mut writer, error) = blocking(move || {
            let data = vec![7; BLOCK];
            let error = (0..).find_map(|_| writer.write(&data).err());
            (writer, error.unwrap())
        })
        .await;
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        receiver.failure().set(Error::new(ErrorKind::StorageFull, "full"));
        drop(receiver);
        let error = blocking(move || writer.flush().unwrap_err()).await;
        assert_eq!(Error::from_io(error).kind(), ErrorKind::StorageFull);
    }
}
