//! Jobs of a session that wait to run together, for engines that gain from batches.
//!
//! Nobody waits for a batch to fill: what came while the slots were taken is the next batch. A lone
//! job is a batch of one.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apyfal_core::{
    EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Output, Report, Result, Sink,
    Source,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::job::{self, CallContext};

/// Whether a job may run with others: only where no other end of a stream can hold it up, since it
/// would hold them up too.
pub(crate) fn takes(job: &EngineJob) -> bool {
    matches!(job.src.as_ref().map(Input::source), Some(Source::File { .. }))
        && !matches!(job.dst.as_ref().map(Output::sink), Some(Sink::Stream(_)))
}

/// The jobs of a session that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    /// How many there were so far.
    count: u64,
    /// The oldest first.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    job: EngineJob,
    call: CallContext,
    answer: oneshot::Sender<Result<Report>>,
}

impl Queue {
    /// Adds a job.
    pub(crate) fn join(&self, job: EngineJob, call: CallContext) -> Queued<'_> {
        let (sender, answer) = oneshot::channel();
        let mut jobs = self.jobs();
        jobs.count += 1;
        let number = jobs.count;
        jobs.waiting.push(Waiting { number, job, call, answer: sender });
        Queued { queue: self, number, answer }
    }

    /// Runs the next batch, of however many jobs there are, and answers each.
    pub(crate) fn run_next(&self, session: &dyn EngineSession, ctx: &JobContext) {
        let threads = NonZeroUsize::new(ctx.threads()).unwrap_or(NonZeroUsize::MIN);
        let (jobs, answers): (Vec<_>, Vec<_>) = self
            .take(session.batch())
            .into_iter()
            .map(|Waiting { job, call, answer, .. }| {
                ((job, call.context(ctx.share_scratch(), threads)), answer)
            })
            .unzip();
        // Who runs the batch need not have a job in it, so a panic must not end the thread: it is
        // the jobs without a result that it concerns.
        let results = catch_unwind(AssertUnwindSafe(|| job::run_many(session, jobs)));
        for (answer, result) in answers.into_iter().zip(results.unwrap_or_default()) {
            // Who is gone wants no answer.
            let _ = answer.send(result);
        }
    }

    /// Takes the oldest job and others of its magnitude, so that none has to wait for one that
    /// is much longer.
    fn take(&self, count: usize) -> Vec<Waiting> {
        let mut jobs = self.jobs();
        let waiting = &mut jobs.waiting;
        let Some(magnitude) = waiting.first().map(Waiting::magnitude) else { return Vec::new() };
        waiting.extract_if(.., |waiting| waiting.magnitude() == magnitude).take(count).collect()
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock()
    }
}

impl Waiting {
    /// Grows by one where the source doubles. Below 16 MiB, which take no time, all are alike.
    fn magnitude(&self) -> Option<u32> {
        let len = self.job.src.as_ref().and_then(Input::len).unwrap_or(0);
        (len >> 24).checked_ilog2()
    }
}

/// The place of a job in the queue. The job leaves the queue with it.
pub(crate) struct Queued<'a> {
    queue: &'a Queue,
    number: u64,
    answer: oneshot::Receiver<Result<Report>>,
}

impl Queued<'_> {
    /// Waits until the job was run, by whomever.
    pub(crate) async fn answer(&mut self) -> Result<Report> {
        (&mut self.answer).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the engine ended without a result"))
        })
    }

    /// Whether nobody has begun to run the job.
    pub(crate) fn is_waiting(&self) -> bool {
        self.queue.jobs().waiting.iter().any(|waiting| waiting.number == self.number)
    }

    /// Takes the job out of the queue. False where it is not there: then it was run, or is.
    pub(crate) fn leave(&self) -> bool {
        let mut jobs = self.queue.jobs();
        let place = jobs.waiting.iter().position(|waiting| waiting.number == self.number);
        place.map(|place| jobs.waiting.remove(place)).is_some()
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
