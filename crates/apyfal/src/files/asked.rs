//! What is done to every file: other parameters are other work.

use apyfal_core::{AcceleratorInfo, Error, ErrorKind, Result};
use apyfal_storage::{Location, Storage};
use serde_json::{Map, Value, json};

use super::journal::{Stamp, fingerprint};

/// Stands for an accelerator, its parameters and what it is started with.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(crate) now: String,
    /// The same as earlier versions made it.
    pub(crate) before: String,
}

impl Asked {
    /// What a caller asks for: parameters one by one, full ones, and the URL of what the accelerator is
    /// started with, whose content counts.
    ///
    /// # Errors
    /// What it is started with is not there, or can be read only once.
    pub async fn of(
        info: &AcceleratorInfo,
        keywords: &Map<String, Value>,
        full: Option<&Value>,
        start_src: Option<&str>,
        storage: &Storage,
    ) -> Result<Self> {
        let started_with = match start_src {
            None => None,
            Some(src) => Some(started_with(src, storage).await?),
        };
        let asked = |of: fn(&Stamp, &Location) -> Stamp| {
            let start = started_with
                .as_ref()
                .map(|(location, stamp)| format!("{location} {:?}", of(stamp, location)));
            fingerprint(&json!([info.name, keywords, full, start]).to_string())
        };
        Ok(Self { now: asked(|stamp, _| stamp.clone()), before: asked(Stamp::before) })
    }
}

async fn started_with(src: &str, storage: &Storage) -> Result<(Location, Stamp)> {
    let location = Location::parse(src)?;
    if location == Location::Standard {
        return Err(Error::new(ErrorKind::Usage, "what is read once cannot be compared next time")
            .operation("start with standard input")
            .hint("name a file"));
    }
    let stamp = Stamp::of(&location, storage).await?;
    Ok((location, stamp))
}
