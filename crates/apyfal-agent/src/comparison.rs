//! The same job done by plain software, to tell how many times faster the accelerator was.

use std::fs::File;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use apyfal_core::{
    Comparison, EngineJob, EngineSession, Input, JobContext, Output, Report, Result, Source,
};

use crate::job;

/// A job that is over sooner is measured again, for so long, and at its best: the first time it also
/// starts threads and fills caches, which the software that runs behind it finds filled.
const SHORT: Duration = Duration::from_millis(100);
/// A job that may not run twice and is over sooner than that is mostly its start.
const SOON: Duration = Duration::from_millis(5);

/// Runs a job, and does it with plain software too.
pub(crate) fn run(
    session: &dyn EngineSession,
    rerun_safe: bool,
    job: EngineJob,
    ctx: &JobContext,
) -> Result<Report> {
    // A source can be looked up as long as the job has it.
    let again = Again::of(&job);
    let mut report = job::run(session, job, ctx)?;
    let compared = match again {
        Ok(again) => again.compare(session, rerun_safe, report.profiling.seconds, ctx)?,
        Err(why) => Err(why),
    };
    match compared {
        Ok(comparison) => report.comparison = Some(comparison),
        Err(why) => {
            let why = format!("no comparison: {why}");
            report.app.insert("sw-comparison-note".to_owned(), why.into());
        }
    }
    Ok(report)
}

/// Why there is no comparison.
type Why = &'static str;

/// What makes the same job once more, its output thrown away.
struct Again {
    job: EngineJob,
}

impl Again {
    fn of(job: &EngineJob) -> Result<Self, Why> {
        let src = match job.src.as_ref().map(Input::source) {
            None => None,
            Some(Source::Stream(_)) => {
                return Err("the source is a stream, which can be read only once");
            }
            Some(Source::Directory(path)) => Some(Input::directory(path)),
            Some(Source::File { path, .. }) => Some(
                File::open(path)
                    .and_then(|file| Input::file(file, path))
                    .map_err(|_| "the source cannot be opened again")?,
            ),
        };
        let dst = job.dst.as_ref().map(|_| Output::stream(std::io::sink()));
        Ok(Self { job: EngineJob { src, dst, params: job.params.clone() } })
    }

    fn job(&self) -> Result<EngineJob, Why> {
        Self::of(&self.job).map(|again| again.job)
    }

    fn compare(
        &self,
        session: &dyn EngineSession,
        rerun_safe: bool,
        accelerated: f64,
        ctx: &JobContext,
    ) -> Result<Result<Comparison, Why>> {
        let job = match self.job() {
            Ok(job) => job,
            Err(why) => return Ok(Err(why)),
        };
        let Some((mut software, read)) = in_software(session, job, ctx)? else {
            return Ok(Err("there is no plain software for this job"));
        };
        let mut accelerated = accelerated;
        if !rerun_safe && accelerated < SOON.as_secs_f64() {
            return Ok(Err("the job was over too soon to be measured, and may not run twice"));
        }
        if rerun_safe && accelerated < SHORT.as_secs_f64() {
            let begin = Instant::now();
            while begin.elapsed() < SHORT {
                let (Ok(one), Ok(other)) = (self.job(), self.job()) else { break };
                accelerated = accelerated.min(once_more(session, one, ctx)?);
                if let Some((seconds, _)) = in_software(session, other, ctx)? {
                    software = software.min(seconds);
                }
            }
        }
        Ok(Ok(Comparison {
            seconds: software,
            input_bandwidth: read as f64 / software.max(f64::MIN_POSITIVE),
            factor: software / accelerated.max(f64::MIN_POSITIVE),
        }))
    }
}

/// How many seconds the job takes once more.
fn once_more(session: &dyn EngineSession, job: EngineJob, ctx: &JobContext) -> Result<f64> {
    let threads = NonZeroUsize::new(ctx.threads()).unwrap_or(NonZeroUsize::MIN);
    let ctx = beside(ctx, threads);
    let begin = Instant::now();
    session.process(job, &ctx)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// How many seconds the software takes, and what it reads; none where there is none.
fn in_software(
    session: &dyn EngineSession,
    job: EngineJob,
    ctx: &JobContext,
) -> Result<Option<(f64, u64)>> {
    let ctx = beside(ctx, NonZeroUsize::MIN);
    let begin = Instant::now();
    let Some(result) = session.process_in_software(job, &ctx) else { return Ok(None) };
    result?;
    Ok(Some((begin.elapsed().as_secs_f64(), ctx.progress().read())))
}

/// What is read and written to compare is no progress of the job.
fn beside(ctx: &JobContext, threads: NonZeroUsize) -> JobContext {
    JobContext::new(ctx.cancel().clone(), Default::default(), ctx.share_scratch(), threads)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use apyfal_core::{Cancel, Outcome, Progress};

    use super::*;

    /// Counts what it does. Software it has, or not.
    #[derive(Debug, Default)]
    struct Counted {
        jobs: AtomicUsize,
        has_software: bool,
    }

    impl EngineSession for Counted {
        fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
            self.jobs.fetch_add(1, Ordering::Relaxed);
            if let Some(src) = job.src {
                std::io::copy(&mut ctx.reader(src)?, &mut std::io::sink())?;
            }
            Ok(Outcome::default())
        }

        fn process_in_software(&self, _: EngineJob, _: &JobContext) -> Option<Result<()>> {
            self.has_software.then(|| {
                std::thread::sleep(Duration::from_millis(1));
                Ok(())
            })
        }
    }

    fn compared(session: &Counted, rerun_safe: bool, src: Input) -> (Report, u64) {
        let progress = Arc::new(Progress::default());
        let ctx = JobContext::new(Cancel::default(), progress.clone(), "/tmp", NonZeroUsize::MIN);
        let job = EngineJob { src: Some(src), ..EngineJob::default() };
        (run(session, rerun_safe, job, &ctx).unwrap(), progress.read())
    }

    fn note(report: &Report) -> &str {
        report.app["sw-comparison-note"].as_str().unwrap()
    }

    fn file() -> (tempfile::NamedTempFile, impl Fn() -> Input) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "text").unwrap();
        let path = file.path().to_owned();
        (file, move || Input::file(File::open(&path).unwrap(), &path).unwrap())
    }

    #[test]
    fn a_short_job_is_measured_without_its_start() {
        let (_file, src) = file();
        let session = Counted { has_software: true, ..Counted::default() };
        let (report, read) = compared(&session, true, src());
        let jobs = session.jobs.load(Ordering::Relaxed);
        assert!(jobs > 1 || report.profiling.seconds >= SHORT.as_secs_f64(), "{jobs}");
        assert!(report.comparison.is_some());
        assert_eq!((read, report.profiling.bytes_read), (4, 4), "as if it had run once");
    }

    #[test]
    fn what_may_not_run_twice_runs_once() {
        let (_file, src) = file();
        let session = Counted { has_software: true, ..Counted::default() };
        let (report, _) = compared(&session, false, src());
        assert_eq!(session.jobs.load(Ordering::Relaxed), 1);
        match report.profiling.seconds < SOON.as_secs_f64() {
            true => assert!(note(&report).contains("too soon"), "{report:?}"),
            false => assert!(report.comparison.is_some()),
        }
    }

    #[test]
    fn a_comparison_that_is_missing_says_why() {
        let (_file, src) = file();
        let (report, _) = compared(&Counted::default(), true, src());
        assert!(note(&report).contains("there is no plain software"));
        let session = Counted { has_software: true, ..Counted::default() };
        let (report, _) = compared(&session, true, Input::stream(&b"x"[..]));
        assert!(note(&report).contains("can be read only once"));
        assert!(report.comparison.is_none());
    }
}
