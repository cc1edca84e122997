//! The data of a request, which stays a stream.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Input, Result, root_cause};
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use crate::digest::{Digest, Digesting, check_stated};
use crate::sending::Sending;

/// How much of a body is read and thrown away once nobody wants it, so that clients that read
/// nothing before they have sent everything see the answer.
const DRAIN: usize = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The data of a request. Where it is dropped before its end, the rest is read and thrown away.
pub(crate) struct Data {
    coming: Coming,
    /// Its length in bytes, where the client told it.
    pub(crate) len: Option<u64>,
}

/// Data as it comes in.
struct Coming {
    pieces: Pieces,
    len: Option<u64>,
    /// How much of it was taken, in bytes.
    taken: u64,
    has_ended: bool,
    digesting: Option<Box<Digesting>>,
    /// What its client told of it.
    stated: Option<Digest>,
    complete: Option<Complete>,
    /// The client, where it must not be too slow.
    sending: Option<Sending>,
}

/// The pieces of data as they come in.
enum Pieces {
    /// All that is sent.
    Body(BodyDataStream),
    /// What is found within.
    Part(BoxStream<'static, Result<Bytes>>),
}

impl Pieces {
    fn none() -> Self {
        Self::Part(futures::stream::empty().boxed())
    }
}

/// Whether all that comes of the data has come in, and the digest of the whole where that is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complete(Arc<(OnceLock<Option<Digest>>, tokio::sync::Notify)>);

impl Complete {
    /// Of data that is in.
    pub(crate) fn with(digest: Digest) -> Self {
        let complete = Self::default();
        complete.set(Some(digest));
        complete
    }

    fn set(&self, digest: Option<Digest>) {
        if self.0.0.set(digest).is_ok() {
            self.0.1.notify_waiters();
        }
    }

    /// The digest, once it is there.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.0.0.get().copied().flatten()
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> Option<Digest> {
        let notified = self.0.1.notified();
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable();
        if self.0.0.get().is_none() {
            notified.await;
        }
        self.digest()
    }
}

impl Data {
    fn new(pieces: Pieces, len: Option<u64>) -> Self {
        Self { coming: Coming::new(pieces, len), len }
    }

    /// No data at all.
    pub(crate) fn none() -> Self {
        Self::new(Pieces::none(), Some(0))
    }

    /// The body of a request.
    pub(crate) fn of_body(headers: &HeaderMap, body: Body) -> Self {
        let len = headers.get(header::CONTENT_LENGTH);
        let len = len.and_then(|len| len.to_str().ok()?.parse().ok());
        Self::new(Pieces::Body(body.into_data_stream()), len)
    }

    /// What is found within one.
    pub(crate) fn of_part(part: BoxStream<'static, Result<Bytes>>) -> Self {
        Self::new(Pieces::Part(part), None)
    }

    /// The same of a client that may keep us waiting for so long.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.coming.sending = Some(Sending::within(patience));
        self
    }

    /// Whether there may be any.
    pub(crate) fn is_there(&self) -> bool {
        self.len != Some(0)
    }

    /// Whether it is all that the request has as its body.
    pub(crate) fn is_body(&self) -> bool {
        matches!(self.coming.pieces, Pieces::Body(_))
    }

    /// To be waited for.
    pub(crate) fn complete(&mut self) -> Complete {
        self.coming.complete()
    }

    /// To be waited for with its digest.
    pub(crate) fn digested(&mut self) -> Complete {
        self.coming.digesting = Some(Box::default());
        self.coming.complete()
    }

    /// Its end is not let through where its digest is another one.
    pub(crate) fn expect(&mut self, stated: Digest) {
        self.coming.stated = Some(stated);
    }

    /// Reads and throws away all of it.
    ///
    /// # Errors
    /// It does not come to its end.
    pub(crate) async fn pass(mut self) -> Result<()> {
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(())
    }

    /// All of it, where that is no more than `limit` bytes; else itself again.
    pub(crate) async fn in_memory(
        mut self,
        limit: usize,
    ) -> Result<std::result::Result<Bytes, Self>> {
        if self.len.is_none_or(|len| len > limit as u64) {
            return Ok(Err(self));
        }
        let mut whole = Bytes::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.is_empty() {
                // Mostly there is just one piece.
                whole = piece;
            } else {
                let mut joined = BytesMut::with_capacity(whole.len() + piece.len());
                joined.extend_from_slice(&whole);
                joined.extend_from_slice(&piece);
                whole = joined.freeze();
            }
        }
        Ok(Ok(whole))
    }

    /// The data as the input of a job, with the name that the client gave it.
    pub(crate) fn into_input(self, name: Option<&str>) -> Input {
        let len = self.len;
        let input = named(Input::stream(apyfal_storage::reader(self)), name);
        match len {
            Some(len) => input.with_len(len),
            None => input,
        }
    }

    /// Reads and throws away what is left, within bounds, as dropping it does.
    pub(crate) fn drain(self) {}
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.coming.has_ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut rest = std::mem::replace(&mut self.coming, Coming::new(Pieces::none(), Some(0)));
        runtime.spawn(tokio::time::timeout(DRAIN_TIME, async move {
            let mut left = DRAIN;
            while let Some(Ok(piece)) = rest.next().await {
                match left.checked_sub(piece.len()) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        }));
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::Body(body) => {
                let polled = body.poll_next_unpin(context);
                polled.map(|piece| piece.map(|piece| piece.map_err(|error| broken(&error))))
            }
            Self::Part(part) => part.poll_next_unpin(context),
        }
    }
}

impl Coming {
    fn new(pieces: Pieces, len: Option<u64>) -> Self {
        let (digesting, stated, complete) = (None, None, None);
        let has_ended = len == Some(0);
        Self { pieces, len, taken: 0, has_ended, digesting, stated, complete, sending: None }
    }

    fn complete(&mut self) -> Complete {
        let complete = self.complete.get_or_insert_default().clone();
        if self.has_ended {
            complete.set(self.digesting.take().map(|digesting| digesting.digest()));
        }
        complete
    }

    /// Tells that it is at its end; that is not to be let through where the data is not what was
    /// announced.
    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        let digest = self.digesting.take().map(|digesting| digesting.digest());
        if let Some(complete) = &self.complete {
            complete.set(digest);
        }
        self.stated.take().map_or(Ok(()), |stated| check_stated(stated, digest))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(complete) = &self.complete {
            complete.set(None);
        }
    }
}

impl Stream for Coming {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.pieces.poll_next_unpin(context);
        if let Some(sending) = &mut self.sending {
            match &polled {
                Poll::Ready(Some(Ok(piece))) => sending.came(piece.len()),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let late = sending.is_awaited(context);
                    polled = late.map(|error| Some(Err(error)));
                }
            }
        }
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                self.taken += piece.len() as u64;
                if let Some(digesting) = &mut self.digesting {
                    digesting.update(piece);
                }
                // Of a known length nobody need ask for the end.
                if self.len == Some(self.taken)
                    && let Err(error) = self.end()
                {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(None) if !self.has_ended => {
                if let Err(error) = self.end() {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(Some(Err(_))) => {
                self.digesting = None;
                // What is wrong is told already.
                let _ = self.end();
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

impl Stream for Data {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.coming.poll_next_unpin(context)
    }
}

/// An input with the name that a client gave it: that of a file, and no way to one.
pub(crate) fn named(input: Input, name: Option<&str>) -> Input {
    match name.and_then(file_name) {
        Some(name) => input.with_name(name),
        None => input,
    }
}

/// What of a client's name can name a file.
pub(crate) fn file_name(name: &str) -> Option<&str> {
    let is_one = |name: &&str| name.len() <= 255 && !name.contains('\0');
    Path::new(name).file_name()?.to_str().filter(is_one)
}

/// A body that ended before its end, or is none.
fn broken(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    let is_wrong = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    };
    if causes.any(is_wrong) {
        let why = format!("its body is none of HTTP: {}", root_cause(error));
        return Error::new(ErrorKind::Usage, why).operation("read the request");
    }
    Error::new(ErrorKind::Cancelled, format!("the client broke off: {}", root_cause(error)))
        .operation("read the request")
}
