//! Which files this process has open.

use std::fs;
use std::path::Path;

/// How often this process has a file open.
pub fn times_open(path: &Path) -> usize {
    let Ok(path) = path.canonicalize() else { return 0 };
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == path)).count()
}
