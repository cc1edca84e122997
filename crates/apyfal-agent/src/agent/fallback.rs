//! What a second engine needs to take over a job, where the first one fails before anything of its
//! result was seen.

use apyfal_core::{
    EngineInfo, EngineJob, Error, ErrorKind, Params, Result, SpareInput, SpareOutput,
};

/// What is kept of a job while an engine has it.
#[derive(Debug)]
pub(super) struct Spare {
    src: Option<SpareInput>,
    dst: Option<SpareOutput>,
    params: Params,
}

impl Spare {
    /// The job for the first engine, and what another one needs.
    pub(super) fn of(job: EngineJob) -> Result<(EngineJob, Self)> {
        let EngineJob { src, dst, params } = job;
        let (src, spare_src) = src.map(|src| src.with_spare()).transpose()?.unzip();
        let (dst, spare_dst) = dst.map(|dst| dst.with_spare()).transpose()?.unzip();
        let spare = Self { src: spare_src, dst: spare_dst, params: params.clone() };
        Ok((EngineJob { src, dst, params }, spare))
    }

    /// The same job once more, unless some of its result was seen, or its source is gone.
    pub(super) fn job(self) -> Option<EngineJob> {
        let Self { src, dst, params } = self;
        let src = match src {
            Some(src) => Some(src.take()?),
            None => None,
        };
        let dst = match dst {
            Some(dst) => Some(dst.take()?),
            None => None,
        };
        Some(EngineJob { src, dst, params })
    }
}

/// Whether it was the engine that failed, and another one may do better.
pub(super) fn is_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Engine | ErrorKind::Unavailable | ErrorKind::Internal)
}

/// What report and log say of it.
pub(super) fn note(failed: &EngineInfo, error: &Error, next: &EngineInfo) -> String {
    format!("the engine '{}' failed, so '{}' took over: {error}", failed.name, next.name)
}
