//! What belongs to one process: after a fork the child has it too, and must leave it alone.

use apyfal::{Error, ErrorKind, Result};
use pyo3::prelude::*;

/// A value that only the process that made it uses and ends.
#[derive(Debug)]
pub(crate) struct Owned<T: Send> {
    process: u32,
    value: Option<T>,
}

impl<T: Send> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), value: Some(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// This is the child of the process that made it.
    pub(crate) fn get(&self, what: &str) -> Result<&T> {
        match &self.value {
            Some(value) if self.process == std::process::id() => Ok(value),
            _ => Err(Error::new(
                ErrorKind::Conflict,
                format!("this {what} belongs to the process that this one was forked from"),
            )
            .hint("make a new one in each process")),
        }
    }
}

impl<T: Send> Drop for Owned<T> {
    fn drop(&mut self) {
        // In a child its threads are gone, and its files are the parent's.
        let value = self.value.take();
        if self.process != std::process::id() {
            std::mem::forget(value);
            return;
        }
        // A host that nobody gave back ends here, which takes a while: other threads of Python go on.
        let _ = Python::try_attach(|py| py.detach(|| drop(value)));
    }
}
