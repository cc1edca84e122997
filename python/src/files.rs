//! File objects of the caller's as source and destination: whatever has `read` or `write`.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyInt};

use crate::buffers::Memory;
use crate::errors::Raised;
use crate::inside::inside;

/// How much is read from or written to a file object at once, at least: each time needs the GIL.
pub(crate) const BLOCK: usize = 256 << 10;
/// How long to leave a file object alone that has nothing for now.
const PAUSE: Duration = Duration::from_millis(10);

/// A file object that is read or written without the caller's thread.
#[derive(Debug)]
pub(crate) struct File {
    file: Py<PyAny>,
    raised: Raised,
    /// Whether it may answer `None` for "nothing now", as raw streams do.
    is_raw: bool,
    /// Whether it raised, and is left alone from then on: a buffer before it tries once more where it is dropped.
    is_over: bool,
}

impl File {
    /// Takes an object with the method. None where it has none.
    ///
    /// # Errors
    /// It is one of text.
    pub(crate) fn of(
        object: &Bound<'_, PyAny>,
        name: &str,
        method: &str,
        raised: &Raised,
    ) -> PyResult<Option<Self>> {
        if !object.hasattr(method)? {
            return Ok(None);
        }
        let io = object.py().import("io")?;
        if object.is_instance(&io.getattr("TextIOBase")?)? {
            return Err(PyTypeError::new_err(format!(
                "'{name}' is a file object of text: open it in binary mode"
            )));
        }
        let is_raw = object.is_instance(&io.getattr("RawIOBase")?)?;
        Ok(Some(Self {
            file: object.clone().unbind(),
            raised: raised.clone(),
            is_raw,
            is_over: false,
        }))
    }

    /// Calls the file object. `Ok(None)` is "nothing now".
    fn call(
        &mut self,
        work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<Option<usize>>,
    ) -> io::Result<usize> {
        if self.is_over {
            return Err(Raised::seen());
        }
        let called = inside(|py| work(self.file.bind(py)));
        match called {
            None => Err(io::Error::other("Python is shutting down")),
            Some(Err(error)) => {
                self.is_over = true;
                Err(self.raised.keep(error))
            }
            Some(Ok(Some(count))) => Ok(count),
            Some(Ok(None)) => {
                std::thread::sleep(PAUSE);
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }
}

impl Read for File {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let is_raw = self.is_raw;
        self.call(|file| {
            let got = file.call_method1("read", (block.len(),))?;
            if got.is_none() && is_raw {
                return Ok(None);
            }
            take(&got, block).map(Some)
        })
    }
}

/// What `read` answered.
fn take(got: &Bound<'_, PyAny>, block: &mut [u8]) -> PyResult<usize> {
    let room = block.len();
    let too_much = |count| {
        PyValueError::new_err(format!("'src.read({room})' returned {count} bytes, which is more"))
    };
    if let Ok(bytes) = got.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        let block = block.get_mut(..bytes.len()).ok_or_else(|| too_much(bytes.len()))?;
        block.copy_from_slice(bytes);
        return Ok(bytes.len());
    }
    let is_bytes = got.is_instance_of::<PyByteArray>() || got.get_type().name()? == "memoryview";
    let memory = if is_bytes { Memory::of(got, "src.read()", false)? } else { None };
    let Some(mut memory) = memory else {
        let kind = got.get_type().fully_qualified_name()?;
        return Err(PyTypeError::new_err(format!("'src.read()' returned '{kind}', not bytes")));
    };
    if memory.len() > room {
        return Err(too_much(memory.len()));
    }
    Ok(memory.read(block)?)
}

impl Write for File {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let is_raw = self.is_raw;
        self.call(|file| {
            let written = file.call_method1("write", (PyBytes::new(file.py(), block),))?;
            if written.is_none() {
                // Only raw streams are defined to answer so; others mean that all is done.
                return Ok(if is_raw { None } else { Some(block.len()) });
            }
            let Ok(count) = written.extract::<usize>() else {
                let shown = match written.is_instance_of::<PyInt>() {
                    true => written.to_string(),
                    false => format!("'{}'", written.get_type().fully_qualified_name()?),
                };
                return Err(PyTypeError::new_err(format!(
                    "'dst.write()' returned {shown}, not a count"
                )));
            };
            if count == 0 && !block.is_empty() {
                let message = format!("'dst.write()' took nothing of {} bytes", block.len());
                return Err(PyValueError::new_err(message));
            }
            if count > block.len() {
                let message = format!("'dst.write()' returned {count} for {} bytes", block.len());
                return Err(PyValueError::new_err(message));
            }
            Ok(Some(count))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
