//! An engine whose jobs need an image in a slot of a device.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use apyfal_core::{
    Engine, EngineInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome,
    Params, Result, Slots,
};
use serde_json::{Map, Value};

use crate::{Image, Pool, SlotGuard};

/// For how long a slot is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// For one job: for programs that open the device anew in each.
    Job,
    /// From the first job of a session to its end: for programs that stay alive with the device
    /// open. The session's jobs run one after the other.
    Session,
}

/// An engine that runs with a slot. Its programs are told which by `APYFAL_DEVICE` and
/// `APYFAL_SLOT`.
#[derive(Debug)]
pub struct WithSlot<E> {
    engine: E,
    info: EngineInfo,
    pool: Arc<Pool>,
    image: Image,
    hold: Hold,
}

impl<E: Engine> WithSlot<E> {
    /// Gives an engine the slots of a pool, with this image in them. An engine that would run a job
    /// per core runs one, for cores are not what it waits for.
    pub fn new(engine: E, pool: Arc<Pool>, image: Image, hold: Hold) -> Self {
        let mut info = engine.info().clone();
        // Waiting for a slot blocks.
        info.quick = 0;
        if hold == Hold::Session || info.slots == Slots::Cores {
            info.slots = Slots::Fixed(1);
        }
        Self { engine, info, pool, image, hold }
    }
}

impl<E: Engine> Engine for WithSlot<E> {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &Path,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        Ok(Box::new(Session {
            kept: Mutex::default(),
            inner: self.engine.open(src, params, state, ctx)?,
            pool: self.pool.clone(),
            image: self.image.clone(),
            hold: self.hold,
        }))
    }
}

#[derive(Debug)]
struct Session {
    inner: Box<dyn EngineSession>,
    /// The slot between two jobs of a session that holds it. It goes after the programs.
    kept: Mutex<Option<SlotGuard>>,
    pool: Arc<Pool>,
    image: Image,
    hold: Hold,
}

impl EngineSession for Session {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let slot = match kept {
            Some(slot) => slot,
            None => self.pool.acquire(&self.image, ctx.cancel())?,
        };
        let inner = ctx.clone().with_variables(slot.variables());
        // Dropped, and so to be cleared, on every way out but the good ones, a panic included.
        let result = self.inner.process(job, &inner);
        if result.as_ref().map_or_else(left_in_order, |_| true) {
            match self.hold {
                Hold::Job => slot.finish()?,
                Hold::Session => {
                    *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
                }
            }
        }
        result
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        self.inner.process_in_software(job, ctx)
    }

    fn started(&self) -> Map<String, Value> {
        self.inner.started()
    }

    fn stop(&self, ctx: &JobContext) -> Result<Outcome> {
        self.inner.stop(ctx)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(slot) = kept {
            // Where it fails, the next user clears the slot.
            let _ = slot.finish();
        }
    }
}

/// Whether a job that failed has left its device as it found it: the program itself said what was
/// wrong and went on or ended. One that was cancelled, timed out or was killed has not.
fn left_in_order(error: &Error) -> bool {
    let status = error.facts().iter().find(|(key, _)| key == "status").map(|(_, value)| value);
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::Usage => true,
        ErrorKind::Engine => status.is_some_and(|status| {
            status.parse::<i64>().is_ok() || status.starts_with("exit status")
        }),
        _ => false,
    }
}
