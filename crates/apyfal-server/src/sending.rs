//! How slowly a client may send what it wants worked on: the same rule for every body, as a whole or
//! as a form, before its job begins and while it runs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_core::{Error, Patience};
use tokio::time::{Instant, Sleep};

/// A client that sends.
#[derive(Debug)]
pub(crate) struct Sending {
    patience: Patience,
    /// Since when something is waited for.
    since: Option<Instant>,
    /// When that has taken too long.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Sending {
    /// One that may keep us waiting for so long.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { patience: Patience::reading(limit), since: None, limit: None }
    }

    /// Nothing is there now. An error once it was too little for too long.
    pub(crate) fn is_awaited(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.since.is_none() {
            let until = Instant::now().checked_add(self.patience.left());
            // Without a limit that a clock knows there is none.
            let Some(until) = until else { return Poll::Pending };
            self.since = Some(Instant::now());
            match &mut self.limit {
                Some(limit) => limit.as_mut().reset(until),
                none => *none = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
        let Some(limit) = &mut self.limit else { return Poll::Pending };
        let ended = limit.as_mut().poll(context);
        ended.map(|()| self.patience.exhausted().operation("read the request"))
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, bytes: usize) {
        let waited = self.since.take().map(|since| since.elapsed());
        // Who was not looked at for longer may have been there all the time.
        let waited = waited.filter(|waited| *waited < self.patience.left()).unwrap_or_default();
        let _ = self.patience.waited(waited, bytes as u64);
    }
}
