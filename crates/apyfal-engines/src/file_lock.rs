//! A lock that processes share: `flock` on a file that is made for it and stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use apyfal_core::{Error, JobContext, Result};

/// Waits until nobody else, in this process or another, holds the lock. It is held as long as the
/// file is open, however the process ends.
///
/// # Errors
/// The file cannot be made, or the job was cancelled while it waited.
pub(crate) fn lock(path: &Path, ctx: &JobContext) -> Result<File> {
    let failed =
        |error: std::io::Error| Error::from(error).operation(format!("lock '{}'", path.display()));
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                ctx.check()?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}
