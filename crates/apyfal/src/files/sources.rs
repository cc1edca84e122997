//! What is to be mapped: a directory, a pattern, a list, or one file.

use std::ffi::OsStr;
use std::io::ErrorKind as Io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_storage::{Listed, Location, Storage};

use super::found::{Base, Found, More, url_of};
use super::journal::{NAME, Stamp};
use super::pattern;

/// Lists are refused beyond this many bytes.
const LIST_LIMIT: usize = 256 << 20;

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
            let (path, kind, entry) = match entry {
                Ok(entry) => (entry.path(), entry.file_type(), entry),
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
            // A link may lead nowhere, which its job will tell. What is none is found faster below its directory.
            let target =
                if kind.is_symlink() { std::fs::metadata(&path) } else { entry.metadata() };
            let target = target.ok();
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
            if kind.is_symlink() {
                found.sources.add_link(name);
            }
            found.sources.add(name, More::default(), target.map(|target| target.len()));
        }
    }
    found.sources.sort();
    found.failed.sort_by(|(one, _), (two, _)| one.cmp(two));
    Ok(found)
}

/// Whether a file is one that a map leaves beside its outputs.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == NAME || name.starts_with(".apyfal-") && name.ends_with(".part")
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
                found.sources.add(&url, More { given: None, stamp }, Some(len));
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

#[cfg(test)]
mod tests {
    use super::super::found::Source;
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
}
