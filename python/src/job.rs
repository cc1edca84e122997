//! Work in the background.

use std::sync::Arc;

use apyfal::{BegunJob, Cancel, Progress, Report, Result};
use pyo3::prelude::*;

use crate::accelerator::response;
use crate::call::amounts;
use crate::errors::{Domain, Raised, raised};
use crate::inside::Coming;
use crate::runtime::runtime;
use crate::settled::Settled;

/// A call that is under way.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Job {
    cancel: Cancel,
    progress: Arc<Progress>,
}

#[pymethods]
impl Job {
    /// Ends it early.
    fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether it runs, and waits for no slot any more.
    #[getter]
    fn is_running(&self) -> bool {
        self.progress.began().is_some()
    }

    /// How many bytes it read, how many there are where that is known, and how many it wrote.
    #[getter]
    fn progress(&self) -> (u64, Option<u64>, u64) {
        amounts(&self.progress)
    }
}

impl Job {
    pub(crate) fn new(cancel: Cancel, progress: Arc<Progress>) -> Self {
        Self { cancel, progress }
    }
}

/// The response of a call, and the exception in place of that.
pub(crate) type Told = (Option<Py<PyAny>>, Option<Py<PyAny>>);

/// Who is told how a call ended.
#[derive(Debug, FromPyObject)]
pub(crate) enum Listener {
    /// An event loop, and what it knows the call by.
    Loop(Py<Settled>, Py<PyAny>),
    /// A function, which gets the response and none, or none and the exception.
    Function(Py<PyAny>),
}

/// Does work in the background, and tells who listens how it ended.
pub(crate) fn in_background<'py>(
    py: Python<'py>,
    work: impl Future<Output = Result<Report>> + Send + 'static,
    job: Job,
    kept: Raised,
    done: Listener,
) -> PyResult<Bound<'py, PyAny>> {
    let runtime = runtime().map_err(|error| raised(py, &error, Domain::Client))?;
    match done {
        Listener::Loop(settled, call) => {
            runtime.spawn(async move {
                let outcome = work.await;
                settled.get().leave(call, kept, outcome);
            });
        }
        Listener::Function(done) => {
            let coming = Coming::announce();
            runtime.spawn(async move {
                let outcome = work.await;
                coming.call_back(|py| tell(py, &done, &kept, outcome));
            });
        }
    }
    Ok(Bound::new(py, job)?.into_any())
}

/// Does several jobs in the background, one after the other, and tells a function at once how all of them ended.
pub(crate) fn in_turn<'py>(
    py: Python<'py>,
    jobs: Vec<(BegunJob, Raised)>,
    job: Job,
    done: Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let runtime = runtime().map_err(|error| raised(py, &error, Domain::Client))?;
    let coming = Coming::announce();
    runtime.spawn(async move {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for (job, kept) in jobs {
            outcomes.push((kept, job.await));
        }
        coming.call_back(|py| {
            let told: Vec<_> =
                outcomes.into_iter().map(|(kept, outcome)| told(py, &kept, outcome)).collect();
            if let Err(error) = done.call1(py, (told, py.None())) {
                error.write_unraisable(py, None);
            }
        });
    });
    Ok(Bound::new(py, job)?.into_any())
}

/// The same of work that has ended by now.
pub(crate) fn at_once<'py>(
    py: Python<'py>,
    outcome: Result<Report>,
    job: Job,
    kept: Raised,
    done: Listener,
) -> PyResult<Bound<'py, PyAny>> {
    match done {
        Listener::Loop(settled, call) => settled.get().leave(call, kept, outcome),
        Listener::Function(done) => tell(py, &done, &kept, outcome),
    }
    Ok(Bound::new(py, job)?.into_any())
}

/// What the listener raises is shown as Python shows what nobody can catch.
fn tell(py: Python<'_>, done: &Py<PyAny>, kept: &Raised, outcome: Result<Report>) {
    if let Err(error) = done.call1(py, told(py, kept, outcome)) {
        error.write_unraisable(py, None);
    }
}

/// The response and none, or none and the exception.
pub(crate) fn told(py: Python<'_>, kept: &Raised, outcome: Result<Report>) -> Told {
    match response(py, kept, outcome) {
        Ok(response) => (Some(response.unbind()), None),
        Err(error) => (None, Some(error.into_value(py).into_any())),
    }
}
