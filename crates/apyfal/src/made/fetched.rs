//! What a new machine fetches before it has anything of ours.

use std::path::PathBuf;

use apyfal_catalog::Artifact;
use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_storage::Location;

use super::agent::sha256;
use crate::catalog::fetched_from;

/// A file that a new machine fetches, and knows by its SHA-256.
#[derive(Clone, Debug)]
pub(super) enum Fetched {
    /// From the web.
    Web(Artifact),
    /// From this machine: its provider puts it where the new one gets it.
    File(apyfal_providers::Artifact),
}

impl Fetched {
    /// What a configuration or catalog names.
    ///
    /// # Errors
    /// It is nowhere where a new machine could get it.
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        let location = fetched_from(artifact)?;
        match &location {
            Location::Http(_) => Ok(Self::Web(artifact.clone())),
            Location::File(path) => {
                let path = std::path::absolute(path)?;
                // Before anything is made for it.
                std::fs::metadata(&path).map_err(|error| {
                    Error::from(error).operation(format!("have a new machine fetch '{location}'"))
                })?;
                let sha256 = artifact.sha256.to_ascii_lowercase();
                Ok(Self::File(apyfal_providers::Artifact { path, sha256 }))
            }
            _ => Err(Error::new(
                ErrorKind::Usage,
                "it is neither a web address nor a file of this machine",
            )
            .operation(format!("have a new machine fetch '{location}'"))),
        }
    }

    /// A file of this machine.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn file(path: PathBuf, cancel: &Cancel) -> Result<Self> {
        let sha256 = sha256(&path, cancel)?;
        Ok(Self::File(apyfal_providers::Artifact { path, sha256 }))
    }

    /// Its URL in a script.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Web(artifact) => artifact.url.clone(),
            Self::File(artifact) => artifact.place(),
        }
    }

    /// As a script names it.
    pub(super) fn artifact(&self) -> Artifact {
        let sha256 = match self {
            Self::Web(artifact) => artifact.sha256.clone(),
            Self::File(artifact) => artifact.sha256.clone(),
        };
        Artifact { url: self.url(), sha256 }
    }

    /// The file, where it is one of this machine.
    pub(super) fn here(&self) -> Option<&apyfal_providers::Artifact> {
        match self {
            Self::Web(_) => None,
            Self::File(artifact) => Some(artifact),
        }
    }
}
