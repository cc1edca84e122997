//! Directories for what need not outlive its process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use apyfal_core::{Error, Result};
use apyfal_machine::lock::{Lock, Mode};
use tempfile::TempDir;

const PREFIX: &str = "apyfal-";
/// The file in it that its process holds locked as long as it lives. Without it a directory is none of
/// ours, whatever it is called.
const HELD: &str = ".held";
/// One that is younger may not be locked yet by the process that makes it.
const YOUNG: Duration = Duration::from_secs(3600);

/// A directory that is made when it is first needed, and goes with its process. One that was killed
/// leaves it, and a later one removes it.
#[derive(Debug)]
pub struct Temporary {
    below: PathBuf,
    made: OnceLock<Made>,
}

#[derive(Debug)]
struct Made {
    folder: TempDir,
    /// Where nothing can be locked, nothing is taken for left behind either.
    _held: Option<Lock>,
}

impl Temporary {
    /// One that will be below `place`.
    pub fn below(place: PathBuf) -> Self {
        Self { below: place, made: OnceLock::new() }
    }

    /// Where it is.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn path(&self) -> Result<&Path> {
        if let Some(made) = self.made.get() {
            return Ok(made.folder.path());
        }
        let made = Made::below(&self.below).map_err(|error| {
            Error::from(error)
                .operation(format!("make a directory in '{}'", self.below.display()))
                .hint("name a directory that can be written in TMPDIR")
        })?;
        // Where another thread was quicker, this one is removed again.
        Ok(self.made.get_or_init(|| made).folder.path())
    }
}

impl Made {
    fn below(place: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let file = File::create_new(folder.path().join(HELD))?;
        let user = file.metadata()?.uid();
        let held = Lock::try_on(file, Mode::Shared).ok().flatten();
        sweep(place, user);
        Ok(Self { folder, _held: held })
    }
}

/// Removes what processes of this user left behind that were killed.
fn sweep(place: &Path, user: u32) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_ours && is_left_behind(&entry.path(), user) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left_behind(path: &Path, user: u32) -> bool {
    let Ok(found) = path.symlink_metadata() else { return false };
    let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    found.is_dir()
        && found.uid() == user
        && age.is_some_and(|age| age > YOUNG)
        && File::open(path.join(HELD))
            .and_then(|file| Lock::try_on(file, Mode::Exclusive))
            .is_ok_and(|lock| lock.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_left_behind_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * YOUNG;
        let make = |name: &str, is_old: bool| {
            let path = place.path().join(name);
            fs::create_dir_all(path.join("session")).unwrap();
            let held = File::create(path.join(HELD)).unwrap();
            if is_old {
                File::open(&path).unwrap().set_modified(long_ago).unwrap();
            }
            held
        };
        make("apyfal-left", true);
        let held = make("apyfal-held", true);
        held.lock_shared().unwrap();
        make("apyfal-young", false);
        make("other", true);
        let file = File::create(place.path().join("apyfal-file")).unwrap();
        file.set_modified(long_ago).unwrap();
        // What a user called so.
        fs::create_dir_all(place.path().join("apyfal-photos/results")).unwrap();
        let photos = File::open(place.path().join("apyfal-photos")).unwrap();
        photos.set_modified(long_ago).unwrap();

        let of_a_process = || Temporary::below(place.path().to_owned());
        let own = of_a_process();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 6, "nobody needed it yet");
        File::open(own.path().unwrap()).unwrap().set_modified(long_ago).unwrap();
        let another = of_a_process();
        another.path().unwrap();
        assert!(own.path().unwrap().exists(), "its process lives");
        for (name, stays) in [
            ("apyfal-left", false),
            ("apyfal-held", true),
            ("apyfal-young", true),
            ("other", true),
            ("apyfal-file", true),
            ("apyfal-photos", true),
        ] {
            assert_eq!(place.path().join(name).exists(), stays, "{name}");
        }
    }
}
