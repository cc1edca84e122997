//! What accelerators need where.

use apyfal::catalog::{Found, Image, find};
use apyfal::{Cancel, Configuration, Error, ErrorKind, Surroundings};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::errors::{Domain, raised};
use crate::runtime::wait;
use crate::values::{from_json, from_map};

/// What an accelerator needs on a type of host, by region; the images of these that have no id before somebody
/// looks, as JSON; and where the catalog is.
pub(crate) fn requirements<'py>(
    py: Python<'py>,
    configuration: &Configuration,
    host_type: &str,
    accelerator: &str,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, String)> {
    let Found { catalog, origin, .. } = found(py, configuration)?;
    let needed = catalog
        .requirements(host_type, accelerator)
        .map_err(|error| raised(py, &error, Domain::Client))?;
    let (told, images) = (PyDict::new(py), PyDict::new(py));
    told.set_item("accelerator", &needed.accelerator)?;
    for (region, requirements) in &needed.regions {
        let mut values = requirements.environment.clone();
        if let Some(image) = &requirements.image {
            let id = image.as_id().unwrap_or_else(|| image.to_string());
            values.insert("image".to_owned(), Value::String(id));
            if !matches!(image, Image::Id(_)) {
                images.set_item(region, json!(image).to_string())?;
            }
        }
        for (key, value) in
            [("instancetype", &requirements.instancetype), ("fpgaimage", &requirements.fpgaimage)]
        {
            if let Some(value) = value {
                values.insert(key.to_owned(), json!(value));
            }
        }
        told.set_item(region, from_map(py, &values)?)?;
    }
    Ok((told, images, origin))
}

/// The id of an image that has none before somebody looks, in a region.
pub(crate) fn image_id(
    py: Python<'_>,
    configuration: &Configuration,
    host_type: &str,
    region: Option<&str>,
    image: &str,
) -> PyResult<String> {
    let looking = async {
        let image: Image = serde_json::from_str(image)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let surroundings = Surroundings::of_process();
        apyfal::hosts::image_id(&image, (host_type, region), configuration, &surroundings).await
    };
    wait(py, &Cancel::default(), looking)?.map_err(|error| raised(py, &error, Domain::Host))
}

/// All of the catalog, by type of host and accelerator; and where it is.
pub(crate) fn all<'py>(
    py: Python<'py>,
    configuration: &Configuration,
) -> PyResult<(Bound<'py, PyAny>, String)> {
    let Found { catalog, origin, .. } = found(py, configuration)?;
    Ok((from_json(py, &catalog.to_original())?, origin))
}

/// A token of the catalog's server.
pub(crate) fn access_token(py: Python<'_>, configuration: &Configuration) -> PyResult<String> {
    let environment = Surroundings::of_process().environment;
    let asking = apyfal::catalog::access_token(configuration, &environment);
    let token = wait(py, &Cancel::default(), asking)?;
    token.map(|token| token.expose().to_owned()).map_err(|error| raised(py, &error, Domain::Client))
}

fn found(py: Python<'_>, configuration: &Configuration) -> PyResult<Found> {
    let environment = Surroundings::of_process().environment;
    let finding = find(None, configuration, &environment);
    let found = wait(py, &Cancel::default(), finding)?;
    found.map_err(|error| raised(py, &error, Domain::Client))
}
