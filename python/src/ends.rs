//! `src` and `dst` in all their forms: paths, URLs, file objects, memory.

use std::ffi::OsString;
use std::io::{BufReader, BufWriter};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use apyfal::{Call, Input, Output};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::buffers::Memory;
use crate::errors::Raised;
use crate::files::{BLOCK, File};
use crate::values::text;

/// Memory up to this many bytes is copied, which costs less than going through a stream.
const SMALL: usize = 64 << 10;

/// Has a call read this source and write this destination.
///
/// # Errors
/// One is none, or the destination is memory that is the source's.
pub(crate) fn with_ends(
    call: Call,
    src: Option<&Bound<'_, PyAny>>,
    dst: Option<&Bound<'_, PyAny>>,
    raised: &Raised,
) -> PyResult<Call> {
    let (call, read) = with_src(call, src, raised)?;
    with_dst(call, dst, read, raised)
}

/// The call, and which memory it reads.
fn with_src(
    call: Call,
    src: Option<&Bound<'_, PyAny>>,
    raised: &Raised,
) -> PyResult<(Call, Range<usize>)> {
    let Some(src) = src else { return Ok((call, 0..0)) };
    match path(src, "src")? {
        Some(Named::Url(url)) => return Ok((call.src(url), 0..0)),
        Some(Named::File(path)) => return Ok((call.src_file(path), 0..0)),
        None => {}
    }
    if let Ok(bytes) = src.cast::<PyBytes>()
        && bytes.as_bytes().len() <= SMALL
    {
        return Ok((call.input(Input::bytes(bytes.as_bytes())), 0..0));
    }
    if let Some(file) = File::of(src, "src", "read", raised)? {
        let input = Input::stream(BufReader::with_capacity(BLOCK, file));
        return Ok((call.input(input), 0..0));
    }
    if let Some(memory) = Memory::of(src, "src", false)? {
        let (place, len) = (memory.place(), memory.len() as u64);
        return Ok((call.input(Input::stream(memory).with_len(len)), place));
    }
    Err(wrong(src, "src"))
}

fn with_dst(
    call: Call,
    dst: Option<&Bound<'_, PyAny>>,
    read: Range<usize>,
    raised: &Raised,
) -> PyResult<Call> {
    let Some(dst) = dst else { return Ok(call) };
    match path(dst, "dst")? {
        Some(Named::Url(url)) => return Ok(call.dst(url)),
        Some(Named::File(path)) => return Ok(call.dst_file(path)),
        None => {}
    }
    if let Some(file) = File::of(dst, "dst", "write", raised)? {
        let output = Output::stream(BufWriter::with_capacity(BLOCK, file));
        return Ok(call.output(output));
    }
    if let Some(memory) = Memory::of(dst, "dst", true)? {
        let place = memory.place();
        if place.start.max(read.start) < place.end.min(read.end) {
            return Err(PyValueError::new_err(
                "'dst' is memory that 'src' is read from: give it memory of its own",
            ));
        }
        return Ok(call.output(Output::stream(memory)));
    }
    Err(wrong(dst, "dst"))
}

/// What a path or URL is.
enum Named {
    Url(String),
    /// One that is no text: files may be called by any bytes.
    File(PathBuf),
}

/// A path or URL: a text, or what has one.
fn path(end: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Named>> {
    let is_text = end.is_instance_of::<PyString>();
    if !is_text && !end.hasattr("__fspath__")? {
        return Ok(None);
    }
    let os = end.py().import("os")?;
    let path = if is_text { end.clone() } else { os.call_method1("fspath", (end,))? };
    if let Ok(text) = path.cast::<PyString>()
        && let Ok(text) = text.to_str()
    {
        if text.contains('\0') {
            return Err(with_nul(name));
        }
        return Ok(Some(Named::Url(text.to_owned())));
    }
    // Python has the bytes of such a path as lone surrogates.
    let Ok(bytes) = os.call_method1("fsencode", (&path,)) else {
        return text(&path, &format!("'{name}'")).map(|text| Some(Named::Url(text)));
    };
    let bytes: Vec<u8> = bytes.extract()?;
    if bytes.contains(&0) {
        return Err(with_nul(name));
    }
    Ok(Some(Named::File(OsString::from_vec(bytes).into())))
}

/// No file is called so.
fn with_nul(name: &str) -> PyErr {
    PyValueError::new_err(format!("'{name}' has a NUL in it"))
}

fn wrong(end: &Bound<'_, PyAny>, name: &str) -> PyErr {
    match end.get_type().fully_qualified_name() {
        Ok(kind) => PyTypeError::new_err(format!(
            "'{name}' must be a path, a URL, a binary file object or a buffer, not '{kind}'"
        )),
        Err(error) => error,
    }
}
