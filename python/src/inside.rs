//! Threads of the library that are in Python: none of them is any more when Python ends, which ends the
//! process where it finds one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many call back, how many do something else, such as reading a file object, and whether it is too
/// late for another one.
static CALLING: AtomicUsize = AtomicUsize::new(0);
static OTHERS: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

const PAUSE: Duration = Duration::from_millis(1);

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
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does something in Python from a thread of the library; nothing where Python ends.
pub(crate) fn inside<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::begin(&OTHERS)?;
    Python::try_attach(work)
}

/// As [`inside`], for what tells the caller how work ended, which may take as long as it likes.
pub(crate) fn calling_back<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::begin(&CALLING)?;
    tokio::task::block_in_place(|| Python::try_attach(work))
}

/// Python is about to end: nobody comes any more, and those who are there are waited for, as long as is
/// said. How many still call back, and how many still do something else.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>, seconds: f64) -> (usize, usize) {
    IS_OVER.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    let left = || (CALLING.load(Ordering::SeqCst), OTHERS.load(Ordering::SeqCst));
    // They need the GIL to go.
    py.detach(|| {
        while left() != (0, 0) && begin.elapsed().as_secs_f64() < seconds {
            std::thread::sleep(PAUSE);
        }
    });
    left()
}

/// A child of a fork has none of its parent's threads.
#[pyfunction]
pub(crate) fn forked() {
    CALLING.store(0, Ordering::SeqCst);
    OTHERS.store(0, Ordering::SeqCst);
}
