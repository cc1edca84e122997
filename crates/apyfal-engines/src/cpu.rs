//! What all engines of this process's own have in common.

use std::fmt;

use apyfal_core::{
    AcceleratorInfo, Directory, Engine, EngineInfo, EngineSession, Input, JobContext, Params,
    Result,
};

/// An engine that is the cores of this machine: what it tells of itself, and how it opens a session.
pub(crate) struct Cpu {
    accelerator: AcceleratorInfo,
    info: EngineInfo,
    open: Open,
}

/// Opens a session, as [`Engine::open`] does.
type Open = fn(Opening<'_>) -> Result<Box<dyn EngineSession>>;

/// What a session is opened from.
pub(crate) struct Opening<'a> {
    /// What was given to `start`.
    pub(crate) src: Option<Input>,
    pub(crate) params: &'a Params,
    /// The session's own directory.
    pub(crate) state: &'a dyn Directory,
    pub(crate) ctx: &'a JobContext,
}

impl Cpu {
    pub(crate) fn new(accelerator: AcceleratorInfo, open: Open) -> Self {
        Self { accelerator, info: EngineInfo::cpu(), open }
    }

    /// Says up to which length, in bytes, a source in memory is quick ([`EngineInfo::quick`]).
    #[must_use]
    pub(crate) fn quick_to(mut self, len: usize) -> Self {
        self.info.quick = len;
        self
    }
}

impl Engine for Cpu {
    fn accelerator(&self) -> &AcceleratorInfo {
        &self.accelerator
    }

    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        (self.open)(Opening { src, params, state, ctx })
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cpu").field(&self.accelerator.name).finish()
    }
}
