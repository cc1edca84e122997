//! `null`: copies its source to its destination, to measure everything around an accelerator.

use std::io::Write;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome,
    Output, Result,
};

use crate::copy::copy;
use crate::cpu::Cpu;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("null", "Copy data unchanged, to measure all but the work");
    info.description = "Every byte of the source goes to the destination as it is. What a job \
                        costs beside the accelerator's own work is what null costs."
        .into();
    Cpu::new(info, |_| Ok(Box::new(NullSession))).quick_to(64 << 10)
}

#[derive(Debug)]
struct NullSession;

impl EngineSession for NullSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (src, dst) = parts(job)?;
        let mut writer = ctx.writer(dst);
        copy(&mut ctx.reader(src)?, &mut writer)?;
        writer.flush()?;
        Ok(Outcome::default())
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(parts(job).and_then(|(src, dst)| {
            let mut writer = ctx.writer(dst);
            std::io::copy(&mut ctx.reader(src)?, &mut writer)?;
            Ok(writer.flush()?)
        }))
    }
}

fn parts(job: EngineJob) -> Result<(Input, Output)> {
    match (job.src, job.dst) {
        (Some(src), Some(dst)) => Ok((src, dst)),
        _ => Err(Error::new(ErrorKind::Internal, "null was run without source or destination")),
    }
}
