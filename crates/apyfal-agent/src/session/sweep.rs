//! What was left behind, and is swept away.

use std::fs::{self, File};
use std::path::Path;

use apyfal_machine::lock::{Lock, Mode};

use super::{LOCK, PREFIX, RECORD, SOURCE, SessionDir, state};
use crate::root::Root;

impl SessionDir {
    /// Removes what starts and ends left behind that were cut off, and jobs where none can run now: no
    /// other process has a part in the sessions, and this one has opened none yet.
    pub(crate) fn sweep(root: &Root) {
        let Root::Kept { path: root, is_shared, .. } = root else { return };
        // Another one sweeps, or a session is being made; there will be a next time.
        let Some(_root_lock) = lock_of(root) else { return };
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
            if is_ours && is_left_behind(&entry.path()) {
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            } else if is_ours && !is_shared {
                remove_scratch(&entry.path());
            }
        }
    }
}

/// Whether a directory has no record, and no living process is about to give it one.
fn is_left_behind(path: &Path) -> bool {
    let has_record = || path.join(RECORD).symlink_metadata().is_ok();
    if has_record() {
        return false;
    }
    let lock = path.join(LOCK);
    let is_held = lock.exists() && lock_of(&lock).is_none();
    // It may have got its record meanwhile.
    !is_held && !has_record()
}

/// Removes what jobs left in the directory of a session: all but the session itself.
fn remove_scratch(session: &Path) {
    for entry in fs::read_dir(session).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if [RECORD, LOCK, SOURCE].iter().any(|own| name == *own) || state::is_state(&name) {
            continue;
        }
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // As above.
        let _ = match is_directory {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
    }
}

/// The lock of what is there, unless somebody has it.
fn lock_of(path: &Path) -> Option<Lock> {
    Lock::try_on(File::open(path).ok()?, Mode::Exclusive).ok().flatten()
}
