//! What was found to be mapped: of each source no more than what the others do not share.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_storage::Location;

use super::file_url;
use super::journal::Stamp;

/// A source.
#[derive(Debug)]
pub(crate) struct Source {
    /// The URL to give to a job, where it is no file.
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
    /// Their names below the directory, else URLs or paths: one behind the other.
    texts: String,
    /// Where the text of each ends.
    ends: Vec<usize>,
    /// What texts begin with that have it from here, once they are in order: the directory with its slash, which is
    /// in none of them.
    folders: Vec<(usize, Box<str>)>,
    /// What else is known of each, unless they are below a directory.
    more: Vec<More>,
    /// The few below a directory that are links.
    links: HashSet<Box<str>>,
    /// How many bytes they have, where that is known of all.
    bytes: Option<u64>,
}

/// What sources have in common.
#[derive(Debug)]
pub(super) enum Base {
    /// Nothing: each is a URL or path.
    Nothing,
    /// They are below a directory.
    Directory(PathBuf),
    /// They are URLs that begin with so many bytes of a folder.
    Folder(usize),
}

/// What else is known of a source.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The name that its output was given.
    pub(super) given: Option<Box<str>>,
    /// What a store said of it.
    pub(super) stamp: Option<Box<Stamp>>,
}

impl Sources {
    fn new(base: Base) -> Self {
        Self {
            base,
            texts: String::new(),
            ends: Vec::new(),
            folders: Vec::new(),
            more: Vec::new(),
            links: HashSet::new(),
            bytes: Some(0),
        }
    }

    /// Those of some URLs or paths.
    #[cfg(test)]
    pub(super) fn named(urls: &[&str]) -> Result<Self> {
        let mut found = Found::new(Base::Nothing);
        urls.iter().try_for_each(|url| found.name(url, None))?;
        Ok(found.sources)
    }

    /// Adds one that has so many bytes, where that is known. More is kept only of what is below no directory.
    pub(super) fn add(&mut self, text: &str, more: More, bytes: Option<u64>) {
        self.bytes = self.bytes.zip(bytes).map(|(all, one)| all + one);
        self.texts += text;
        self.ends.push(self.texts.len());
        if !self.are_found() {
            self.more.push(more);
        }
    }

    /// The name of one below the directory, else its URL or path.
    fn text(&self, number: usize) -> Cow<'_, str> {
        match self.folders.partition_point(|(first, _)| *first <= number).checked_sub(1) {
            Some(folder) => Cow::Owned(self.folders[folder].1.to_string() + self.own_text(number)),
            None => Cow::Borrowed(self.own_text(number)),
        }
    }

    /// What the text of one does not share with others.
    fn own_text(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[number]]
    }

    /// Says that one below a directory is a link.
    pub(super) fn add_link(&mut self, name: &str) {
        self.links.insert(name.into());
    }

    /// Puts those below a directory into the order of their names, whose folders are then held once for all that stand
    /// one behind the other. To be called when all are added.
    pub(super) fn sort(&mut self) {
        let mut order: Vec<_> = (0..self.len()).collect();
        order.sort_unstable_by_key(|&number| self.own_text(number));
        let (mut texts, mut ends) = (String::new(), Vec::with_capacity(self.len()));
        let mut folders: Vec<(usize, Box<str>)> = Vec::new();
        for (number, place) in order.into_iter().enumerate() {
            let text = self.own_text(place);
            let (folder, name) = text.split_at(text.rfind('/').map_or(0, |slash| slash + 1));
            if folders.last().map_or("", |(_, last)| last) != folder {
                folders.push((number, folder.into()));
            }
            texts += name;
            ends.push(texts.len());
        }
        (self.texts, self.ends, self.folders) = (texts, ends, folders);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Whether all were found in a directory, where they are.
    pub(crate) fn are_found(&self) -> bool {
        matches!(self.base, Base::Directory(_))
    }

    /// Whether one of them is a link, as far as that was seen when it was found.
    pub(crate) fn is_link(&self, number: usize) -> Option<bool> {
        self.are_found().then(|| !self.links.is_empty() && self.links.contains(&*self.text(number)))
    }

    /// One of them, by its number. What changes with it is not told of a file.
    ///
    /// # Errors
    /// It cannot be mapped; those that were found can.
    pub(crate) fn get(&self, number: usize) -> Result<Source> {
        let (text, more) = (self.text(number), self.more.get(number));
        let stamp = more.and_then(|more| more.stamp.as_deref().cloned());
        match &self.base {
            Base::Nothing => single(&text, more.and_then(|more| more.given.as_deref())),
            Base::Directory(root) => {
                let location = Location::file(root.join(&*text));
                let (url, name) = (String::new(), text.into_owned());
                Ok(Source { url, location, name, is_named: false, stamp })
            }
            Base::Folder(len) => {
                let location = Location::parse(&text)?;
                let name = text.get(*len..).unwrap_or_default().to_owned();
                Ok(Source { url: text.into_owned(), location, name, is_named: false, stamp })
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
    pub(super) fn new(base: Base) -> Self {
        Self { sources: Sources::new(base), failed: Vec::new() }
    }

    /// The one that a URL or path means.
    pub(super) fn one(url: &str) -> Result<Self> {
        let mut found = Self::new(Base::Nothing);
        found.name(url, None)?;
        Ok(found)
    }

    /// Adds a source by its URL or path, whose output has this name or one that is derived.
    pub(super) fn name(&mut self, url: &str, given: Option<&str>) -> Result<()> {
        let source = single(url, given)?;
        let bytes = match &source.location {
            Location::File(path) => std::fs::metadata(path).ok().map(|found| found.len()),
            _ => None,
        };
        self.sources.add(url, More { given: given.map(Box::from), stamp: None }, bytes);
        Ok(())
    }

    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.len() == 0 && self.failed.is_empty()
    }
}

/// A path as the URL that means it.
pub(super) fn url_of(path: &Path) -> String {
    match path.to_str() {
        Some(text) if Location::parse(text).ok().as_ref() == Some(&Location::file(path)) => {
            text.to_owned()
        }
        _ => file_url(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
    }
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

    #[test]
    fn names_below_a_directory_are_in_order_however_folders_lie_between_them() {
        let mut names =
            ["b", "a/x", "a.txt", "a/b/c", "", "a/b/d", "c/é/ü", "a/y", "a/b.txt", "c/é/a"];
        let mut sources = Sources::new(Base::Directory(PathBuf::from("/root")));
        names.iter().for_each(|name| sources.add(name, More::default(), None));
        sources.add_link("a/b/d");
        sources.sort();
        names.sort_unstable();
        for (number, name) in names.iter().enumerate() {
            let source = sources.get(number).unwrap();
            assert_eq!(source.name, *name);
            assert_eq!(source.location, Location::file(Path::new("/root").join(name)));
            assert_eq!(sources.is_link(number), Some(*name == "a/b/d"), "{name}");
        }
        assert_eq!(sources.len(), names.len());
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
