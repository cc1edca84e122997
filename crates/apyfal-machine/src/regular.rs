//! Regular files. What is none might have no end, or keep its reader waiting for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file to read it.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(refused("it is no regular file".to_owned())),
    }
}

/// Reads a file of at most `limit` bytes, which must be UTF-8.
///
/// # Errors
/// As those of [`open`]; or it is longer, or is no text.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    if open(path)?.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        return Err(refused(format!("it has more than {limit} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refused("it is no text".to_owned()))
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "text");
        let why = |path: &Path, limit| read_text(path, limit).unwrap_err().to_string();
        assert_eq!(why(&path, 3), "it has more than 3 bytes");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(why(&path, 3), "it is no text");
        assert_eq!(why(Path::new("/dev/zero"), 3), "it is no regular file");
        assert_eq!(why(home.path(), 3), "it is no regular file");
        let pipe = home.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(why(&pipe, 3), "it is no regular file");
    }
}
