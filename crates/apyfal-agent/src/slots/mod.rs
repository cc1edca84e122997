//! How the jobs of this machine share its slots and cores.
//!
//! Each engine of an accelerator has its slots and a queue for them, all engines share the cores. A slot that becomes
//! free goes straight to the job whose turn it is, so a free one means that nobody waits for it. A job that
//! waits for its data lends its slot to who waits for one, where slots are cores (`turn.rs`).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Owner, Result, Slots};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use queue::{Queue, Ticket};

mod queue;
mod turn;

pub(crate) use turn::Held;

/// How many jobs run and wait, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that run, of all engines.
    pub running: usize,
    /// Jobs that wait for a slot, or for their data without one, of all engines.
    pub waiting: usize,
    /// The same for each accelerator, in the order of the registry.
    pub accelerators: Vec<AcceleratorLoad>,
}

/// How many jobs of one accelerator run and wait, of its engines together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceleratorLoad {
    /// The accelerator.
    pub name: String,
    /// How many of its jobs may run at once.
    pub slots: usize,
    /// How many do.
    pub running: usize,
    /// How many wait for a slot, or for their data without one.
    pub waiting: usize,
}

/// Hands out slots: one job of an engine per slot, and each job its share of the cores.
#[derive(Debug)]
pub(crate) struct Scheduler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cores: NonZeroUsize,
    max_waiting: usize,
    state: Mutex<Occupancy>,
}

#[derive(Debug, Default)]
struct Occupancy {
    running: usize,
    waiting: usize,
    engines: Vec<Engine>,
}

#[derive(Debug)]
struct Engine {
    accelerator: String,
    name: String,
    slots: usize,
    running: usize,
    queue: Queue<oneshot::Sender<Slot>>,
    /// How many jobs have lent their slot and wait for their data.
    lent: usize,
    /// Seconds for which its recent jobs had a slot, the last ones counting most.
    duration: f64,
}

/// Who asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    /// The accelerator.
    pub(crate) accelerator: &'a str,
    /// Its engine.
    pub(crate) engine: &'a str,
    /// How many slots that has.
    pub(crate) slots: Slots,
    /// Whose turn it is when it is the job's: owners take turns.
    pub(crate) owner: &'a Owner,
    /// Which of the owner's sessions: these take turns too.
    pub(crate) session: &'a str,
    /// Whether the job may wait however many wait already, as what ends others must.
    pub(crate) always: bool,
}

/// A slot that a job holds until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// How many threads the job may keep busy.
    pub(crate) threads: NonZeroUsize,
    shared: Arc<Shared>,
    engine: usize,
    begin: Instant,
}

impl Scheduler {
    /// One for this many cores, where at most so many jobs may wait.
    pub(crate) fn new(cores: NonZeroUsize, max_waiting: Option<usize>) -> Self {
        let max_waiting = max_waiting.unwrap_or(usize::MAX);
        Self(Arc::new(Shared { cores, max_waiting, state: Mutex::default() }))
    }

    /// Makes an engine known, so that [`load`](Self::load) shows it before its first job.
    pub(crate) fn declare(&self, asking: Asking<'_>) {
        self.0.engine(&mut self.0.state(), asking);
    }

    /// Waits for a slot. A waiting job whose future is dropped leaves the queue.
    ///
    /// # Errors
    /// Too many jobs wait already.
    pub(crate) async fn slot(&self, asking: Asking<'_>) -> Result<Slot> {
        let engine = self.0.engine(&mut self.0.state(), asking);
        self.0.slot(engine, asking.owner, asking.session, asking.always).await
    }

    /// A slot, if one is free.
    pub(crate) fn free_slot(&self, asking: Asking<'_>) -> Option<Slot> {
        let mut state = self.0.state();
        let engine = self.0.engine(&mut state, asking);
        self.0.take(&mut state, engine)
    }

    /// What runs and waits.
    pub(crate) fn load(&self) -> Load {
        let state = self.0.state();
        let mut accelerators: Vec<AcceleratorLoad> = Vec::new();
        for engine in &state.engines {
            let name = &engine.accelerator;
            let place = accelerators.iter().position(|load| load.name == *name);
            let place = place.unwrap_or_else(|| {
                accelerators.push(AcceleratorLoad { name: name.clone(), ..Default::default() });
                accelerators.len() - 1
            });
            if let Some(load) = accelerators.get_mut(place) {
                load.slots += engine.slots;
                load.running += engine.running;
                load.waiting += engine.queue.len() + engine.lent;
            }
        }
        let lent: usize = state.engines.iter().map(|engine| engine.lent).sum();
        Load { running: state.running, waiting: state.waiting + lent, accelerators }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Occupancy> {
        self.state.lock()
    }

    /// The place of an engine in the list.
    fn engine(&self, state: &mut Occupancy, asking: Asking<'_>) -> usize {
        let Asking { accelerator, engine: name, .. } = asking;
        let is_meant = |engine: &Engine| engine.accelerator == accelerator && engine.name == name;
        if let Some(place) = state.engines.iter().position(is_meant) {
            return place;
        }
        let slots = match asking.slots {
            Slots::Cores => self.cores.get(),
            Slots::Fixed(count) => count.max(1),
        };
        state.engines.push(Engine {
            accelerator: accelerator.to_owned(),
            name: name.to_owned(),
            slots,
            running: 0,
            queue: Queue::default(),
            lent: 0,
            duration: 0.0,
        });
        state.engines.len() - 1
    }

    /// Waits for a slot of an engine, as [`Scheduler::slot`] does.
    async fn slot(
        self: &Arc<Self>,
        engine: usize,
        owner: &Owner,
        session: &str,
        always: bool,
    ) -> Result<Slot> {
        let mut place = {
            let mut state = self.state();
            if let Some(slot) = self.take(&mut state, engine) {
                return Ok(slot);
            }
            if state.waiting >= self.max_waiting && !always {
                return Err(state.engines[engine].busy(state.waiting));
            }
            state.waiting += 1;
            let (sender, slot) = oneshot::channel();
            let ticket = state.engines[engine].queue.join(owner, session, sender);
            Queued { shared: self, engine, ticket: Some(ticket), slot }
        };
        let slot = (&mut place.slot).await.map_err(|_| {
            let name = &self.state().engines[engine].accelerator;
            Error::new(ErrorKind::Internal, format!("the slots of {name} are closed"))
        });
        place.ticket = None;
        slot
    }

    /// Takes a free slot.
    fn take(self: &Arc<Self>, state: &mut Occupancy, engine: usize) -> Option<Slot> {
        let free = state.engines.get_mut(engine).filter(|engine| engine.running < engine.slots)?;
        free.running += 1;
        state.running += 1;
        Some(self.hand_out(state, engine))
    }

    /// The slot of a job that was counted as running.
    fn hand_out(self: &Arc<Self>, state: &Occupancy, engine: usize) -> Slot {
        // A lone job gets every core; where as many jobs as cores want to run, each gets one.
        let rivals = (state.running + state.waiting).max(1);
        let threads = NonZeroUsize::new(self.cores.get() / rivals).unwrap_or(NonZeroUsize::MIN);
        Slot { threads, shared: self.clone(), engine, begin: Instant::now() }
    }
}

impl Engine {
    /// The error of a job that may not wait.
    fn busy(&self, waiting: usize) -> Error {
        // Its turn would come when those before it are done; none may be known to take no time.
        let seconds = self.duration * (self.queue.len() + 1) as f64 / self.slots as f64;
        Error::new(ErrorKind::Busy, format!("all slots are taken and {waiting} jobs wait already"))
            .operation(format!("run {}", self.accelerator))
            .retry_after(seconds.ceil().clamp(1.0, 3600.0) as u64)
            .hint("try again later, or use another host")
            .retryable()
    }

    fn ended(&mut self, after: Duration) {
        let seconds = after.as_secs_f64();
        self.duration =
            if self.duration == 0.0 { seconds } else { 0.875 * self.duration + 0.125 * seconds };
    }
}

impl Drop for Slot {
    /// Hands the slot on, to the next owner's first job.
    fn drop(&mut self) {
        let elapsed = self.begin.elapsed();
        let next = {
            let mut guard = self.shared.state();
            let state = &mut *guard;
            let Some(engine) = state.engines.get_mut(self.engine) else { return };
            engine.ended(elapsed);
            match engine.queue.next() {
                None => {
                    engine.running -= 1;
                    state.running -= 1;
                    None
                }
                Some(sender) => {
                    state.waiting -= 1;
                    Some((sender, self.shared.hand_out(state, self.engine)))
                }
            }
        };
        if let Some((sender, slot)) = next {
            // One who has just left gives it back, and dropping that hands it on.
            drop(sender.send(slot));
        }
    }
}

/// The place of a job in a queue. The job leaves the queue with it.
struct Queued<'a> {
    shared: &'a Arc<Shared>,
    engine: usize,
    /// None once the job got its slot.
    ticket: Option<Ticket>,
    slot: oneshot::Receiver<Slot>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut guard = self.shared.state();
        let state = &mut *guard;
        let Some(engine) = state.engines.get_mut(self.engine) else { return };
        // If it is not there any more, its slot is on the way and goes on from the receiver.
        let left = engine.queue.leave(ticket);
        state.waiting -= usize::from(left.is_some());
        drop(guard);
    }
}

#[cfg(test)]
mod tests;
