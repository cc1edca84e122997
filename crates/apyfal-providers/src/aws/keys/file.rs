//! The files of private keys.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use apyfal_core::{Error, Result, Secret};
use apyfal_machine::private as owners;
use ssh_key::public::KeyData;

use super::private;

/// The longest file that may be a private key.
const LONGEST: u64 = 64 << 10;

/// The file of a private key.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) public: KeyData,
    /// Whether it is good for nothing without a passphrase.
    is_encrypted: bool,
}

/// All private keys in a directory; none where there is no such directory. What cannot be read, or is
/// no key, is left out.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn all(directory: &Path) -> Result<Vec<KeyFile>> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let listed = listed.map_err(|error| {
        Error::from(error).operation(format!("look for private keys in '{}'", directory.display()))
    })?;
    Ok(listed.iter().filter_map(|entry| read(entry.path())).collect())
}

fn read(path: PathBuf) -> Option<KeyFile> {
    // A pipe would keep us waiting.
    if !fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST) {
        return None;
    }
    let mut text = String::new();
    File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).ok()?;
    let text = Secret::new(text);
    let (public, is_encrypted) = private::public_of(text.expose())?;
    Some(KeyFile { path, public, is_encrypted })
}

/// The private key of a name: of those that are called `NAME.pem`, `NAME_2.pem` and so on the first that
/// can be used. It is made where there is none; where another process does so at the same time, it is
/// that one.
///
/// # Errors
/// It cannot be written.
pub(super) fn find_or_make(directory: &Path, name: &str) -> Result<KeyFile> {
    if let Some(found) = find(directory, name)? {
        return Ok(found);
    }
    let (text, public) = private::make(name)?;
    loop {
        let path = free_path(directory, name);
        // What is not in the way of the path may have come before it was chosen.
        if let Some(found) = find(directory, name)? {
            return Ok(found);
        }
        let made = owners::make_directory(directory)
            .and_then(|()| owners::create_read_only(&path, text.expose().as_bytes()));
        match made {
            Ok(()) => return Ok(KeyFile { path, public, is_encrypted: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let operation = format!("write the private key '{}'", path.display());
                return Err(Error::from(error).operation(operation));
            }
        }
    }
}

fn find(directory: &Path, name: &str) -> Result<Option<KeyFile>> {
    let keys = all(directory)?.into_iter().filter(|key| !key.is_encrypted);
    let numbered = keys.filter_map(|key| Some((number(&key.path, name)?, key)));
    Ok(numbered.min_by_key(|(number, _)| *number).map(|(_, key)| key))
}

fn free_path(directory: &Path, name: &str) -> PathBuf {
    let mut path = directory.join(file_name(name, 1));
    for number in 2.. {
        if fs::symlink_metadata(&path).is_err() {
            break;
        }
        path.set_file_name(file_name(name, number));
    }
    path
}

fn file_name(name: &str, number: u32) -> String {
    // EC2 takes names that no file can have.
    let name = name.replace(|c: char| c == '/' || c.is_control(), "_");
    match number {
        1 => format!("{name}.pem"),
        number => format!("{name}_{number}.pem"),
    }
}

/// Which of the files of a name it is, if it is one: 2 for `NAME_2.pem`.
fn number(path: &Path, name: &str) -> Option<u32> {
    let its = path.file_name()?.to_str()?;
    let digits = its.strip_suffix(".pem")?.rsplit_once('_').and_then(|(_, end)| end.parse().ok());
    let mut possible = [Some(1), digits].into_iter().flatten();
    possible.find(|number| file_name(name, *number).eq_ignore_ascii_case(its))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_name_are_counted() {
        let number = |path: &str| number(Path::new(path), "Key_3");
        assert_eq!(number("/a/Key_3.pem"), Some(1));
        assert_eq!(number("/a/key_3_2.pem"), Some(2));
        assert_eq!(number("KEY_3_17.pem"), Some(17));
        for other in ["Key_3", "Key.pem", "Key_3_.pem", "Key_3_1.pem", "Key_3_02.pem", "Key_32.pem"]
        {
            assert_eq!(number(other), None, "{other}");
        }
        assert_eq!(file_name("../team/key", 2), ".._team_key_2.pem");
    }

    #[test]
    fn what_is_no_key_keeps_its_name() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("ssh");
        assert!(all(&directory).unwrap().is_empty());
        owners::make_directory(&directory).unwrap();
        fs::write(directory.join("key.pem"), "-----BEGIN OPENSSH PRIVATE KEY-----\nmine\n")
            .unwrap();
        fs::create_dir(directory.join("key_2.pem")).unwrap();
        let made = find_or_make(&directory, "key").unwrap();
        assert_eq!(made.path, directory.join("key_3.pem"));
        assert_eq!(find_or_make(&directory, "KEY").unwrap().path, made.path);
    }

    #[test]
    fn several_at_once_make_one() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("ssh");
        let made: Vec<_> = std::thread::scope(|scope| {
            let make = || find_or_make(&directory, "key").unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|key| key.public == made[0].public));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }
}
