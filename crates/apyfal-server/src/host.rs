//! The host: the agent, and what is shared by all who use it.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use apyfal_agent::Agent;
use apyfal_api::v2::JobState;
use apyfal_core::{
    Client, Error, ErrorKind, Input, Job, JobIo, JobLog, Need, Output, Report, Result,
};

use crate::access::Access;
use crate::data::{Data, file_name};
use crate::digest::check_told;
use crate::journal::{Durability, Journal};
use crate::lease::Lease;
use crate::live::{self, Listed, Live};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::overview::Shown;
use crate::pace::Pace;
use crate::recent::Recent;
use crate::routes::v1::Memory;
use crate::scratch::{KeptWriter, Scratch};
use crate::settings::Limits;
use crate::uses::Uses;

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) agent: Agent,
    pub(crate) original: Memory,
    pub(crate) journal: Journal,
    pub(crate) live: Arc<Live>,
    pub(crate) uses: Uses,
    pub(crate) recent: Recent,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) access: Access,
    pub(crate) logs: Arc<Logs>,
    pub(crate) metrics: Metrics,
    pub(crate) shown: Shown,
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    pub(crate) lease: Arc<Lease>,
    pub(crate) default_accelerator: Option<String>,
    pub(crate) cores: usize,
    pub(crate) began: Instant,
    /// Set once the host takes no more jobs.
    pub(crate) draining: tokio::sync::watch::Sender<bool>,
}

impl Host {
    /// A new job, with its client's id or one of ours.
    ///
    /// # Errors
    /// There are no numbers left that could be recorded.
    pub(crate) fn new_job(
        &self,
        id: Option<String>,
        session: &str,
        accelerator: &str,
    ) -> Result<live::Job> {
        let number = self.journal.next_number()?;
        let id = id.unwrap_or_else(|| format!("job-{number}"));
        Ok(live::Job::new(id, number, session, accelerator))
    }

    /// Lists a job, whose id is ours and so new.
    ///
    /// # Errors
    /// A client gave its job this very id.
    pub(crate) fn list(&self, job: live::Job) -> Result<Listed> {
        self.live.add(job).map_err(|other| {
            Error::new(ErrorKind::Conflict, format!("a client's job has the id '{}'", other.id))
                .hint("do not begin ids with 'job-'")
        })
    }

    /// Refuses work whose result is to be kept, where there are enough of them.
    ///
    /// # Errors
    /// There are.
    pub(crate) fn check_results(&self) -> Result<()> {
        if self.scratch.kept_results() < self.limits.results {
            return Ok(());
        }
        let limit = self.limits.results;
        Err(Error::new(ErrorKind::StorageFull, "the host keeps as many results as it may")
            .context("limit", limit)
            .hint("fetch and delete results that are kept, or raise max_results of the host"))
    }

    /// Refuses new work while the host is ending.
    pub(crate) fn check_open(&self) -> Result<()> {
        if *self.draining.borrow() {
            return Err(Error::new(ErrorKind::Unavailable, "the host is ending")
                .operation("take a job")
                .hint("use another host, or try again once it is back")
                .retryable());
        }
        Ok(())
    }

    /// The accelerator that a request means.
    pub(crate) fn accelerator(&self, named: Option<String>) -> Result<String> {
        named.or_else(|| self.default_accelerator.clone()).ok_or_else(|| {
            let registry = self.agent.registry();
            let names: Vec<_> = registry.iter().map(|engine| engine.info().name.clone()).collect();
            Error::new(
                ErrorKind::Usage,
                "the host has several accelerators, and the request names none",
            )
            .hint(format!("name one of {}", names.join(", ")))
            .hint("or give the host a default one: apyfal serve --accelerator NAME")
        })
    }

    /// What a start reads, and how long it waits for it.
    pub(crate) fn start_io(&self, data: Data, name: Option<&str>) -> JobIo {
        JobIo {
            src: data.is_there().then(|| data.into_input(name)),
            stall: Some(self.limits.client_timeout),
            deadline: self.limits.job_timeout,
            ..JobIo::default()
        }
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
        let _counted = Counted { host: self, job };
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
            self.metrics.count(&job.accelerator, &job.progress, state);
        }
    }

    fn log_of(&self, job: &live::Job) -> JobLog {
        let (logs, id) = (self.logs.clone(), job.id.clone());
        JobLog::new(move |line| logs.job(&id, line))
    }

    /// Runs a job in the background and keeps its result until it is fetched and deleted.
    pub(crate) fn keep(
        self: &Arc<Self>,
        listed: Listed,
        request: Job,
        src: Option<Input>,
        output: bool,
        called: Option<String>,
    ) {
        let host = self.clone();
        let need = if output { Need::Required } else { Need::None };
        tokio::spawn(async move {
            let (mut result, len) = host.perform_kept(&listed, request, src, need, called).await;
            let asked = listed.asked.as_ref();
            if let (Ok(_), Some(asked)) = (&result, asked) {
                // An engine need not read all of it.
                let digest = asked.data.wait().await;
                if let Some(Err(error)) = asked.known.map(|told| check_told(told, digest)) {
                    host.scratch.remove(&listed.id, listed.number);
                    result = Err(error.of_job(&listed.id));
                }
            }
            let len = len.filter(|_| result.is_ok());
            host.record_end(&listed, result, len).await;
            let job = (*listed).clone();
            drop(listed);
            // One that failed says so before the rest of its data is in.
            if let Some(asked) = job.asked.as_ref().filter(|asked| asked.data.digest().is_none())
                && let Some(digest) = asked.data.wait().await
                && let Err(error) = host.record_data(&job, digest).await
            {
                host.logs.job(&job.id, &format!("cannot record its data: {error}"));
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
                self.check_results()?;
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
    host: &'a Host,
    job: &'a live::Job,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.host.count(self.job, JobState::Cancelled);
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
        let writer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        writer.map_or(Ok(0), |writer| writer.finish(durable))
    }
}

impl Write for SharedWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(writer) => writer.write(buffer),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
