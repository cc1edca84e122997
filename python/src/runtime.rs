//! The runtime of the process, and waiting for it as Python waits: without the GIL, and with an ear for
//! signals.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use apyfal::{Cancel, Error, ErrorKind, Result};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// How long a signal waits to be seen.
const TICK: Duration = Duration::from_millis(40);
/// How long what was cancelled may take to tidy up before it is left.
const GRACE: Duration = Duration::from_millis(50);

/// The runtime of a process, and those of processes that were forked from it: the threads of a runtime
/// do not live on in a child.
struct Node {
    process: u32,
    runtime: Runtime,
    next: OnceLock<Box<Node>>,
}

static FIRST: OnceLock<Node> = OnceLock::new();

/// The runtime of this process. It begins when it is first needed.
///
/// # Errors
/// The system gives no threads.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    let process = std::process::id();
    let mut node = match FIRST.get() {
        Some(node) => node,
        None => {
            let made = Node::new(process)?;
            FIRST.get_or_init(|| made)
        }
    };
    while node.process != process {
        node = match node.next.get() {
            Some(next) => next,
            None => {
                let made = Box::new(Node::new(process)?);
                node.next.get_or_init(|| made)
            }
        };
    }
    Ok(&node.runtime)
}

impl Node {
    fn new(process: u32) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("apyfal")
            .build()
            .map_err(|error| Error::from(error).operation("start the threads of apyfal"))?;
        Ok(Self { process, runtime, next: OnceLock::new() })
    }
}

/// Waits for work without the GIL. A signal whose handler raises cancels the work, and what it raised
/// comes out.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    cancel: &Cancel,
    work: impl Future<Output = Result<T>> + Send,
) -> PyResult<Result<T>> {
    wait_and(py, cancel, work, |_| Ok(()))
}

/// As [`wait`], for work that must tidy up where it is cancelled, however long that takes: nobody waits
/// for it then, and it goes on.
pub(crate) fn wait_for_all<T: Send + 'static>(
    py: Python<'_>,
    cancel: &Cancel,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> PyResult<Result<T>> {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Ok(Err(error)),
    };
    let working = runtime.spawn(work);
    wait(py, cancel, async {
        working.await.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?
    })
}

/// As [`wait`], and does something now and then meanwhile. What that raises comes out as well.
pub(crate) fn wait_and<T: Send>(
    py: Python<'_>,
    cancel: &Cancel,
    work: impl Future<Output = Result<T>> + Send,
    mut meanwhile: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<Result<T>> {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Ok(Err(error)),
    };
    let mut work = pin!(work);
    loop {
        let step = py
            .detach(|| runtime.block_on(async { tokio::time::timeout(TICK, work.as_mut()).await }));
        if let Ok(outcome) = step {
            return Ok(outcome);
        }
        if let Err(raised) = py.check_signals().and_then(|()| meanwhile(py)) {
            cancel.cancel();
            // What does not end by then ends when it is dropped.
            let _ = py.detach(|| {
                runtime.block_on(async { tokio::time::timeout(GRACE, work.as_mut()).await })
            });
            return Err(raised);
        }
    }
}
