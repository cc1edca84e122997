//! `null`: copies its source to its destination, to measure everything around an accelerator.

use std::io::Write;
use std::path::Path;

use apyfal_core::{
    Engine, EngineInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome,
    Output, Params, Result,
};

use crate::copy::copy;

/// The engine.
#[derive(Debug)]
pub(crate) struct Null {
    info: EngineInfo,
}

impl Null {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let mut info = EngineInfo::cpu("null", "Copy data unchanged, to measure all but the work");
        info.description = "Every byte of the source goes to the destination as it is. What a job \
                            costs beside the accelerator's own work is what null costs."
            .into();
        info.quick = 64 << 10;
        Self { info }
    }
}

impl Engine for Null {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn open(
        &self,
        _src: Option<Input>,
        _params: &Params,
        _state: &Path,
        _ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        Ok(Box::new(Session))
    }
}

#[derive(Debug)]
struct Session;

impl EngineSession for Session {
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
