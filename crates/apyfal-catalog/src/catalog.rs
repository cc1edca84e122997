//! The catalog itself.

use std::collections::BTreeMap;

use apyfal_core::{Error, ErrorKind, Result, nearest};
use serde::{Deserialize, Serialize};

use crate::requirements::{EVERY_REGION, HostRequirements, Requirements};

/// The host type of a machine of one's own.
const LOCALHOST: &str = "localhost";

/// A file that is fetched, and known by what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it is: any storage URL. A relative one is beside the catalog.
    pub url: String,
    /// The SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
}

/// What is known of an accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accelerator {
    /// Its package. None for one that is built in, or part of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Artifact>,
    /// What it needs, by host type and region.
    #[serde(default)]
    pub hosts: BTreeMap<String, BTreeMap<String, Requirements>>,
}

/// Accelerators and what they need on which host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// The agent that hosts install, by architecture: `x86_64`.
    #[serde(default)]
    pub agents: BTreeMap<String, Artifact>,
    /// The accelerators, by name.
    pub accelerators: BTreeMap<String, Accelerator>,
}

impl Catalog {
    /// An accelerator, by its name. Case does not count.
    ///
    /// # Errors
    /// There is none, and the error lists what there is, the nearest first.
    pub fn accelerator(&self, name: &str) -> Result<(&str, &Accelerator)> {
        find(&self.accelerators, name).ok_or_else(|| {
            unknown("accelerator", name, self.accelerators.keys().map(String::as_str))
        })
    }

    /// What an accelerator needs on a type of host. `localhost` is always offered.
    ///
    /// # Errors
    /// The accelerator or the host type is unknown; the error lists what there is.
    pub fn requirements(&self, host_type: &str, accelerator: &str) -> Result<HostRequirements> {
        let (name, entry) = self.accelerator(accelerator)?;
        let (host_type, regions) = match find(&entry.hosts, host_type) {
            Some((known, regions)) => (known, regions.clone()),
            None if host_type.eq_ignore_ascii_case(LOCALHOST) => {
                let anywhere = (EVERY_REGION.to_owned(), Requirements::default());
                (LOCALHOST, BTreeMap::from([anywhere]))
            }
            None => {
                let offered = entry.hosts.keys().map(String::as_str).chain([LOCALHOST]);
                return Err(unknown("host type", host_type, offered)
                    .operation(format!("find where '{name}' runs")));
            }
        };
        Ok(HostRequirements {
            accelerator: name.to_owned(),
            host_type: host_type.to_owned(),
            regions,
        })
    }

    /// The files that it names: packages and agents.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let packages = self.accelerators.values().filter_map(|entry| entry.package.as_ref());
        packages.chain(self.agents.values())
    }

    /// The same, to say where they are.
    pub fn artifacts_mut(&mut self) -> impl Iterator<Item = &mut Artifact> {
        let packages = self.accelerators.values_mut().filter_map(|entry| entry.package.as_mut());
        packages.chain(self.agents.values_mut())
    }
}

fn find<'a, T>(map: &'a BTreeMap<String, T>, name: &str) -> Option<(&'a str, &'a T)> {
    let mut entries = map.iter();
    let found = entries.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((found.0.as_str(), found.1))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("the catalog has no {what} '{name}'"));
    let near = nearest(name, known.clone());
    let mut list: Vec<_> = known.filter(|known| Some(*known) != near).collect();
    list.dedup();
    list.splice(0..0, near);
    if list.is_empty() {
        return error.hint("the catalog is empty");
    }
    error.hint(format!("it has: {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let text = "[accelerator.gzip.AWS.eu-west-1]\nimage = 'ami-1'\n\
                    [accelerator.gzip.AWS.us-east-1]\nimage = 'ami-2'\n\
                    [accelerator.gunzip.OpenStack.'*']\nimage = 'ubuntu'\n";
        Catalog::parse(text, "catalog.toml").unwrap()
    }

    #[test]
    fn what_is_unknown_is_answered_with_what_there_is() {
        let catalog = catalog();
        let error = catalog.requirements("AWS", "gzp").unwrap_err();
        assert_eq!(error.to_string(), "the catalog has no accelerator 'gzp'");
        assert_eq!(error.hints(), ["it has: gzip, gunzip"], "the nearest first");
        let error = catalog.requirements("Azure", "gzip").unwrap_err();
        assert_eq!(error.hints(), ["it has: AWS, localhost"]);
        let found = catalog.requirements("aws", "GZIP").unwrap();
        assert_eq!(found.accelerator, "gzip");
        let error = found.region(Some("eu-west-2")).unwrap_err();
        assert_eq!(error.hints(), ["did you mean 'eu-west-1'?", "there is: eu-west-1, us-east-1"]);
        assert!(found.region(None).unwrap_err().hints()[0].contains("us-east-1"));
        assert!(found.region(Some("us-east-1")).is_ok());
    }

    #[test]
    fn a_machine_of_ones_own_needs_no_region() {
        let found = catalog().requirements("localhost", "gzip").unwrap();
        assert_eq!(found.region(None).unwrap(), &Requirements::default());
        let found = catalog().requirements("OpenStack", "gunzip").unwrap();
        assert!(found.region(Some("anywhere")).unwrap().image.is_some());
    }
}
