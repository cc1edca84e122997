//! An engine whose jobs need an image in a slot of a device.

use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Directory, Engine, EngineInfo, EngineJob, EngineSession, Error, ErrorKind,
    Input, JobContext, Outcome, Params, Result, Slots,
};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{CardSlotGuard, Image, Pool};

/// In the session's state: the slot that its program was started in.
const STARTED: &str = "slot.json";
/// In the session's state: that its image was loaded anew, as it was asked for.
const RELOADED: &str = "reloaded";

/// For how long a slot is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// For one job: for programs that open the device anew in each.
    Job,
    /// From the first job of a session to its end: for programs that stay alive with the device
    /// open. The session's jobs run one after the other.
    Session,
    /// For one job, and always the slot in which the session was started: for programs that then
    /// leave something in the device. Once the slot was loaded anew, its jobs fail.
    Start,
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
    /// Gives an engine the slots of a pool, with this image in them, and the name of that kind of device. An
    /// engine that would run a job per core runs one, for cores are not what it waits for.
    pub fn new(engine: E, pool: Arc<Pool>, image: Image, hold: Hold) -> Self {
        let mut info = engine.info().clone();
        info.name = pool.kind().name().into();
        // Waiting for a slot blocks.
        info.quick = 0;
        info.needs = format!("a slot of {}", pool.kind().name()).into();
        if hold != Hold::Job || info.slots == Slots::Cores {
            info.slots = Slots::Fixed(1);
        }
        Self { engine, info, pool, image, hold }
    }

    /// Starts a session in a slot, or takes up one that was started.
    fn start(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<(Box<dyn EngineSession>, Started)> {
        let path = state.path()?.join(STARTED);
        if let Ok(text) = std::fs::read(&path) {
            let started = serde_json::from_slice(&text).map_err(std::io::Error::from)?;
            return Ok((self.engine.open(src, params, state, ctx)?, started));
        }
        let slot = match ctx.request().reload {
            Some(true) => self.pool.reload(&self.image, ctx.cancel())?,
            _ => self.pool.acquire(&self.image, ctx.cancel())?,
        };
        let started = Started { slot: slot.slot().to_owned(), load: slot.load() };
        // Before the program is started, which must not happen in one slot and be remembered of none.
        let text = serde_json::to_string(&started).map_err(std::io::Error::from)?;
        std::fs::write(&path, text)?;
        let inner = ctx.clone().with_variables(slot.variables());
        let opened = self.engine.open(src, params, state, &inner);
        if opened.as_ref().map_or_else(left_in_order, |_| true) {
            slot.finish()?;
        }
        Ok((opened?, started))
    }

    /// Loads the image anew where a new session asks for it: `reload`, and `reset` too, for programs
    /// that have no way to be told.
    fn reload(&self, state: &dyn Directory, ctx: &JobContext) -> Result<Kept> {
        let asked = ctx.request().reload == Some(true) || ctx.request().reset == Some(true);
        let path = state.path()?.join(RELOADED);
        if !asked || path.exists() {
            return Ok(Kept::default());
        }
        let slot = self.pool.reload(&self.image, ctx.cancel())?;
        std::fs::write(&path, "")?;
        if self.hold == Hold::Session {
            return Ok(Kept(Mutex::new(Some(slot))));
        }
        slot.finish()?;
        Ok(Kept::default())
    }
}

impl<E: Engine> Engine for WithSlot<E> {
    fn accelerator(&self) -> &AcceleratorInfo {
        self.engine.accelerator()
    }

    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn check(&self, params: &Params) -> Result<()> {
        self.engine.check(params)
    }

    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        let (inner, started, kept) = match self.hold {
            Hold::Job | Hold::Session => {
                let kept = self.reload(state, ctx)?;
                (self.engine.open(src, params, state, ctx)?, None, kept)
            }
            Hold::Start => {
                let (inner, started) = self.start(src, params, state, ctx)?;
                (inner, Some(started), Kept::default())
            }
        };
        let (pool, image) = (self.pool.clone(), self.image.clone());
        Ok(Box::new(SlotSession { inner, kept, pool, image, hold: self.hold, started }))
    }
}

/// The slot that a session was started in.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    slot: String,
    load: u64,
}

#[derive(Debug)]
struct SlotSession {
    inner: Box<dyn EngineSession>,
    /// After the programs, which still use it while they end.
    kept: Kept,
    pool: Arc<Pool>,
    image: Image,
    hold: Hold,
    started: Option<Started>,
}

/// The slot between two jobs of a session that holds it.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<CardSlotGuard>>);

impl Kept {
    fn slot(&self) -> MutexGuard<'_, Option<CardSlotGuard>> {
        self.0.lock()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(slot) = self.slot().take() {
            // Where it fails, the next user clears the slot.
            let _ = slot.finish();
        }
    }
}

impl SlotSession {
    /// The slot for a job.
    fn take(&self, ctx: &JobContext) -> Result<CardSlotGuard> {
        if let Some(slot) = self.kept.slot().take() {
            return Ok(slot);
        }
        let Some(started) = &self.started else {
            return self.pool.acquire(&self.image, ctx.cancel());
        };
        let slot = self.pool.acquire_in(&started.slot, &self.image, ctx.cancel())?;
        if slot.load() == started.load {
            return Ok(slot);
        }
        slot.finish()?;
        Err(Error::new(ErrorKind::Conflict, "the device was loaded anew since the session began")
            .operation(format!("use slot {}", started.slot))
            .hint("start this session again: what it left in the device is gone"))
    }

    /// Runs something with a slot. The slot is dropped, and so to be cleared, on every way out but
    /// the good ones, a panic included.
    fn with_slot(
        &self,
        ctx: &JobContext,
        run: impl FnOnce(&JobContext) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let slot = self.take(ctx)?;
        let result = run(&ctx.clone().with_variables(slot.variables()));
        if result.as_ref().map_or_else(left_in_order, |_| true) {
            match self.hold {
                Hold::Job | Hold::Start => {
                    // What became of the job matters more.
                    let finished = slot.finish();
                    return result.and_then(|outcome| finished.map(|()| outcome));
                }
                Hold::Session => *self.kept.slot() = Some(slot),
            }
        }
        result
    }
}

impl EngineSession for SlotSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        self.with_slot(ctx, |ctx| self.inner.process(job, ctx))
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        self.inner.process_in_software(job, ctx)
    }

    fn started(&self) -> Map<String, Value> {
        self.inner.started()
    }

    fn stop(&self, ctx: &JobContext) -> Result<Outcome> {
        if self.hold != Hold::Start {
            return self.inner.stop(ctx);
        }
        match self.with_slot(ctx, |ctx| self.inner.stop(ctx)) {
            // There is nothing left to stop.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Outcome::default()),
            stopped => stopped,
        }
    }
}

/// Whether a job that failed has left its device as it found it: the program itself said what was
/// wrong and went on or ended. One that was cancelled, timed out or was killed has not.
fn left_in_order(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::Usage => true,
        ErrorKind::Engine => error.details().exit_status.is_some(),
        _ => false,
    }
}
