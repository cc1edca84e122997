//! The body of a form, as it comes in.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind};
use axum::body::Body;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::time::Sleep;

/// How long a client may be silent while what it sends is thrown away.
const SILENCE: Duration = Duration::from_secs(10);

/// A body that is read to its end even where nobody wants it any more: clients of this protocol
/// read no answer before they have sent everything.
#[derive(Debug)]
pub(super) struct Upload(Shared);

/// What the parser reads. A client that is silent for too long breaks it off.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Shared,
    patience: Duration,
    /// When that ends, while a piece is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

type Incoming = BoxStream<'static, Result<Bytes, axum::Error>>;

/// None once it ended.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Incoming>>>);

impl Upload {
    pub(super) fn of(body: Body, patience: Duration) -> (Self, Pieces) {
        let body = Shared(Arc::new(Mutex::new(Some(body.into_data_stream().boxed()))));
        (Self(body.clone()), Pieces { body, patience, silence: None })
    }

    /// Reads what stands behind the form.
    pub(super) async fn finish(&self) {
        self.0.clone().drain().await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.0.is_open()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.0.clone().drain());
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
        if let Poll::Ready(piece) = self.body.poll(context) {
            self.silence = None;
            return Poll::Ready(piece.map(|piece| piece.map_err(|error| broken_off(&error))));
        }
        let patience = self.patience;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        silence.as_mut().poll(context).map(|()| Some(Err(silent(patience))))
    }
}

fn silent(patience: Duration) -> Error {
    let why = format!("the client sent nothing for {} s", patience.as_secs_f64());
    Error::new(ErrorKind::Timeout, why).operation("read the request")
}

fn broken_off(error: &axum::Error) -> Error {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Error::new(ErrorKind::Cancelled, format!("the client broke off: {deepest}"))
        .operation("read the request")
}
