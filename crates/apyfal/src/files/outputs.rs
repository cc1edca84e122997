//! Where the results go, and what they are called.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use apyfal_core::{AcceleratorInfo, Error, ErrorKind, Need, Result};
use apyfal_storage::Location;

use super::found::{Source, Sources};
use super::journal::Stamp;
use super::{file_url, journal};

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
    /// The URL or path to give to a job.
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
        let (mut places, hasher) = (RealPaths::default(), RandomState::new());
        let numbers = || 0..self.sources.len();
        let mut read = HashSet::with_capacity(numbers().len());
        for number in numbers() {
            read.insert(hasher.hash_one(places.of(&self.sources.get(number)?.location)));
        }
        let mut taken: HashMap<u64, usize> = HashMap::with_capacity(numbers().len());
        for number in numbers() {
            let Item { source, name, location, .. } = self.get(number)?;
            let writing = |why: &str| {
                Error::new(ErrorKind::Usage, why).operation(format!("write '{location}'"))
            };
            if name == journal::NAME {
                return Err(writing("that is where map remembers what it did")
                    .hint("give the result another name: in a list, or by --suffix"));
            }
            let place = places.of(&location);
            if read.contains(&hasher.hash_one(&place)) {
                for other in numbers() {
                    if places.of(&self.sources.get(other)?.location) == place {
                        return Err(writing("it would replace a source").hint(
                            "write to another place, or give results another end: --suffix",
                        ));
                    }
                }
            }
            if let Some(other) = taken.insert(hasher.hash_one(&name), number) {
                let other = self.sources.get(other)?;
                if self.name(&other) == name {
                    let [one, two] = [&other.location, &source.location];
                    let why = format!("the results of '{one}' and '{two}' have this name both");
                    return Err(writing(&why)
                        .hint("give results another end: --suffix; or name each in a list"));
                }
            }
        }
        // A result cannot be where another one needs a directory.
        for number in numbers() {
            let name = self.name(&self.sources.get(number)?);
            for parent in Path::new(&name).ancestors().skip(1).filter_map(Path::to_str) {
                if let Some(other) = taken.get(&hasher.hash_one(parent))
                    && self.name(&self.sources.get(*other)?) == parent
                {
                    let why = format!("'{parent}' is a result itself, and no directory");
                    let location = self.get(number)?.location;
                    return Err(
                        Error::new(ErrorKind::Usage, why).operation(format!("write '{location}'"))
                    );
                }
            }
        }
        Ok(())
    }
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

    fn place(&self, name: &str) -> Result<(String, Location)> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let location = Location::file(&path);
                let url = match path.to_str() {
                    Some(text) if Location::parse(text).ok().as_ref() == Some(&location) => {
                        text.to_owned()
                    }
                    _ => file_url(&std::path::absolute(&path)?),
                };
                Ok((url, location))
            }
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
    /// The real paths of directories, which many files share.
    directories: HashMap<PathBuf, PathBuf>,
}

impl RealPaths {
    /// Equal for two ways to write the same destination.
    fn of(&mut self, location: &Location) -> String {
        match location {
            Location::File(path) => {
                let path = self.real(path).or_else(|_| std::path::absolute(path));
                path.map_or_else(|_| location.to_string(), |path| path.display().to_string())
            }
            _ => location.to_string(),
        }
    }

    fn real(&mut self, path: &Path) -> std::io::Result<PathBuf> {
        let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let (Some(directory), Some(name), false) = (path.parent(), path.file_name(), is_link)
        else {
            return path.canonicalize();
        };
        if let Some(real) = self.directories.get(directory) {
            return Ok(real.join(name));
        }
        let real = match directory.as_os_str().is_empty() {
            true => Path::new(".").canonicalize()?,
            false => directory.canonicalize()?,
        };
        let path = real.join(name);
        self.directories.insert(directory.to_owned(), real);
        Ok(path)
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
        assert_eq!(items[1].url, "/nowhere/b/a");
        for (names, root) in
            [(&["a", "a"][..], "/nowhere"), (&["a", "a/b"], "/nowhere"), (&["x/a"], ".")]
        {
            assert_eq!(planned(names, root).unwrap_err().kind(), ErrorKind::Usage, "{names:?}");
        }
        assert_eq!(planned(&["a"], "s3://b/c/").unwrap()[0].url, "s3://b/c/a");
        assert!(planned(&["a"], "https://h/").is_err() && planned(&["a"], "-").is_err());
    }
}
