//! Whether a thread waits for something, as the system tells.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A thread of this process.
#[derive(Debug)]
pub struct Thread(PathBuf);

impl Thread {
    /// The one that asks.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn current() -> io::Result<Self> {
        Ok(Self(Path::new("/proc").join(fs::read_link("/proc/thread-self")?).join("stat")))
    }

    /// Whether it waits: for a file, a lock, the network or the time.
    pub fn waits(&self) -> bool {
        let stat = fs::read_to_string(&self.0).unwrap_or_default();
        // Its name, which stands in brackets, may have any characters.
        stat.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('S'))
    }
}
