//! Opens the file of an image for a user who is not trusted with the privileges of the helper.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::{Image, Kind};

/// Opens it, and names it to tools by its open descriptor, so that what was checked is what is
/// loaded.
///
/// # Errors
/// It is not in one of the directories, nor the caller's own, or is no image of this kind.
pub(super) fn open(
    kind: Kind,
    path: &Path,
    folders: &[PathBuf],
    owner: Option<u32>,
) -> Result<(File, Image)> {
    let opening = |error: Error| error.operation(format!("read '{}'", path.display()));
    if !path.is_absolute() {
        return Err(opening(Error::new(ErrorKind::Usage, "the path is not absolute")));
    }
    // Neither does a link lead elsewhere, nor does a pipe keep us waiting.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| opening(error.into()))?;
    let found = file.metadata().map_err(|error| opening(error.into()))?;
    if !found.is_file() {
        return Err(opening(Error::new(ErrorKind::Security, "it is not a regular file")));
    }
    let number = file.as_raw_fd();
    let real = fs::read_link(format!("/proc/self/fd/{number}"));
    let real = real.map_err(|error| opening(error.into()))?;
    let is_within =
        |folder: &PathBuf| fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder));
    if !folders.iter().any(is_within) && owner != Some(found.uid()) {
        let all: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(opening(
            Error::new(ErrorKind::Security, "the device helper takes no images from there")
                .hint(format!("it takes those below {}", all.join(", "))),
        ));
    }
    let name = PathBuf::from(format!("/proc/{}/fd/{number}", std::process::id()));
    let image = Image::opened(kind, &file, name).map_err(opening)?;
    Ok((file, image))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn container(byte: u8) -> Vec<u8> {
        let mut bytes = b"xclbin2\0".to_vec();
        bytes.resize(416, 0);
        bytes.resize(432, byte);
        bytes
    }

    #[test]
    fn images_come_from_known_directories_or_from_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["good", "bad"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("it.xclbin"), container(1)).unwrap();
        }
        // The directory itself may be reached by a link, as /var/lib/apyfal is.
        symlink(path("good"), path("link")).unwrap();
        let folders = [path("link")];
        let (_file, image) = open(Kind::Xrt, &path("good/it.xclbin"), &folders, None).unwrap();
        assert!(image.path().unwrap().starts_with("/proc"), "{image:?}");
        assert_eq!(fs::read(image.path().unwrap()).unwrap(), container(1));
        open(Kind::Xrt, &path("link/it.xclbin"), &folders, None).unwrap();

        symlink(path("bad/it.xclbin"), path("good/link.xclbin")).unwrap();
        symlink(path("bad"), path("good/inner")).unwrap();
        fs::create_dir(path("good/folder")).unwrap();
        assert!(
            std::process::Command::new("mkfifo").arg(path("good/pipe")).status().unwrap().success()
        );
        for wrong in [
            path("bad/it.xclbin"),
            path("good/../bad/it.xclbin"),
            path("good/link.xclbin"),
            path("good/inner/it.xclbin"),
            path("good/folder"),
            path("good/pipe"),
            path("good/none.xclbin"),
            "it.xclbin".into(),
            "--force".into(),
            "/dev/null".into(),
        ] {
            open(Kind::Xrt, &wrong, &folders, None).unwrap_err();
        }
        let mine = fs::metadata(path("bad/it.xclbin")).unwrap().uid();
        open(Kind::Xrt, &path("bad/it.xclbin"), &folders, Some(mine)).unwrap();
        let error = open(Kind::Xrt, &path("bad/it.xclbin"), &folders, Some(mine + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security);
    }
}
