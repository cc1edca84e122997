//! An archive becomes an installed version.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use apyfal_core::{Cancel, Error, ErrorKind, Result, unix_time};

use super::{CURRENT, FILES, Installed, NEW, RECORD, Record, Store, manifest, record, sync};
use crate::archive::{self, Limits};
use crate::digest::Hasher;
use crate::signature::{self, PublicKey};
use crate::{Digest, MachineFacts, Manifest, self_test};

/// An archive that came from somewhere and is whole. It has no name on the disk.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    digest: Digest,
    signed_by: Option<PublicKey>,
}

impl Incoming {
    /// What it is known by.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks that one of the keys signed it, which is remembered with what is installed.
    ///
    /// # Errors
    /// None did.
    pub fn verify(&mut self, signature: &str, keys: &[PublicKey]) -> Result<()> {
        self.signed_by = Some(signature::verify(&mut self.file, signature, keys)?.clone());
        Ok(())
    }
}

/// Under what conditions a package is installed.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The accelerator that it must be.
    pub name: Option<String>,
    /// The machine it is to run on.
    pub machine: MachineFacts,
    /// How much it may hold.
    pub limits: Limits,
    /// Where locks of `executable` programs are, for the self-test.
    pub locks: PathBuf,
    /// Whether the self-test must succeed.
    pub test: bool,
    /// Where it came from, as it is to be remembered.
    pub source: String,
}

/// What installing came to.
#[derive(Debug)]
pub enum Outcome {
    /// It is the current version now, or a key is known now that signed it.
    Installed(Installed),
    /// It was so before.
    Unchanged(Installed),
}

impl Store {
    /// Takes in an archive: all of it, as long as it may be, with the digest that is expected.
    ///
    /// # Errors
    /// Reading failed, the disk is full, or the archive is not what it should be.
    pub fn receive(
        &self,
        from: impl Read,
        limits: &Limits,
        expected: Option<&Digest>,
        cancel: &Cancel,
    ) -> Result<Incoming> {
        self.make()?;
        let keeping = |error| {
            Error::from_io(error)
                .operation(format!("keep the package in '{}'", self.root.display()))
        };
        let mut file = tempfile::tempfile_in(&self.root).map_err(keeping)?;
        let mut hasher = Hasher::default();
        let (mut from, mut left) = (from, limits.archive);
        // What is no package shows so at once: it may be as long as the disk is large.
        let start = archive::begin(&mut from)?;
        let mut from = start.as_slice().chain(from);
        let mut buffer = vec![0; 256 << 10];
        loop {
            cancel.check()?;
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(rest) = left.checked_sub(count as u64) else {
                let why = format!("it is longer than {} bytes", limits.archive);
                return Err(Error::new(ErrorKind::Security, why)
                    .hint("is it a package? such a large one cannot be installed"));
            };
            left = rest;
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(keeping)?;
        }
        let digest = hasher.finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let why = format!("its SHA-256 is {digest}, not {expected}");
            return Err(Error::new(ErrorKind::Security, why)
                .hint("it changed, or the digest is that of another version"));
        }
        archive::check(&mut file, cancel)?;
        Ok(Incoming { file, digest, signed_by: None })
    }

    /// Installs an archive: nothing changes before all of it is on the disk and its self-test
    /// succeeded. The version that was current stays, as the previous one.
    ///
    /// # Errors
    /// It cannot run here, its self-test fails, or the disk is full: then all is as it was.
    pub fn install(&self, incoming: Incoming, terms: &Terms, cancel: &Cancel) -> Result<Outcome> {
        let Incoming { mut file, digest, signed_by } = incoming;
        let _lock = self.lock(cancel)?;
        if let Some(current) = self.with_digest(digest, terms.name.as_deref())? {
            let Some(key) = signed_by else { return Ok(Outcome::Unchanged(current)) };
            let is_new = record::sign(&self.folder(&current.record), &key)?;
            let current = self.find(&current.record.name)?;
            // Who did not trust it may do so now.
            return Ok(match is_new {
                true => Outcome::Installed(current),
                false => Outcome::Unchanged(current),
            });
        }
        self.sweep()?;
        let made = tempfile::Builder::new().prefix(NEW).tempdir_in(&self.root);
        let made = made.map_err(|error| {
            Error::from(error).operation(format!("make a directory in '{}'", self.root.display()))
        })?;
        let files = made.path().join(FILES);
        fs::create_dir(&files)?;
        archive::unpack(&mut file, &files, &terms.limits, cancel)?;
        let manifest = manifest(made.path())?;
        let title = format!("install {} {}", manifest.name, manifest.version);
        is_named(&manifest.name, terms.name.as_deref()).map_err(|error| titled(error, &title))?;
        let record = Record {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest,
            source: terms.source.clone(),
            installed: unix_time().as_secs(),
        };
        let checked = self.check(&manifest, &files, terms, cancel);
        checked.map_err(|error| self.with_what_stays(&record, titled(error, &title)))?;
        self.keep(&record, signed_by.as_ref(), made)
            .map_err(|error| self.with_what_stays(&record, titled(error, &title)))?;
        self.sweep()?;
        self.find(&record.name).map(Outcome::Installed)
    }

    /// The package whose current version has this digest.
    ///
    /// # Errors
    /// The store cannot be read, or it is another accelerator than the one of this name.
    pub fn with_digest(&self, digest: Digest, name: Option<&str>) -> Result<Option<Installed>> {
        let mut current = self.list()?.into_iter().filter_map(|(_, found)| found.ok());
        let found = current.find(|found| found.record.digest == digest);
        if let Some(found) = &found {
            is_named(&found.record.name, name)?;
        }
        Ok(found)
    }

    /// Whether it can run here, and does.
    fn check(
        &self,
        manifest: &Manifest,
        files: &Path,
        terms: &Terms,
        cancel: &Cancel,
    ) -> Result<()> {
        manifest.check_files(files, |name| files.join(name).exists())?;
        manifest.check_machine(&terms.machine)?;
        let files = std::path::absolute(files)?;
        let declaration = manifest.declaration(&files)?;
        match &manifest.test {
            Some(test) if terms.test => {
                self_test::run(declaration, test, &files, &terms.locks, &self.root, cancel)
            }
            _ => Ok(()),
        }
    }

    /// Gives a complete directory its name, and makes it the current version.
    fn keep(
        &self,
        record: &Record,
        signed_by: Option<&PublicKey>,
        made: tempfile::TempDir,
    ) -> Result<()> {
        let text = format!("{:#}\n", record.to_json());
        let mut file = File::create_new(made.path().join(RECORD))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync(made.path())?;
        let folder = self.root.join(&record.name);
        if !folder.is_dir() {
            fs::create_dir(&folder)?;
            sync(&self.root)?;
        }
        let (version, place) = (record.folder(), self.folder(record));
        // It is there where it is the previous version, or was removed while somebody uses it.
        if place.exists() {
            must_be(&place, record)?;
        } else {
            fs::rename(made.path(), &place)?;
            sync(&folder)?;
        }
        if let Some(key) = signed_by {
            record::sign(&place, key)?;
        }
        match self.linked(&record.name, CURRENT)? {
            Some(before) if before != version => self.replace(&record.name, &version),
            _ => self.link(&record.name, CURRENT, &version),
        }
    }

    /// The directory of a version.
    fn folder(&self, record: &Record) -> PathBuf {
        self.root.join(&record.name).join(record.folder())
    }

    /// Says which version is still the current one, where another was not installed.
    fn with_what_stays(&self, other: &Record, error: Error) -> Error {
        match self.find(&other.name) {
            Ok(current) => {
                let version = current.record.version_beside(other);
                error.hint(format!("{} {version} stays in use", other.name))
            }
            Err(_) => error,
        }
    }
}

/// Refuses a directory with another version than this one, whose name would be the same: eight digits
/// of two digests can be made to agree.
fn must_be(place: &Path, record: &Record) -> Result<()> {
    let path = place.join(RECORD);
    let text = fs::read(&path)
        .map_err(|error| Error::from(error).operation(format!("read '{}'", path.display())))?;
    if Record::parse(&text)?.digest == record.digest {
        return Ok(());
    }
    let why = "another package of this version is there, whose SHA-256 begins with the same digits";
    Err(Error::new(ErrorKind::Conflict, why)
        .hint(format!("remove it first: apyfal uninstall {}", record.name)))
}

/// Refuses another accelerator than the one that is meant.
fn is_named(found: &str, wanted: Option<&str>) -> Result<()> {
    match wanted.filter(|wanted| *wanted != found) {
        None => Ok(()),
        Some(wanted) => {
            Err(Error::new(ErrorKind::InvalidData, format!("it is not '{wanted}' but '{found}'")))
        }
    }
}

/// The error of a step, as one of the whole.
fn titled(error: Error, title: &str) -> Error {
    if error.is_cancelled() {
        return error;
    }
    error.as_reason().operation(title)
}
