//! The INI dialect of `accelerator.conf`: what Python's
//! [`configparser.ConfigParser(allow_no_value=True)`][1] reads, with keys that keep their case.
//!
//! Own code, because no crate reads this dialect: the usual ones take the last of two equal keys,
//! know neither keys without value nor empty lines in values, and do not keep line numbers.
//!
//! It differs from Python 3.11 on purpose in three ways: a byte order mark is skipped, text that is
//! not UTF-8 is an error that names its line, and an indented line below a key without value is an
//! error (there Python fails with an `AttributeError`).
//!
//! [1]: https://docs.python.org/3.11/library/configparser.html#supported-ini-file-structure

use std::fmt;

use indexmap::IndexMap;

use super::interpolate::{self, Reference};
use crate::{Error, ErrorKind, Result, is_secret_key, mask, shorten};

/// The section whose keys every other section has too.
pub const DEFAULT: &str = "DEFAULT";

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On this line of the file, counted from 1.
    Line(usize),
    /// In this environment variable.
    Variable(String),
    /// In an argument of a call or a command line.
    Argument,
}

/// One key of a section.
#[derive(Clone)]
pub struct Entry {
    /// The text as it is written, before interpolation; `None` for a key without `=` or `:`.
    pub raw: Option<String>,
    /// Where it was written.
    pub place: Origin,
}

/// One section.
#[derive(Clone)]
pub struct Section {
    /// Where its header was written.
    pub place: Origin,
    /// Its own keys, in the order of the file.
    pub entries: IndexMap<String, Entry>,
}

impl Section {
    /// A section without keys.
    pub fn new(place: Origin) -> Self {
        Self { place, entries: IndexMap::new() }
    }
}

/// Sections with keys and values, as text.
#[derive(Clone)]
pub struct Ini {
    /// What errors call the file.
    pub origin: String,
    /// The section [`DEFAULT`].
    pub defaults: Section,
    /// All other sections, in the order of the file.
    pub sections: IndexMap<String, Section>,
}

impl Ini {
    /// Nothing yet.
    pub fn empty(origin: impl Into<String>, place: Origin) -> Self {
        Self { origin: origin.into(), defaults: Section::new(place), sections: IndexMap::new() }
    }

    /// Reads a file, in time linear in its length. `origin` is its name for errors.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`], with the line: not UTF-8, a key outside of any
    /// section, an empty key, or a section or key that is there twice.
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Self> {
        let text = decode(bytes, origin)?;
        let mut reader = Reader {
            ini: Self::empty(origin, Origin::Line(1)),
            section: Open::None,
            in_value: false,
            level: 0,
        };
        for (index, line) in lines(text).enumerate() {
            reader.line(index + 1, line)?;
        }
        Ok(reader.finish())
    }

    /// The section of that name; [`DEFAULT`] is one too.
    pub fn section(&self, name: &str) -> Option<&Section> {
        if name == DEFAULT { Some(&self.defaults) } else { self.sections.get(name) }
    }

    /// The section of that name, made at `place` if there is none.
    pub fn section_mut(&mut self, name: &str, place: Origin) -> &mut Section {
        if name == DEFAULT {
            return &mut self.defaults;
        }
        self.sections.entry(name.to_owned()).or_insert_with(|| Section::new(place))
    }

    /// The entry of a key in a section itself, without [`DEFAULT`].
    pub fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        self.section(section)?.entries.get(key)
    }

    /// The value of a key, looked up in the section and in [`DEFAULT`], and interpolated.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`]: the value cannot be interpolated.
    pub fn get(&self, section: &str, key: &str) -> Result<Option<String>> {
        let find = |key: &str| self.entry(section, key).or_else(|| self.defaults.entries.get(key));
        match find(key) {
            Some(entry) => self.resolve(section, key, entry, &find),
            None => Ok(None),
        }
    }

    /// Interpolates the entry of a key of this file; `find` gives the entries it refers to.
    pub(super) fn resolve<'a>(
        &self,
        section: &str,
        key: &str,
        entry: &'a Entry,
        find: &dyn Fn(&str) -> Option<&'a Entry>,
    ) -> Result<Option<String>> {
        let Some(raw) = &entry.raw else { return Ok(None) };
        let lookup = |key: &str| match find(key) {
            None => Reference::Missing,
            Some(entry) => entry.raw.as_deref().map_or(Reference::NoValue, Reference::Text),
        };
        interpolate::interpolate(raw, &lookup).map(Some).map_err(|problem| {
            error_at(&self.origin, &entry.place, section, key, problem.describe(key))
        })
    }
}

impl fmt::Debug for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = (DEFAULT, &self.defaults);
        let sections = self.sections.iter().map(|(name, section)| (name.as_str(), section));
        let sections = std::iter::once(defaults).chain(sections);
        f.write_str(&self.origin)?;
        f.write_str(" ")?;
        f.debug_map().entries(sections.filter(|(_, section)| !section.entries.is_empty())).finish()
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &str, entry: &Entry| entry.raw.as_deref().map(|raw| masked(key, raw));
        f.debug_map()
            .entries(self.entries.iter().map(|(key, entry)| (key, shown(key, entry))))
            .finish()
    }
}

impl fmt::Debug for Entry {
    /// Without the value, which may be a secret: only its key could tell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A value as it may be shown: secrets, also those within a dictionary, as `***`.
fn masked(key: &str, raw: &str) -> String {
    if is_secret_key(key) {
        return "***".to_owned();
    }
    match super::read_value(raw) {
        // A dictionary that does not parse could hide one.
        serde_json::Value::String(text) if text.contains('{') => "***".to_owned(),
        serde_json::Value::String(text) => text,
        mut value => {
            mask(&mut value);
            value.to_string()
        }
    }
}

/// An error about a section and, unless it is empty, a key.
pub(super) fn error_at(
    origin: &str,
    place: &Origin,
    section: &str,
    key: &str,
    message: impl Into<String>,
) -> Error {
    let error = Error::new(ErrorKind::Configuration, message);
    let error = match place {
        Origin::Line(line) => error.operation(format!("read '{origin}'")).context("line", line),
        Origin::Variable(name) => error.operation("read the environment").context("variable", name),
        Origin::Argument => error.operation("read the arguments"),
    };
    let error = if section.is_empty() { error } else { error.context("section", shorten(section)) };
    if key.is_empty() { error } else { error.context("key", shorten(key)) }
}

/// White space as Python's `str.strip` and `\s` see it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn decode<'a>(bytes: &'a [u8], origin: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, bad) = bytes.split_at(error.valid_up_to());
        let before = String::from_utf8_lossy(before);
        let line = lines(&before).count() + usize::from(before.ends_with(['\n', '\r']));
        let byte = bad.first().copied().unwrap_or_default();
        error_at(
            origin,
            &Origin::Line(line.max(1)),
            "",
            "",
            format!("byte 0x{byte:02X} is not UTF-8"),
        )
        .hint("save the file with the encoding UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Lines that end in `\n`, `\r\n` or `\r`, without their ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.find(['\n', '\r']).unwrap_or(text.len());
        let (line, tail) = text.split_at(end);
        let tail = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or("");
        rest = Some(tail).filter(|tail| !tail.is_empty());
        Some(line)
    })
}

/// The section that is being read; its index, because a name can be long and is hashed each time.
#[derive(Clone, Copy)]
enum Open {
    None,
    Default,
    Section(usize),
}

/// Reads line after line.
struct Reader {
    ini: Ini,
    section: Open,
    /// Whether the last key of the section may go on.
    in_value: bool,
    /// How far the last header or key was indented, in characters.
    level: usize,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<()> {
        let text = line.trim_matches(is_space);
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.is_empty() {
            if let Some(Entry { raw: Some(value), .. }) = self.current() {
                value.push('\n');
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| is_space(*c)).count();
        if self.in_value && indent > self.level {
            return self.continuation(number, text);
        }
        self.level = indent;
        match header(text) {
            Some(name) => self.header(number, name),
            None => self.option(number, text),
        }
    }

    fn continuation(&mut self, number: usize, text: &str) -> Result<()> {
        match self.current() {
            Some(Entry { raw: Some(value), .. }) => {
                value.push('\n');
                value.push_str(text);
                Ok(())
            }
            _ => {
                let message = "an indented line continues a value, but the key above has none";
                let last = self.section().and_then(|section| section.entries.last());
                let key = last.map(|(key, _)| key.clone()).unwrap_or_default();
                Err(self
                    .error(number, &key, message)
                    .hint("unindent the line, or put '=' behind the key"))
            }
        }
    }

    fn header(&mut self, number: usize, name: &str) -> Result<()> {
        self.in_value = false;
        // Only DEFAULT may come twice.
        if name == DEFAULT {
            self.section = Open::Default;
            return Ok(());
        }
        let section = Section::new(Origin::Line(number));
        let (index, first) = self.ini.sections.insert_full(name.to_owned(), section);
        self.section = Open::Section(index);
        match first {
            None => Ok(()),
            Some(first) => Err(self
                .error(number, "", "this section is there twice")
                .hint(elsewhere(&first.place))),
        }
    }

    fn option(&mut self, number: usize, text: &str) -> Result<()> {
        let (key, value) = match text.split_once(['=', ':']) {
            Some((key, value)) => {
                (key.trim_end_matches(is_space), Some(value.trim_start_matches(is_space)))
            }
            None => (text, None),
        };
        let Some(section) = self.section() else {
            return Err(self
                .error(number, "", "this line stands before any section")
                .hint("is this a configuration file? It starts with a line like [host]"));
        };
        if key.is_empty() {
            return Err(self.error(number, "", "there is no key before the delimiter"));
        }
        let entry = Entry { raw: value.map(str::to_owned), place: Origin::Line(number) };
        if let Some(first) = section.entries.insert(key.to_owned(), entry) {
            let error = self.error(number, key, "this key is there twice in its section");
            return Err(error.hint(elsewhere(&first.place)));
        }
        self.in_value = true;
        Ok(())
    }

    fn section(&mut self) -> Option<&mut Section> {
        match self.section {
            Open::None => None,
            Open::Default => Some(&mut self.ini.defaults),
            Open::Section(index) => self.ini.sections.get_index_mut(index).map(|(_, s)| s),
        }
    }

    /// The entry that the next indented or empty line belongs to.
    fn current(&mut self) -> Option<&mut Entry> {
        if !self.in_value {
            return None;
        }
        self.section()?.entries.last_mut().map(|(_, entry)| entry)
    }

    fn error(&self, number: usize, key: &str, message: &str) -> Error {
        let section = match self.section {
            Open::None => "",
            Open::Default => DEFAULT,
            Open::Section(index) => self.ini.sections.get_index(index).map_or("", |(name, _)| name),
        };
        error_at(&self.ini.origin, &Origin::Line(number), section, key, message)
    }

    fn finish(mut self) -> Ini {
        let sections = self.ini.sections.values_mut();
        for section in std::iter::once(&mut self.ini.defaults).chain(sections) {
            for value in section.entries.values_mut().filter_map(|entry| entry.raw.as_mut()) {
                value.truncate(value.trim_end_matches(is_space).len());
            }
        }
        self.ini
    }
}

/// The name in a line that starts with `[`: everything up to the last `]`.
fn header(text: &str) -> Option<&str> {
    let text = text.strip_prefix('[')?;
    let name = &text[..text.rfind(']')?];
    Some(name).filter(|name| !name.is_empty())
}

/// Where the other one of two equal names stands.
fn elsewhere(place: &Origin) -> String {
    match place {
        Origin::Line(line) => format!("the other one is on line {line}; keep one of them"),
        Origin::Variable(_) | Origin::Argument => "keep one of them".to_owned(),
    }
}

#[cfg(test)]
mod tests;
