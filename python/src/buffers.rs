//! Memory of the caller's as source and destination: `bytes`, `memoryview`, arrays of NumPy.
//!
//! Nothing is copied but into and out of the engine's own blocks, without the GIL.

#![allow(unsafe_code, reason = "Python has no other way to read memory without the GIL or a copy")]

use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::ops::Range;

use apyfal::{Error, ErrorKind};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::inside::inside;

/// Memory that its owner neither moves nor frees: the export is held as long as this is.
///
/// Other threads may write to it meanwhile, so no reference to its bytes is ever made: they are copied
/// through the pointer, and what is copied may then be partly old and partly new.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Held to the end of the process where Python ended before.
    buffer: ManuallyDrop<PyUntypedBuffer>,
    at: usize,
}

impl Memory {
    /// Takes the memory of an object. None where it has no buffer.
    ///
    /// # Errors
    /// It is not contiguous, holds objects, or cannot be written where it is a destination.
    pub(crate) fn of(
        object: &Bound<'_, PyAny>,
        name: &str,
        is_written: bool,
    ) -> PyResult<Option<Self>> {
        // Those of ctypes say no strides, which a view of them does; one value alone says no shape, which its
        // bytes have.
        let of_view = |_| {
            let view = PyMemoryView::from(object)?.into_any();
            match view.getattr("ndim")?.extract::<usize>()? {
                0 => PyUntypedBuffer::get(&view.call_method1("cast", ("B",))?),
                1.. => PyUntypedBuffer::get(&view),
            }
        };
        let Ok(buffer) = PyUntypedBuffer::get(object).or_else(of_view) else { return Ok(None) };
        if !buffer.is_c_contiguous() {
            return Err(PyBufferError::new_err(format!(
                "'{name}' is not contiguous in memory (C order): give a copy that is, such as numpy.ascontiguousarray"
            )));
        }
        if has_addresses(buffer.format().to_bytes()) {
            return Err(PyTypeError::new_err(format!("'{name}' holds objects, not bytes")));
        }
        if is_written && buffer.readonly() {
            return Err(PyTypeError::new_err(format!(
                "'{name}' cannot be written: it is read-only memory"
            )));
        }
        Ok(Some(Self { buffer: ManuallyDrop::new(buffer), at: 0 }))
    }

    /// From which address to which one it is.
    pub(crate) fn place(&self) -> Range<usize> {
        let start = self.buffer.buf_ptr().addr();
        start..start + self.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len_bytes()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // To release the export is to call Python, and may run what the caller wrote.
        // SAFETY: it is not used again.
        inside(|_| unsafe { ManuallyDrop::drop(&mut self.buffer) });
    }
}

/// Whether a format, as the module `struct` and PEP 3118 write them, has addresses of this process:
/// objects, pointers or functions. What stands between colons is the name of a field.
fn has_addresses(format: &[u8]) -> bool {
    let types = format.split(|byte| *byte == b':').step_by(2);
    types.flatten().any(|code| matches!(code, b'O' | b'P' | b'&' | b'X'))
}

impl Read for Memory {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let count = block.len().min(self.len() - self.at);
        let start = self.buffer.buf_ptr().cast::<u8>();
        // SAFETY: the export is held, so `len` bytes are there, contiguous as `of` checked, and
        // `at + count` is at most `len`. The block is the engine's own, so the two are apart.
        unsafe { start.add(self.at).copy_to_nonoverlapping(block.as_mut_ptr(), count) };
        self.at += count;
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let count = block.len().min(self.len() - self.at);
        if count == 0 && !block.is_empty() {
            let room = self.len();
            let message = format!("the result is longer than the {room} bytes of 'dst'");
            return Err(io::Error::other(
                Error::new(ErrorKind::Usage, message)
                    .hint("give a larger buffer, or a file object"),
            ));
        }
        let start = self.buffer.buf_ptr().cast::<u8>();
        // SAFETY: as in `read`; and `of` checked that the memory may be written.
        unsafe { start.add(self.at).copy_from_nonoverlapping(block.as_ptr(), count) };
        self.at += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
