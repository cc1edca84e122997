//! Threads of the library that are in Python: none of them is any more when Python ends, which ends the
//! process where it finds one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many there are, and whether it is too late for another one.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// How long the end of Python waits for those that are there.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// One of them.
struct Visit;

impl Visit {
    fn begin() -> Option<Self> {
        // It counts before it looks: either it sees that it is too late, or it is waited for.
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let visit = Self;
        (!IS_OVER.load(Ordering::SeqCst)).then_some(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does something in Python from a thread of the library; nothing where Python ends.
pub(crate) fn inside<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::begin()?;
    Python::try_attach(work)
}

/// Python is about to end: nobody comes any more, and those who are there are waited for.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>) {
    IS_OVER.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    // They need the GIL to go.
    py.detach(|| {
        while INSIDE.load(Ordering::SeqCst) > 0 && begin.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
    });
}

/// A child of a fork has none of its parent's threads.
#[pyfunction]
pub(crate) fn forked() {
    INSIDE.store(0, Ordering::SeqCst);
}
