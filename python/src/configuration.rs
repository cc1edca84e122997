//! Configurations.

use std::collections::BTreeMap;

use apyfal::configuration::{forget_other_hosts, load};
use apyfal::{Cancel, ChosenHosts, Surroundings};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::catalog;
use crate::errors::{Domain, raised};
use crate::runtime::wait;

/// What `accelerator.conf`, the environment and the program say.
///
/// Its exceptions are made with the lock free: that runs Python, where another thread may wait for it.
#[pyclass(frozen, module = "apyfal._apyfal")]
#[derive(Debug)]
pub(crate) struct Configuration(Mutex<apyfal::Configuration>);

#[pymethods]
impl Configuration {
    /// Reads the file that is named, else the one that is found.
    #[new]
    #[pyo3(signature = (url = None, variables = None))]
    fn new(
        py: Python<'_>,
        url: Option<String>,
        variables: Option<BTreeMap<String, String>>,
    ) -> PyResult<Self> {
        let mut environment = Surroundings::of_process().environment;
        if let Some(variables) = variables {
            environment.variables = variables.into_iter().collect();
        }
        let loading = load(url.as_deref(), &environment);
        let loaded = wait(py, &Cancel::default(), loading)?;
        loaded.map(Self::from).map_err(|error| raised(py, &error, Domain::Client))
    }

    /// Reads a text. `origin` is what errors and warnings call it.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &[u8], origin: &str) -> PyResult<Self> {
        let parsed = apyfal::Configuration::parse(text, origin);
        parsed.map(Self::from).map_err(|error| raised(py, &error, Domain::Client))
    }

    fn copy(&self) -> Self {
        self.snapshot().into()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.lock().warnings().iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn sections(&self) -> Vec<String> {
        self.0.lock().section_names().into_iter().map(str::to_owned).collect()
    }

    /// The keys of a section and of those that it is a part of, which have a value.
    fn keys(&self, section: &str) -> Vec<String> {
        let configuration = self.0.lock();
        let section = configuration.section(section);
        section.keys().into_iter().map(str::to_owned).collect()
    }

    /// The keys that a section has itself; `DEFAULT` is one as well.
    fn own_keys(&self, section: &str) -> Vec<String> {
        self.0.lock().own_keys(section).into_iter().map(str::to_owned).collect()
    }

    fn get(&self, py: Python<'_>, section: &str, key: &str) -> PyResult<Option<String>> {
        let got = self.0.lock().section(section).get(key);
        got.map_err(|error| raised(py, &error, Domain::Client))
    }

    fn set(&self, section: &str, key: &str, value: Option<&str>) {
        self.0.lock().set(section, key, value);
    }

    /// Forgets a value in a section and in those that inherit from it.
    fn unset(&self, section: &str, key: &str) {
        self.0.lock().unset(section, key);
    }

    /// Forgets what a section has itself.
    fn remove(&self, section: &str, key: &str) {
        self.0.lock().remove(section, key);
    }

    fn remove_section(&self, section: &str) {
        self.0.lock().remove_section(section);
    }

    /// Names the host to use; what proves other hosts is forgotten.
    fn choose_host(&self, py: Python<'_>, address: &str) -> PyResult<()> {
        let chosen = {
            let mut configuration = self.0.lock();
            forget_other_hosts(&mut configuration, address)
                .map(|()| configuration.set("host", "host_ip", Some(address)))
        };
        chosen.map_err(|error| raised(py, &error, Domain::Client))
    }

    /// Where jobs run as it says: the type of the host that is made for them, where one is, and whether
    /// it is this machine.
    fn chosen(&self, py: Python<'_>) -> PyResult<(Option<String>, bool)> {
        let chosen = ChosenHosts::of(&self.snapshot(), &Surroundings::of_process())
            .map_err(|error| raised(py, &error, Domain::Host))?;
        let is_here = chosen.is_here();
        Ok((chosen.made, is_here))
    }

    /// The text of a file that reads back equal.
    fn write(&self, py: Python<'_>) -> PyResult<String> {
        let written = self.0.lock().write();
        written.map_err(|error| raised(py, &error, Domain::Client))
    }

    /// What an accelerator needs on a type of host, its images that have no id yet, and where the catalog that says
    /// so is.
    fn requirements<'py>(
        &self,
        py: Python<'py>,
        host_type: &str,
        accelerator: &str,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, String)> {
        catalog::requirements(py, &self.snapshot(), host_type, accelerator)
    }

    /// The id of an image that `requirements` tells apart.
    fn image_id(
        &self,
        py: Python<'_>,
        host_type: &str,
        region: Option<&str>,
        image: &str,
    ) -> PyResult<String> {
        catalog::image_id(py, &self.snapshot(), host_type, region, image)
    }

    /// A token of the catalog's server, for the account of the configuration.
    fn access_token(&self, py: Python<'_>) -> PyResult<String> {
        catalog::access_token(py, &self.snapshot())
    }

    /// All of the catalog, in the form of the original's server, and where it is.
    fn catalog<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, String)> {
        catalog::all(py, &self.snapshot())
    }
}

/// Whether a key's value is a secret.
#[pyfunction]
pub(crate) fn is_secret_key(key: &str) -> bool {
    apyfal::is_secret_key(key)
}

impl Configuration {
    /// What it says now.
    pub(crate) fn snapshot(&self) -> apyfal::Configuration {
        self.0.lock().clone()
    }
}

impl From<apyfal::Configuration> for Configuration {
    fn from(configuration: apyfal::Configuration) -> Self {
        Self(Mutex::new(configuration))
    }
}
