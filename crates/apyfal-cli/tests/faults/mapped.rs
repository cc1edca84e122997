//! A directory that is mapped: what was promised of it, and whether that is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::model::{Broken, Held};
use super::random::Random;
use crate::common::words;

/// How many sources there are at first, and at most.
pub(crate) const SOURCES: usize = 40;
const MOST: usize = 60;
const LENGTHS: [usize; 6] = [0, 1, 1000, 20_000, 70_000, 200_000];
/// Each of so many is one of these.
const LARGE_OF: usize = 12;
const LARGE: [usize; 2] = [1_000_000, 3_000_000];

/// The journal beside the results.
pub(crate) const JOURNAL: &str = ".apyfal-map";

/// What is in a source, which these two decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    length: usize,
    seed: u64,
}

/// A result as it was seen.
#[derive(Debug)]
struct Seen {
    stamp: [i64; 6],
    of: Content,
}

/// Sources, and results beside the journal that remembers them. It is looked at while no map runs.
#[derive(Debug)]
pub(crate) struct Mapped {
    folder: PathBuf,
    /// By the names of their results.
    sources: BTreeMap<String, Content>,
    /// Results of the sources as they are which the journal has.
    recorded: BTreeSet<String>,
    /// How much of the journal was read.
    read: usize,
    seen: BTreeMap<String, Seen>,
}

/// What a process did that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// How many results the journal had before.
    pub(crate) before: usize,
    /// How many it has more.
    pub(crate) more: usize,
}

impl Mapped {
    /// Makes sources in `in`, for results in `out`.
    pub(crate) fn new(folder: &Path, random: &mut Random) -> Self {
        let mut mapped = Self {
            folder: folder.to_owned(),
            sources: BTreeMap::new(),
            recorded: BTreeSet::new(),
            read: 0,
            seen: BTreeMap::new(),
        };
        for folder in ["in/a", "in/b"] {
            fs::create_dir_all(mapped.folder.join(folder)).expect("a directory");
        }
        for _ in 0..SOURCES {
            mapped.add(random);
        }
        mapped
    }

    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.recorded.len() == self.sources.len()
    }

    /// Another source.
    fn add(&mut self, random: &mut Random) {
        let number = self.sources.len();
        let folder = ["a", "b"][number % 2];
        self.write(format!("{folder}/{number:02}.gz"), number, random);
    }

    /// Writes what was not in any source before.
    fn write(&mut self, name: String, number: usize, random: &mut Random) {
        let lengths = if number.is_multiple_of(LARGE_OF) { &LARGE[..] } else { &LENGTHS };
        let content = Content { length: *random.pick(lengths), seed: random.below(u64::MAX) };
        let source = name.strip_suffix(".gz").expect("the name of a result");
        let source = self.folder.join("in").join(source);
        fs::write(source, words(content.length, content.seed)).expect("a source");
        self.recorded.remove(&name);
        self.sources.insert(name, content);
    }

    /// Changes sources, loses results, and adds a source: or nothing at all.
    pub(crate) fn change(&mut self, random: &mut Random) {
        if random.below(4) == 0 {
            return;
        }
        let names: Vec<_> = self.sources.keys().cloned().collect();
        for (number, name) in names.into_iter().enumerate() {
            match random.below(8) {
                0..=2 => self.write(name, number, random),
                3 => {
                    fs::remove_file(self.folder.join("out").join(&name)).expect("a result");
                    self.recorded.remove(&name);
                    self.seen.remove(&name);
                }
                _ => {}
            }
        }
        if self.sources.len() < MOST {
            self.add(random);
        }
    }

    /// Holds what is there against what was promised, once a map has ended in whatever way.
    pub(crate) fn check(&mut self, was_killed: bool) -> Held<Done> {
        let (before, newly) = (self.recorded.clone(), self.newly_recorded());
        for (name, found) in results(&self.folder.join("out")) {
            if was_killed && self.is_second_name(&name) {
                fs::remove_file(self.folder.join("out").join(&name)).expect("a file");
                continue;
            }
            let Some(now) = self.sources.get(&name).copied() else {
                return Err(Broken::new(format!("'{name}' is left")));
            };
            let stamp = stamp(&found);
            if self.seen.get(&name).is_some_and(|seen| seen.stamp == stamp) {
                continue;
            }
            if before.contains(&name) {
                return Err(Broken::new(format!("'{name}' was done, and was made again")));
            }
            if self.unpacked(&name).is_none_or(|data| data != words(now.length, now.seed)) {
                return Err(Broken::new(format!("'{name}' is not what its source is")));
            }
            self.seen.insert(name, Seen { stamp, of: now });
        }
        for name in &newly {
            if !self.recorded.insert(name.clone()) {
                return Err(Broken::new(format!("'{name}' was done, and was done again")));
            }
        }
        for name in &self.recorded {
            let is_there = self.folder.join("out").join(name).exists();
            let of = self.seen.get(name).map(|seen| seen.of);
            if !is_there || of != self.sources.get(name).copied() {
                return Err(Broken::new(format!("'{name}' is recorded as done and is not")));
            }
        }
        Ok(Done { before: before.len(), more: newly.len() })
    }

    /// What the journal has that it did not have before.
    fn newly_recorded(&mut self) -> Vec<String> {
        let journal = fs::read(self.folder.join("out").join(JOURNAL)).unwrap_or_default();
        let lines = journal[self.read..].split(|byte| *byte == b'\n');
        // One that is no line of the journal is what was being written when its writer was killed.
        let outputs = lines.filter_map(|line| {
            let line: Value = serde_json::from_slice(line).ok()?;
            Some(line["output"].as_str()?.to_owned())
        });
        let outputs = outputs.collect();
        self.read = journal.len();
        outputs
    }

    /// How many results the journal has by now that were not there when it was looked at last.
    pub(crate) fn more(&self) -> usize {
        let read_on = || -> std::io::Result<Vec<u8>> {
            let mut journal = File::open(self.folder.join("out").join(JOURNAL))?;
            journal.seek(SeekFrom::Start(self.read as u64))?;
            let mut more = Vec::new();
            journal.read_to_end(&mut more).map(|_| more)
        };
        let more = read_on().unwrap_or_default();
        more.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Whether a file is a whole result that was killed between having a name for itself and taking
    /// the place of the result before: the system has no other way to replace a file. Where a result
    /// takes nobody's place there is no such moment.
    fn is_second_name(&self, name: &str) -> bool {
        let is_hidden = name.starts_with(".apyfal-") || name.contains("/.apyfal-");
        if !is_hidden || !name.ends_with(".part") {
            return false;
        }
        let Some(data) = self.unpacked(name) else { return false };
        let replaced = self.seen.keys().filter(|name| !self.recorded.contains(*name));
        let mut sources = replaced.filter_map(|name| self.sources.get(name));
        sources.any(|source| data == words(source.length, source.seed))
    }

    /// What another program makes of a result; none where it is none.
    fn unpacked(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.join("out").join(name);
        let output = Command::new("gzip").arg("-dc").stdin(File::open(path).ok()?).output();
        let output = output.expect("gzip runs");
        output.status.success().then_some(output.stdout)
    }
}

/// All files of a directory but the journal, by their names below it.
fn results(folder: &Path) -> Vec<(String, Metadata)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(below) = folders.pop() {
        // It may have been killed before it made the first one.
        for entry in fs::read_dir(below).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("a file");
            let name = path.strip_prefix(folder).expect("it is below").to_string_lossy();
            match metadata.is_dir() {
                true => folders.push(path),
                false if name == JOURNAL => {}
                false => found.push((name.into_owned(), metadata)),
            }
        }
    }
    found
}

/// What is another one for each file that is made.
fn stamp(found: &Metadata) -> [i64; 6] {
    let (modified, changed) = (found.mtime(), found.ctime());
    let (number, length) = (found.ino() as i64, found.len() as i64);
    [number, length, modified, found.mtime_nsec(), changed, found.ctime_nsec()]
}
