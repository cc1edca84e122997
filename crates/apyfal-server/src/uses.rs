//! Uses of the host that are no jobs, or no jobs yet: starts, uploads, downloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;

use crate::lease::Lease;
use crate::live::Live;

/// How many there are, beside the jobs that live.
#[derive(Debug)]
pub(crate) struct Uses {
    count: Arc<AtomicUsize>,
    live: Arc<Live>,
    lease: Arc<Lease>,
}

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

impl Uses {
    /// None yet.
    pub(crate) fn new(live: Arc<Live>, lease: Arc<Lease>) -> Self {
        Self { count: Arc::default(), live, lease }
    }

    /// A client begins to use the host.
    pub(crate) fn begin(&self) -> Use {
        self.count.fetch_add(1, Ordering::SeqCst);
        Use { count: self.count.clone(), lease: self.lease.clone(), was_refused: false }
    }

    /// Whether ending the host now would break something off.
    pub(crate) fn is_in_use(&self) -> bool {
        self.live.count() > 0 || self.count.load(Ordering::SeqCst) > 0
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
