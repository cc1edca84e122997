//! Jobs in the background, and many of them in order.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apyfal_core::{Cancel, Error, ErrorKind, Progress, Report, Result};
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
        let (cancel, progress) = (call.cancel.clone(), call.progress.clone());
        // Admitted now, so that a stop that is called next waits for it.
        let admission = accelerator.admit();
        let task = tokio::spawn(async move { accelerator.run(admission?, call).await });
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

/// The reports of many jobs, in the order of the calls. Made by [`Accelerator::process_map`].
///
/// Only so many jobs are under way as can be of use, so that a million calls cost no more memory
/// or open files than a few. Dropping it cancels what runs.
#[derive(Debug)]
pub struct ProcessMap<Calls> {
    accelerator: Accelerator,
    calls: Calls,
    /// The next call, where it may not begin yet.
    held: Option<Call>,
    running: VecDeque<JobHandle>,
}

impl<Calls: Iterator<Item = Call>> ProcessMap<Calls> {
    pub(crate) fn new(accelerator: Accelerator, calls: Calls) -> Self {
        let mut map = Self { accelerator, calls, held: None, running: VecDeque::new() };
        map.submit();
        map
    }

    /// Puts as many jobs under way as are of use.
    fn submit(&mut self) {
        while let Some(call) = self.held.take().or_else(|| self.calls.next()) {
            if self.running.len() >= self.accelerator.width(&call) {
                self.held = Some(call);
                break;
            }
            self.running.push_back(self.accelerator.process_submit(call));
        }
    }

    /// The report of the next job, or none after the last.
    ///
    /// It may be given up, as by `tokio::time::timeout`, and called again for the same job.
    pub async fn next(&mut self) -> Option<Result<Report>> {
        self.submit();
        // The job stays in the queue while it is waited for: a caller who gives up waiting can
        // come back for it.
        let report = self.running.front_mut()?.await;
        self.running.pop_front();
        Some(report)
    }
}

impl<Calls> Drop for ProcessMap<Calls> {
    fn drop(&mut self) {
        self.running.iter().for_each(JobHandle::cancel);
    }
}
