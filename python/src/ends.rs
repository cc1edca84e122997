//! `src` and `dst` in all their forms: paths, URLs, file objects, memory.

use std::io::{BufReader, BufWriter};

use apyfal::{Call, Input, Output};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::buffers::Memory;
use crate::errors::Raised;
use crate::files::{BLOCK, File};
use crate::values::text;

/// Memory up to this many bytes is copied, which costs less than going through a stream.
const SMALL: usize = 64 << 10;

/// Has a call read this source.
pub(crate) fn with_src(
    call: Call,
    src: Option<&Bound<'_, PyAny>>,
    raised: &Raised,
) -> PyResult<Call> {
    let Some(src) = src else { return Ok(call) };
    if let Some(url) = path(src, "src")? {
        return Ok(call.src(url));
    }
    if let Ok(bytes) = src.cast::<PyBytes>()
        && bytes.as_bytes().len() <= SMALL
    {
        return Ok(call.input(Input::bytes(bytes.as_bytes())));
    }
    if let Some(file) = File::of(src, "src", "read", raised)? {
        let input = Input::stream(BufReader::with_capacity(BLOCK, file));
        return Ok(call.input(input));
    }
    if let Some(memory) = Memory::of(src, "src", false)? {
        let len = memory.len() as u64;
        return Ok(call.input(Input::stream(memory).with_len(len)));
    }
    Err(wrong(src, "src"))
}

/// Has a call write this destination.
pub(crate) fn with_dst(
    call: Call,
    dst: Option<&Bound<'_, PyAny>>,
    raised: &Raised,
) -> PyResult<Call> {
    let Some(dst) = dst else { return Ok(call) };
    if let Some(url) = path(dst, "dst")? {
        return Ok(call.dst(url));
    }
    if let Some(file) = File::of(dst, "dst", "write", raised)? {
        let output = Output::stream(BufWriter::with_capacity(BLOCK, file));
        return Ok(call.output(output));
    }
    if let Some(memory) = Memory::of(dst, "dst", true)? {
        return Ok(call.output(Output::stream(memory)));
    }
    Err(wrong(dst, "dst"))
}

/// A path or URL: a text, or what has one.
pub(crate) fn path(end: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<String>> {
    if end.is_instance_of::<PyString>() {
        return text(end, name).map(Some);
    }
    if !end.hasattr("__fspath__")? {
        return Ok(None);
    }
    let os = end.py().import("os")?;
    let path = os.call_method1("fspath", (end,))?;
    text(&os.call_method1("fsdecode", (path,))?, name).map(Some)
}

fn wrong(end: &Bound<'_, PyAny>, name: &str) -> PyErr {
    match end.get_type().fully_qualified_name() {
        Ok(kind) => PyTypeError::new_err(format!(
            "'{name}' must be a path, a URL, a binary file object or a buffer, not '{kind}'"
        )),
        Err(error) => error,
    }
}
