//! The files beside a catalog: packages and agents.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::regular;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use crate::{Artifact, Catalog};

impl Artifact {
    /// The file below `directory`, if it is named without a scheme and leads nowhere else.
    pub(crate) fn below(&self, directory: &Path) -> Option<PathBuf> {
        let path = Path::new(&self.url);
        let stays =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        (!self.url.contains("://") && stays).then(|| directory.join(path))
    }

    /// Its name without directories.
    pub(crate) fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// The path that a server hands it out at.
    pub(crate) fn served_at(&self) -> String {
        format!("files/{}/{}", self.sha256, self.file_name())
    }
}

/// Checks that the files of a catalog, as far as they are below `directory`, are what it says.
///
/// # Errors
/// One is missing, or has another digest.
pub fn check_files(catalog: &Catalog, directory: &Path) -> Result<()> {
    for artifact in catalog.artifacts().filter(|artifact| !artifact.url.contains("://")) {
        let doing = || format!("use '{}' of the catalog", artifact.url);
        let path = artifact.below(directory).ok_or_else(|| {
            Error::new(ErrorKind::Security, "it leads out of the catalog's directory")
                .operation(doing())
        })?;
        let found = digest(&path).map_err(|error| Error::from(error).operation(doing()))?;
        if found != artifact.sha256 {
            return Err(Error::new(ErrorKind::InvalidData, "the file has another SHA-256")
                .operation(doing())
                .hint(format!("it is {found}")));
        }
    }
    Ok(())
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = regular::open(path)?;
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}
