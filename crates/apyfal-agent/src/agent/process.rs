//! Jobs that may have to wait: alone, with others, and on another engine where the first one fails.

use std::sync::Arc;

use apyfal_core::{EngineJob, Error, ErrorKind, Job, JobContext, JobIo, Report, Result};

use super::fallback::{self, Spare};
use super::opened::{Candidate, OpenSession, Opened, checked};
use super::{Agent, CancelOnDrop};
use crate::batch;
use crate::comparison;
use crate::job::{self, CallContext, Caller};

impl Agent {
    /// [`Client::process`](apyfal_core::Client::process) without a time limit.
    pub(super) async fn process_and_tell(&self, mut job: Job, io: JobIo) -> Result<Report> {
        let unread = std::mem::take(&mut job.parameters.unread);
        match self.process_now(job, io).await {
            Ok(mut report) => {
                unread.tell(&mut report);
                Ok(report)
            }
            Err(error) => Err(unread.hint(error)),
        }
    }

    async fn process_now(&self, job: Job, mut io: JobIo) -> Result<Report> {
        let open = self.session(&job.session, Caller::of(&io)).await?;
        let engines = open.engines(job.parameters.engine.as_deref())?;
        let own = &*open.own.engine;
        let params = checked(own, Some(&open.params), &job.parameters.specific)?;
        if let Some(url) = &job.src {
            io.src = Some(self.source(url, &io.cancel).await?);
        }
        let mut destination = None;
        if let Some(url) = &job.dst {
            let mut created = self.destination(url, &io.cancel).await?;
            io.dst = created.take_output();
            destination = Some(created);
        }
        let ends = (io.src.take(), io.dst.take());
        let engine_job = job::engine_job(own.accelerator(), ends.0, ends.1, params)?;
        let cancel = io.cancel.clone();
        let processed = self.process_on(&open, &engines, engine_job, job, io).await;
        match destination {
            Some(destination) => {
                let (mut report, placed) = destination.settle(processed, &cancel).await?;
                report.tell_of_destination(placed.note());
                Ok(report)
            }
            None => processed,
        }
    }

    /// Runs a job on the first of these engines that does not fail by a fault of its own.
    async fn process_on(
        &self,
        open: &Arc<OpenSession>,
        engines: &[Candidate<'_>],
        mut engine_job: EngineJob,
        job: Job,
        io: JobIo,
    ) -> Result<Report> {
        let (compare, ends) = (job.parameters.compare, [job.src.is_none(), job.dst.is_none()]);
        let caller = Caller::of(&io);
        let (mut sent, mut note) = (Some(job.parameters), None);
        let mut engines = engines.iter().peekable();
        while let Some(candidate) = engines.next() {
            // What the last one needs need not be kept.
            let next = engines.peek().copied();
            let sending = if next.is_some() { sent.clone() } else { sent.take() };
            let mut call = CallContext::new(&io, sending.unwrap_or_default());
            call.of_the_client(ends[0], ends[1]);
            let spare;
            (engine_job, spare) = match next {
                Some(next) => {
                    let (first, spare) = Spare::of(engine_job)?;
                    (first, Some((next, spare)))
                }
                None => (engine_job, None),
            };
            let processed = async {
                let on = self.engine_of(open, *candidate, caller).await?;
                on.engine.check(&engine_job.params)?;
                let report = self.run(open, &on, engine_job, (call, caller), compare).await?;
                Ok(open.signed(report, &on))
            };
            let (error, (next, spare)) = match (processed.await, spare) {
                (Ok(mut report), _) => {
                    note.into_iter().for_each(|note| report.tell_of_engine(note));
                    return Ok(report);
                }
                (Err(error), Some(spare)) if fallback::is_fault(&error) => (error, spare),
                (Err(error), _) => return Err(error),
            };
            let Some(again) = spare.job() else {
                let name = &next.info().name;
                let why = "some of the result was seen, or the source cannot be read again";
                return Err(error.hint(format!("'{name}' did not take over, since {why}")));
            };
            engine_job = again;
            io.progress.begin_anew();
            let told = fallback::note(candidate.info(), &error, next.info());
            io.log.line(&told);
            note = Some(told);
        }
        Err(Error::new(ErrorKind::Internal, "there was no engine for the job"))
    }

    /// Runs a job on an engine of its session, alone or with others.
    async fn run(
        &self,
        open: &Arc<OpenSession>,
        on: &Arc<Opened>,
        engine_job: EngineJob,
        (call, caller): (CallContext, Caller<'_>),
        compare: bool,
    ) -> Result<Report> {
        if on.session.batch() > 1 && !compare && batch::takes(&engine_job) {
            return self.in_batch(open, on, engine_job, (call, caller)).await;
        }
        let (dir, running) = (open.dir.clone(), on.clone());
        let rerun_safe = on.engine.accelerator().rerun_safe;
        let work = move |ctx: &JobContext| {
            let _lock = dir.lock_for_job(ctx)?;
            match compare {
                true => comparison::run(&*running.session, rerun_safe, engine_job, ctx),
                false => job::run(&*running.session, engine_job, ctx),
            }
        };
        let asking = open.asking(on.engine.info(), caller);
        self.in_slot(asking, open.dir.scratch(), call, work).await
    }

    /// Runs a job together with those of its session that wait at the same time.
    ///
    /// Every caller waits for a slot, and who gets one runs the next batch, until the own job is
    /// in one. Dropping the returned future cancels the own job alone.
    async fn in_batch(
        &self,
        open: &Arc<OpenSession>,
        on: &Arc<Opened>,
        job: EngineJob,
        (call, caller): (CallContext, Caller<'_>),
    ) -> Result<Report> {
        let cancel = call.cancel.clone();
        let guard = CancelOnDrop(Some(cancel.clone()));
        let mut place = on.waiting.join(job, call);
        let mut asking = open.asking(on.engine.info(), caller);
        let result = loop {
            let (dir, running) = (open.dir.clone(), on.clone());
            let work = move |ctx: &JobContext| {
                let _lock = dir.lock_for_job(ctx)?;
                running.waiting.run_next(&*running.session, ctx);
                Ok(())
            };
            // The batch has jobs of others, so neither the end nor the switch of this call ends it.
            let own = CallContext::default();
            tokio::select! {
                biased;
                result = place.answer() => break result,
                () = cancel.cancelled() => break Err(Error::cancelled()),
                turn = self.in_slot(asking, open.dir.scratch(), own, work),
                    if place.is_waiting() =>
                {
                    match turn {
                        // What waited for its turn is not refused for those that came since.
                        Ok(()) => asking.always = true,
                        // No turn is as bad where another caller has taken the job along: then it
                        // runs, and has a result of its own.
                        Err(error) if place.leave() => break Err(error),
                        Err(_) => {}
                    }
                }
            }
        };
        guard.disarm();
        result
    }
}
