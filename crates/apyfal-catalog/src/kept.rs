//! The last good answer of each catalog server, for when it is down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal_core::{ErrorKind, Result, unix_time};
use apyfal_machine::private;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::Catalog;

/// Where one server's answers to one account are kept.
#[derive(Debug)]
pub struct Kept {
    path: Option<PathBuf>,
}

/// That a catalog is not of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// How old it is.
    pub age: Duration,
    /// Why there is no newer one.
    pub why: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// Seconds since 1970.
    fetched: u64,
    catalog: Catalog,
}

impl Kept {
    /// In this directory, which is made when it is needed. Without one nothing is kept.
    pub fn at(directory: Option<&Path>, url: &str, client_id: &str) -> Self {
        let name = digest(&SHA256, format!("{client_id}\n{url}").as_bytes());
        let name = format!("{}.json", HEXLOWER.encode(name.as_ref()));
        Self { path: directory.map(|directory| directory.join(name)) }
    }

    /// What is fetched, which is kept, or else the last that was.
    ///
    /// # Errors
    /// That of fetching, where it is not one that may pass, or nothing was kept.
    pub async fn or_last(
        &self,
        fetch: impl Future<Output = Result<Catalog>>,
    ) -> Result<(Catalog, Option<Stale>)> {
        match fetch.await {
            Ok(catalog) => {
                self.keep(&catalog);
                Ok((catalog, None))
            }
            // Only what may pass is bridged: a refused account, or a catalog that is wrong, is not.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unavailable
                        | ErrorKind::Timeout
                        | ErrorKind::Busy
                        | ErrorKind::Storage
                ) =>
            {
                match self.last() {
                    Some((catalog, age)) => {
                        Ok((catalog, Some(Stale { age, why: error.to_string() })))
                    }
                    None => Err(error.hint("or name another catalog: --catalog FILE")),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn last(&self) -> Option<(Catalog, Duration)> {
        let text = std::fs::read(self.path.as_ref()?).ok()?;
        let Stored { fetched, catalog } = serde_json::from_slice(&text).ok()?;
        Some((catalog, Duration::from_secs(unix_time().as_secs().saturating_sub(fetched))))
    }

    /// Keeps an answer. Where that fails the next trouble is not bridged, which is all.
    fn keep(&self, catalog: &Catalog) {
        let Some(path) = &self.path else { return };
        let Some(directory) = path.parent() else { return };
        let answer = Stored { fetched: unix_time().as_secs(), catalog: catalog.clone() };
        let write = || -> std::io::Result<()> {
            private::make_directory(directory)?;
            private::replace(path, &serde_json::to_vec(&answer)?)
        };
        let _ = write();
    }
}
