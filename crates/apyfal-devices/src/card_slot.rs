//! One slot: its tools, one at a time, and what a job holds while it uses it.

use std::path::PathBuf;
use std::sync::Arc;

use apyfal_core::{Cancel, Error, ErrorKind, Result, unix_time};
use apyfal_machine::lock::Lock;

use crate::prefetch::Prefetch;
use crate::record::{Held, Holder, Record};
use crate::{Device, Image, Loaded};

/// A slot of a device.
#[derive(Debug)]
pub(crate) struct CardSlot {
    device: Arc<dyn Device>,
    name: String,
    locks: PathBuf,
}

impl CardSlot {
    /// The slot of this name, whose locks are in a directory that all its users name.
    pub(crate) fn new(device: Arc<dyn Device>, name: String, locks: PathBuf) -> Self {
        Self { device, name, locks }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file that is locked by whoever uses the slot.
    pub(crate) fn lock(&self) -> PathBuf {
        self.locks.join(format!("apyfal-{}-{}.lock", self.device.kind().name(), self.name))
    }

    pub(crate) fn describe(&self, cancel: &Cancel) -> Result<Loaded> {
        self.alone("look at", cancel, || self.device.describe(&self.name, cancel))
    }

    fn load(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        let what = format!("load '{}' into", image.id());
        self.alone(&what, cancel, || self.device.load(&self.name, image, cancel))
    }

    fn clear(&self, cancel: &Cancel) -> Result<()> {
        self.alone("clear", cancel, || self.device.clear(&self.name, cancel))
    }

    pub(crate) fn prefetch(&self, image: &Image, cancel: &Cancel) -> Result<bool> {
        let what = format!("fetch '{}' for", image.id());
        self.alone(&what, cancel, || self.device.prefetch(&self.name, image, cancel))
    }

    /// Runs a tool while no other one works on this slot, which the tools of AWS do not stand. Who
    /// only looks or prefetches does not use the slot, so that its own lock does not see to it.
    fn alone<T>(&self, what: &str, cancel: &Cancel, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let doing = || format!("{what} slot {} of {}", self.name, self.device.kind().name());
        let path = self.lock().with_extension("tool.lock");
        let _alone = Lock::wait_for_all(&path, cancel)?;
        run().map_err(|error| if error.is_cancelled() { error } else { error.operation(doing()) })
    }

    /// Loads the image and checks that it is there.
    fn fill(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        self.load(image, cancel)?;
        let found = self.describe(cancel)?;
        if has(&found, image) {
            return Ok(());
        }
        let there = found.image.map_or_else(|| "no image".to_owned(), |id| format!("'{id}'"));
        let why = format!("the slot then has {there} and is {}", found.state);
        Err(Error::new(ErrorKind::Engine, why)
            .operation(format!(
                "load '{}' into slot {} of {}",
                image.id(),
                self.name,
                self.device.kind().name()
            ))
            .hint("is the image for this card? its maker's tools say what the card takes"))
    }
}

fn has(found: &Loaded, image: &Image) -> bool {
    found.ready && found.image.as_deref() == Some(image.id())
}

/// A slot that has the image asked for, and nobody else's until this is dropped.
///
/// Unless [`finish`](Self::finish) is called, the slot is cleared and loaded again before its next
/// use: nobody knows what a job that did not come to its end has left there.
#[derive(Debug)]
pub struct CardSlotGuard {
    slot: Arc<CardSlot>,
    held: Held,
    image: Image,
    was_loaded: bool,
    load: u64,
    prefetch: Option<Prefetch>,
}

impl CardSlotGuard {
    /// Brings the image into a slot whose lock is held; `anew` also where it is there already.
    ///
    /// # Errors
    /// The device failed. The slot is then empty, or will be cleared by its next user.
    pub(crate) fn make(
        slot: Arc<CardSlot>,
        mut held: Held,
        image: &Image,
        what: &str,
        anew: bool,
        cancel: &Cancel,
    ) -> Result<Self> {
        let before = held.read()?;
        let holder = Holder::this(what);
        held.write(&Record::Busy { holder: holder.clone(), image: None })?;
        let earlier = match before {
            Some(Record::Idle { load, .. }) => load,
            _ => 0,
        };
        let (must_clear, is_there) = match before {
            Some(Record::Busy { .. }) => (true, false),
            Some(Record::Idle { .. }) => {
                let is_there = has(&slot.describe(cancel)?, image);
                // Some tools do nothing where the same image is loaded over itself.
                (anew && is_there, !anew && is_there)
            }
            // Nobody knows how what is there was used.
            None => (slot.describe(cancel)?.image.is_some(), false),
        };
        if must_clear {
            slot.clear(cancel)?;
        }
        if !is_there && let Err(error) = slot.fill(image, cancel) {
            return Err(emptied(&slot, &mut held, error));
        }
        held.write(&Record::Busy { holder, image: Some(image.id().to_owned()) })?;
        let load = if is_there { earlier } else { unix_time().as_nanos() as u64 };
        let image = image.clone();
        Ok(Self { slot, held, image, was_loaded: !is_there, load, prefetch: None })
    }

    /// The slot's name.
    pub fn slot(&self) -> &str {
        self.slot.name()
    }

    /// The image in it.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether the image was loaded just now, and not left there by an earlier job.
    pub fn was_loaded(&self) -> bool {
        self.was_loaded
    }

    /// A number that changes whenever the slot is loaded: while it is the same, the device has what
    /// earlier jobs left in it.
    pub fn load(&self) -> u64 {
        self.load
    }

    /// Environment variables that tell a program where its device is: `APYFAL_DEVICE`, the kind,
    /// and `APYFAL_SLOT`.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("APYFAL_DEVICE", self.image.kind().name().to_owned()),
            ("APYFAL_SLOT", self.slot().to_owned()),
        ]
    }

    /// Begins to fetch the image that is wanted next, where the device can do that while this one
    /// is in use.
    pub fn prefetch(&mut self, next: &Image) {
        self.prefetch = Some(Prefetch::start(self.slot.clone(), next));
    }

    /// Says that the job came to its end, and hands the slot back as it is.
    ///
    /// # Errors
    /// That cannot be written down; the slot will be cleared by its next user.
    pub fn finish(mut self) -> Result<()> {
        let image = Some(self.image.id().to_owned());
        self.held.write(&Record::Idle { image, load: self.load })
    }
}

/// The error of a failed load, after the slot was emptied, so that nothing half loaded stays there.
/// Not where the job was cancelled, which must not take long: its next user does it.
fn emptied(slot: &CardSlot, held: &mut Held, error: Error) -> Error {
    if error.is_cancelled() {
        return error;
    }
    match slot.clear(&Cancel::default()) {
        Ok(()) => {
            // Where this fails the next user clears it once more.
            let _ = held.write(&Record::Idle { image: None, load: 0 });
            error
        }
        Err(second) => error.context("then", second.to_string()),
    }
}
