//! Directories of a host that users of its storage may see.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Input, Output, Result, Source};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::{Local, PendingFile, READ, input, io_error};

/// The directories inside which `host://` paths may lie.
///
/// A path is allowed if it lies in any of them after symbolic links are resolved. The system itself
/// then opens it beneath that directory (`openat2` with `RESOLVE_BENEATH`, Linux 5.6), so that a
/// link changed at the last moment leads nowhere else. Only files are opened: what lies in a
/// directory would be opened by name again.
#[derive(Clone, Debug, Default)]
pub struct AuthorizedDirs(Vec<PathBuf>);

impl AuthorizedDirs {
    /// These directories. One that does not exist holds nothing until it does.
    pub fn new(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(directories.into_iter().collect())
    }

    pub(crate) fn open(&self, path: &Path) -> Result<Input> {
        let (root, rest) = self.resolve("read", path, true)?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { &rest };
        let file = beneath(&root, rest, READ).map_err(|error| refusal("read", path, error))?;
        // By its name it could be another when it is opened again; this is the open file itself.
        let place = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let input = input(file, Path::new(&place))
            .map_err(|error| io_error("read", &shown(path), error))?;
        match input.source() {
            Source::Directory(_) => Err(super::is_a_directory("read", &shown(path))
                .hint("give the directory to a job on the host itself, by its path")),
            _ => Ok(match rest.file_name() {
                Some(name) => input.with_name(name),
                None => input,
            }),
        }
    }

    pub(crate) fn create(&self, path: &Path) -> Result<(Local, Output)> {
        let (root, rest) = self.resolve("write", path, false)?;
        let Some(name) = rest.file_name() else {
            return Err(super::is_a_directory("write", path));
        };
        let parent = rest.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = beneath(&root, parent.unwrap_or(Path::new(".")), flags)
            .map_err(|error| refusal("write", path, error))?;
        let (file, output) = PendingFile::create(directory, name, &root.join(&rest))?;
        Ok((Local::File(Box::new(file)), output))
    }

    /// The directory that a path lies in, and the rest of the path, both without links.
    fn resolve(&self, verb: &str, path: &Path, must_exist: bool) -> Result<(PathBuf, PathBuf)> {
        let roots: Vec<_> = self.0.iter().filter_map(|root| root.canonicalize().ok()).collect();
        let candidates: Vec<_> = if path.is_absolute() {
            vec![path.to_owned()]
        } else {
            self.0.iter().map(|root| root.join(path)).collect()
        };
        let places = candidates.iter().filter_map(|candidate| {
            let (real, missing) = real_path(candidate)?;
            let root = roots.iter().find(|root| real.starts_with(root))?;
            Some((missing, root.clone(), real.strip_prefix(root).ok()?.to_owned()))
        });
        match places.min_by_key(|(missing, ..)| *missing) {
            Some((1.., ..)) if must_exist => Err(refusal(verb, path, Errno::NOENT)),
            Some((_, root, rest)) => Ok((root, rest)),
            // The same for what exists and what does not: outside there is nothing to be learned.
            None => Err(outside(verb, path)),
        }
    }
}

/// The path without links, and how many of its last parts are missing.
fn real_path(path: &Path) -> Option<(PathBuf, usize)> {
    let mut missing = Vec::new();
    let mut present = path;
    loop {
        if let Ok(mut real) = present.canonicalize() {
            real.extend(missing.iter().rev());
            return Some((real, missing.len()));
        }
        match present.components().next_back()? {
            // A link without target is followed by nobody.
            Component::Normal(name) if !present.is_symlink() => missing.push(name),
            _ => return None,
        }
        present = present.parent()?;
    }
}

fn beneath(root: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The root has no links in its path, so one that is there now came in between.
    let root = openat2(CWD, root, directory, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

fn refusal(verb: &str, path: &Path, error: Errno) -> Error {
    match error {
        Errno::XDEV | Errno::LOOP => outside(verb, path),
        _ => io_error(verb, &shown(path), error.into()),
    }
}

fn outside(verb: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Security, "it is outside of the host's authorized directories")
        .operation(format!("{verb} '{}'", shown(path).display()))
        .hint("they are set by authorized_host_dirs in section [security] of the host's configuration")
}

fn shown(path: &Path) -> PathBuf {
    let mut shown = std::ffi::OsString::from("host://");
    shown.push(path);
    shown.into()
}
