//! Hosts that are made: what is told of them, and which there are.

use std::path::PathBuf;
use std::sync::Arc;

use apyfal::hosts::{HostRecord, Listed, MadeHosts, Phase, StopMode, Watch};
use apyfal::{Cancel, Surroundings};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::configuration::Configuration;
use crate::errors::{Domain, raised};
use crate::inside::inside;
use crate::runtime::wait;

/// The surroundings of the process. The program that runs is Python; `program` is the binary `apyfal` of
/// its installation, where there is one.
pub(crate) fn surroundings(program: Option<PathBuf>) -> Surroundings {
    let found = Surroundings::of_process();
    Surroundings { program: program.or(found.program.clone()), ..found }
}

/// Whether this version makes hosts of a type.
#[pyfunction]
pub(crate) fn is_made(host_type: &str) -> bool {
    apyfal::hosts::is_made(host_type)
}

/// The word for a stop mode, however it is written.
#[pyfunction]
pub(crate) fn stop_mode(py: Python<'_>, text: &str) -> PyResult<&'static str> {
    let mode: StopMode = text.parse().map_err(|error| raised(py, &error, Domain::Host))?;
    Ok(mode.as_str())
}

/// The hosts that this installation has made and that have not ended, and why a provider tells of none.
#[pyfunction]
#[pyo3(signature = (configuration, program = None))]
pub(crate) fn made_hosts<'py>(
    py: Python<'py>,
    configuration: &Configuration,
    program: Option<PathBuf>,
) -> PyResult<(Bound<'py, PyList>, Vec<Py<PyAny>>)> {
    let told = PyList::empty(py);
    let Some(hosts) = MadeHosts::of(&configuration.snapshot(), &surroundings(program)) else {
        return Ok((told, Vec::new()));
    };
    // Whoever looks at many sees how people log in to them, which providers do not tell.
    let listing = async { Ok((hosts.remembered()?, hosts.list().await?)) };
    let listed = wait(py, &Cancel::default(), listing)?;
    let (remembered, (listed, errors)) =
        listed.map_err(|error| raised(py, &error, Domain::Host))?;
    for host in &listed {
        let record = remembered.iter().find(|record| record.name == host.name);
        told.append(from_listing(py, host, record)?)?;
    }
    let errors = errors.iter().map(|error| raised(py, error, Domain::Host));
    Ok((told, errors.map(|error| error.into_value(py).into_any()).collect()))
}

/// What is remembered of a host.
pub(crate) fn about<'py>(py: Python<'py>, host: &HostRecord) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("host_type", &host.provider)?;
    told.set_item("host_name", &host.name)?;
    told.set_item("accelerator", &host.accelerator)?;
    told.set_item("region", &host.region)?;
    told.set_item("instance_id", host.instance.as_ref().map(|id| &id.0))?;
    told.set_item("url", &host.url)?;
    told.set_item("stop_mode", host.stop_mode.as_str())?;
    told.set_item("key_pair", host.login.as_ref().map(|login| &login.key_pair))?;
    Ok(told)
}

fn from_listing<'py>(
    py: Python<'py>,
    host: &Listed,
    record: Option<&HostRecord>,
) -> PyResult<Bound<'py, PyDict>> {
    let told = match record {
        Some(record) => about(py, record)?,
        None => PyDict::new(py),
    };
    told.set_item("host_type", &host.provider)?;
    told.set_item("host_name", &host.name)?;
    told.set_item("accelerator", &host.accelerator)?;
    told.set_item("instance_id", &host.instance)?;
    told.set_item("url", &host.url)?;
    told.set_item("state", &host.state)?;
    let details = &host.details;
    told.set_item("instance_type", &details.instance_type)?;
    told.set_item("image_id", &details.image)?;
    told.set_item("security_group", &details.security_group)?;
    told.set_item("private_ip", &details.private_address)?;
    if let Some(key_pair) = &details.key_pair {
        told.set_item("key_pair", key_pair)?;
    }
    Ok(told)
}

/// Tells a function of the caller's how far a host is: the phase, and what is remembered.
pub(crate) fn watch(function: Py<PyAny>) -> Watch {
    Arc::new(move |host: &HostRecord, phase: Phase| {
        let tell = |py: Python<'_>| {
            let told = about(py, host).and_then(|host| function.call1(py, (word(phase), host)));
            if let Err(error) = told {
                error.write_unraisable(py, None);
            }
        };
        tokio::task::block_in_place(|| inside(tell));
    })
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepared => "prepared",
        Phase::Requested => "requested",
        Phase::Running => "running",
        Phase::Reachable => "reachable",
        Phase::Ready => "ready",
    }
}
