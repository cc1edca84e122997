//! Jobs on a blocking thread: checked, run and measured.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::{
    AcceleratorInfo, Cancel, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, JobIo,
    JobLog, JobParameters, Need, Outcome, Output, Owner, Params, Profiling, Progress, Report,
    Result, Scratch,
};

/// For whom something is done, and how long it may have to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// Ends the wait.
    pub(crate) cancel: &'a Cancel,
    /// Whose turn it is when it is the call's.
    pub(crate) owner: &'a Owner,
    /// Whether it may wait for a slot however many do already, as what ends others must.
    pub(crate) always: bool,
}

impl<'a> Caller<'a> {
    /// The one of a job.
    pub(crate) fn of(io: &'a JobIo) -> Self {
        Self { cancel: &io.cancel, owner: &io.owner, always: false }
    }
}

/// What of a call goes into the context of its job.
#[derive(Debug, Default)]
pub(crate) struct CallContext {
    pub(crate) cancel: Cancel,
    pub(crate) progress: Arc<Progress>,
    /// The parameters as they were sent.
    pub(crate) sent: JobParameters,
    /// How long the client may keep the job waiting: the one who sends, and the one who takes.
    pub(crate) stall: [Option<Duration>; 2],
    /// Where its lines go.
    pub(crate) log: JobLog,
}

impl CallContext {
    pub(crate) fn new(io: &JobIo, sent: JobParameters) -> Self {
        Self {
            cancel: io.cancel.clone(),
            progress: io.progress.clone(),
            sent,
            stall: [io.stall; 2],
            log: io.log.clone(),
        }
    }

    /// Says which ends of the job are streams of the client's. A storage has limits of its own.
    pub(crate) fn of_the_client(&mut self, src: bool, dst: bool) {
        let [reading, writing] = self.stall;
        self.stall = [reading.filter(|_| src), writing.filter(|_| dst)];
    }

    /// The context of the call's job, which begins now.
    pub(crate) fn context(self, scratch: impl Into<Scratch>, threads: NonZeroUsize) -> JobContext {
        self.progress.begin();
        JobContext::new(self.cancel, self.progress, scratch, threads)
            .with_request(self.sent)
            .with_stall(self.stall[0], self.stall[1])
            .with_log(self.log)
    }
}

/// Refuses a source or destination that the accelerator does not take, and asks for one it needs.
pub(crate) fn check_ends(
    info: &AcceleratorInfo,
    stage: &str,
    ends: [(&str, Need, bool); 2],
) -> Result<()> {
    for (end, need, given) in ends {
        let message = match (need, given) {
            (Need::Required, false) => format!("{} needs a {end} to {stage}", info.name),
            (Need::None, true) => format!("{} takes no {end} to {stage}", info.name),
            _ => continue,
        };
        return Err(Error::new(ErrorKind::Usage, message)
            .hint(format!("'apyfal accelerators {}' says what it takes", info.name)));
    }
    Ok(())
}

/// Runs the job and measures it.
pub(crate) fn run(session: &dyn EngineSession, job: EngineJob, ctx: &JobContext) -> Result<Report> {
    let begin = Instant::now();
    let outcome = session.process(job, ctx)?;
    Ok(report(outcome, begin.elapsed(), ctx.progress()))
}

/// Runs jobs together and measures them. Each took as long as all.
pub(crate) fn run_many(
    session: &dyn EngineSession,
    jobs: Vec<(EngineJob, JobContext)>,
) -> Vec<Result<Report>> {
    let progress: Vec<_> = jobs.iter().map(|(_, ctx)| ctx.progress().clone()).collect();
    let begin = Instant::now();
    let outcomes = session.process_many(jobs);
    let elapsed = begin.elapsed();
    let measured = outcomes.into_iter().zip(&progress);
    measured.map(|(outcome, progress)| Ok(report(outcome?, elapsed, progress))).collect()
}

fn report(Outcome { specific, app }: Outcome, elapsed: Duration, progress: &Progress) -> Report {
    let profiling = Profiling::new(elapsed, progress.read(), progress.written());
    Report { specific, app, profiling, ..Report::default() }
}

/// A job for an engine, from checked parts.
pub(crate) fn engine_job(
    info: &AcceleratorInfo,
    src: Option<Input>,
    dst: Option<Output>,
    params: Params,
) -> Result<EngineJob> {
    check_ends(
        info,
        "process",
        [("source", info.src, src.is_some()), ("destination", info.dst, dst.is_some())],
    )?;
    if let (Some(src), Some(dst)) = (&src, &dst) {
        dst.check_apart_from(src)?;
    }
    Ok(EngineJob { src, dst, params })
}
