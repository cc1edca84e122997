//! The lock of a slot, and what it says of the slot.
//!
//! The file is locked by whoever uses the slot, which ends with the process however that ends. What
//! is written in it outlives the process: that somebody uses the slot, until it was used up well.
//! So a lock that is free while its file says "busy" is that of a user who was killed.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use apyfal_core::{Error, Result, unix_time};
use apyfal_machine::lock::{self, Lock};
use serde::{Deserialize, Serialize};

/// A record is no longer than this.
const LIMIT: u64 = 4096;

/// Who uses a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What for: the accelerator's name.
    pub what: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl Holder {
    /// This process.
    pub(crate) fn this(what: &str) -> Self {
        Self {
            pid: std::process::id(),
            uid: rustix::process::geteuid().as_raw(),
            what: what.to_owned(),
            since: unix_time().as_secs(),
        }
    }
}

/// What the file says of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Record {
    /// It was used up well, and has this image since this load.
    Idle { image: Option<String>, load: u64 },
    /// It is being used, or its last user did not come to an end. It has this image, once it is
    /// loaded.
    Busy {
        holder: Holder,
        #[serde(default)]
        image: Option<String>,
    },
}

impl Record {
    /// The image that the slot has.
    pub(crate) fn image(&self) -> Option<&str> {
        match self {
            Self::Idle { image, .. } | Self::Busy { image, .. } => image.as_deref(),
        }
    }

    /// What the file of a slot says at this moment. None where nobody has written anything yet.
    ///
    /// # Errors
    /// The file cannot be opened, or is somebody else's own.
    pub(crate) fn peek(path: &Path) -> Result<Option<Self>> {
        read(&lock::open_for_all(path)?).map_err(|error| of(path, error))
    }
}

/// The lock of a slot, held.
#[derive(Debug)]
pub(crate) struct Held(Lock);

impl Held {
    /// Takes the lock, unless somebody has it.
    ///
    /// # Errors
    /// As [`Record::peek`].
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        Ok(Lock::try_for_all(path)?.map(Self))
    }

    /// What is written.
    pub(crate) fn read(&mut self) -> Result<Option<Record>> {
        Ok(read(self.0.file())?)
    }

    /// Writes something else. Half of it is no record, and so as good as that of a user who died.
    pub(crate) fn write(&mut self, record: &Record) -> Result<()> {
        let text = serde_json::to_string(record).map_err(std::io::Error::from)?;
        let mut file = self.0.file();
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        Ok(())
    }
}

fn read(mut file: &File) -> std::io::Result<Option<Record>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LIMIT).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let unknown = Holder { pid: 0, uid: 0, what: "unknown".to_owned(), since: 0 };
    Ok(Some(serde_json::from_slice(&text).unwrap_or(Record::Busy { holder: unknown, image: None })))
}

fn of(path: &Path, error: std::io::Error) -> Error {
    Error::from(error).operation(format!("read '{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_that_of_a_user_who_died() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slot");
        assert_eq!(Record::peek(&path).unwrap(), None);
        let mut held = Held::take(&path).unwrap().unwrap();
        let busy =
            Record::Busy { holder: Holder::this("a longer name than the next"), image: None };
        held.write(&busy).unwrap();
        assert_eq!(held.read().unwrap(), Some(busy));
        let idle = Record::Idle { image: Some("x".to_owned()), load: 7 };
        held.write(&idle).unwrap();
        assert_eq!(Record::peek(&path).unwrap(), Some(idle));
        std::fs::write(&path, "{\"state\":\"idle\",\"ima").unwrap();
        assert!(matches!(held.read().unwrap(), Some(Record::Busy { .. })));
    }
}
