//! What is remembered of an installed version.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use semver::Version;
use serde_json::{Value, json};

use super::{FILES, RECORD, manifest};
use crate::{Digest, Manifest};

/// A version of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The accelerator's name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// The SHA-256 of the archive.
    pub digest: Digest,
    /// Where the archive came from, without secrets.
    pub source: String,
    /// When it was installed, in seconds since 1970.
    pub installed: u64,
}

impl Record {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version.to_string(),
            "sha256": self.digest.to_string(),
            "source": self.source,
            "installed": self.installed,
        })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let damaged = || {
            Error::new(ErrorKind::Conflict, "its record is damaged")
                .hint("uninstall it, and install it again")
        };
        let value: Value = serde_json::from_slice(text).map_err(|_| damaged())?;
        let text = |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(damaged);
        Ok(Self {
            name: text("name")?,
            version: Version::parse(&text("version")?).map_err(|_| damaged())?,
            digest: text("sha256")?.parse().map_err(|_| damaged())?,
            source: text("source")?,
            installed: value["installed"].as_u64().unwrap_or_default(),
        })
    }

    /// The name of its directory.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.version, self.digest.short())
    }
}

/// An installed version. Its files stay as long as this does, whatever is installed meanwhile.
#[derive(Debug)]
pub struct Installed {
    /// What is remembered of it.
    pub record: Record,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The directory with its files.
    pub files: PathBuf,
    /// The version before it, which can be had back.
    pub previous: Option<Record>,
    pub(crate) in_use: File,
}

/// Opens the version in a directory, so that it stays. None where it is gone, or going.
pub(super) fn open(folder: &Path) -> Result<Option<Installed>> {
    let path = folder.join(RECORD);
    let reading = |error| Error::from_io(error).operation(format!("read '{}'", path.display()));
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading(error)),
    };
    // Who removes it holds it alone.
    if file.try_lock_shared().is_err() || file.metadata().map_err(reading)?.nlink() == 0 {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(reading)?;
    let (record, manifest) = (Record::parse(&text)?, manifest(folder)?);
    let files = folder.join(FILES);
    let files = std::path::absolute(&files).map_err(reading)?;
    Ok(Some(Installed { record, manifest, files, previous: None, in_use: file }))
}
