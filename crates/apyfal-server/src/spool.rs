//! The result of a job on its way to the client.
//!
//! The engine writes from a thread, the connection reads in a task. What the client has not taken
//! yet waits in memory, up to [`MEMORY`] bytes. A client that takes nothing does not hold the job
//! up for long: the rest then waits in a scratch file, and the job's slot becomes free. So clients
//! that read nothing before they have sent everything work too, as most do over HTTP/1.1. Where
//! that is known beforehand, what memory does not take waits in the file at once.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Report, Result};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::scratch::{Holder, Scratch, ScratchFile};

/// How much waits in memory, in bytes.
pub(crate) const MEMORY: usize = 512 << 10;
/// How much is handed over at once.
const BLOCK: usize = 128 << 10;
/// How long a writer waits for the reader before it goes on in the scratch file.
const PATIENCE: Duration = Duration::from_millis(100);
/// The longest wait before the writer answers `WouldBlock`.
const WAIT: Duration = Duration::from_millis(50);

/// The end that the engine writes.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    shared: Arc<Shared>,
    tail: BytesMut,
    /// Since when nothing could be handed over.
    waiting_since: Option<Instant>,
}

/// The end that the connection reads.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    shared: Arc<Shared>,
}

/// Says how the job ended.
#[derive(Debug)]
pub(crate) struct SpoolEnd {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Buffers>,
    writable: Condvar,
    scratch: Arc<Scratch>,
    /// Who takes it.
    holder: Holder,
}

#[derive(Debug, Default)]
struct Buffers {
    /// What waits in memory; it comes before what waits in the file.
    memory: VecDeque<Bytes>,
    held: usize,
    file: Option<Overflow>,
    /// Bytes handed over so far.
    total: u64,
    /// How the job ended.
    ended: Option<Result<Report>>,
    reader_is_gone: bool,
    /// Whether nobody will read before the end, or for long.
    reads_later: bool,
    /// Waking nobody would still cost a call of the system, as much as half a small job.
    writer_waits: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Overflow {
    file: ScratchFile,
    written: u64,
    read: u64,
}

/// A new spool for a connection.
pub(crate) fn spool(
    scratch: &Arc<Scratch>,
    holder: Holder,
) -> (SpoolWriter, SpoolEnd, SpoolReader) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        writable: Condvar::new(),
        scratch: scratch.clone(),
        holder,
    });
    (
        SpoolWriter { shared: shared.clone(), tail: BytesMut::new(), waiting_since: None },
        SpoolEnd { shared: shared.clone() },
        SpoolReader { shared },
    )
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Buffers> {
        self.state.lock()
    }

    fn overflow(&self) -> io::Result<Overflow> {
        Ok(Overflow { file: self.scratch.file(Some(self.holder.clone()))?, written: 0, read: 0 })
    }

    fn wake_writer(&self, state: &Buffers) {
        if state.writer_waits {
            self.writable.notify_one();
        }
    }
}

impl Buffers {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn push(&mut self, block: Bytes) {
        self.held += block.len();
        self.total += block.len() as u64;
        self.memory.push_back(block);
        self.wake();
    }

    fn append(&mut self, block: &[u8]) -> io::Result<()> {
        if let Some(overflow) = &mut self.file {
            overflow.file.write_all(block)?;
            overflow.written += block.len() as u64;
            self.total += block.len() as u64;
            self.wake();
        }
        Ok(())
    }
}

impl SpoolWriter {
    /// Hands `tail` over, or says that this would block.
    fn hand_over(&mut self) -> io::Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.state();
        let is_full = !state.reader_is_gone && state.file.is_none() && state.held >= MEMORY;
        if is_full && state.reads_later {
            state.file = Some(self.shared.overflow()?);
        } else if is_full {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let has_no_room = |state: &mut Buffers| state.held >= MEMORY && !state.reader_is_gone;
            state.writer_waits = true;
            self.shared.writable.wait_while_for(&mut state, has_no_room, WAIT);
            state.writer_waits = false;
            if state.held >= MEMORY && !state.reader_is_gone {
                if since.elapsed() < PATIENCE {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                state.file = Some(self.shared.overflow()?);
            }
        }
        if state.reader_is_gone {
            return Err(gone().into_io());
        }
        self.waiting_since = None;
        if state.file.is_some() {
            state.append(&self.tail)?;
            self.tail.clear();
        } else {
            state.push(self.tail.split().freeze());
        }
        Ok(())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the client is gone")
}

impl Write for SpoolWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.tail.len() >= BLOCK {
            self.hand_over()?;
        }
        if self.tail.capacity() == 0 {
            self.tail.reserve(buffer.len().min(BLOCK));
        }
        let count = buffer.len().min(BLOCK - self.tail.len());
        self.tail.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        // What is left fits, whoever reads: memory may be over its mark by one block.
        let mut state = self.shared.state();
        if self.tail.is_empty() || state.reader_is_gone {
            return;
        }
        let tail = self.tail.split().freeze();
        if state.file.is_none() {
            state.push(tail);
        } else if let Err(error) = state.append(&tail) {
            state.ended.get_or_insert(Err(error.into()));
            state.wake();
        }
    }
}

impl SpoolEnd {
    /// Says how the job ended, after its writer was dropped.
    pub(crate) fn end(self, result: Result<Report>) {
        let mut state = self.shared.state();
        // A failure while writing the last bytes stands.
        state.ended.get_or_insert(result);
        state.wake();
    }
}

impl Drop for SpoolEnd {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.ended.is_none() {
            let lost = Error::new(ErrorKind::Internal, "the job ended without a result");
            state.ended = Some(Err(lost));
            state.wake();
        }
    }
}

/// A piece of the result, or its end.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// There are no more; how the job ended.
    End(Box<Result<Report>>),
}

impl SpoolReader {
    /// Waits until more than `threshold` bytes are there or the job ended. True once it ended.
    pub(crate) async fn head(&self, threshold: usize) -> bool {
        std::future::poll_fn(|context| {
            let mut state = self.shared.state();
            if state.ended.is_some() {
                return Poll::Ready(true);
            }
            if state.total > threshold as u64 {
                return Poll::Ready(false);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Says that nothing is read for now, so that the writer does not wait for that.
    pub(crate) fn reads_later(&self, later: bool) {
        self.shared.state().reads_later = later;
    }

    /// How the job ended and how long its result is, once it ended.
    pub(crate) fn outcome(&self) -> Option<(Result<Report>, u64)> {
        let state = self.shared.state();
        let lost = state.file.as_ref().and_then(|overflow| overflow.file.check().err());
        let result = match (state.ended.as_ref()?, lost) {
            (Ok(_), Some(error)) => Err(error.into()),
            (Ok(report), None) => Ok(report.clone()),
            (Err(error), _) => Err(error.duplicate()),
        };
        Some((result, state.total))
    }

    /// The next piece that is there now.
    fn next_now(&self, state: &mut Buffers) -> Option<Piece> {
        if let Some(block) = state.memory.pop_front() {
            state.held -= block.len();
            self.shared.wake_writer(state);
            return Some(Piece::Data(block));
        }
        if let Some(overflow) = &mut state.file {
            let len = (overflow.written - overflow.read).min(BLOCK as u64) as usize;
            if len > 0 {
                // Read here, since what was just written is in the system's memory.
                let mut block = BytesMut::zeroed(len);
                if let Err(error) = overflow.file.read_exact_at(&mut block, overflow.read) {
                    return Some(Piece::End(Box::new(Err(error.into()))));
                }
                overflow.read += len as u64;
                return Some(Piece::Data(block.freeze()));
            }
            // All of it was taken: from here on memory serves again.
            state.file = None;
            self.shared.wake_writer(state);
        }
        state.ended.take().map(|ended| Piece::End(Box::new(ended)))
    }

    /// Everything, once the job ended and where all of it is in memory.
    pub(crate) fn into_whole(self) -> (Result<Report>, Vec<Bytes>) {
        let mut state = self.shared.state();
        let blocks = std::mem::take(&mut state.memory).into();
        state.held = 0;
        let lost = || Err(Error::new(ErrorKind::Internal, "the job has not ended"));
        (state.ended.take().unwrap_or_else(lost), blocks)
    }

    /// Whether all that is there is in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.shared.state().file.is_none()
    }
}

impl Stream for SpoolReader {
    type Item = Piece;

    /// Ends after [`Piece::End`].
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let mut state = self.shared.state();
        match self.next_now(&mut state) {
            Some(piece) => Poll::Ready(Some(piece)),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for SpoolReader {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.reader_is_gone = true;
        state.memory.clear();
        state.file = None;
        self.shared.wake_writer(&state);
    }
}

#[cfg(test)]
mod tests;
