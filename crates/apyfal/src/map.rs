//! Jobs in the background, and many of them in order.

use std::collections::HashMap;
use std::iter::Enumerate;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use apyfal_core::{Cancel, Error, ErrorKind, Progress, Report, Result};
use tokio::task::{JoinError, JoinHandle};

use crate::bounded::Bounded;
use crate::{Accelerator, Call};

/// A job that has begun; a future of its report, which a runtime is to drive. Dropping it ends the job.
pub type BegunJob = Pin<Box<dyn Future<Output = Result<Report>> + Send>>;

/// A job that may use its session from now on, so that a stop that is called next waits for it.
fn admitted(
    accelerator: Accelerator,
    call: Call,
) -> impl Future<Output = Result<Report>> + Send + 'static {
    let admission = accelerator.admit();
    async move {
        let admission = admission?;
        let outcome = accelerator.run(&admission, call).await;
        // Before who waits for the job goes on: with the last one its files are removed.
        drop(accelerator);
        outcome
    }
}

/// A job that has begun for whoever stops, and does nothing until it is driven.
pub(crate) fn later(accelerator: Accelerator, call: Call) -> BegunJob {
    Box::pin(admitted(accelerator, call))
}

/// Runs a job as far as it comes without waiting, where its data is in memory.
pub(crate) fn at_once(
    accelerator: Accelerator,
    call: Call,
) -> ControlFlow<Result<Report>, BegunJob> {
    let is_in_memory = call.is_in_memory();
    let mut job = later(accelerator, call);
    if is_in_memory {
        // Whoever drives it later looks at it anew, so nobody need be woken for it.
        let mut unheard = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = job.as_mut().poll(&mut unheard) {
            return ControlFlow::Break(outcome);
        }
    }
    ControlFlow::Continue(job)
}

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
    pub(crate) fn spawn(accelerator: Accelerator, mut call: Call) -> Self {
        let (cancel, progress) = (call.cancel.child(), call.progress.clone());
        call.cancel = cancel.clone();
        Self { task: tokio::spawn(admitted(accelerator, call)), cancel, progress }
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
        Pin::new(&mut self.task)
            .poll(context)
            .map(|joined| joined.unwrap_or_else(|error| Err(ended_early(error))))
    }
}

/// A job that ends when it is dropped.
#[derive(Debug)]
struct Ours(JobHandle);

impl Drop for Ours {
    fn drop(&mut self) {
        self.0.cancel();
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
pub struct ProcessMap<Calls: Iterator<Item = Call>> {
    accelerator: Accelerator,
    jobs: Bounded<Enumerate<Calls>, (usize, Result<Report>)>,
    /// The reports that came before that of an earlier job.
    ahead: HashMap<usize, Result<Report>>,
    /// The number of the next report.
    next: usize,
}

impl<Calls: Iterator<Item = Call>> ProcessMap<Calls> {
    pub(crate) fn new(accelerator: Accelerator, calls: Calls) -> Self {
        let jobs = Bounded::new(calls.enumerate());
        let mut map = Self { accelerator, jobs, ahead: HashMap::new(), next: 0 };
        map.submit();
        map
    }

    /// Puts as many jobs under way as are of use.
    fn submit(&mut self) {
        let Self { accelerator, jobs, ahead, .. } = self;
        let width = |(_, call): &(usize, Call)| match ahead.len() < AHEAD {
            true => accelerator.width(call),
            false => 0,
        };
        jobs.fill(width, |(number, call)| {
            let mut job = Ours(JobHandle::spawn(accelerator.clone(), call));
            async move { (number, (&mut job.0).await) }
        });
    }

    /// The report of the next job, or none after the last.
    ///
    /// It may be given up, as by `tokio::time::timeout`, and called again for the same job.
    pub async fn next(&mut self) -> Option<Result<Report>> {
        loop {
            self.submit();
            if let Some(report) = self.ahead.remove(&self.next) {
                self.next += 1;
                return Some(report);
            }
            match self.jobs.next().await? {
                Ok((number, report)) => drop(self.ahead.insert(number, report)),
                // It only waits for a job, which tells of its own panic.
                Err(error) => return Some(Err(ended_early(error))),
            }
        }
    }
}

fn ended_early(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "the job's task ended early").source(error)
}
