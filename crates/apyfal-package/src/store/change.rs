//! Going back to the version before, and removing a package.

use std::fs;
use std::io;

use apyfal_core::{Cancel, Error, ErrorKind, Result};

use super::sweep::claim;
use super::{CURRENT, Installed, PREVIOUS, Store, is_name, sync};

/// What became of a removed package.
#[derive(Clone, Debug, PartialEq)]
pub struct Uninstalled {
    /// Whether jobs or hosts still use it, so that its files stay until they end.
    pub is_used: bool,
}

impl Store {
    /// Makes the previous version of a package the current one, and the other way round.
    ///
    /// # Errors
    /// It is not installed, or there is no version before.
    pub fn roll_back(&self, name: &str, cancel: &Cancel) -> Result<Installed> {
        self.must_have(name)?;
        let _lock = self.lock(cancel)?;
        // A current version that is damaged is one more reason to go back.
        let current = self.linked(name, CURRENT)?.ok_or_else(|| self.missing(name))?;
        let previous = self.linked(name, PREVIOUS)?.filter(|previous| *previous != current);
        if previous.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "there is no version before")
                .operation(format!("go back with '{name}'"))
                .hint("install the one that is wanted: apyfal install FILE"));
        }
        self.exchange(name, CURRENT, PREVIOUS)?;
        self.find(name)
    }

    /// Removes a package, all its versions. Who uses one keeps it until then.
    ///
    /// # Errors
    /// It is not installed, or cannot be removed.
    pub fn uninstall(&self, name: &str, cancel: &Cancel) -> Result<Uninstalled> {
        self.must_have(name)?;
        let _lock = self.lock(cancel)?;
        let versions: Vec<_> = [self.linked(name, CURRENT)?, self.linked(name, PREVIOUS)?]
            .into_iter()
            .flatten()
            .collect();
        let folder = self.root.join(name);
        for link in [CURRENT, PREVIOUS] {
            match fs::remove_file(folder.join(link)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::from(error).operation(format!("uninstall '{name}'")));
                }
                _ => {}
            }
        }
        sync(&folder)?;
        let is_used = versions.iter().any(|version| claim(&folder.join(version)).is_none());
        self.sweep()?;
        Ok(Uninstalled { is_used })
    }

    /// Refuses a name that is none of an installed package, before anything is made or locked.
    fn must_have(&self, name: &str) -> Result<()> {
        match is_name(name) && self.linked(name, CURRENT)?.is_some() {
            true => Ok(()),
            false => Err(self.missing(name)),
        }
    }
}
