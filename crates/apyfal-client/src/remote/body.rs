//! Bodies of requests: nothing, bytes, or pieces that a thread reads.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use apyfal_core::{Error, Progress};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

use super::replay::Replay;

/// The body of a request.
#[derive(Debug)]
pub(super) struct SendBody {
    /// What stands before and behind the data in a form.
    before: Option<Bytes>,
    data: Data,
    after: Option<Bytes>,
    count: Option<Arc<Count>>,
    position: u64,
    is_sent: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) enum Data {
    None,
    Whole(Bytes),
    Pieces {
        pieces: mpsc::Receiver<Result<Bytes, Error>>,
        /// How many bytes are to come, where that is known.
        left: Option<u64>,
    },
    /// A stream, and the number of its next piece.
    Stream(Replay, usize),
}

/// Counts bytes as progress, each once however often it is sent.
#[derive(Debug)]
pub(super) struct Count {
    progress: Arc<Progress>,
    add: fn(&Progress, u64),
    furthest: AtomicU64,
}

impl Count {
    pub(super) fn read(progress: &Arc<Progress>) -> Arc<Self> {
        Self::new(progress, Progress::add_read)
    }

    pub(super) fn written(progress: &Arc<Progress>) -> Arc<Self> {
        Self::new(progress, Progress::add_written)
    }

    fn new(progress: &Arc<Progress>, add: fn(&Progress, u64)) -> Arc<Self> {
        Arc::new(Self { progress: progress.clone(), add, furthest: AtomicU64::new(0) })
    }

    /// Says how far one try is.
    pub(super) fn at(&self, position: u64) {
        let before = self.furthest.fetch_max(position, Ordering::Relaxed);
        (self.add)(&self.progress, position.saturating_sub(before));
    }
}

impl SendBody {
    pub(super) fn empty() -> Self {
        Self::new(Data::None, None)
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new(Data::Whole(bytes.into()), None)
    }

    pub(super) fn new(data: Data, count: Option<Arc<Count>>) -> Self {
        let is_sent = Arc::new(AtomicBool::new(matches!(data, Data::None)));
        Self { before: None, data, after: None, count, position: 0, is_sent }
    }

    /// The same with something before and behind it.
    pub(super) fn between(self, before: String, after: String) -> Self {
        self.is_sent.store(false, Ordering::Relaxed);
        Self { before: Some(before.into()), after: Some(after.into()), ..self }
    }

    /// Whether there is anything to send.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.data, Data::None)
    }

    /// Whether it is known to have no bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.left() == Some(0)
    }

    /// True once all of it was handed over.
    pub(super) fn is_sent(&self) -> Arc<AtomicBool> {
        self.is_sent.clone()
    }

    fn left(&self) -> Option<u64> {
        let data = match &self.data {
            Data::None => 0,
            Data::Whole(bytes) => bytes.len() as u64,
            Data::Pieces { left, .. } => (*left)?,
            Data::Stream(..) => return None,
        };
        let around = [&self.before, &self.after].into_iter().flatten();
        Some(data + around.map(|bytes| bytes.len() as u64).sum::<u64>())
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(before) = self.before.take() {
            return Poll::Ready(Some(Ok(before)));
        }
        let piece = match &mut self.data {
            Data::None => None,
            Data::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Data::Pieces { pieces, left } => {
                let piece = match std::task::ready!(pieces.poll_recv(context)) {
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(piece)) => Some(piece),
                    None => None,
                };
                if let (Some(left), Some(piece)) = (left, &piece) {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                piece
            }
            Data::Stream(replay, number) => {
                match std::task::ready!(replay.poll_piece(number, context)).transpose() {
                    Err(error) => return Poll::Ready(Some(Err(error))),
                    Ok(piece) => piece,
                }
            }
        };
        let Some(piece) = piece else {
            self.data = Data::None;
            return Poll::Ready(self.after.take().map(Ok));
        };
        self.position += piece.len() as u64;
        if let Some(count) = &self.count {
            count.at(self.position);
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = std::task::ready!(self.next(context));
        if next.is_none() || self.left() == Some(0) {
            self.is_sent.store(true, Ordering::Relaxed);
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
