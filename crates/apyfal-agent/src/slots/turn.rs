//! The slot of a job, which others have while the job waits for its data.
//!
//! Only where slots are cores: then those who wait need none, and if two who shared one go on at once,
//! both are merely slower. Other slots are of what can have one job at a time.

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use apyfal_core::{Cancel, JobContext, Owner, Result, Slots, Turn};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{Asking, Shared, Slot};

/// The slot of a job until this is dropped, or none while it is lent.
#[derive(Debug)]
pub(crate) struct Held {
    /// How many threads the job may keep busy.
    pub(crate) threads: NonZeroUsize,
    shared: Arc<Shared>,
    engine: usize,
    may_lend: bool,
    /// Whose turn it is when it comes again.
    owner: Owner,
    session: String,
    place: Mutex<Place>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Place {
    slot: Option<Slot>,
    lent: Option<Lent>,
}

/// A job without a slot that waits for none, which is counted until this is dropped.
#[derive(Debug)]
struct Lent {
    shared: Arc<Shared>,
    engine: usize,
}

impl Held {
    /// The slot that was asked for so. To be called inside a runtime.
    pub(crate) fn new(slot: Slot, asking: Asking<'_>) -> Arc<Self> {
        Arc::new(Self {
            threads: slot.threads,
            shared: slot.shared.clone(),
            engine: slot.engine,
            may_lend: asking.slots == Slots::Cores,
            owner: asking.owner.clone(),
            session: asking.session.to_owned(),
            place: Mutex::new(Place { slot: Some(slot), lent: None }),
            runtime: Handle::current(),
        })
    }

    /// The context of the job that has it.
    pub(crate) fn context(self: &Arc<Self>, ctx: JobContext) -> JobContext {
        let held: Weak<Self> = Arc::downgrade(self);
        if self.may_lend { ctx.with_turn(held) } else { ctx }
    }
}

impl Turn for Held {
    fn lend(&self) -> bool {
        let mut place = self.place.lock();
        if place.slot.is_some() {
            let Some(lent) = Lent::if_wanted(&self.shared, self.engine) else { return false };
            // Dropping the slot hands it on.
            *place = Place { slot: None, lent: Some(lent) };
        }
        true
    }

    fn take_back(&self, cancel: &Cancel) -> Result<()> {
        {
            let mut place = self.place.lock();
            if place.slot.is_some() {
                return Ok(());
            }
            place.lent = None;
        }
        // It was there before those whom it would be refused for.
        let slot = self.shared.slot(self.engine, &self.owner, &self.session, true);
        let slot = self.runtime.block_on(cancel.or_cancelled(slot))?;
        // Where two threads of the job took one, the first is handed on.
        self.place.lock().slot = Some(slot);
        Ok(())
    }
}

impl Lent {
    /// None where nobody waits for a slot.
    fn if_wanted(shared: &Arc<Shared>, place: usize) -> Option<Self> {
        let mut state = shared.state();
        let engine = state.engines.get_mut(place).filter(|engine| engine.queue.len() > 0)?;
        engine.lent += 1;
        Some(Self { shared: shared.clone(), engine: place })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(engine) = state.engines.get_mut(self.engine) {
            engine.lent -= 1;
        }
    }
}
