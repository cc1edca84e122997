//! A stream that can be sent again for as long as little of it was.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use apyfal_core::Result;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// How many bytes are kept for another try, so that short streams survive a lost connection, and a
/// host that is full is asked again.
const KEPT: usize = 4 << 20;

/// What is read from a stream, in pieces. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Replay(Arc<Mutex<Buffered>>);

#[derive(Debug)]
struct Buffered {
    pieces: mpsc::Receiver<Result<Bytes>>,
    /// All pieces that came so far, as long as `is_whole`.
    begin: Vec<Bytes>,
    len: usize,
    is_whole: bool,
}

impl Replay {
    pub(super) fn of(pieces: mpsc::Receiver<Result<Bytes>>) -> Self {
        let state = Buffered { pieces, begin: Vec::new(), len: 0, is_whole: true };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Whether it can be had from its start.
    pub(super) fn is_whole(&self) -> bool {
        self.0.lock().is_whole
    }

    /// The piece with this number, or none at the end.
    pub(super) fn poll_piece(
        &self,
        number: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.begin.get(*number) {
            *number += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        let piece = ready!(state.pieces.poll_recv(context));
        if let Some(Ok(piece)) = &piece
            && state.is_whole
        {
            state.len += piece.len();
            if state.len <= KEPT {
                state.begin.push(piece.clone());
                *number += 1;
            } else {
                state.is_whole = false;
                state.begin = Vec::new();
            }
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn sent(tape: &Replay, most: usize) -> usize {
        let (mut number, mut len) = (0, 0);
        while len < most
            && let Some(piece) = poll_fn(|context| tape.poll_piece(&mut number, context)).await
        {
            len += piece.unwrap().len();
        }
        len
    }

    #[tokio::test]
    async fn the_beginning_can_be_had_again() {
        let (sender, pieces) = mpsc::channel(8);
        let tape = Replay::of(pieces);
        for _ in 0..5 {
            sender.try_send(Ok(vec![0; KEPT / 4].into())).unwrap();
        }
        drop(sender);
        assert_eq!(sent(&tape, KEPT / 2).await, KEPT / 2);
        assert_eq!(sent(&tape, KEPT).await, KEPT);
        assert!(tape.is_whole());
        assert_eq!(sent(&tape, usize::MAX).await, KEPT / 4 * 5);
        assert!(!tape.is_whole());
    }
}
