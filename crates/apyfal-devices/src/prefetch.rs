//! Fetches the next image while a job runs.

use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use apyfal_core::{Cancel, Result};

use crate::Image;
use crate::card_slot::CardSlot;

/// An image on its way. Dropping this ends that.
#[derive(Debug)]
pub(crate) struct Prefetch {
    slot: Arc<CardSlot>,
    cancel: Cancel,
    thread: Option<JoinHandle<Result<bool>>>,
}

impl Prefetch {
    /// Begins to fetch an image that will be loaded into this slot. It gains time or it does not:
    /// whether it worked shows when the image is loaded.
    pub(crate) fn start(slot: Arc<CardSlot>, image: &Image) -> Self {
        let cancel = Cancel::default();
        let (to, image, switch) = (slot.clone(), image.clone(), cancel.clone());
        let thread = std::thread::Builder::new()
            .name("apyfal-prefetch".to_owned())
            .spawn(move || to.prefetch(&image, &switch));
        Self { slot, cancel, thread: thread.ok() }
    }

    /// Waits for the end of one that is for this slot, and breaks off any other.
    pub(crate) fn settle(self, slot: &CardSlot, cancel: &Cancel) -> Result<()> {
        let is_running = || self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        while self.slot.name() == slot.name() && is_running() {
            cancel.check()?;
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
