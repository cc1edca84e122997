//! What one host needs.

use std::collections::BTreeMap;

use apyfal_core::{Error, ErrorKind, Result, nearest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Image;

/// The region that stands for all that are not named.
pub const EVERY_REGION: &str = "*";

/// What an accelerator needs in one region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requirements {
    /// The machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Other images that serve as well, by a name to choose them by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, Image>,
    /// The type or flavor of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<String>,
    /// The FPGA image, where it needs one: `agfi-…` on AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fpgaimage: Option<String>,
    /// What else the host's accelerator is told when it starts.
    #[serde(flatten)]
    pub environment: Map<String, Value>,
}

/// What an accelerator needs on one type of host: by region, or the same everywhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostRequirements {
    /// The accelerator's name.
    pub accelerator: String,
    /// The type of host.
    #[serde(skip)]
    pub host_type: String,
    /// By region. [`EVERY_REGION`] stands for those without an entry of their own; a machine of
    /// one's own has no region and that entry alone.
    #[serde(flatten)]
    pub regions: BTreeMap<String, Requirements>,
}

impl HostRequirements {
    /// What is needed in a region.
    ///
    /// # Errors
    /// There is no entry for that region, or none was named where they differ. The error lists what
    /// there is.
    pub fn region(&self, region: Option<&str>) -> Result<&Requirements> {
        if let Some(found) = region.and_then(|region| self.regions.get(region)) {
            return Ok(found);
        }
        if let Some(everywhere) = self.regions.get(EVERY_REGION) {
            return Ok(everywhere);
        }
        if let (None, Some(only)) = (region, self.regions.values().next())
            && self.regions.len() == 1
        {
            return Ok(only);
        }
        let named = self.regions.keys().map(String::as_str);
        let list = named.clone().collect::<Vec<_>>().join(", ");
        let doing = format!("find where '{}' runs", self.accelerator);
        Err(match region {
            None => Error::new(ErrorKind::Usage, "it differs by region, and none is named")
                .operation(doing)
                .hint(format!("name one: {list}")),
            Some(region) => {
                let error =
                    Error::new(ErrorKind::NotFound, format!("it is not offered in '{region}'"))
                        .operation(doing);
                let error = match nearest(region, named) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error,
                };
                error.hint(format!("there is: {list}"))
            }
        })
    }
}
