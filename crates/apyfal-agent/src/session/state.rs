//! What engines keep in the directory of a session.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use apyfal_core::{Directory, Error, Result};

use super::SessionDir;

const STATE: &str = "state";

/// What the engine of a session keeps.
#[derive(Debug)]
pub(crate) struct State<'a> {
    session: &'a SessionDir,
    path: OnceLock<PathBuf>,
}

impl SessionDir {
    /// What the engine of the session keeps, for as long as that lasts.
    pub(crate) fn state(&self) -> State<'_> {
        State { session: self, path: OnceLock::new() }
    }

    /// Forgets the state, for another engine than the one that left something in it.
    pub(crate) fn clear_state(&self) -> Result<()> {
        let Some(path) = self.path.get() else { return Ok(()) };
        match fs::remove_dir_all(path.join(STATE)) {
            Err(error) if error.kind() != IoErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The state of an engine that helps the one of the session; made where it has none.
    pub(crate) fn state_of(&self, engine: &str) -> Result<PathBuf> {
        let path = self.path()?.join(state_name(engine));
        make_directory(&path)?;
        Ok(path)
    }

    /// Whether an engine has helped.
    pub(crate) fn has_state_of(&self, engine: &str) -> bool {
        self.path.get().is_some_and(|path| path.join(state_name(engine)).is_dir())
    }
}

impl Directory for State<'_> {
    fn path(&self) -> Result<&Path> {
        if let Some(path) = self.path.get() {
            return Ok(path);
        }
        let path = self.session.path()?.join(STATE);
        make_directory(&path)?;
        Ok(self.path.get_or_init(|| path))
    }
}

/// Whether what is called so in the directory of a session is what an engine keeps.
pub(super) fn is_state(name: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(STATE.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'-')))
}

fn state_name(engine: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("{STATE}-{}", engine.chars().map(plain).collect::<String>())
}

/// Makes a directory for this user alone, unless it is there already.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != IoErrorKind::AlreadyExists => {
            Err(Error::from(error).operation(format!("make the directory '{}'", path.display())))
        }
        _ => Ok(()),
    }
}
