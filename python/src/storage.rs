//! Storages: copies, and streams from and to where URLs point.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use apyfal::{Cancel, Destination, Error, Location, Result, Sink, Surroundings};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::configuration::Configuration;
use crate::errors::{Domain, raised};
use crate::owned::Owned;
use crate::runtime::{runtime, wait};

/// All that can be reached by URL.
#[pyclass(frozen, weakref, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Storage(Owned<apyfal::Storage>);

#[pymethods]
impl Storage {
    /// The storages of a configuration.
    #[new]
    fn new(py: Python<'_>, configuration: &Configuration) -> PyResult<Self> {
        let storage = Surroundings::of_process().storage(&configuration.snapshot());
        storage
            .map(|storage| Self(Owned::new(storage)))
            .map_err(|error| raised(py, &error, Domain::Storage))
    }

    /// Makes a store reachable by a name.
    fn mount(&self, py: Python<'_>, name: &str, options: BTreeMap<String, String>) -> PyResult<()> {
        let mounted = apyfal::MountOptions::from_map(&options)
            .and_then(|options| self.get()?.mount(name, options));
        mounted.map_err(|error| raised(py, &error, Domain::Storage))
    }

    /// The names by which stores are mounted.
    #[getter]
    fn mounts(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let storage = self.get().map_err(|error| raised(py, &error, Domain::Storage))?;
        Ok(storage.mounts())
    }

    fn copy(&self, py: Python<'_>, src: PathBuf, dst: PathBuf) -> PyResult<()> {
        let cancel = Cancel::default();
        let copying = async {
            let (src, dst) = (location(src)?, location(dst)?);
            self.get()?.copy(&src, &dst, &cancel, &Arc::default()).await
        };
        let copied = wait(py, &cancel, copying)?;
        copied.map(drop).map_err(|error| raised(py, &error, Domain::Storage))
    }

    fn read(&self, py: Python<'_>, url: PathBuf) -> PyResult<Reader> {
        let opening = async { self.get()?.open_input(&location(url)?).await?.into_reader() };
        let opened = wait(py, &Cancel::default(), opening)?;
        let inner = opened.map_err(|error| raised(py, &error, Domain::Storage))?;
        Ok(Reader(Owned::new(Mutex::new(inner))))
    }

    fn write(&self, py: Python<'_>, url: PathBuf) -> PyResult<Writer> {
        let opening = async { self.get()?.create_output(&location(url)?).await };
        let opened = wait(py, &Cancel::default(), opening)?;
        let mut destination = opened.map_err(|error| raised(py, &error, Domain::Storage))?;
        let sink: Box<dyn Write + Send> =
            match destination.take_output().map(apyfal::Output::into_sink) {
                Some(Sink::Stream(stream)) => stream,
                Some(Sink::File { file, .. }) => Box::new(file),
                None => Box::new(std::io::sink()),
            };
        Ok(Writer(Owned::new(Mutex::new(Some((sink, destination))))))
    }
}

impl Storage {
    pub(crate) fn get(&self) -> Result<&apyfal::Storage> {
        self.0.get("storage")
    }
}

/// What a path or URL means. One that is no text is a file: those may be called by any bytes.
fn location(url: PathBuf) -> Result<Location> {
    match url.to_str() {
        Some(text) => Location::parse(text),
        None => Ok(Location::File(url)),
    }
}

/// What is at a URL, from its start to its end.
#[pyclass(frozen, module = "apyfal._apyfal")]
pub(crate) struct Reader(Owned<Mutex<Box<dyn Read + Send>>>);

#[pymethods]
impl Reader {
    /// The next bytes, at most so many; none at the end.
    fn read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let inner = self.0.get("stream").map_err(|error| raised(py, &error, Domain::Storage))?;
        let mut block = vec![0; size.min(LARGEST)];
        let count = retried(py, || inner.lock().read(&mut block))?;
        Ok(PyBytes::new(py, &block[..count]))
    }
}

/// How much is read at once at most.
const LARGEST: usize = 1 << 20;

type Open = (Box<dyn Write + Send>, Destination);

/// What is to be at a URL: it appears when it is committed, whole.
#[pyclass(frozen, module = "apyfal._apyfal")]
pub(crate) struct Writer(Owned<Mutex<Option<Open>>>);

#[pymethods]
impl Writer {
    /// Writes some of the bytes; how many.
    fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<usize> {
        let open = self.open(py)?;
        retried(py, || match &mut *open.lock() {
            Some((sink, _)) => sink.write(bytes),
            None => Err(ErrorKind::BrokenPipe.into()),
        })
    }

    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.open(py)?;
        retried(py, || match &mut *open.lock() {
            Some((sink, _)) => sink.flush().map(|()| 0),
            None => Ok(0),
        })?;
        let Some((sink, destination)) = open.lock().take() else { return Ok(()) };
        py.detach(|| drop(sink));
        let cancel = Cancel::default();
        let committed = wait(py, &cancel, destination.commit(&cancel))?;
        committed.map(drop).map_err(|error| raised(py, &error, Domain::Storage))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let Some((sink, destination)) = self.open(py)?.lock().take() else { return Ok(()) };
        py.detach(|| drop(sink));
        wait(py, &Cancel::default(), async {
            destination.abort().await;
            Ok(())
        })?
        .map_err(|error| raised(py, &error, Domain::Storage))
    }
}

impl Writer {
    fn open(&self, py: Python<'_>) -> PyResult<&Mutex<Option<Open>>> {
        self.0.get("stream").map_err(|error| raised(py, &error, Domain::Storage))
    }
}

/// Does a step without the GIL, again and again while it would block. Signals are seen in between.
fn retried(
    py: Python<'_>,
    mut step: impl FnMut() -> std::io::Result<usize> + Send,
) -> PyResult<usize> {
    let runtime = runtime().map_err(|error| raised(py, &error, Domain::Storage))?;
    loop {
        let done = py.detach(|| {
            let _entered = runtime.enter();
            step()
        });
        match done {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                return Err(PyValueError::new_err("I/O operation on closed file."));
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                py.check_signals()?;
            }
            Err(error) => return Err(raised(py, &Error::from_io(error), Domain::Storage)),
        }
    }
}
