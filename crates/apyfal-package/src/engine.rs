//! The engine of an installed package.

use std::path::PathBuf;
use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Directory, Engine, EngineInfo, EngineSession, Input, JobContext, Params,
    Result,
};
use apyfal_engines::exec::Exec;
use apyfal_machine::lock::Lock;

use crate::Installed;

/// The engine of a package. Its files stay as long as this does, or a clone of it.
#[derive(Clone, Debug)]
pub struct Packaged {
    exec: Exec,
    _in_use: Arc<Lock>,
}

impl Packaged {
    /// Makes it. `locks` is where locks of an `executable` are.
    ///
    /// # Errors
    /// The store is at a path that no declaration can have.
    pub fn new(installed: Installed, locks: impl Into<PathBuf>) -> Result<Self> {
        let declaration = installed.manifest.declaration(&installed.files)?;
        Ok(Self { exec: Exec::new(declaration, locks), _in_use: Arc::new(installed.in_use) })
    }
}

impl Engine for Packaged {
    fn accelerator(&self) -> &AcceleratorInfo {
        self.exec.accelerator()
    }

    fn info(&self) -> &EngineInfo {
        self.exec.info()
    }

    fn check(&self, params: &Params) -> Result<()> {
        self.exec.check(params)
    }

    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        self.exec.open(src, params, state, ctx)
    }
}
