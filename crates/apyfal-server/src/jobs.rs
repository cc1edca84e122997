//! How jobs are run for clients: named, counted, logged, and their results kept where that is asked for.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use apyfal_agent::Agent;
use apyfal_api::v2::JobState;
use apyfal_core::{Client, Input, Job, JobIo, JobLog, Need, Output, Owner, Report, Result};
use parking_lot::Mutex;

use crate::data::file_name;
use crate::digest::check_stated;
use crate::history::History;
use crate::journal::{Durability, Journal};
use crate::live::{self, Listed};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::scratch::{KeptWriter, Scratch};
use crate::settings::Limits;

/// What runs jobs. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    pub(crate) agent: Arc<Agent>,
    pub(crate) journal: Journal,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
}

impl Jobs {
    /// A new job, with its client's id or one of ours.
    ///
    /// # Errors
    /// There are no numbers left that could be recorded.
    pub(crate) fn new_job(
        &self,
        id: Option<String>,
        session: &str,
        accelerator: &str,
        owner: &Owner,
    ) -> Result<live::Job> {
        let number = self.journal.next_number()?;
        let id = id.unwrap_or_else(|| "job-".to_owned() + &number.to_string());
        Ok(live::Job::new(id, number, session, accelerator).of(owner.clone()))
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    /// Those of the job, with its id.
    pub(crate) async fn perform(
        &self,
        job: &live::Job,
        request: Job,
        src: Option<Input>,
        dst: Option<Output>,
    ) -> Result<Report> {
        let _counted = Counted { jobs: self, job };
        let performed = self.agent.process(request, self.job_io(job, src, dst)).await;
        self.settle(job, performed)
    }

    /// The same within this call, for a job that needs no more than that. Else gives it back.
    ///
    /// # Errors
    /// As before.
    pub(crate) fn perform_at_once(
        &self,
        job: &live::Job,
        request: Job,
        src: Option<Input>,
        dst: Option<Output>,
    ) -> ControlFlow<Result<Report>, (Job, Option<Input>, Option<Output>)> {
        let performed = match self.agent.process_at_once(request, self.job_io(job, src, dst)) {
            Ok(ControlFlow::Continue((request, io))) => {
                return ControlFlow::Continue((request, io.src, io.dst));
            }
            Ok(ControlFlow::Break(report)) => Ok(report),
            Err(error) => Err(error),
        };
        ControlFlow::Break(self.settle(job, performed))
    }

    fn job_io(&self, job: &live::Job, src: Option<Input>, dst: Option<Output>) -> JobIo {
        JobIo {
            src,
            dst,
            cancel: job.cancel.clone(),
            progress: job.progress.clone(),
            log: self.log_of(job),
            owner: job.owner.clone(),
            stall: Some(self.limits.client_timeout),
            deadline: self.limits.job_timeout,
        }
    }

    /// Gives report or error the job's id, and counts the job.
    pub(crate) fn settle(&self, job: &live::Job, performed: Result<Report>) -> Result<Report> {
        let settled = match performed {
            Ok(report) => Ok(Report { id: job.id.clone(), ..report }),
            Err(error) => {
                if !error.is_cancelled() {
                    self.metrics.failures.count(error.kind());
                    self.logs.job(&job.id, &format!("failed: {error}"));
                }
                Err(error.of_job(&job.id))
            }
        };
        self.count(job, live::state_of(&settled));
        settled
    }

    /// Counts a job, once.
    fn count(&self, job: &live::Job, state: JobState) {
        if job.count() {
            self.metrics.count(job, state);
        }
    }

    fn log_of(&self, job: &live::Job) -> JobLog {
        let (logs, id) = (self.logs.clone(), job.id.clone());
        JobLog::new(move |line| logs.job(&id, line))
    }

    /// Runs a job in the background and keeps its result until it is fetched and deleted.
    pub(crate) fn keep(
        &self,
        history: &History,
        listed: Listed,
        request: Job,
        src: Option<Input>,
        output: bool,
        called: Option<String>,
    ) {
        let (jobs, history) = (self.clone(), history.clone());
        let need = if output { Need::Required } else { Need::None };
        tokio::spawn(async move {
            let (result, len) = jobs.perform_kept(&listed, request, src, need, called).await;
            if let Some(asked) = listed.asked.as_ref()
                && let Some(stated) = asked.known
            {
                let digest = match &result {
                    // An engine need not read all of it.
                    Ok(_) => asked.data.wait().await,
                    Err(_) => asked.data.digest().or(Some(stated)),
                };
                if let Err(error) = check_stated(stated, digest) {
                    history.record_none(&listed, error.of_job(&listed.id)).await;
                    return;
                }
            }
            let len = len.filter(|_| result.is_ok());
            history.record_end(&listed, result, len).await;
            let job = (*listed).clone();
            drop(listed);
            // One that failed says so before the rest of its data is in.
            if let Some(asked) = job.asked.as_ref().filter(|asked| asked.data.digest().is_none())
                && let Some(digest) = asked.data.wait().await
                && let Err(error) = history.record_data(&job, digest).await
            {
                jobs.logs.job(&job.id, &format!("cannot record its data: {error}"));
            }
        });
    }

    /// Runs a job to its end and keeps its result, whose length comes beside the report. `called`
    /// is what the client calls the result.
    pub(crate) async fn perform_kept(
        &self,
        job: &live::Job,
        request: Job,
        src: Option<Input>,
        need: Need,
        called: Option<String>,
    ) -> (Result<Report>, Option<u64>) {
        let kept = async {
            let mut result = None;
            if need != Need::None {
                self.scratch.check_results(self.limits.results)?;
                result = Some(SharedWriter::new(self.scratch.keep(&job.id, job.number)?));
            }
            // Writing to a file is writing to the system's memory, for what a quick job writes.
            let dst = result.clone().map(Output::memory);
            let dst = if need == Need::Optional { dst.map(Output::if_any) } else { dst };
            let dst = dst.map(|dst| output_named(dst, called.as_deref()));
            let report = self.perform(job, request, src, dst).await?;
            let len = match result {
                Some(result) => Some(result.finish(job.durability == Durability::Disk)?),
                None => None,
            };
            Ok((report, len))
        };
        match kept.await {
            Ok((report, len)) => (Ok(report), len),
            Err(error) => (Err(error), None),
        }
    }
}

/// An output with the name that a client gave the result: that of a file, and no way to one.
pub(crate) fn output_named(output: Output, name: Option<&str>) -> Output {
    match name.and_then(file_name) {
        Some(name) => output.with_name(name),
        None => output,
    }
}

/// A job that is counted when this is dropped, if only because its client went away.
struct Counted<'a> {
    jobs: &'a Jobs,
    job: &'a live::Job,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.jobs.count(self.job, JobState::Cancelled);
    }
}

/// A result under way that the engine writes and the host finishes.
#[derive(Clone, Debug)]
struct SharedWriter(Arc<Mutex<Option<KeptWriter>>>);

impl SharedWriter {
    fn new(writer: KeptWriter) -> Self {
        Self(Arc::new(Mutex::new(Some(writer))))
    }

    fn finish(&self, durable: bool) -> Result<u64> {
        let writer = self.0.lock().take();
        writer.map_or(Ok(0), |writer| writer.finish(durable))
    }
}

impl Write for SharedWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Some(writer) => writer.write(buffer),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
