//! Calls within their limits.

use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Result};

/// A job within its limits. Where it is cancelled or takes too long, it has ended on its host too
/// when it has here: `ended` waits for that.
pub(crate) async fn ended_there_too<T>(
    deadline: Option<Duration>,
    cancel: Cancel,
    work: impl Future<Output = Result<T>>,
    ended: impl Future<Output = ()>,
) -> Result<T> {
    let mut dropped = CancelOnDrop(Some(cancel.clone()));
    let processed = within(deadline, cancel.or_cancelled(work)).await;
    match &processed {
        Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) => {
            ended.await;
        }
        _ => dropped.0 = None,
    }
    processed
}

/// A call within its limit, which is dropped once that ran out: what it holds is free then.
pub(crate) async fn within<T>(
    deadline: Option<Duration>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(limit) = deadline else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(Error::timed_out(limit)))
}

/// Throws the switch of a job whose future was dropped.
#[derive(Debug)]
struct CancelOnDrop(Option<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel.cancel();
        }
    }
}
