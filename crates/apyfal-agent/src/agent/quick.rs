//! Quick jobs, on the thread of their caller: handing one to another thread and waiting for it takes
//! several times as long as a small job itself.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apyfal_core::{
    EngineInfo, EngineJob, EngineSession, Error, ErrorKind, Input, Job, JobContext, JobIo, Output,
    Report, Result,
};

use super::Agent;
use super::opened::{Opened, checked};
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
        if !is_in_memory(&job, &io) {
            return Ok(ControlFlow::Continue((job, io)));
        }
        let open = self.opened(&job.session);
        let Some(open) = open.filter(|open| is_short(open.own.engine.info(), &io)) else {
            return Ok(ControlFlow::Continue((job, io)));
        };
        // Where another engine may have to take over, more is kept than there is time for.
        if !open.others.is_empty() || job.parameters.engine.is_some() {
            return Ok(ControlFlow::Continue((job, io)));
        }
        let Opened { engine, session, .. } = &*open.own;
        let info = engine.accelerator();
        let params = checked(&**engine, Some(&open.params), &job.parameters.specific)?;
        let engine_job = job::engine_job(info, io.src.take(), io.dst.take(), params)?;
        if session.is_quick(&engine_job)
            && let Some(_slot) =
                self.scheduler.free_slot(open.asking(engine.info(), Caller::of(&io)))
            && let Some(_lock) = open.dir.try_lock_for_job()?
        {
            let call = CallContext::new(&io, job.parameters);
            let ctx = call.context(open.dir.scratch(), NonZeroUsize::MIN);
            let report = run(&**session, engine_job, &ctx)?;
            return Ok(ControlFlow::Break(open.signed(report, &open.own)));
        }
        (io.src, io.dst) = (engine_job.src, engine_job.dst);
        Ok(ControlFlow::Continue((job, io)))
    }
}

/// Whether nobody else has a part in moving the data.
fn is_in_memory(job: &Job, io: &JobIo) -> bool {
    job.src.is_none()
        && job.dst.is_none()
        && !job.parameters.compare
        && io.src.as_ref().is_some_and(Input::is_in_memory)
        && io.dst.as_ref().is_none_or(Output::is_in_memory)
}

fn is_short(info: &EngineInfo, io: &JobIo) -> bool {
    let len = io.src.as_ref().and_then(Input::len);
    info.quick > 0 && len.is_some_and(|len| len <= info.quick as u64)
}

/// Runs it, and does not let a panic take the caller along.
fn run(session: &dyn EngineSession, job: EngineJob, ctx: &JobContext) -> Result<Report> {
    ctx.check()?;
    catch_unwind(AssertUnwindSafe(|| job::run(session, job, ctx)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the engine panicked")))
}
