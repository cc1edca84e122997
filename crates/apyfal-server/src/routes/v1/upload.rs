//! The body of a form, as it comes in.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind};
use axum::body::Body;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

/// How much is handed on at once, since the parser takes all that is there.
const AT_ONCE: usize = 128 << 10;
/// How much may be read to find the beginning of a part.
const HEADS: usize = AT_ONCE + (64 << 10);
/// How long a client may be silent while what it sends is thrown away.
const SILENCE: Duration = Duration::from_secs(10);

/// A body that is read to its end even where nobody wants it any more: clients of this protocol
/// read no answer before they have sent everything.
#[derive(Debug)]
pub(super) struct Upload {
    body: Shared,
    allowance: Arc<AtomicUsize>,
}

/// What the parser reads.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Shared,
    allowance: Arc<AtomicUsize>,
    since_pause: usize,
}

type Incoming = BoxStream<'static, Result<Bytes, axum::Error>>;

/// None once it ended.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Incoming>>>);

impl Upload {
    pub(super) fn of(body: Body) -> (Self, Pieces) {
        let body = Shared(Arc::new(Mutex::new(Some(body.into_data_stream().boxed()))));
        let allowance = Arc::new(AtomicUsize::new(HEADS));
        let pieces = Pieces { body: body.clone(), allowance: allowance.clone(), since_pause: 0 };
        (Self { body, allowance }, pieces)
    }

    /// A part begins with the next bytes, and that within bounds.
    pub(super) fn expect_head(&self) {
        self.allowance.store(HEADS, Ordering::Relaxed);
    }

    /// What comes now may be of any length.
    pub(super) fn expect_content(&self) {
        self.allowance.store(usize::MAX, Ordering::Relaxed);
    }

    /// Reads what stands behind the form.
    pub(super) async fn finish(&self) {
        self.body.clone().drain().await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.body.is_open()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.body.clone().drain());
        }
    }
}

impl Shared {
    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = &mut *body else { return Poll::Ready(None) };
        let polled = stream.poll_next_unpin(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            *body = None;
        }
        polled
    }

    async fn drain(self) {
        let next = || std::future::poll_fn(|context| self.poll(context));
        while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE, next()).await {}
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.is_open()).finish()
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.since_pause >= AT_ONCE {
            // Or the parser would hold all that comes in before it hands anything on.
            self.since_pause = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.body.poll(context) {
            Poll::Pending => {
                self.since_pause = 0;
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(broken_off(&error)))),
            Poll::Ready(Some(Ok(piece))) => {
                self.since_pause += piece.len();
                let left = self.allowance.load(Ordering::Relaxed);
                if left != usize::MAX {
                    let Some(left) = left.checked_sub(piece.len()) else {
                        return Poll::Ready(Some(Err(too_long())));
                    };
                    self.allowance.store(left, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(piece)))
            }
        }
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::Usage, "the headers of a part are too long")
}

fn broken_off(error: &axum::Error) -> Error {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Error::new(ErrorKind::Cancelled, format!("the client broke off: {deepest}"))
        .operation("read the request")
}
