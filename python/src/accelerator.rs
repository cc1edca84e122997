//! Accelerators.

use std::sync::Arc;

use apyfal::{Call, Cancel, Progress, Report, Surroundings};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::ends::{with_dst, with_src};
use crate::errors::{Domain, Raised, raised};
use crate::owned::Owned;
use crate::runtime::{runtime, wait, wait_and};
use crate::storage::Storage;
use crate::values::{from_json, from_map, to_json, to_map};

/// An accelerator, where its configuration says.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Accelerator(Owned<apyfal::Accelerator>);

#[pymethods]
impl Accelerator {
    #[new]
    fn new(
        py: Python<'_>,
        name: String,
        configuration: &Configuration,
        storage: &Storage,
    ) -> PyResult<Self> {
        let made = py.detach(|| {
            // What it is made of may belong to the runtime.
            let _entered = runtime()?.enter();
            apyfal::Accelerator::builder(name)
                .configuration(configuration.snapshot())
                .surroundings(Surroundings::of_process())
                .storage(storage.get()?.clone())
                .build()
        });
        let made = made.map_err(|error| raised(py, &error, Domain::Client))?;
        Ok(Self(Owned::new(made)))
    }

    /// What is odd about where it runs.
    #[getter]
    fn warnings(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.get(py)?.warnings().to_vec())
    }

    /// The addresses of its hosts; none where it runs on this machine.
    #[getter]
    fn hosts(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.get(py)?.hosts().iter().map(|host| host.url().to_owned()).collect())
    }

    /// Among how many jobs under way another one is of use.
    #[getter]
    fn width(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.get(py)?.width(&Call::new()))
    }

    /// Opens a session, in place of the one that is open.
    #[pyo3(signature = (src, parameters, specific, env, reload, reset))]
    #[allow(clippy::too_many_arguments, reason = "as many as the original has")]
    fn start<'py>(
        &self,
        py: Python<'py>,
        src: Option<&Bound<'py, PyAny>>,
        parameters: Option<&Bound<'py, PyAny>>,
        specific: &Bound<'py, PyDict>,
        env: Option<&Bound<'py, PyDict>>,
        reload: Option<bool>,
        reset: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?;
        let cancel = Cancel::default();
        let raised = Raised::default();
        let mut call = Call::new().cancel(cancel.clone()).set_all(to_map(specific)?);
        let mut full = parameters.map(|given| to_json(given, "parameters")).transpose()?;
        if let Some(env) = env.filter(|env| !env.is_empty()) {
            let env = Value::Object(to_map(env)?);
            let read = match full.take() {
                Some(given) => {
                    let reading = apyfal::full_parameters(given, accelerator.storage());
                    raised.or(py, wait(py, &cancel, reading)?, Domain::Client)?
                }
                None => json!({}),
            };
            full = Some(with_env(read, env));
        }
        if let Some(full) = full {
            call = call.parameters(full);
        }
        if let Some(reload) = reload {
            call = call.reload(reload);
        }
        if let Some(reset) = reset {
            call = call.reset(reset);
        }
        let call = with_src(call, src, &raised)?;
        let outcome = wait(py, &cancel, accelerator.start(call))?;
        from_json(py, &raised.or(py, outcome, Domain::Client)?.to_json())
    }

    /// Runs one job; the response.
    #[pyo3(signature = (src, dst, parameters, specific, progress = None))]
    fn process<'py>(
        &self,
        py: Python<'py>,
        src: Option<&Bound<'py, PyAny>>,
        dst: Option<&Bound<'py, PyAny>>,
        parameters: Option<&Bound<'py, PyAny>>,
        specific: &Bound<'py, PyDict>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?;
        let job = Prepared::new(src, dst, parameters, specific)?;
        let done = job.progress.clone();
        let tell = |_: Python<'_>| match progress {
            Some(progress) => progress.call1(amounts(&done)).map(drop),
            None => Ok(()),
        };
        let outcome = wait_and(py, &job.cancel, accelerator.process(job.call), tell)?;
        let report = job.raised.or(py, outcome, Domain::Client)?;
        tell(py)?;
        from_json(py, &report.to_json())
    }

    /// Runs one job in the background. At its end `done` is called with the response and none, or none
    /// and the exception, from another thread.
    #[pyo3(signature = (src, dst, parameters, specific, done))]
    fn submit(
        &self,
        py: Python<'_>,
        src: Option<&Bound<'_, PyAny>>,
        dst: Option<&Bound<'_, PyAny>>,
        parameters: Option<&Bound<'_, PyAny>>,
        specific: &Bound<'_, PyDict>,
        done: Py<PyAny>,
    ) -> PyResult<Job> {
        let accelerator = self.get(py)?;
        let Prepared { call, cancel, progress, raised: kept } =
            Prepared::new(src, dst, parameters, specific)?;
        let runtime = runtime().map_err(|error| raised(py, &error, Domain::Client))?;
        let handle = py.detach(|| {
            let _entered = runtime.enter();
            accelerator.process_submit(call)
        });
        runtime.spawn(async move {
            let outcome = handle.await;
            // The callbacks of the caller may take as long as they like.
            tokio::task::block_in_place(|| {
                Python::try_attach(|py| tell(py, &done, &kept, outcome))
            });
        });
        Ok(Job { cancel, progress })
    }

    /// Ends the session, after its running jobs.
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?;
        let outcome = wait(py, &Cancel::default(), accelerator.stop())?;
        let report = outcome.map_err(|error| raised(py, &error, Domain::Client))?;
        from_json(py, &report.to_json())
    }

    /// What the accelerator is: its names, what it does, its parameters.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accelerator = self.get(py)?;
        let outcome = wait(py, &Cancel::default(), accelerator.info())?;
        let info = outcome.map_err(|error| raised(py, &error, Domain::Client))?;
        let parameters: Vec<_> =
            info.params.iter().map(|spec| json!({"name": spec.name, "help": spec.help})).collect();
        let told = json!({
            "name": info.name,
            "aliases": info.aliases,
            "summary": info.summary,
            "parameters": parameters,
        });
        match told {
            Value::Object(told) => from_map(py, &told),
            _ => Ok(PyDict::new(py)),
        }
    }
}

impl Accelerator {
    fn get(&self, py: Python<'_>) -> PyResult<&apyfal::Accelerator> {
        self.0.get("accelerator").map_err(|error| raised(py, &error, Domain::Client))
    }
}

/// A job that runs in the background.
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

fn amounts(progress: &Progress) -> (u64, Option<u64>, u64) {
    (progress.read(), progress.total(), progress.written())
}

/// What one job is given.
struct Prepared {
    call: Call,
    cancel: Cancel,
    progress: Arc<Progress>,
    raised: Raised,
}

impl Prepared {
    fn new(
        src: Option<&Bound<'_, PyAny>>,
        dst: Option<&Bound<'_, PyAny>>,
        parameters: Option<&Bound<'_, PyAny>>,
        specific: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (cancel, progress, raised) =
            (Cancel::default(), Arc::<Progress>::default(), Raised::default());
        let mut call = Call::new()
            .cancel(cancel.clone())
            .progress(progress.clone())
            .set_all(to_map(specific)?);
        if let Some(given) = parameters {
            call = call.parameters(to_json(given, "parameters")?);
        }
        let call = with_dst(with_src(call, src, &raised)?, dst, &raised)?;
        Ok(Self { call, cancel, progress, raised })
    }
}

/// Full parameters with single values of the environment replaced.
fn with_env(mut full: Value, env: Value) -> Value {
    if let (Value::Object(root), Value::Object(over)) = (&mut full, env) {
        match root.entry("env").or_insert_with(|| json!({})) {
            Value::Object(env) => env.extend(over),
            other => *other = Value::Object(over),
        }
    }
    full
}

/// Tells how a job in the background ended. What the listener raises is shown as Python shows what
/// nobody can catch.
fn tell(py: Python<'_>, done: &Py<PyAny>, kept: &Raised, outcome: apyfal::Result<Report>) {
    let outcome = kept.or(py, outcome, Domain::Client);
    let told = match outcome.and_then(|report| from_json(py, &report.to_json())) {
        Ok(response) => done.call1(py, (response, py.None())),
        Err(error) => done.call1(py, (py.None(), error.into_value(py))),
    };
    if let Err(error) = told {
        error.write_unraisable(py, None);
    }
}
