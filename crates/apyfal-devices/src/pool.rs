//! The slots of a device, shared by all processes of the machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::card_slot::{CardSlot, CardSlotGuard};
use crate::prefetch::Prefetch;
use crate::record::{Held, Holder, Record};
use crate::{Device, Image, Kind, Loaded};

/// How often a waiting job looks for a free slot.
const TICK: Duration = Duration::from_millis(20);

/// How the slots of a device are shared.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// An existing directory for the locks, which is the same for all users of the machine and
    /// which all can write to: `/run/lock`.
    pub locks: PathBuf,
    /// How long a job waits for a slot.
    pub wait: Duration,
    /// What the slots are used for, to be told to others who wait: the accelerator's name.
    pub what: String,
}

/// The slots of one device.
#[derive(Debug)]
pub struct Pool {
    device: Arc<dyn Device>,
    options: PoolOptions,
    slots: Mutex<Vec<Arc<CardSlot>>>,
}

/// What a slot is like at this moment.
#[derive(Debug)]
pub struct SlotState {
    /// Its name.
    pub slot: String,
    /// What is in it, or why that cannot be told.
    pub loaded: Result<Loaded>,
    /// Who uses it, or used it last and did not come to an end.
    pub holder: Option<Holder>,
    /// Whether it is in use.
    pub in_use: bool,
}

impl SlotState {
    /// Whether the slot will be cleared before its next use.
    pub fn is_left_over(&self) -> bool {
        self.holder.is_some() && !self.in_use
    }
}

impl Pool {
    /// Those of this device.
    pub fn new(device: Arc<dyn Device>, options: PoolOptions) -> Self {
        Self { device, options, slots: Mutex::default() }
    }

    /// The kind of the device.
    pub fn kind(&self) -> Kind {
        self.device.kind()
    }

    /// A slot that has this image, which is loaded where it must be: preferably one that has it
    /// already, else an empty one, else another. While all are in use it waits, and has the image
    /// fetched meanwhile where the device can do that.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Busy`] if none became free in time, with who holds which; or the
    /// device failed, hung, or took another image than this one.
    pub fn acquire(&self, image: &Image, cancel: &Cancel) -> Result<CardSlotGuard> {
        self.acquire_among(image, |_| true, false, cancel)
    }

    /// The same, with the image loaded anew where the slot has it already.
    ///
    /// # Errors
    /// As those of [`acquire`](Self::acquire).
    pub fn reload(&self, image: &Image, cancel: &Cancel) -> Result<CardSlotGuard> {
        self.acquire_among(image, |_| true, true, cancel)
    }

    /// The same for one slot alone.
    ///
    /// # Errors
    /// As those of [`acquire`](Self::acquire); or there is no such slot any more.
    pub fn acquire_in(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<CardSlotGuard> {
        self.acquire_among(image, |name| name == slot, false, cancel)
    }

    fn acquire_among(
        &self,
        image: &Image,
        is_wanted: impl Fn(&str) -> bool,
        anew: bool,
        cancel: &Cancel,
    ) -> Result<CardSlotGuard> {
        if image.kind() != self.kind() {
            let why = format!("an image for {} is none for this device", image.kind().name());
            return Err(Error::new(ErrorKind::Configuration, why)
                .operation(format!("use a device of kind {}", self.kind().name())));
        }
        let mut slots = self.slots(cancel)?;
        slots.retain(|slot| is_wanted(slot.name()));
        if slots.is_empty() {
            return Err(Error::new(ErrorKind::Unavailable, "it has no such slot any more")
                .operation(format!("use a slot of {}", self.kind().name())));
        }
        let end = Instant::now() + self.options.wait;
        let mut prefetch = None;
        loop {
            cancel.check()?;
            let order = by_preference(&slots, image)?;
            for (_, slot) in &order {
                let Some(held) = Held::take(&slot.lock())? else { continue };
                if let Some(prefetch) = prefetch.take() {
                    Prefetch::settle(prefetch, slot, cancel)?;
                }
                let what = &self.options.what;
                return CardSlotGuard::make(slot.clone(), held, image, what, anew, cancel);
            }
            if Instant::now() >= end {
                return Err(self.busy(&slots));
            }
            // Not where a slot that has it will become free.
            if prefetch.is_none()
                && !is_anywhere(&slots, image)?
                && let Some((_, slot)) = order.first()
            {
                prefetch = Some(Prefetch::start(slot.clone(), image));
            }
            sleep(TICK);
        }
    }

    /// What each slot is like.
    ///
    /// # Errors
    /// The slots cannot be listed.
    pub fn look(&self, cancel: &Cancel) -> Result<Vec<SlotState>> {
        let state = |slot: Arc<CardSlot>| {
            let path = slot.lock();
            // Held while it is read, for a moment only: a job that ends meanwhile is no job that did
            // not come to its end.
            let held = Held::take(&path)?;
            let in_use = held.is_none();
            let holder = match Record::peek(&path)? {
                Some(Record::Busy { holder, .. }) => Some(holder),
                Some(Record::Idle { .. }) | None => None,
            };
            drop(held);
            let loaded = slot.describe(cancel);
            if loaded.as_ref().is_err_and(Error::is_cancelled) {
                return Err(Error::cancelled());
            }
            Ok(SlotState { slot: slot.name().to_owned(), loaded, holder, in_use })
        };
        self.slots(cancel)?.into_iter().map(state).collect()
    }

    /// The slots, which are listed once.
    fn slots(&self, cancel: &Cancel) -> Result<Vec<Arc<CardSlot>>> {
        let mut slots = self.slots.lock();
        if slots.is_empty() {
            let kind = self.kind().name();
            let names = self.device.slots(cancel).map_err(|error| {
                if error.is_cancelled() {
                    return error;
                }
                error.operation(format!("list the slots of {kind}"))
            })?;
            if names.is_empty() {
                return Err(Error::new(ErrorKind::Unavailable, "it has no slot that is ready")
                    .operation(format!("use the device {kind}"))
                    .hint("look at the card with its maker's tools"));
            }
            let locks = &self.options.locks;
            let slot = |name| Arc::new(CardSlot::new(self.device.clone(), name, locks.clone()));
            *slots = names.into_iter().map(slot).collect();
        }
        Ok(slots.clone())
    }

    fn busy(&self, slots: &[Arc<CardSlot>]) -> Error {
        let (count, kind) = (slots.len(), self.kind().name());
        let why = match count {
            1 => format!("the slot of {kind} is in use"),
            count => format!("all {count} slots of {kind} are in use"),
        };
        let wait = self.options.wait.as_secs_f32();
        let mut error = Error::new(ErrorKind::Busy, why)
            .operation(format!("get a slot within {wait} s"))
            .hint("'apyfal devices' shows who uses them")
            .retryable();
        for slot in slots {
            if let Ok(Some(Record::Busy { holder, .. })) = Record::peek(&slot.lock()) {
                let by = format!("by {}, process {}", holder.what, holder.pid);
                error = error.context(format!("slot {}", slot.name()), by);
            }
        }
        error
    }
}

/// Whether a slot has this image, and be it in use.
fn is_anywhere(slots: &[Arc<CardSlot>], image: &Image) -> Result<bool> {
    for slot in slots {
        if Record::peek(&slot.lock())?.is_some_and(|record| record.image() == Some(image.id())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How well a slot suits: the less the better.
fn by_preference(slots: &[Arc<CardSlot>], image: &Image) -> Result<Vec<(u8, Arc<CardSlot>)>> {
    let rank = |slot: &Arc<CardSlot>| {
        let rank = match Record::peek(&slot.lock())? {
            Some(Record::Idle { image: Some(found), .. }) if found == image.id() => 0,
            Some(Record::Idle { image: None, .. }) => 1,
            None => 2,
            Some(Record::Idle { image: Some(_), .. }) => 3,
            // One that failed comes last, so that a bad card is not tried before a good one.
            Some(Record::Busy { .. }) => 4,
        };
        Ok((rank, slot.clone()))
    };
    let mut order = slots.iter().map(rank).collect::<Result<Vec<_>>>()?;
    order.sort_by_key(|(rank, _)| *rank);
    Ok(order)
}
