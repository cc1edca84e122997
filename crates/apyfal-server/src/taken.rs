//! Answers that their clients take bit by bit, and how long one may take nothing.
//!
//! A client may read late, and take its time. One that never reads again must not keep a job, a file
//! and space on the disk for ever, though its system is there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind};
use apyfal_net::Connection;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::Frame;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::live::Job;
use crate::logs::Logs;
use crate::recent::Recent;

/// Travels with an answer that is the result of a job.
#[derive(Clone, Debug)]
pub(crate) struct ResultOf(pub(crate) Arc<Job>);

/// The body of an answer, until it was left untouched for too long.
struct Taken {
    left: Arc<Left>,
    watching: JoinHandle<()>,
}

/// What is left of an answer.
struct Left(Mutex<Remaining>);

struct Remaining {
    body: Result<Body, Option<Error>>,
    /// Whether anything was taken since it was last looked at.
    has_moved: bool,
    /// Whether the client waits for us.
    is_awaited: bool,
}

/// Gives an answer up whose client takes nothing of it for as long as the limit, and its connection,
/// where that is of this answer alone.
pub(crate) fn watched(
    limit: Duration,
    logs: &Arc<Logs>,
    recent: &Arc<Recent>,
    connection: Option<Connection>,
    mut response: Response,
) -> Response {
    // What is there as a whole holds nothing but itself.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let job = response.extensions_mut().remove::<ResultOf>();
    let (logs, recent) = (logs.clone(), recent.clone());
    response.map(|body| {
        Body::new(Taken::new(body, limit, move |error| {
            if let Some(ResultOf(job)) = job {
                logs.job(&job.id, &format!("failed: {error}"));
                // Where it had ended before, that stands.
                job.end(Err(error.of_job(&job.id)), None);
                job.cancel.cancel();
                recent.remember(&job);
            } else {
                logs.host(&format!("an answer was given up: {error}"));
            }
            if let Some(connection) = connection {
                connection.end();
            }
        }))
    })
}

impl Taken {
    fn new(body: Body, limit: Duration, given_up: impl FnOnce(Error) + Send + 'static) -> Self {
        let state = Remaining { body: Ok(body), has_moved: false, is_awaited: false };
        let left = Arc::new(Left(Mutex::new(state)));
        let watched = left.clone();
        let watching = tokio::spawn(async move {
            loop {
                tokio::time::sleep(limit).await;
                if watched.was_touched() {
                    continue;
                }
                given_up(untaken(limit));
                watched.state().body = Err(Some(untaken(limit)));
                return;
            }
        });
        Self { left, watching }
    }
}

impl Left {
    fn state(&self) -> MutexGuard<'_, Remaining> {
        self.0.lock()
    }

    /// Whether the client took something since the last look, or there was nothing for it.
    fn was_touched(&self) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.has_moved) || state.is_awaited
    }
}

fn untaken(limit: Duration) -> Error {
    let why = format!("the client took nothing of the answer for {} s", limit.as_secs_f64());
    Error::new(ErrorKind::Timeout, why)
        .operation("send the result")
        .hint("read it sooner, or give the job an id and fetch its result later")
        .hint("or raise take_timeout of the host")
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.left.state();
        let polled = match &mut state.body {
            Ok(body) => Pin::new(body).poll_frame(context),
            Err(error) => {
                return Poll::Ready(error.take().map(|error| Err(axum::Error::new(error))));
            }
        };
        state.has_moved |= polled.is_ready();
        state.is_awaited = polled.is_pending();
        polled
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tokio::sync::oneshot;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(3600);

    fn taken(
        pieces: impl futures::Stream<Item = &'static str> + Send + 'static,
    ) -> (Taken, oneshot::Receiver<Error>) {
        let pieces = pieces.map(|piece| Ok::<_, Error>(Bytes::from(piece)));
        let (sender, receiver) = oneshot::channel();
        let given_up = move |error| sender.send(error).unwrap();
        (Taken::new(Body::from_stream(pieces), LIMIT, given_up), receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_loses_it() {
        let (mut taken, given_up) = taken(stream::iter(["a", "b"]));
        assert_eq!(taken.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        let error = given_up.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("took nothing of the answer for 3600 s"), "{error}");
        let told = taken.frame().await.unwrap().unwrap_err().into_inner();
        assert!(told.to_string().contains("took nothing"), "{told}");
        assert!(taken.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_us_may_wait() {
        let slow = stream::iter(["a", "b"]).then(|piece| async move {
            tokio::time::sleep(LIMIT * 5).await;
            piece
        });
        let (taken, _given_up) = taken(slow);
        assert_eq!(taken.collect().await.unwrap().to_bytes(), "ab");
    }
}
