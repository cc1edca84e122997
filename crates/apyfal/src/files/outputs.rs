//! Where the results go, and what they are called.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use apyfal_core::{AcceleratorInfo, Error, ErrorKind, Need, Result};
use apyfal_storage::Location;

use super::found::{Source, Sources};
use super::journal::{self, Stamp};

/// Below what the results go.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    Folder(PathBuf),
    /// A URL that ends with '/'.
    Store(String),
}

/// A source and where its result goes.
#[derive(Debug)]
pub struct Item {
    pub(crate) source: Source,
    /// What the result is called, below the root.
    pub(crate) name: String,
    /// The URL to give to a job, where it is no file.
    pub(crate) url: String,
    pub(crate) location: Location,
}

impl Item {
    /// Where it is read.
    pub fn source(&self) -> &Location {
        &self.source.location
    }

    /// How many bytes there are to read, where that is known before.
    pub fn bytes(&self) -> Option<u64> {
        self.source.stamp.as_ref()?.len
    }
}

/// The sources with the places of their results, one after the other.
#[derive(Debug)]
pub struct Items {
    sources: Sources,
    root: Root,
    end: End,
    next: usize,
}

impl Items {
    /// Finds a place for every result.
    ///
    /// # Errors
    /// Two results would have the same place, or one that of a source.
    pub(crate) fn new(sources: Sources, root: Root, end: End) -> Result<Self> {
        let items = Self { sources, root, end, next: 0 };
        items.check()?;
        Ok(items)
    }

    /// How many there are left.
    #[allow(clippy::len_without_is_empty)] // An iterator is asked for its next one.
    pub fn len(&self) -> usize {
        self.sources.len() - self.next
    }

    /// How many bytes there are to read in all, where that is known before.
    pub fn bytes(&self) -> Option<u64> {
        self.sources.bytes()
    }

    fn get(&self, number: usize) -> Result<Item> {
        let source = self.sources.get(number)?;
        let name = self.name(&source);
        let (url, location) = self.root.place(&name)?;
        Ok(Item { source, name, url, location })
    }

    /// What the result of a source is called.
    fn name(&self, source: &Source) -> String {
        match source.is_named {
            true => source.name.clone(),
            false => self.end.apply(&source.name),
        }
    }

    /// Checks that no result has the place of another one, or of a source. There may be millions, so what is
    /// remembered of each is a hash, and what has an equal one is looked at again.
    fn check(&self) -> Result<()> {
        // A directory that is not there has none of what was found in another one.
        if !(self.sources.are_found() && self.root.is_missing()) {
            self.check_sources()?;
        }
        self.check_names()
    }

    /// Checks that no result has the place of a source.
    fn check_sources(&self) -> Result<()> {
        let (mut places, hasher) = (RealPaths::default(), RandomState::new());
        let numbers = || 0..self.sources.len();
        let mut read = HashSet::with_capacity(numbers().len());
        for number in numbers() {
            let is_link = self.sources.is_link(number);
            read.insert(hasher.hash_one(places.of(&self.sources.get(number)?.location, is_link)));
        }
        for number in numbers() {
            let Item { location, .. } = self.get(number)?;
            let place = places.of(&location, None);
            if !read.contains(&hasher.hash_one(&place)) {
                continue;
            }
            for other in numbers() {
                if places.of(&self.sources.get(other)?.location, None) == place {
                    return Err(writing(&location, "it would replace a source")
                        .hint("write to another place, or give results another end: --suffix"));
                }
            }
        }
        Ok(())
    }

    /// Checks that results have names of their own, and none that of a directory which another one needs.
    fn check_names(&self) -> Result<()> {
        let hasher = RandomState::new();
        let numbers = || 0..self.sources.len();
        let name_of = |number: usize| Ok::<_, Error>(self.name(&self.sources.get(number)?));
        let mut taken: HashMap<u64, usize> = HashMap::with_capacity(numbers().len());
        for number in numbers() {
            let name = name_of(number)?;
            if name == journal::NAME {
                let why = "that is where map remembers what it did";
                return Err(writing(&self.get(number)?.location, why)
                    .hint("give the result another name: in a list, or by --suffix"));
            }
            if let Some(other) = taken.insert(hasher.hash_one(&name), number)
                && name_of(other)? == name
            {
                let [one, two] = [self.sources.get(other)?, self.sources.get(number)?];
                let [one, two] = [one.location, two.location];
                let why = format!("the results of '{one}' and '{two}' have this name both");
                return Err(writing(&self.get(number)?.location, &why)
                    .hint("give results another end: --suffix; or name each in a list"));
            }
        }
        let mut last = PathBuf::new();
        for number in numbers() {
            let name = name_of(number)?;
            let parent = Path::new(&name).parent().unwrap_or(Path::new(""));
            // Mostly it is that of the one before.
            if parent == last {
                continue;
            }
            for parent in parent.ancestors().filter_map(Path::to_str) {
                if let Some(other) = taken.get(&hasher.hash_one(parent))
                    && name_of(*other)? == parent
                {
                    let why = format!("'{parent}' is a result itself, and no directory");
                    return Err(writing(&self.get(number)?.location, &why));
                }
            }
            parent.clone_into(&mut last);
        }
        Ok(())
    }
}

fn writing(location: &Location, why: &str) -> Error {
    Error::new(ErrorKind::Usage, why).operation(format!("write '{location}'"))
}

impl Iterator for Items {
    type Item = Result<Item>;

    /// The next one, as it is now.
    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next;
        if number == self.sources.len() {
            return None;
        }
        self.next += 1;
        let item = self.get(number).map(|mut item| {
            if let Location::File(path) = &item.source.location {
                item.source.stamp = std::fs::metadata(path).ok().as_ref().map(Stamp::of_file);
            }
            item
        });
        Some(item)
    }
}

impl Root {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, why).operation(format!("write results to '{text}'"))
        };
        let scheme = Location::scheme_of(text);
        if text == "-" || matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(wrong("many results go to a directory or a store of objects"));
        }
        if scheme.is_some_and(|scheme| scheme != "file") {
            let root = format!("{}/", text.trim_end_matches('/'));
            Location::parse(&format!("{root}name"))?;
            return Ok(Self::Store(root));
        }
        let Location::File(path) = Location::parse(text)? else {
            return Err(wrong("it is no directory"));
        };
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_dir()) {
            return Err(
                wrong("it is a file").hint("name a directory, which is made where there is none")
            );
        }
        Ok(Self::Folder(path))
    }

    /// The directory, where it is one of this machine.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Store(_) => None,
        }
    }

    /// Whether it is a directory that is not there, nor a link that could lead to one.
    fn is_missing(&self) -> bool {
        let Self::Folder(path) = self else { return false };
        path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    fn place(&self, name: &str) -> Result<(String, Location)> {
        match self {
            Self::Folder(folder) => Ok((String::new(), Location::file(folder.join(name)))),
            Self::Store(root) => {
                let url = format!("{root}{name}");
                let location = Location::parse(&url)?;
                Ok((url, location))
            }
        }
    }
}

/// How the names of results end.
#[derive(Debug)]
pub(crate) enum End {
    Add(String),
    /// Removes an end, where a name has one.
    Remove(&'static [&'static str]),
    Replace(&'static str),
}

impl End {
    /// What is usual for an accelerator; a report becomes JSON.
    pub(crate) fn of(info: &AcceleratorInfo) -> Self {
        match &*info.name {
            _ if info.dst == Need::None => Self::Add(".json".to_owned()),
            "gzip" => Self::Add(".gz".to_owned()),
            "targz" => Self::Add(".tar.gz".to_owned()),
            "gunzip" => Self::Remove(&[".gz", ".gzip"]),
            "jpegenc" => Self::Replace("jpg"),
            _ => Self::Add(String::new()),
        }
    }

    fn apply(&self, name: &str) -> String {
        match self {
            Self::Add(end) => format!("{name}{end}"),
            Self::Remove(ends) => {
                let stem = ends.iter().find_map(|end| name.strip_suffix(end));
                stem.filter(|stem| !stem.is_empty() && !stem.ends_with('/'))
                    .unwrap_or(name)
                    .to_owned()
            }
            Self::Replace(end) => {
                Path::new(name).with_extension(end).to_string_lossy().into_owned()
            }
        }
    }
}

/// What destinations are called that may be written in several ways.
#[derive(Default)]
struct RealPaths {
    /// The directories of files, which many share.
    directories: HashMap<PathBuf, Directory>,
}

/// A directory that files are in, or will be.
struct Directory {
    real: PathBuf,
    /// Else nothing is in it, and so no link.
    is_there: bool,
}

impl RealPaths {
    /// Equal for two ways to write the same destination, of which may be known whether it is a link.
    fn of(&mut self, location: &Location, is_link: Option<bool>) -> OsString {
        let Location::File(path) = location else { return location.to_string().into() };
        let path = self.real(path, is_link).or_else(|_| std::path::absolute(path));
        path.map_or_else(|_| location.to_string().into(), PathBuf::into_os_string)
    }

    fn real(&mut self, path: &Path, is_link: Option<bool>) -> std::io::Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return path.canonicalize();
        };
        if !self.directories.contains_key(parent) {
            self.directories.insert(parent.to_owned(), Directory::of(parent)?);
        }
        let directory = &self.directories[parent];
        let is_link = || {
            is_link.unwrap_or_else(|| path.symlink_metadata().is_ok_and(|found| found.is_symlink()))
        };
        match directory.is_there && is_link() {
            true => path.canonicalize(),
            false => Ok(directory.real.join(name)),
        }
    }
}

impl Directory {
    fn of(path: &Path) -> std::io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match path.canonicalize() {
            Ok(real) => Ok(Self { real, is_there: true }),
            Err(_) => Ok(Self { real: std::path::absolute(path)?, is_there: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_end() {
        let gunzip = End::Remove(&[".gz"]);
        assert_eq!(gunzip.apply("a/b.gz"), "a/b");
        assert_eq!(gunzip.apply("a/.gz"), "a/.gz");
        assert_eq!(gunzip.apply("b"), "b");
        assert_eq!(End::Replace("jpg").apply("a.b/c.d.bmp"), "a.b/c.d.jpg");
        assert_eq!(End::Add(".gz".into()).apply("a.txt"), "a.txt.gz");
    }

    fn planned(names: &[&str], root: &str) -> Result<Vec<Item>> {
        let sources = Sources::named(names)?;
        Items::new(sources, Root::parse(root)?, End::Add(String::new()))?.collect()
    }

    #[test]
    fn places_are_not_shared() {
        let items = planned(&["a", "b/a"], "/nowhere").unwrap();
        assert_eq!(items[1].location, Location::file("/nowhere/b/a"));
        for (names, root) in
            [(&["a", "a"][..], "/nowhere"), (&["a", "a/b"], "/nowhere"), (&["x/a"], ".")]
        {
            assert_eq!(planned(names, root).unwrap_err().kind(), ErrorKind::Usage, "{names:?}");
        }
        assert_eq!(planned(&["a"], "s3://b/c/").unwrap()[0].url, "s3://b/c/a");
        assert!(planned(&["a"], "https://h/").is_err() && planned(&["a"], "-").is_err());
    }
}
