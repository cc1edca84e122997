//! Whether the host still takes work.

use std::sync::atomic::{AtomicBool, Ordering};

use apyfal_core::{Error, ErrorKind, Result};

/// Set once the host takes no more jobs.
///
/// Who takes work says first that the host is used ([`Uses`](crate::uses::Uses)) and looks here then;
/// who would end it sets this first and looks for uses then. So one of them sees the other.
#[derive(Debug, Default)]
pub(crate) struct Draining(AtomicBool);

impl Draining {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns how it was set before.
    pub(crate) fn set(&self, draining: bool) -> bool {
        self.0.swap(draining, Ordering::SeqCst)
    }

    /// Refuses new work while the host is ending.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() {
            return Err(Error::new(ErrorKind::Unavailable, "the host is ending")
                .operation("take a job")
                .hint("use another host, or try again once it is back")
                .retryable());
        }
        Ok(())
    }
}
