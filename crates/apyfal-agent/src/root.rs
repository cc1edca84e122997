//! Where sessions live.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        /// What must be left of the disk that it is on.
        room: Room,
    },
    /// In this process, with whose agent they end. What they need of the disk is in a directory of their
    /// own, and where they need nothing there is none.
    ForNow(Temporary),
}

/// What jobs and starts must leave of a disk to others, who may do without it where this is the default.
#[derive(Clone, Default)]
pub struct Room(Option<Arc<Check>>);

type Check = dyn Fn(u64) -> Result<()> + Send + Sync;

impl Room {
    /// So much that `check` has nothing against so many bytes more.
    pub fn new(check: impl Fn(u64) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(check)))
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").field(&self.0.is_some()).finish()
    }
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

    /// Refuses to have so many bytes more on the disk, where others need what is left of it.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<()> {
        match self {
            Self::Kept { room: Room(Some(check)), .. } => check(bytes),
            _ => Ok(()),
        }
    }

    /// Whether they end with this process.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self, Self::ForNow(_))
    }
}
