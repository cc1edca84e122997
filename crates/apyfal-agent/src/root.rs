//! Where sessions live.

use std::path::{Path, PathBuf};

use apyfal_core::Result;

use crate::temporary::Temporary;

/// Where the sessions of an agent live.
#[derive(Debug)]
pub enum Root {
    /// Under this directory, where later processes find them. Two agents on the same directory see each
    /// other's sessions.
    Kept {
        /// The directory, which is made with the first session.
        path: PathBuf,
        /// Whether agents of other processes may use it too. Where none does, small jobs are quicker, for
        /// no file needs to be locked for them.
        is_shared: bool,
    },
    /// In this process, with whose agent they end. What they need of the disk is in a directory of their
    /// own, and where they need nothing there is none.
    ForNow(Temporary),
}

impl Root {
    /// The directory, which is there once somebody made a session.
    pub(crate) fn path(&self) -> Result<&Path> {
        match self {
            Self::Kept { path, .. } => Ok(path),
            Self::ForNow(temporary) => temporary.path(),
        }
    }

    /// Whether other processes may have a part in the sessions.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Kept { is_shared: true, .. })
    }

    /// Whether they end with this process.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self, Self::ForNow(_))
    }
}
