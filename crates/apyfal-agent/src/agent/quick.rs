//! What is quick, on the thread of its caller: handing it to another thread and waiting for that takes
//! several times as long as a small job itself.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apyfal_core::{
    EngineInfo, Error, ErrorKind, Input, Job, JobContext, JobIo, JobParameters, Outcome, Output,
    Report, Result, Scratch, Sink, Source,
};

use super::Agent;
use super::opened::{OpenSession, Opened, checked};
use crate::job::{self, CallContext, Caller};

impl Agent {
    /// Runs a job within this call, if it is quick and has to wait for nothing. Else gives it back.
    ///
    /// # Errors
    /// Those of the job.
    pub fn process_at_once(
        &self,
        job: Job,
        mut io: JobIo,
    ) -> Result<ControlFlow<Report, (Job, JobIo)>> {
        let on_files = self.root.is_for_now();
        if !is_here(&job, &io, on_files) {
            return Ok(ControlFlow::Continue((job, io)));
        }
        let open = self.opened(&job.session);
        let Some(open) = open.filter(|open| is_short(open.own.engine.info(), &io)) else {
            return Ok(ControlFlow::Continue((job, io)));
        };
        // Where another engine may have to take over, more is kept than there is time for.
        let JobParameters { engine, unread, .. } = &job.parameters;
        if !open.others.is_empty() || engine.is_some() || !unread.is_empty() {
            return Ok(ControlFlow::Continue((job, io)));
        }
        let Opened { engine, session, .. } = &*open.own;
        let info = engine.accelerator();
        let params = checked(&**engine, Some(&open.params), &job.parameters.specific)?;
        let engine_job = job::engine_job(info, io.src.take(), io.dst.take(), params)?;
        // Files that are worth a batch wait for one.
        let is_alone =
            session.batch() == 1 || engine_job.src.as_ref().is_some_and(Input::is_in_memory);
        if is_alone
            && session.is_quick(&engine_job)
            && let Some(_slot) =
                self.scheduler.free_slot(open.asking(engine.info(), Caller::of(&io)))
            && let Some(_lock) = open.dir.try_lock_for_job()?
        {
            let call = CallContext::new(&io, job.parameters);
            let work = |ctx: &JobContext| job::run(&**session, engine_job, ctx);
            let report = within(call, open.dir.scratch(), work)?;
            return Ok(ControlFlow::Break(open.signed(report, &open.own)));
        }
        (io.src, io.dst) = (engine_job.src, engine_job.dst);
        Ok(ControlFlow::Continue((job, io)))
    }

    /// Whether an engine may begin a session within the call: it is quick, and nothing is written.
    pub(super) fn is_begun_at_once(&self, engine: &EngineInfo) -> bool {
        engine.quick > 0 && self.root.is_for_now()
    }

    /// Ends a session within this call, if that is quick and has to wait for nothing.
    pub(super) fn stop_at_once(&self, open: &OpenSession) -> Option<Result<Outcome>> {
        let Opened { engine, session, .. } = &*open.own;
        let is_quick = self.is_begun_at_once(engine.info()) && open.others.is_empty();
        if !(is_quick && open.dir.is_in_memory() && open.dir.close()) {
            return None;
        }
        let call = CallContext::default();
        Some(within(call, open.dir.scratch(), |ctx| session.stop(ctx)))
    }
}

/// Whether nobody else has a part in moving the data: it is in memory or, where that may be, in files.
fn is_here(job: &Job, io: &JobIo, on_files: bool) -> bool {
    let reads =
        |src: &Input| src.is_in_memory() || on_files && matches!(src.source(), Source::File { .. });
    let writes =
        |dst: &Output| dst.is_in_memory() || on_files && matches!(dst.sink(), Sink::File { .. });
    job.src.is_none()
        && job.dst.is_none()
        && !job.parameters.compare
        && io.src.as_ref().is_some_and(reads)
        && io.dst.as_ref().is_none_or(writes)
}

fn is_short(info: &EngineInfo, io: &JobIo) -> bool {
    let len = io.src.as_ref().and_then(Input::len);
    info.quick > 0 && len.is_some_and(|len| len <= info.quick as u64)
}

/// Does work of an engine, and does not let a panic take the caller along.
pub(super) fn within<T>(
    call: CallContext,
    scratch: Scratch,
    work: impl FnOnce(&JobContext) -> Result<T>,
) -> Result<T> {
    call.cancel.check()?;
    let ctx = call.context(scratch, NonZeroUsize::MIN);
    catch_unwind(AssertUnwindSafe(|| work(&ctx)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the engine panicked")))
}
