//! What is in a store.

use apyfal_core::{Error, ErrorKind, Result};
use futures::TryStreamExt;

use crate::location::{ObjectLocation, split_scheme};
use crate::{Location, Storage, object};

/// An object that a store listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub location: Location,
    /// Its length in bytes.
    pub len: u64,
    /// Changes with its content, where the store tells.
    pub version: Option<String>,
}

impl Storage {
    /// All objects of a store whose URL begins with `url`, such as `s3://bucket/` or
    /// `s3://bucket/photos/2026-`, in the order of their names.
    ///
    /// # Errors
    /// `url` names no bucket of a store, or the store cannot be listed.
    pub async fn list(&self, url: &str) -> Result<Vec<Listed>> {
        let place = ObjectLocation::prefix(url)?;
        let bucket = self.bucket(&place).await?;
        let failed = |error| bucket.error(error, "list", &place);
        let folder = place.key.rfind('/').map_or("", |end| &place.key[..=end]);
        let lister = bucket.operator().lister_with(folder).recursive(true);
        let mut entries = lister.await.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.try_next().await.map_err(failed)? {
            if entry.metadata().is_dir() || !entry.path().starts_with(&place.key) {
                continue;
            }
            let object = ObjectLocation { key: entry.path().to_owned(), ..place.clone() };
            found.push(Listed {
                location: Location::Object(object),
                len: entry.metadata().content_length(),
                version: object::version(entry.metadata()),
            });
        }
        found.sort_by_cached_key(|listed| listed.location.to_string());
        Ok(found)
    }
}

impl ObjectLocation {
    /// What a URL begins with that names several objects, and so may have an empty name.
    fn prefix(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::StorageConfiguration, why).operation(format!("list '{url}'"))
        };
        let Some((scheme, rest)) = split_scheme(url) else { return Err(wrong("it is no URL")) };
        if matches!(scheme.as_str(), "file" | "host" | "http" | "https") {
            return Err(wrong("only stores of objects can be listed")
                .hint("name the files in a list, one on each line"));
        }
        let (container, key) = rest.split_once('/').unwrap_or((rest, ""));
        // The same rules as for a single object.
        Self::parse(&scheme, &format!("{container}/name"))?;
        Ok(Self { scheme, container: container.to_owned(), key: key.to_owned() })
    }
}
