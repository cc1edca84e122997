//! What is done to every file: other parameters are other work.

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_storage::{Location, Storage};
use serde_json::{Map, Value, json};

use super::journal::{Stamp, fingerprint};
use crate::Accelerator;

/// Stands for an accelerator, its parameters and what it is started with.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(crate) now: String,
    /// The same as earlier versions made it.
    pub(crate) before: String,
}

impl Asked {
    /// What a caller asks for: parameters one by one, full ones, and the URL of what the accelerator is
    /// started with, whose content counts. What the configuration says of all that counts as well.
    ///
    /// # Errors
    /// What it is started with is not there, or can be read only once; or the accelerator or what
    /// the configuration names cannot be asked for.
    pub async fn of(
        accelerator: &Accelerator,
        keywords: &Map<String, Value>,
        full: Option<&Value>,
        start_src: Option<&str>,
    ) -> Result<Self> {
        let info = accelerator.info().await?;
        let [start, process] = accelerator.configured().await?.map(|all| all.specific);
        let src = start.get("datafile").and_then(Value::as_str);
        let src = start_src.or(src.filter(|src| !src.is_empty()));
        let started_with = match src {
            None => None,
            Some(src) => Some(started_with(src, accelerator.storage()).await?),
        };
        let configured =
            (!start.is_empty() || !process.is_empty()).then(|| json!([start, process]));
        let asked = |of: fn(&Stamp, &Location) -> Stamp| {
            let started = started_with.as_ref();
            let started = started.map(|(at, stamp)| format!("{at} {:?}", of(stamp, at)));
            // Where nothing is configured, it is what earlier versions made.
            let all = match &configured {
                None => json!([info.name, keywords, full, started]),
                Some(configured) => json!([info.name, keywords, full, started, configured]),
            };
            fingerprint(&all.to_string())
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
