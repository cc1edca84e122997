//! What is to be mapped: a directory, a pattern, a list, or one file.

use std::ffi::OsStr;
use std::io::ErrorKind as Io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_storage::{Listed, Location, Storage};

use super::journal::{NAME, Stamp};
use super::{file_url, pattern};

/// Lists are refused beyond this many bytes.
const LIST_LIMIT: usize = 256 << 20;

/// A source.
#[derive(Debug)]
pub(crate) struct Source {
    /// The URL or path to give to a job.
    pub(crate) url: String,
    pub(crate) location: Location,
    /// What its output is called, before its end is changed.
    pub(crate) name: String,
    /// Whether that is a name that was given, which stays as it is.
    pub(crate) is_named: bool,
    /// What changes with it, where that is known already.
    pub(crate) stamp: Option<Stamp>,
}

/// All sources. There may be millions, so of each no more is held than what the others do not share.
#[derive(Debug)]
pub(crate) struct Sources {
    base: Base,
    entries: Vec<Entry>,
    /// How many bytes they have, where that is known of all.
    bytes: Option<u64>,
}

/// What sources have in common.
#[derive(Debug)]
enum Base {
    /// Nothing: each is a URL or path.
    Nothing,
    /// They are below a directory.
    Directory(PathBuf),
    /// They are URLs that begin with so many bytes of a folder.
    Folder(usize),
}

#[derive(Debug)]
struct Entry {
    /// The name below the directory, else the URL or path.
    text: Box<str>,
    /// The name that its output was given.
    given: Option<Box<str>>,
    /// What a store said of it.
    stamp: Option<Box<Stamp>>,
}

impl Sources {
    fn new(base: Base) -> Self {
        Self { base, entries: Vec::new(), bytes: Some(0) }
    }

    /// Those of some URLs or paths.
    #[cfg(test)]
    pub(super) fn named(urls: &[&str]) -> Result<Self> {
        let mut found = Found::new(Base::Nothing);
        urls.iter().try_for_each(|url| found.name(url, None))?;
        Ok(found.sources)
    }

    fn add(&mut self, entry: Entry, bytes: Option<u64>) {
        self.bytes = self.bytes.zip(bytes).map(|(all, one)| all + one);
        self.entries.push(entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// One of them, by its number. What changes with it is not told of a file.
    ///
    /// # Errors
    /// It cannot be mapped; those that were found can.
    pub(crate) fn get(&self, number: usize) -> Result<Source> {
        let Entry { text, given, stamp } = &self.entries[number];
        let stamp = stamp.as_deref().cloned();
        match &self.base {
            Base::Nothing => single(text, given.as_deref()),
            Base::Directory(root) => {
                let path = root.join(&**text);
                let (url, name) = (url_of(&path), text.to_string());
                Ok(Source { url, location: Location::file(path), name, is_named: false, stamp })
            }
            Base::Folder(len) => {
                let (url, location) = (text.to_string(), Location::parse(text)?);
                let name = text.get(*len..).unwrap_or_default().to_owned();
                Ok(Source { url, location, name, is_named: false, stamp })
            }
        }
    }
}

/// The sources that were found, and entries that cannot be one.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) sources: Sources,
    /// What each is called, and why it cannot be mapped.
    pub(crate) failed: Vec<(String, Error)>,
}

impl Found {
    fn new(base: Base) -> Self {
        Self { sources: Sources::new(base), failed: Vec::new() }
    }

    /// The one that a URL or path means.
    fn one(url: &str) -> Result<Self> {
        let mut found = Self::new(Base::Nothing);
        found.name(url, None)?;
        Ok(found)
    }

    /// Adds a source by its URL or path, whose output has this name or one that is derived.
    fn name(&mut self, url: &str, given: Option<&str>) -> Result<()> {
        let source = single(url, given)?;
        let bytes = match &source.location {
            Location::File(path) => std::fs::metadata(path).ok().map(|found| found.len()),
            _ => None,
        };
        let (text, given) = (url.into(), given.map(Box::from));
        self.sources.add(Entry { text, given, stamp: None }, bytes);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.sources.entries.is_empty() && self.failed.is_empty()
    }
}

/// Finds the sources that a text means. What is below `except` is none of them.
pub(crate) async fn find(text: &str, storage: &Storage, except: Option<&Path>) -> Result<Found> {
    if let Some(list) = text.strip_prefix('@') {
        return listed(list, storage).await;
    }
    let is_store = Location::scheme_of(text).is_some_and(|scheme| scheme != "file");
    if is_store && (text.ends_with('/') || pattern::is_pattern(text)) {
        return in_store(text, storage).await;
    }
    if is_store {
        return Found::one(text);
    }
    let path = match Location::parse(text)? {
        Location::File(path) => path,
        _ => {
            return Err(Error::new(ErrorKind::Usage, "standard input is a single source")
                .operation("map it")
                .hint("use apyfal run, or '@-' for a list of sources"));
        }
    };
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => {
            let is_same = |except: &Path| path.canonicalize().ok() == except.canonicalize().ok();
            if except.is_some_and(is_same) {
                return Err(Error::new(ErrorKind::Usage, "next time its results would be sources")
                    .operation(format!("map '{}' into itself", path.display()))
                    .hint("write to another directory, or map a pattern such as '*.txt'"));
            }
            below(&path, "**", except)
        }
        Ok(_) => Found::one(text),
        Err(error) if error.kind() == Io::NotFound && pattern::is_pattern(text) => {
            let (folder, rest) = pattern::split(text);
            let folder = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
            let found = below(folder, rest, except)?;
            if found.is_empty() {
                let why = format!("nothing matches '{text}'");
                return Err(Error::new(ErrorKind::StorageNotFound, why));
            }
            Ok(found)
        }
        Err(error) => Err(Error::from(error).operation(format!("read '{}'", path.display()))),
    }
}

/// The files below a directory whose names are of a pattern, in the order of their names. Links to
/// files are followed, and those to directories are not. An entry that cannot be looked at does not
/// stop the rest.
fn below(root: &Path, wanted: &str, except: Option<&Path>) -> Result<Found> {
    let except = except.and_then(|path| path.canonicalize().ok());
    let reading = |path: &Path, error: std::io::Error| {
        Error::from_io(error).operation(format!("read '{}'", path.display()))
    };
    // Without this one there is nothing.
    std::fs::read_dir(root).map_err(|error| reading(root, error))?;
    let mut found = Found::new(Base::Directory(root.to_owned()));
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut failed = |path: &Path, error: Error| {
            found.failed.push((path.display().to_string(), error));
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                failed(&folder, reading(&folder, error));
                continue;
            }
        };
        for entry in entries {
            let (path, kind) = match entry {
                Ok(entry) => (entry.path(), entry.file_type()),
                Err(error) => {
                    failed(&folder, reading(&folder, error));
                    break;
                }
            };
            let kind = match kind {
                Ok(kind) => kind,
                // It went away meanwhile: whoever looks a moment later sees no such entry at all.
                Err(error) if error.kind() == Io::NotFound => continue,
                Err(error) => {
                    failed(&path, reading(&path, error));
                    continue;
                }
            };
            let below = path.strip_prefix(root).unwrap_or(&path);
            let name = below.to_string_lossy();
            if kind.is_dir() {
                let is_left_out = except.is_some() && path.canonicalize().ok() == except;
                if pattern::leads_below(wanted, &name) && !is_left_out {
                    folders.push(path);
                }
                continue;
            }
            // A link may lead nowhere, which its job will tell.
            let target = std::fs::metadata(&path).ok();
            if target.as_ref().is_some_and(|target| !target.is_file())
                || !pattern::matches(wanted, &name)
                || is_ours(&path)
            {
                continue;
            }
            let Some(name) = below.to_str() else {
                let error = Error::new(ErrorKind::Usage, "its name is no text in UTF-8")
                    .operation(format!("map '{}'", path.display()))
                    .hint("rename it, or give its output a name in a list");
                failed(&path, error);
                continue;
            };
            let entry = Entry { text: name.into(), given: None, stamp: None };
            found.sources.add(entry, target.map(|target| target.len()));
        }
    }
    found.sources.entries.sort_unstable_by(|one, two| one.text.cmp(&two.text));
    found.failed.sort_by(|(one, _), (two, _)| one.cmp(two));
    Ok(found)
}

/// Whether a file is one that a map leaves beside its outputs.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == NAME || name.starts_with(".apyfal-") && name.ends_with(".part")
}

/// A path as the URL that means it.
fn url_of(path: &Path) -> String {
    match path.to_str() {
        Some(text) if Location::parse(text).ok().as_ref() == Some(&Location::file(path)) => {
            text.to_owned()
        }
        _ => file_url(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
    }
}

async fn in_store(text: &str, storage: &Storage) -> Result<Found> {
    let (folder, wanted) = match pattern::is_pattern(text) {
        true => pattern::split(text),
        false => (text, "**"),
    };
    let found = matching(storage.list(folder).await?, folder, wanted);
    if found.is_empty() {
        return Err(Error::new(ErrorKind::StorageNotFound, format!("nothing is at '{text}'")));
    }
    Ok(found)
}

/// The objects of a folder whose names are of a pattern.
fn matching(listed: Vec<Listed>, folder: &str, wanted: &str) -> Found {
    let mut found = Found::new(Base::Folder(folder.len()));
    for Listed { location, len, version, .. } in listed {
        let url = location.to_string();
        if !pattern::matches(wanted, url.get(folder.len()..).unwrap_or_default()) {
            continue;
        }
        // Stores have objects whose names no URL can tell, such as one with `..`, which as the name of
        // an output would lead out of its directory.
        match Location::parse(&url) {
            Ok(_) => {
                let stamp = Some(Box::new(Stamp { len: Some(len), version }));
                found.sources.add(Entry { text: url.into(), given: None, stamp }, Some(len));
            }
            Err(error) => found.failed.push((url, error)),
        }
    }
    found
}

/// The sources of a list, one on each line, with the name of its output behind a tab or without.
async fn listed(list: &str, storage: &Storage) -> Result<Found> {
    let location = Location::parse(list)?;
    let text = storage.read(&location, LIST_LIMIT).await?;
    lines(&text, &location)
}

/// Lines end as those of Unix or Windows do, and may begin with a byte order mark.
fn lines(text: &[u8], list: &Location) -> Result<Found> {
    if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
        return Err(Error::new(ErrorKind::InvalidData, "it is UTF-16")
            .operation(format!("read the list '{list}'"))
            .hint("save it as UTF-8"));
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut found = Found::new(Base::Nothing);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let tab = line.iter().position(|byte| *byte == b'\t');
        let (source, name) = match tab {
            Some(tab) => (&line[..tab], Some(&line[tab + 1..])),
            None => (line, None),
        };
        let of_line = |error: Error| error.context("list", list).context("line", number + 1);
        let Ok(name) = name.map(std::str::from_utf8).transpose() else {
            let error = Error::new(ErrorKind::Usage, "the name of its result is no text in UTF-8");
            found.failed.push((shown(source), of_line(error)));
            continue;
        };
        let url = match std::str::from_utf8(source) {
            Ok(url) => url.to_owned(),
            // Only a path may have any bytes.
            Err(_) if name.is_some() => url_of(Path::new(OsStr::from_bytes(source))),
            Err(_) => {
                let error = Error::new(ErrorKind::Usage, "its name is no text in UTF-8")
                    .operation(format!("map '{}'", shown(source)))
                    .hint("give its result a name behind a tab");
                found.failed.push((shown(source), of_line(error)));
                continue;
            }
        };
        found.name(&url, name).map_err(of_line)?;
    }
    Ok(found)
}

/// A path of any bytes, for people.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// One source, whose output has this name or one that is derived.
fn single(url: &str, given: Option<&str>) -> Result<Source> {
    let location = Location::parse(url)?;
    let derived = match (&location, given) {
        (_, Some(name)) => clean(Path::new(name)),
        (Location::File(path), None) => {
            clean(path).or_else(|| Some(path.file_name()?.to_str()?.to_owned()))
        }
        (location, None) => location.name(),
    };
    let Some(name) = derived.filter(|name| !name.is_empty()) else {
        return Err(Error::new(ErrorKind::Usage, "its output has no name that can be used")
            .operation(format!("map '{location}'"))
            .hint("in a list, a name may stand behind a tab: one below the destination"));
    };
    let is_named = given.is_some();
    Ok(Source { url: url.to_owned(), location, name, is_named, stamp: None })
}

/// A path that stays below where it is put.
fn clean(path: &Path) -> Option<String> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    clean.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(found: &Found) -> Vec<Source> {
        (0..found.sources.len()).map(|number| found.sources.get(number).unwrap()).collect()
    }

    #[test]
    fn lists_are_read_however_they_were_written() {
        let list = Location::file("list");
        let text = b"\xEF\xBB\xBFone\ttwo\r\n \r\n\r\nthree\nf\xFFour\tfour\nf\xFFive\nsix\tn\xFF";
        let found = lines(text, &list).unwrap();
        let sources = all(&found);
        let names: Vec<_> = sources.iter().map(|one| (&*one.name, one.is_named)).collect();
        assert_eq!(names, [("two", true), ("three", false), ("four", true)]);
        assert_eq!(sources[0].url, "one");
        assert!(sources[2].url.starts_with("file:///"), "{}", sources[2].url);
        assert_eq!(found.sources.bytes(), None, "they are not there");
        let lines: Vec<_> = found.failed.iter().map(|(_, error)| error.to_string()).collect();
        assert!(lines[0].contains("line 6") && lines[1].contains("line 7"), "{lines:?}");
        assert!(super::lines(b"a\t../b", &list).is_err());
        assert!(super::lines(b"\xFF\xFEa\0", &list).unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn objects_stay_below_the_destination_too() {
        let listed = |key: &str| Listed {
            location: Location::Object(apyfal_storage::ObjectLocation {
                scheme: "s3".into(),
                container: "bucket".into(),
                key: format!("photos/{key}"),
            }),
            len: 1,
            version: None,
        };
        let keys = ["../../x/y", "/etc/x", "a/./b", "a/b", "c..d"].map(listed);
        let found = matching(keys.into(), "s3://bucket/photos/", "**");
        let sources = all(&found);
        let names: Vec<_> = sources.iter().map(|source| &*source.name).collect();
        assert_eq!(names, ["a/b", "c..d"]);
        assert_eq!(sources[0].url, "s3://bucket/photos/a/b");
        assert_eq!(
            (found.sources.bytes(), sources[1].stamp.as_ref().unwrap().len),
            (Some(2), Some(1))
        );
        let failed: Vec<_> = found.failed.iter().map(|(url, _)| &**url).collect();
        assert_eq!(failed.len(), 3, "{failed:?}");
        assert_eq!(failed[0], "s3://bucket/photos/../../x/y");
    }

    #[test]
    fn names_stay_below_the_destination() {
        let name = |url: &str| single(url, None).map(|source| source.name).ok();
        assert_eq!(name("a/./b.txt").as_deref(), Some("a/b.txt"));
        assert_eq!(name("/etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(name("../../x").as_deref(), Some("x"));
        assert_eq!(name("https://h/a/b.jpg?x").as_deref(), Some("b.jpg"));
        assert_eq!(name("https://h/"), None);
        assert!(single("a", Some("../b")).is_err() && single("a", Some("")).is_err());
        assert_eq!(single("a", Some("b/c")).unwrap().name, "b/c");
    }
}
