//! Uses of the host that are no jobs, or no jobs yet: starts, uploads, downloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::host::Host;
use crate::lease::Lease;

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Uses(Arc<AtomicUsize>);

/// A use that is under way: the host does not end meanwhile, and its lease runs anew behind it.
#[derive(Debug)]
pub(crate) struct Use {
    count: Arc<AtomicUsize>,
    lease: Arc<Lease>,
}

impl Host {
    /// A client begins to use the host.
    pub(crate) fn used(&self) -> Use {
        self.uses.0.fetch_add(1, Ordering::AcqRel);
        self.lease.used();
        Use { count: self.uses.0.clone(), lease: self.lease.clone() }
    }

    /// Whether ending now would break something off.
    pub(crate) fn is_in_use(&self) -> bool {
        self.live.count() > 0 || self.uses.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.lease.used();
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}
