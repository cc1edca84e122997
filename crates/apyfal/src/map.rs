//! Jobs in the background, and many of them in order.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use apyfal_core::{Cancel, Error, ErrorKind, Progress, Report, Result};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::{Accelerator, Call};

/// A job that runs in the background; a future of its report.
///
/// Dropping it lets the job go on. [`cancel`](Self::cancel) ends it.
#[derive(Debug)]
pub struct JobHandle {
    task: JoinHandle<Result<Report>>,
    cancel: Cancel,
    progress: Arc<Progress>,
}

impl JobHandle {
    pub(crate) fn spawn(accelerator: Accelerator, call: Call) -> Self {
        Self::spawn_then(accelerator, call, || {})
    }

    /// The same with something to be done once the job has ended.
    fn spawn_then(
        accelerator: Accelerator,
        mut call: Call,
        then: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (cancel, progress) = (call.cancel.child(), call.progress.clone());
        call.cancel = cancel.clone();
        // Admitted now, so that a stop that is called next waits for it.
        let admission = accelerator.admit();
        let task = tokio::spawn(async move {
            let ran = match admission {
                Ok(admission) => accelerator.run(admission, call).await,
                Err(error) => Err(error),
            };
            then();
            ran
        });
        Self { task, cancel, progress }
    }

    /// Ends the job early.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// How far the job is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the job has ended.
    pub fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

impl Future for JobHandle {
    type Output = Result<Report>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Internal, "the job's task ended early").source(error))
            })
        })
    }
}

/// How many reports may wait for that of an earlier job.
const AHEAD: usize = 1024;

/// The reports of many jobs, in the order of the calls. Made by [`Accelerator::process_map`].
///
/// Only so many jobs are under way as can be of use, so that a million calls cost no more memory
/// or open files than a few. Those behind a slow one go on while that is waited for, within bounds.
/// Dropping it cancels what runs.
#[derive(Debug)]
pub struct ProcessMap<Calls> {
    accelerator: Accelerator,
    calls: Calls,
    /// The next call, where it may not begin yet.
    held: Option<Call>,
    running: VecDeque<JobHandle>,
    /// How many of them have not ended, and a signal when one does.
    live: Arc<(AtomicUsize, Notify)>,
}

impl<Calls: Iterator<Item = Call>> ProcessMap<Calls> {
    pub(crate) fn new(accelerator: Accelerator, calls: Calls) -> Self {
        let mut map =
            Self { accelerator, calls, held: None, running: VecDeque::new(), live: Arc::default() };
        map.submit();
        map
    }

    /// Puts as many jobs under way as are of use.
    fn submit(&mut self) {
        while let Some(call) = self.held.take().or_else(|| self.calls.next()) {
            let (width, live) =
                (self.accelerator.width(&call), self.live.0.load(Ordering::Acquire));
            if live >= width || self.running.len() >= width + AHEAD {
                self.held = Some(call);
                break;
            }
            let live = self.live.clone();
            live.0.fetch_add(1, Ordering::AcqRel);
            let ended = move || {
                live.0.fetch_sub(1, Ordering::AcqRel);
                live.1.notify_one();
            };
            self.running.push_back(JobHandle::spawn_then(self.accelerator.clone(), call, ended));
        }
    }

    /// The report of the next job, or none after the last.
    ///
    /// It may be given up, as by `tokio::time::timeout`, and called again for the same job.
    pub async fn next(&mut self) -> Option<Result<Report>> {
        loop {
            self.submit();
            let live = self.live.clone();
            // The job stays in the queue while it is waited for: a caller who gives up waiting can
            // come back for it.
            let first = self.running.front_mut()?;
            tokio::select! {
                biased;
                report = first => {
                    self.running.pop_front();
                    return Some(report);
                }
                () = live.1.notified() => {}
            }
        }
    }
}

impl<Calls> Drop for ProcessMap<Calls> {
    fn drop(&mut self) {
        self.running.iter().for_each(JobHandle::cancel);
    }
}
