//! Directories that are made when they are first needed: most jobs need none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;

/// A directory that need not be there before somebody asks where it is.
pub trait Directory: fmt::Debug + Send + Sync {
    /// Where it is. From then on it is there.
    ///
    /// # Errors
    /// It cannot be made.
    fn path(&self) -> Result<&Path>;

    /// Refuses to have so many bytes more in it.
    ///
    /// # Errors
    /// Others need what is left of its disk.
    fn check_room(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// One that is there already.
impl<P: AsRef<Path> + fmt::Debug + Send + Sync> Directory for P {
    fn path(&self) -> Result<&Path> {
        Ok(self.as_ref())
    }
}

/// The directory of a job for its temporary files. Clones are the same.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<dyn Directory>);

impl Scratch {
    /// This directory.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self(directory)
    }

    pub(crate) fn path(&self) -> Result<&Path> {
        self.0.path()
    }

    pub(crate) fn check_room(&self, bytes: u64) -> Result<()> {
        self.0.check_room(bytes)
    }
}

/// One that is there already.
impl<P: Into<PathBuf>> From<P> for Scratch {
    fn from(path: P) -> Self {
        Self(Arc::new(path.into()))
    }
}
