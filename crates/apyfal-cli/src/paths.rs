//! Paths that are remembered beyond the command that they were given to.

use std::path::{Path, absolute};

use apyfal::{Location, Result};

/// A path or URL that still means the same in another directory.
///
/// # Errors
/// It is a URL and wrong, or the working directory is gone.
pub(crate) fn remembered(url: &str) -> Result<String> {
    let is_path = !url.contains("://") && !url.starts_with('~');
    if is_path && Location::parse(url)?.is_local() {
        return Ok(absolute(url)?.to_string_lossy().into_owned());
    }
    Ok(url.to_owned())
}

/// Whether a path leads to what gives its data once: a pipe, such as a shell makes of `<(…)`.
pub(crate) fn is_read_once(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}
