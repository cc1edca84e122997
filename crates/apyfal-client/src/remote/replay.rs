//! A stream that can be sent again for as long as little of it was.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use apyfal_core::{Error, Result};
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
    /// Why it ended early. Who asks again must not take that for its end.
    failure: Option<Error>,
}

impl Replay {
    pub(super) fn of(pieces: mpsc::Receiver<Result<Bytes>>) -> Self {
        let state = Buffered { pieces, begin: Vec::new(), len: 0, is_whole: true, failure: None };
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
        if let Some(failure) = &state.failure {
            return Poll::Ready(Some(Err(failure.duplicate())));
        }
        if let Some(piece) = state.begin.get(*number) {
            *number += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        let piece = ready!(state.pieces.poll_recv(context));
        match &piece {
            Some(Ok(piece)) if state.is_whole => {
                state.len += piece.len();
                if state.len <= KEPT {
                    state.begin.push(piece.clone());
                    *number += 1;
                } else {
                    state.forget();
                }
            }
            Some(Err(error)) => {
                state.failure = Some(error.duplicate());
                state.forget();
            }
            _ => {}
        }
        Poll::Ready(piece)
    }
}

impl Buffered {
    /// It cannot be had again.
    fn forget(&mut self) {
        self.is_whole = false;
        self.begin = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use apyfal_core::ErrorKind;

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
    #[tokio::test]
    async fn a_stream_that_failed_does_not_end_well_the_next_time() {
        let (sender, pieces) = mpsc::channel(8);
        let tape = Replay::of(pieces);
        sender.try_send(Ok(vec![0; 9].into())).unwrap();
        sender.try_send(Err(Error::new(ErrorKind::Unavailable, "it is away"))).unwrap();
        drop(sender);
        assert_eq!(sent(&tape, 9).await, 9);
        assert!(tape.is_whole());
        for mut number in [1, 0] {
            let piece = poll_fn(|context| tape.poll_piece(&mut number, context)).await;
            assert_eq!(piece.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
            assert!(!tape.is_whole());
        }
    }
}
