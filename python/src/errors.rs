//! From errors of the library to exceptions.

use std::sync::Arc;

use apyfal::Error;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Whose fault an error is told as: that of a client, a host or a storage. The same kind of error has
/// an exception for each, in the table of `apyfal.exceptions`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    Client,
    Host,
    Storage,
}

impl Domain {
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Host => "host",
            Self::Storage => "storage",
        }
    }
}

/// The exception for an error.
pub(crate) fn raised(py: Python<'_>, error: &Error, domain: Domain) -> PyErr {
    exception(py, error, domain).unwrap_or_else(|failed| failed)
}

fn exception(py: Python<'_>, error: &Error, domain: Domain) -> PyResult<PyErr> {
    let details = PyDict::new(py);
    let known = error.details();
    details.set_item("exit_status", known.exit_status)?;
    details.set_item("retry_after", known.retry_after)?;
    details.set_item("parameter", &known.parameter)?;
    details.set_item("job", &known.job)?;
    details.set_item("host", &known.host)?;
    // Whoever asks for a job may have a host made by it.
    let domain = match apyfal::hosts::is_of_provider(error) {
        true => Domain::Host,
        false => domain,
    };
    let arguments = (
        error.kind().as_str(),
        domain.as_str(),
        error.to_string(),
        error.hints().to_vec(),
        details,
    );
    let module = py.import("apyfal.exceptions")?;
    Ok(PyErr::from_value(module.getattr("from_core")?.call1(arguments)?))
}

/// What a file object or callback of the caller's raised, which comes out as itself: the library in
/// between knows only that reading or writing failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// Keeps what was raised first; an error of reading or writing for those in between.
    pub(crate) fn keep(&self, error: PyErr) -> std::io::Error {
        let mut kept = self.0.lock();
        kept.get_or_insert(error);
        Self::seen()
    }

    /// What those in between are told.
    pub(crate) fn seen() -> std::io::Error {
        std::io::Error::other("the file object of the caller raised an exception")
    }

    /// What comes out of a call that ended like this.
    pub(crate) fn or<T>(
        &self,
        py: Python<'_>,
        outcome: apyfal::Result<T>,
        domain: Domain,
    ) -> PyResult<T> {
        outcome.map_err(|error| {
            // Free by the time that Python runs.
            let kept = self.0.lock().take();
            kept.unwrap_or_else(|| raised(py, &error, domain))
        })
    }
}
