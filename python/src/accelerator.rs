//! Accelerators.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apyfal::{Call, Cancel, Report, Result};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::call::{Given, Pair, Said, Starting, amounts};
use crate::configuration::Configuration;
use crate::errors::{Domain, Raised, raised};
use crate::hosts::{about, surroundings, watch};
use crate::job::{Job, Listener, at_once, in_background, in_turn};
use crate::owned::Owned;
use crate::runtime::{runtime, wait, wait_and, wait_for_all};
use crate::storage::Storage;
use crate::switch::of_thread;
use crate::values::{from_json, from_map};

/// An accelerator, where its configuration says.
///
/// What has `done` returns at once, or at its end where it is quick. At its end `done` is called with the response and
/// none, or with none and the exception, by another thread unless it was quick; or it is an event loop's
/// `Settled` with what that knows the call by, and both wait there to be taken.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Accelerator {
    accelerator: Owned<apyfal::Accelerator>,
    /// The switch of all that is under way.
    under_way: Mutex<Cancel>,
}

#[pymethods]
impl Accelerator {
    /// `watch_host` is told how far a host is that is made for it, `host_timeout` is how long its steps may
    /// take in seconds; `program` is the binary `apyfal`.
    #[new]
    #[pyo3(signature = (name, configuration, storage, watch_host = None, host_timeout = None,
                        program = None))]
    fn new(
        py: Python<'_>,
        name: String,
        configuration: &Configuration,
        storage: &Storage,
        watch_host: Option<Py<PyAny>>,
        host_timeout: Option<f64>,
        program: Option<PathBuf>,
    ) -> PyResult<Self> {
        let made = py.detach(|| {
            // What it is made of may belong to the runtime.
            let _entered = runtime()?.enter();
            let mut builder = apyfal::Accelerator::builder(name)
                .configuration(configuration.snapshot())
                .surroundings(surroundings(program))
                .storage(storage.get()?.clone());
            if let Some(function) = watch_host {
                builder = builder.watch_host(watch(function));
            }
            if let Some(time) = host_timeout {
                // What is no time at all is none.
                builder =
                    builder.host_timeout(Duration::try_from_secs_f64(time).unwrap_or_default());
            }
            builder.build()
        });
        let made = made.map_err(|error| raised(py, &error, Domain::Client))?;
        Ok(Self { accelerator: Owned::new(made), under_way: Mutex::default() })
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

    /// Whether a host is made for it.
    #[getter]
    fn has_host_of_its_own(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.get(py)?.has_host_of_its_own())
    }

    /// What is remembered of the host that was made for it, from then on until it is given back.
    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.get(py)?.host().map(|host| about(py, &host)).transpose()
    }

    /// What is to be told of that host, and was not told yet.
    fn host_notes(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.get(py)?.host_notes())
    }

    /// What is to become of that host.
    #[getter]
    fn stop_mode(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.get(py)?.stop_mode().map(apyfal::hosts::StopMode::as_str))
    }

    #[setter]
    fn set_stop_mode(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = mode.parse().map_err(|error| raised(py, &error, Domain::Host))?;
        self.get(py)?.set_stop_mode(mode);
        Ok(())
    }

    /// Ends all calls that are under way, in whichever thread and in the background; nobody waits for that.
    fn interrupt(&self) {
        std::mem::take(&mut *self.under_way.lock()).cancel();
    }

    /// Has that host be there, without a session.
    fn make_host(&self, py: Python<'_>) -> PyResult<()> {
        let (accelerator, cancel) = (self.get(py)?.clone(), self.switch());
        let switch = cancel.clone();
        let work = async move { accelerator.make_host(&switch).await };
        let outcome = wait_for_all(py, &cancel, work)?;
        outcome.map_err(|error| raised(py, &error, Domain::Host))
    }

    /// Among how many jobs under way another one is of use.
    #[getter]
    fn width(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.get(py)?.width(&Call::new()))
    }

    /// Files of no more bytes are quick: worth a thread only where several are.
    #[getter]
    fn quick(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.get(py)?.quick())
    }

    /// Opens a session, in place of the one that is open. Nothing is said of a destination.
    #[pyo3(signature = (said, env, reload, reset, done = None))]
    fn start<'py>(
        &self,
        py: Python<'py>,
        said: Said<'py>,
        env: Option<&Bound<'py, PyDict>>,
        reload: Option<bool>,
        reset: Option<bool>,
        done: Option<Listener>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?.clone();
        let starting = Starting::new(said, env, reload, reset, self.switch())?;
        let Given { cancel, progress, raised, .. } = &starting.given;
        let (cancel, progress, kept) = (cancel.clone(), progress.clone(), raised.clone());
        let work = async move { starting.run(&accelerator).await };
        if let Some(done) = done {
            return in_background(py, work, Job::new(cancel, progress), kept, done);
        }
        let outcome = wait_for_all(py, &cancel, work)?;
        response(py, &kept, outcome)
    }

    /// Runs one job; the response.
    #[pyo3(signature = (said, progress = None))]
    fn process<'py>(
        &self,
        py: Python<'py>,
        said: Said<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?;
        let given = Given::new(&said, self.switch())?;
        let done = given.progress.clone();
        let tell = |_: Python<'_>| match progress {
            Some(progress) => progress.call1(amounts(&done)).map(drop),
            None => Ok(()),
        };
        let outcome = wait_and(py, &given.cancel, accelerator.process(given.call), tell)?;
        let response = response(py, &given.raised, outcome)?;
        tell(py)?;
        Ok(response)
    }

    /// Runs one job in the background.
    fn submit<'py>(
        &self,
        py: Python<'py>,
        said: Said<'py>,
        done: Listener,
    ) -> PyResult<Bound<'py, PyAny>> {
        let accelerator = self.get(py)?;
        let Given { call, cancel, progress, raised: kept } = Given::new(&said, self.switch())?;
        let runtime = runtime().map_err(|error| raised(py, &error, Domain::Client))?;
        let begun = py.detach(|| {
            let _entered = runtime.enter();
            accelerator.process_at_once(call)
        });
        let job = Job::new(cancel, progress);
        match begun {
            ControlFlow::Break(outcome) => at_once(py, outcome, job, kept, done),
            ControlFlow::Continue(work) => in_background(py, work, job, kept, done),
        }
    }

    /// Runs some quick jobs in the background, one after the other: those of pairs of a source and a destination, which
    /// share their parameters. At the end `done` is called with the list of their responses, each with none, or of
    /// none with the exception; and with none.
    fn submit_all<'py>(
        &self,
        py: Python<'py>,
        pairs: Vec<Pair<'py>>,
        parameters: Option<Bound<'py, PyAny>>,
        specific: Bound<'py, PyDict>,
        done: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (accelerator, cancel) = (self.get(py)?, self.switch());
        let mut jobs = Vec::with_capacity(pairs.len());
        for (src, dst) in pairs {
            let said = (src, dst, parameters.clone(), specific.clone());
            let Given { call, raised: kept, .. } = Given::new(&said, cancel.child())?;
            jobs.push((accelerator.process_later(call), kept));
        }
        in_turn(py, jobs, Job::new(cancel, Arc::default()), done)
    }

    /// Ends the session, after its running jobs.
    #[pyo3(signature = (done = None))]
    fn stop<'py>(&self, py: Python<'py>, done: Option<Listener>) -> PyResult<Bound<'py, PyAny>> {
        let (accelerator, cancel) = (self.get(py)?, self.switch());
        if let Some(done) = done {
            let (accelerator, job) = (accelerator.clone(), Job::new(cancel, Arc::default()));
            let work = async move { accelerator.stop().await };
            return in_background(py, work, job, Raised::default(), done);
        }
        let outcome = wait(py, &cancel, cancel.or_cancelled(accelerator.stop()))?;
        response(py, &Raised::default(), outcome)
    }

    /// What the accelerator is: its names, what it does, its parameters.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (accelerator, cancel) = (self.get(py)?, self.switch());
        let outcome = wait(py, &cancel, cancel.or_cancelled(accelerator.info()))?;
        let info = outcome.map_err(|error| raised(py, &error, Domain::Client))?;
        let parameters: Vec<_> =
            info.params.iter().map(|spec| json!({"name": spec.name, "help": spec.help})).collect();
        let told = [
            ("name", json!(info.name)),
            ("aliases", json!(info.aliases)),
            ("summary", json!(info.summary)),
            ("parameters", Value::Array(parameters)),
        ];
        from_map(py, &told.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
    }
}

impl Accelerator {
    fn get(&self, py: Python<'_>) -> PyResult<&apyfal::Accelerator> {
        self.accelerator.get("accelerator").map_err(|error| raised(py, &error, Domain::Client))
    }

    /// That of one call.
    fn switch(&self) -> Cancel {
        of_thread().unwrap_or_else(|| self.under_way.lock().clone()).child()
    }
}

/// What a call returns that ended like this.
pub(crate) fn response<'py>(
    py: Python<'py>,
    kept: &Raised,
    outcome: Result<Report>,
) -> PyResult<Bound<'py, PyAny>> {
    from_json(py, &kept.or(py, outcome, Domain::Client)?.to_json())
}
