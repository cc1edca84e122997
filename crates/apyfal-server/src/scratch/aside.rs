//! Results that the journal does not know: they stay for a while, in case that it was the journal
//! which was lost.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use apyfal_core::Result;

use super::{ASIDE, RESULTS, Scratch};

impl Scratch {
    /// Where results are that the journal does not know.
    pub(crate) fn aside(&self) -> PathBuf {
        self.root.join(ASIDE)
    }

    /// Sets results aside; tells how many. They are given up for others where there is no room.
    ///
    /// # Errors
    /// The directory cannot be read, or the system refuses.
    pub(crate) fn set_aside(&self, is_unknown: impl Fn(&str) -> bool, age: f64) -> Result<usize> {
        // Of a journal that is gone, times mean nothing.
        for (path, since, name) in self.set_aside_before()? {
            if since > age {
                fs::rename(path, self.aside_path(&name, age))?;
            }
        }
        let mut count = 0;
        for entry in fs::read_dir(self.root.join(RESULTS))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_unknown(&name) {
                fs::rename(entry.path(), self.aside_path(&name, age))?;
                self.results.fetch_sub(1, Ordering::Relaxed);
                count += 1;
            }
        }
        self.has_aside.fetch_or(count > 0, Ordering::Relaxed);
        Ok(count)
    }

    /// Removes what was set aside when the journal was no older than this.
    pub(crate) fn expire_aside(&self, age: f64) {
        let aside = self.set_aside_before().unwrap_or_default();
        for (path, ..) in aside.into_iter().filter(|(_, since, _)| *since <= age) {
            self.remove_file(&path);
        }
    }

    /// What is set aside, the oldest first: where, since when, and what it was called.
    pub(super) fn set_aside_before(&self) -> io::Result<Vec<(PathBuf, f64, String)>> {
        let mut aside = Vec::new();
        for entry in fs::read_dir(self.aside())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Anything else is none of ours, or as old as can be.
            let (since, name) = name.split_once('.').unwrap_or(("0", &name));
            aside.push((entry.path(), since.parse().unwrap_or(0.0_f64), name.to_owned()));
        }
        aside.sort_by(|(_, a, _), (_, b, _)| a.total_cmp(b));
        Ok(aside)
    }

    fn aside_path(&self, name: &str, age: f64) -> PathBuf {
        self.aside().join(format!("{age:.0}.{name}"))
    }

    /// Gives up what was set aside, the oldest first, until `is_enough`.
    pub(super) fn give_up_aside(&self, is_enough: impl Fn(&Self) -> bool) {
        if is_enough(self) || !self.has_aside.swap(false, Ordering::Relaxed) {
            return;
        }
        for (path, ..) in self.set_aside_before().unwrap_or_default() {
            if is_enough(self) {
                // There is more of it.
                return self.has_aside.store(true, Ordering::Relaxed);
            }
            self.remove_file(&path);
        }
    }
}
