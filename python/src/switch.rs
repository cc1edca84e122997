//! Switches of threads: Python shows signals to its main thread alone, which passes them on by these.

use std::cell::RefCell;

use apyfal::Cancel;
use pyo3::prelude::*;

thread_local! {
    static OF_THREAD: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// Ends what the threads do that hold it.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Switch(Cancel);

#[pymethods]
impl Switch {
    #[new]
    fn new() -> Self {
        Self(Cancel::default())
    }

    /// Has it be that of all calls of this thread from now on.
    fn hold(&self) {
        OF_THREAD.set(Some(self.0.clone()));
    }

    /// Ends the calls, also those that begin later.
    fn cancel(&self) {
        self.0.cancel();
    }
}

/// That of this thread, where it holds one.
pub(crate) fn of_thread() -> Option<Cancel> {
    OF_THREAD.with_borrow(Clone::clone)
}
