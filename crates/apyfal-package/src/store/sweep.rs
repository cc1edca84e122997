//! What is left over goes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use apyfal_core::{Error, Result};
use apyfal_machine::lock::{Lock, Mode};

use super::{CURRENT, NEW, PREVIOUS, RECORD, Store};

impl Store {
    /// Removes what no link leads to, unless somebody still uses it. Only for who holds the lock.
    pub(super) fn sweep(&self) -> Result<()> {
        for entry in entries(&self.root)? {
            if entry.starts_with(NEW) {
                remove(&self.root.join(entry))?;
            }
        }
        for name in self.names()? {
            let folder = self.root.join(&name);
            let linked = [self.linked(&name, CURRENT)?, self.linked(&name, PREVIOUS)?];
            let mut stays = false;
            for entry in entries(&folder)? {
                let is_linked = linked.iter().flatten().any(|version| *version == entry);
                if is_linked || entry == CURRENT || entry == PREVIOUS {
                    stays = true;
                } else if let Some(_claim) = claim(&folder.join(&entry)) {
                    remove(&folder.join(entry))?;
                } else {
                    stays = true;
                }
            }
            if !stays {
                remove(&folder)?;
            }
        }
        Ok(())
    }
}

/// The right to remove a version, while it is held. None where a process has it open.
pub(super) fn claim(version: &Path) -> Option<Claim> {
    match File::open(version.join(RECORD)) {
        Ok(record) => match Lock::try_on(record, Mode::Exclusive) {
            Ok(Some(lock)) => Some(Claim(Some(lock))),
            _ => None,
        },
        // Without a record nobody can have opened it.
        Err(_) => Some(Claim(None)),
    }
}

#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "it is held, not read")] Option<Lock>);

fn entries(folder: &Path) -> Result<Vec<String>> {
    let reading = |error| Error::from_io(error).operation(format!("read '{}'", folder.display()));
    let mut names = Vec::new();
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        // A file that has such a name is none of ours.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(names),
        Err(error) => return Err(reading(error)),
    };
    for entry in found {
        names.push(entry.map_err(reading)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Removes a file, a link or a directory. The record of a version goes first: without it, nobody
/// takes the version for complete, whenever this ends.
fn remove(path: &Path) -> Result<()> {
    let removing = |error| Error::from_io(error).operation(format!("remove '{}'", path.display()));
    let is_folder = fs::symlink_metadata(path).map_err(removing)?.is_dir();
    if !is_folder {
        return fs::remove_file(path).map_err(removing);
    }
    match fs::remove_file(path.join(RECORD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(removing(error)),
        _ => {}
    }
    fs::remove_dir_all(path).map_err(removing)
}
