//! The body of a form, as it comes in.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::Error;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::data::Data;

/// A body that is read to its end even where nobody wants it any more: clients of this protocol
/// read no answer before they have sent everything.
#[derive(Debug)]
pub(super) struct Upload(Shared);

/// What the parser reads. A client that is too slow breaks it off.
#[derive(Debug)]
pub(super) struct Pieces(Shared);

/// None once it ended.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Data>>>);

impl Upload {
    pub(super) fn of(headers: &HeaderMap, body: Body, patience: Duration) -> (Self, Pieces) {
        let data = Data::of_body(headers, body).within(patience);
        let body = Shared(Arc::new(Mutex::new(Some(data))));
        (Self(body.clone()), Pieces(body))
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
        self.0.lock().is_some()
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut body = self.0.lock();
        let Some(data) = &mut *body else { return Poll::Ready(None) };
        let polled = data.poll_next_unpin(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            *body = None;
        }
        polled
    }

    async fn drain(self) {
        let next = || std::future::poll_fn(|context| self.poll(context));
        while let Some(Ok(_)) = next().await {}
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.is_open()).finish()
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context)
    }
}
