//! What was done before: one line for each output, so that a map that was interrupted goes on.
//!
//! An output counts as done where its line is there, and neither it nor its source changed since.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::lock::{Lock, Mode};
use apyfal_storage::{Location, Storage, file_version};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

/// The journal beside outputs that are files.
pub(crate) const NAME: &str = ".apyfal-map";

/// What changes with a file or object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) len: Option<u64>,
    pub(crate) version: Option<String>,
}

impl Stamp {
    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        Self { len: Some(metadata.len()), version: Some(file_version(metadata)) }
    }

    /// That of a location, which must be there. What only a host can see has none.
    pub(crate) async fn of(location: &Location, storage: &Storage) -> Result<Self> {
        if matches!(location, Location::Host(_)) {
            return Ok(Self::default());
        }
        if let Location::File(path) = location {
            let found = std::fs::metadata(path).map_err(|error| {
                Error::from_io(error).operation(format!("look at '{location}'"))
            })?;
            return Ok(if found.is_dir() { Self::default() } else { Self::of_file(&found) });
        }
        let found = storage.stat(location).await?;
        Ok(Self { len: found.len, version: found.version })
    }

    /// Whether a change would be seen by it: not of what only a host can see, nor of a web page whose
    /// server says nothing of its version.
    pub(crate) fn tells(&self) -> bool {
        self.version.is_some()
    }

    /// What earlier versions remembered of the same: of a file no more than the time of its last
    /// change, which whoever writes it can set back, and of what is on a web server nothing.
    pub(crate) fn before(&self, location: &Location) -> Self {
        let version = match location {
            Location::File(_) => self.version.as_deref().and_then(|all| all.split(' ').next()),
            Location::Http(_) => None,
            _ => self.version.as_deref(),
        };
        Self { len: self.len, version: version.map(str::to_owned) }
    }

    /// As the journal has it.
    fn told(&self) -> (Option<u64>, Option<&str>) {
        (self.len, self.version.as_deref())
    }

    fn read(value: &Value) -> Option<Self> {
        let [len, version] = value.as_array()?.as_slice() else { return None };
        Some(Self { len: len.as_u64(), version: version.as_str().map(str::to_owned) })
    }
}

/// How an output was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) source: String,
    pub(crate) from: Stamp,
    /// Stands for the accelerator and its parameters.
    pub(crate) work: String,
    pub(crate) output: Stamp,
}

/// The journal of a destination, which is ours alone while it is open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<Appending>,
    made: HashMap<String, Made>,
}

/// The end of the journal.
#[derive(Debug)]
struct Appending {
    lock: Lock,
    /// Whether a line may be cut off there, as on a disk that was full.
    is_cut: bool,
}

/// A line of the journal.
#[derive(Serialize)]
struct Line<'a> {
    output: &'a str,
    source: &'a str,
    from: (Option<u64>, Option<&'a str>),
    work: &'a str,
    made: (Option<u64>, Option<&'a str>),
}

impl Journal {
    /// Opens the journal at a path.
    ///
    /// # Errors
    /// Another map works on the same destination, or it cannot be written.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let opening = |error| {
            Error::from_io(error).operation(format!("open the journal '{}'", path.display()))
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(opening)?;
        }
        let mut options = File::options();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(opening)?;
        // A link may lead to a device, which is read without end.
        if !file.metadata().map_err(opening)?.is_file() {
            return Err(Error::new(ErrorKind::Usage, "it is no regular file")
                .operation(format!("open the journal '{}'", path.display()))
                .hint("remove it, or write elsewhere"));
        }
        let Some(lock) = Lock::try_on(file, Mode::Exclusive).map_err(opening)? else {
            return Err(Error::new(ErrorKind::Conflict, "another 'apyfal map' writes there")
                .operation(format!("use the journal '{}'", path.display()))
                .hint("wait until it has ended, or write elsewhere"));
        };
        let mut file = lock.file();
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text)).map_err(opening)?;
        if text.last().is_some_and(|byte| *byte != b'\n') {
            // What was being written when its writer was killed.
            file.write_all(b"\n").map_err(opening)?;
        }
        let mut made = HashMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            // A line that is no line of ours says nothing, and its output is made again.
            if let Some((name, one)) = serde_json::from_slice(line).ok().as_ref().and_then(read) {
                made.insert(name, one);
            }
        }
        Ok(Self { path, file: Mutex::new(Appending { lock, is_cut: false }), made })
    }

    /// How an output was made, where it was.
    pub(crate) fn made(&self, name: &str) -> Option<&Made> {
        self.made.get(name)
    }

    fn append(&self, lines: &[u8]) -> std::io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let Appending { lock, is_cut } = &mut *self.file.lock();
        if *is_cut {
            lock.file().write_all(b"\n")?;
        }
        // One write for whole lines, of which only the last one may be cut off.
        let written = lock.file().write_all(lines);
        *is_cut = written.is_err();
        written
    }

    /// Room for what is remembered from now on.
    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines { journal: self, text: Vec::new() }
    }
}

/// Lines that the journal does not have yet: who is killed before they are written makes their outputs again.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    journal: &'a Journal,
    text: Vec<u8>,
}

impl Lines<'_> {
    /// Remembers that an output was made.
    pub(crate) fn record(&mut self, name: &str, made: &Made) {
        let line = Line {
            output: name,
            source: &made.source,
            from: made.from.told(),
            work: &made.work,
            made: made.output.told(),
        };
        // Texts and numbers always go into memory.
        let _ = serde_json::to_writer(&mut self.text, &line);
        self.text.push(b'\n');
    }

    /// Writes them.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn write(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        self.journal.append(&text).map_err(|error| {
            let path = self.journal.path.display();
            Error::from(error).operation(format!("write the journal '{path}'"))
        })
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        // What was done before all was ended. Where that cannot be written, it is done again.
        let _ = self.journal.append(&self.text);
    }
}

fn read(line: &Value) -> Option<(String, Made)> {
    let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
    let stamp = |key: &str| Stamp::read(line.get(key)?);
    let made = Made {
        source: text("source")?,
        from: stamp("from")?,
        work: text("work")?,
        output: stamp("made")?,
    };
    Some((text("output")?, made))
}

/// Where the journal of a destination far away is, below the home directory.
pub(crate) fn far_away(home: &Path, destination: &str) -> PathBuf {
    let name = format!("{}.map", fingerprint(destination.trim_end_matches('/')));
    home.join(".apyfal/command_line/maps").join(name)
}

/// A short name for a text, the same in every version (FNV-1a). It guards against nobody.
pub(crate) fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_cbf2_9ce4_8422_2325_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/journal");
        let made = Made {
            source: "a \"b\"".into(),
            from: Stamp { len: Some(3), version: Some("v".into()) },
            work: "w".into(),
            output: Stamp::default(),
        };
        let journal = Journal::open(path.clone()).unwrap();
        journal.lines().record("x", &made);
        assert_eq!(Journal::open(path.clone()).unwrap_err().kind(), ErrorKind::Conflict);
        drop(journal);
        // Cut off in the middle of a line, by whatever.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}", &text[..text.len() / 2])).unwrap();
        let journal = Journal::open(path.clone()).unwrap();
        assert_eq!(journal.made("x"), Some(&made));
        // The disk was full in the midst of a line, and is not any more.
        journal.file.lock().lock.file().write_all(b"{\"output\":").unwrap();
        journal.file.lock().is_cut = true;
        let mut lines = journal.lines();
        lines.record("y", &made);
        lines.write().unwrap();
        drop(lines);
        drop(journal);
        let journal = Journal::open(path).unwrap();
        assert!(journal.made("x").is_some() && journal.made("y").is_some());
        assert_eq!(journal.made.len(), 2);
    }

    #[test]
    fn a_device_in_its_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let error = Journal::open(path).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }

    #[tokio::test]
    async fn what_earlier_versions_did_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/earlier/journal.map");
        std::fs::copy(file, &path).unwrap();
        let journal = Journal::open(path).unwrap();
        let gzip = crate::Accelerator::builder("gzip").build().unwrap();
        let none = serde_json::Map::new();
        let asked = super::super::Asked::of(&gzip, &none, None, None).await.unwrap();
        for (name, source, len) in [("a.txt.gz", "src/a.txt", 5), ("b/c.txt.gz", "src/b/c.txt", 6)]
        {
            let made = journal.made(name).unwrap();
            assert_eq!((made.source.as_str(), made.from.len), (source, Some(len)));
            assert_eq!(made.work, asked.now, "the same work");
        }
        assert_eq!(journal.made.len(), 2);
    }
}
