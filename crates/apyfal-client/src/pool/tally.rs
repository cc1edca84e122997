//! What the hosts of a pool do.

use std::sync::Arc;

use apyfal_core::{Error, Progress, Report};
use parking_lot::{Mutex, MutexGuard};

/// What a host of a pool did and does for it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostLoad {
    /// Its address.
    pub url: String,
    /// Jobs that are there: most run, and one may wait for a slot.
    pub running: usize,
    /// Jobs that ended well.
    pub done: u64,
    /// Bytes that its jobs read, those under way included.
    pub read: u64,
    /// Bytes that they wrote.
    pub written: u64,
    /// Why it is done without at present, where it is: it does not answer, or is not what it was
    /// taken for.
    pub trouble: Option<Arc<Error>>,
}

/// Counts what one host does.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: u64,
    read: u64,
    written: u64,
    running: Vec<Arc<Progress>>,
}

/// A job at a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Tally, Arc<Progress>);

impl Tally {
    fn state(&self) -> MutexGuard<'_, Counts> {
        self.0.lock()
    }

    pub(super) fn running(&self, progress: &Arc<Progress>) -> Running<'_> {
        self.state().running.push(progress.clone());
        Running(self, progress.clone())
    }

    pub(super) fn load(&self, url: String, trouble: Option<Arc<Error>>) -> HostLoad {
        let state = self.state();
        let sum = |of: fn(&Progress) -> u64| state.running.iter().map(|one| of(one)).sum::<u64>();
        HostLoad {
            url,
            running: state.running.len(),
            done: state.done,
            read: state.read + sum(Progress::read),
            written: state.written + sum(Progress::written),
            trouble,
        }
    }
}

impl Running<'_> {
    /// It ended well.
    pub(super) fn done(&self, report: &Report) {
        let mut state = self.0.state();
        state.done += 1;
        state.read += report.profiling.bytes_read;
        state.written += report.profiling.bytes_written;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(at) = state.running.iter().position(|one| Arc::ptr_eq(one, &self.1)) {
            state.running.swap_remove(at);
        }
    }
}
