//! The open session of an accelerator, and the jobs that use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apyfal_core::Params;
use tokio::sync::watch;

/// A session and how many of our jobs use it.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) id: String,
    /// What it was started with, where it was here.
    pub(super) params: Option<Params>,
    jobs: watch::Sender<usize>,
    /// It gets no more jobs: it is being stopped, or that was interrupted.
    is_closed: AtomicBool,
}

impl OpenSession {
    pub(super) fn new(id: String, params: Option<Params>) -> Arc<Self> {
        let is_closed = AtomicBool::new(false);
        Arc::new(Self { id, params, jobs: watch::Sender::new(0), is_closed })
    }

    /// Lets a job use it, unless it gets no more.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admission> {
        if self.is_closed.load(Ordering::SeqCst) {
            return None;
        }
        self.jobs.send_modify(|jobs| *jobs += 1);
        Some(Admission(self.clone()))
    }

    /// It gets no more jobs.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Waits until no job uses it.
    pub(super) async fn idle(&self) {
        // The sender lives in self, so this cannot fail.
        let _ = self.jobs.subscribe().wait_for(|jobs| *jobs == 0).await;
    }
}

/// A job that may use its session: stopping waits for it.
#[derive(Debug)]
pub(crate) struct Admission(Arc<OpenSession>);

impl Admission {
    /// The session.
    pub(super) fn session(&self) -> &str {
        &self.0.id
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.jobs.send_modify(|jobs| *jobs -= 1);
    }
}
