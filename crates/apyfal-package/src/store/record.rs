//! What is remembered of an installed version.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::lock::{Lock, Mode};
use semver::Version;
use serde_json::{Value, json};

use super::{FILES, RECORD, SIGNED, manifest, sync, writing};
use crate::signature::PublicKey;
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

    /// The version; where it is that of another too, with what tells the two apart.
    pub fn version_beside(&self, other: &Self) -> String {
        match self.version == other.version {
            true => format!("{} ({})", self.version, self.digest.short()),
            false => self.version.to_string(),
        }
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
    /// The keys whose signature of it was checked when it was installed.
    pub signed_by: Vec<PublicKey>,
    /// The version before it, which can be had back.
    pub previous: Option<Record>,
    pub(crate) in_use: Lock,
}

impl Installed {
    /// Refuses a package that none of these keys signed. Where there are none, nobody needs to have.
    ///
    /// # Errors
    /// [`ErrorKind::Security`] says how to install it with its signature.
    pub fn must_be_signed(&self, keys: &[PublicKey]) -> Result<()> {
        if keys.is_empty() || self.signed_by.iter().any(|key| keys.contains(key)) {
            return Ok(());
        }
        let why = match self.signed_by.is_empty() {
            true => "it was installed without a signature",
            false => "no key that is trusted signed it",
        };
        Err(Error::new(ErrorKind::Security, why)
            .operation(format!("use the package '{}'", self.record.name))
            .hint(format!(
                "install it again, its signature beside it: apyfal install '{}'",
                self.record.source
            ))
            .hint("'package_keys' in section [security] says which keys are trusted"))
    }
}

/// Opens the version in a directory, so that it stays. None where it is gone, or going.
pub(super) fn open(folder: &Path) -> Result<Option<Installed>> {
    let path = folder.join(RECORD);
    let reading = |error| Error::from_io(error).operation(format!("read '{}'", path.display()));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading(error)),
    };
    // Who removes it holds it alone.
    let Ok(Some(in_use)) = Lock::try_on(file, Mode::Shared) else { return Ok(None) };
    let mut file = in_use.file();
    if file.metadata().map_err(reading)?.nlink() == 0 {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(reading)?;
    let (record, manifest) = (Record::parse(&text)?, manifest(folder)?);
    let signed_by = signed_by(folder)?;
    let files = folder.join(FILES);
    let files = std::path::absolute(&files).map_err(reading)?;
    Ok(Some(Installed { record, manifest, files, signed_by, previous: None, in_use }))
}

/// The keys that signed the version in a directory. A line that is no key is none.
fn signed_by(folder: &Path) -> Result<Vec<PublicKey>> {
    let path = folder.join(SIGNED);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| PublicKey::parse(line).ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::from(error).operation(format!("read '{}'", path.display()))),
    }
}

/// Remembers that a key signed the version in a directory. Tells whether that is new.
pub(super) fn sign(folder: &Path, key: &PublicKey) -> Result<bool> {
    let mut keys = signed_by(folder)?;
    if keys.contains(key) {
        return Ok(false);
    }
    keys.push(key.clone());
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    let path = folder.join(SIGNED);
    let write = || {
        // Whoever may read the record may read this: the service of a host is not who installs.
        let mut options = tempfile::Builder::new();
        let mut file = options.permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        io::Result::Ok(())
    };
    write().map_err(|error| writing(&path, error))?;
    sync(folder)?;
    Ok(true)
}
