//! What is to be mapped: a directory, a pattern, a list, or one file.

use std::io::ErrorKind as Io;
use std::path::{Component, Path, PathBuf};

use apyfal::{Error, ErrorKind, Listed, Location, Result, Storage};

use super::journal::{NAME, Stamp};
use super::pattern;
use crate::arguments::file_url;

/// Lists are refused beyond this many bytes.
const LIST_LIMIT: usize = 256 << 20;

/// A source.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The URL or path to give to a job.
    pub(super) url: String,
    pub(super) location: Location,
    /// What its output is called, before its end is changed.
    pub(super) name: String,
    /// What changes with it, where that is known already.
    pub(super) stamp: Option<Stamp>,
}

/// Finds the sources that a text means. What is below `except` is none of them.
pub(super) async fn find(
    text: &str,
    storage: &Storage,
    except: Option<&Path>,
) -> Result<Vec<Source>> {
    if let Some(list) = text.strip_prefix('@') {
        return listed(list, storage).await;
    }
    let is_store = Location::scheme_of(text).is_some_and(|scheme| scheme != "file");
    if is_store && (text.ends_with('/') || pattern::is_pattern(text)) {
        return in_store(text, storage).await;
    }
    if is_store {
        return Ok(vec![single(text, None)?]);
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
        Ok(_) => Ok(vec![single(text, None)?]),
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
/// files are followed, and those to directories are not.
fn below(root: &Path, wanted: &str, except: Option<&Path>) -> Result<Vec<Source>> {
    let except = except.and_then(|path| path.canonicalize().ok());
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let reading =
            |error| Error::from_io(error).operation(format!("read '{}'", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(reading)? {
            let path = entry.map_err(reading)?.path();
            let kind = std::fs::symlink_metadata(&path).map_err(reading)?;
            if kind.is_dir() {
                if except.is_none() || path.canonicalize().ok() != except {
                    folders.push(path);
                }
                continue;
            }
            // A link may lead nowhere, which its job will tell.
            let target = std::fs::metadata(&path).ok();
            if target.as_ref().is_some_and(|target| !target.is_file()) {
                continue;
            }
            let name = name_below(root, &path)?;
            if pattern::matches(wanted, &name) && !is_ours(&path) {
                let (url, stamp) = (url_of(&path), target.as_ref().map(Stamp::of_file));
                found.push(Source { url, location: Location::file(path), name, stamp });
            }
        }
    }
    found.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(found)
}

/// Whether a file is one that a map leaves beside its outputs.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == NAME || name.starts_with(".apyfal-") && name.ends_with(".part")
}

fn name_below(root: &Path, path: &Path) -> Result<String> {
    let name = path.strip_prefix(root).unwrap_or(path);
    name.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "its name is no text")
            .operation(format!("map '{}'", path.display()))
            .hint("rename it, or give its output a name in a list")
    })
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

async fn in_store(text: &str, storage: &Storage) -> Result<Vec<Source>> {
    let (folder, wanted) = match pattern::is_pattern(text) {
        true => pattern::split(text),
        false => (text, "**"),
    };
    let listed = storage.list(folder).await?;
    let mut found = Vec::new();
    for Listed { location, len, version, .. } in listed {
        let url = location.to_string();
        let name = url.get(folder.len()..).unwrap_or_default().to_owned();
        if pattern::matches(wanted, &name) {
            let stamp = Some(Stamp { len: Some(len), version });
            found.push(Source { url, location, name, stamp });
        }
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::StorageNotFound, format!("nothing is at '{text}'")));
    }
    Ok(found)
}

/// The sources of a list, one on each line, with the name of its output behind a tab or without.
async fn listed(list: &str, storage: &Storage) -> Result<Vec<Source>> {
    let location = Location::parse(list)?;
    let text = storage.read(&location, LIST_LIMIT).await?;
    let text = String::from_utf8(text).map_err(|_| {
        Error::new(ErrorKind::InvalidData, "it is no text in UTF-8")
            .operation(format!("read the list '{location}'"))
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let sources = lines.map(|(number, line)| {
        let (url, name) = match line.split_once('\t') {
            Some((url, name)) => (url, Some(name)),
            None => (line, None),
        };
        single(url, name)
            .map_err(|error| error.context("list", &location).context("line", number + 1))
    });
    sources.collect()
}

/// One source, whose output has this name or one that is derived.
fn single(url: &str, name: Option<&str>) -> Result<Source> {
    let location = Location::parse(url)?;
    let derived = match (&location, name) {
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
    let stamp = match &location {
        Location::File(path) => std::fs::metadata(path).ok().as_ref().map(Stamp::of_file),
        _ => None,
    };
    Ok(Source { url: url.to_owned(), location, name, stamp })
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
