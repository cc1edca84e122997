//! Uses of the host that are no jobs, or no jobs yet: starts, uploads, downloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;

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
    was_refused: bool,
}

impl Use {
    /// It ended with this status. What was refused was no use.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.was_refused = matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::NOT_IMPLEMENTED
        );
    }
}

impl Host {
    /// A client begins to use the host.
    pub(crate) fn used(&self) -> Use {
        self.uses.0.fetch_add(1, Ordering::AcqRel);
        Use { count: self.uses.0.clone(), lease: self.lease.clone(), was_refused: false }
    }

    /// Whether ending now would break something off.
    pub(crate) fn is_in_use(&self) -> bool {
        self.live.count() > 0 || self.uses.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if !self.was_refused {
            self.lease.used();
        }
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}
