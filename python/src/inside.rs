//! Threads of the library that are in Python: none of them is any more when Python ends, which ends the
//! process where it finds one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many will call back, how many do so, how many do something else, such as reading a file object, and
/// whether it is too late for another one.
static COMING: AtomicUsize = AtomicUsize::new(0);
static CALLING: AtomicUsize = AtomicUsize::new(0);
static OTHERS: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

const PAUSE: Duration = Duration::from_millis(1);

/// One less, where the count is not that of a fork which counted anew.
fn leave_out(count: &AtomicUsize) {
    let _ = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
}

/// One of them.
struct Visit(&'static AtomicUsize);

impl Visit {
    fn begin(of: &'static AtomicUsize) -> Option<Self> {
        // It counts before it looks: either it sees that it is too late, or it is waited for.
        of.fetch_add(1, Ordering::SeqCst);
        let visit = Self(of);
        (!IS_OVER.load(Ordering::SeqCst)).then_some(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        leave_out(self.0);
    }
}

/// Does something in Python from a thread of the library; nothing where Python ends.
pub(crate) fn inside<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::begin(&OTHERS)?;
    Python::try_attach(work)
}

/// Work that will call back, so that Python does not end in between.
#[derive(Debug)]
pub(crate) struct Coming(());

impl Coming {
    pub(crate) fn announce() -> Self {
        COMING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// As [`inside`], for what tells the caller how the work ended, which may take as long as it likes.
    pub(crate) fn call_back<T>(self, work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
        let visit = Visit::begin(&CALLING);
        // Whoever calls back is seen as one or the other at any time.
        drop(self);
        let _visit = visit?;
        tokio::task::block_in_place(|| Python::try_attach(work))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        leave_out(&COMING);
    }
}

/// Python is about to end: those that will call back are waited for, then nobody comes any more, and those
/// who are there are waited for, all of it as long as is said. How many still call back, and how many still
/// do something else.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>, seconds: f64) -> (usize, usize) {
    let begin = Instant::now();
    let wait_while = |is_so: &dyn Fn() -> bool| {
        while is_so() && begin.elapsed().as_secs_f64() < seconds {
            std::thread::sleep(PAUSE);
        }
    };
    let left = || (CALLING.load(Ordering::SeqCst), OTHERS.load(Ordering::SeqCst));
    // They need the GIL to go.
    py.detach(|| {
        wait_while(&|| COMING.load(Ordering::SeqCst) > 0);
        IS_OVER.store(true, Ordering::SeqCst);
        wait_while(&|| left() != (0, 0));
    });
    left()
}

/// A child of a fork has none of its parent's threads.
#[pyfunction]
pub(crate) fn forked() {
    COMING.store(0, Ordering::SeqCst);
    CALLING.store(0, Ordering::SeqCst);
    OTHERS.store(0, Ordering::SeqCst);
}
