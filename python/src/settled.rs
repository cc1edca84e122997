//! Calls that an event loop awaits.
//!
//! What became of them waits here until the loop takes all of it at once. Nobody else needs the GIL for that:
//! whoever ends a call leaves what came of it, and wakes the loop if that sleeps.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use apyfal::{Report, Result};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::errors::Raised;
use crate::job::told;

/// What ended since an event loop looked.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Settled {
    ended: Mutex<Vec<Ended>>,
    /// What the loop hears, and what is said to it.
    heard: UnixStream,
    said: UnixStream,
}

/// A call that has ended: what its caller knows it by, what the caller's objects raised, and the outcome.
#[derive(Debug)]
struct Ended(Py<PyAny>, Raised, Result<Report>);

/// A call, its response, and the exception in place of that.
type Taken = (Py<PyAny>, Option<Py<PyAny>>, Option<Py<PyAny>>);

#[pymethods]
impl Settled {
    #[new]
    fn new() -> PyResult<Self> {
        let (heard, said) = UnixStream::pair()?;
        heard.set_nonblocking(true)?;
        said.set_nonblocking(true)?;
        Ok(Self { ended: Mutex::default(), heard, said })
    }

    /// What can be read once there is something to take.
    fn fileno(&self) -> RawFd {
        self.heard.as_raw_fd()
    }

    /// What ended since: what each call is known by, and its response or exception.
    fn take(&self, py: Python<'_>) -> Vec<Taken> {
        // First: whoever finds nothing there from now on says so anew.
        let mut words = [0; 64];
        while matches!((&self.heard).read(&mut words), Ok(count) if count == words.len()) {}
        let ended = std::mem::take(&mut *self.ended.lock());
        let told = ended.into_iter().map(|Ended(call, kept, outcome)| {
            let (response, error) = told(py, &kept, outcome);
            (call, response, error)
        });
        told.collect()
    }
}

impl Settled {
    /// Leaves what became of a call.
    pub(crate) fn leave(&self, call: Py<PyAny>, kept: Raised, outcome: Result<Report>) {
        let mut ended = self.ended.lock();
        let is_first = ended.is_empty();
        ended.push(Ended(call, kept, outcome));
        drop(ended);
        // A full one wakes it as well.
        if is_first
            && let Err(error) = (&self.said).write(&[0])
            && error.kind() != ErrorKind::WouldBlock
        {
            // Nobody listens any more.
            self.ended.lock().clear();
        }
    }
}
