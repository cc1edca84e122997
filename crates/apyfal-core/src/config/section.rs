//! One section, with what it inherits.

use serde_json::Value;

use super::ini::{self, DEFAULT, Entry, Ini, Origin};
use super::schema::{self, Form};
use super::{Configuration, Literal, read_value};
use crate::{Error, Result, truth};

/// A view of one section. A key without value, or with an empty one, counts as unset.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    configuration: &'a Configuration,
    /// The sections that a key is looked up in, the first ones first. Within a group the precedence
    /// of arguments, environment and file goes before the order of the sections.
    groups: Vec<Vec<String>>,
}

/// An entry, and where it stands.
#[derive(Clone, Copy)]
struct Found<'a> {
    layer: &'a Ini,
    section: &'a str,
    entry: &'a Entry,
}

impl<'a> Section<'a> {
    /// `name` is spelled as in the configuration.
    pub(super) fn new(configuration: &'a Configuration, name: &str) -> Self {
        let mut own = vec![name.to_owned()];
        let mut words = name.split('.');
        let (top, kind) = (words.next().unwrap_or_default(), words.next());
        if let (true, Some(kind), Some(_)) = (top == "storage", kind, words.next()) {
            own.push(format!("{top}.{kind}"));
        }
        if kind.is_some() {
            own.push(top.to_owned());
        }
        let mut section = Self::joined(configuration, own);
        if let (true, Some(kind)) = (top == "storage", kind) {
            section.groups.push(host_of(configuration, kind));
        }
        section
    }

    /// Several sections as one; the first go before the others.
    pub(super) fn joined(configuration: &'a Configuration, names: Vec<String>) -> Self {
        Self { configuration, groups: vec![names] }
    }

    /// What is said of hosts of a type, by `[host]` only where that is not of another one.
    pub(super) fn of_host(configuration: &'a Configuration, host_type: &str) -> Self {
        Self::joined(configuration, host_of(configuration, host_type))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.groups[0][0]
    }

    /// The value of a key, interpolated.
    ///
    /// # Errors
    /// Of kind [`Configuration`](crate::ErrorKind::Configuration), with file, line, section and
    /// key: it cannot be interpolated.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.find(key)?.map(|(text, _)| text))
    }

    /// The value of a key, read as the [schema] says: most keys as text, booleans,
    /// dictionaries and everything in `configuration` and `process` as Python literals.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_literal(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.get(key)?.map(|text| match schema::form(self.name(), key) {
            Form::Text | Form::Lines => Value::String(text),
            Form::Literal => read_value(&text),
            Form::Bool => truth(&read_value(&text)).map_or_else(|| read_value(&text), Value::Bool),
        }))
    }

    /// The value of a key that is sent as JSON, read as a Python literal.
    ///
    /// # Errors
    /// As [`get`](Self::get), or JSON cannot say the value: [`Literal::try_json`].
    pub fn get_json(&self, key: &str) -> Result<Option<Value>> {
        let Some(text) = self.get(key)? else { return Ok(None) };
        let Some(literal) = Literal::parse(&text) else { return Ok(Some(Value::String(text))) };
        let value = literal.try_json().map_err(|what| {
            let why = format!("the value has {what}, which JSON cannot say");
            self.error(key, why).hint("where a text is meant, write it in quotes")
        })?;
        Ok(Some(value))
    }

    /// The value of a key that says yes or no, as [`Form::Bool`] lists the words.
    ///
    /// # Errors
    /// As [`get`](Self::get), or the value is another one.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>> {
        let Some(text) = self.get(key)? else { return Ok(None) };
        match truth(&read_value(&text)) {
            Some(value) => Ok(Some(value)),
            None => Err(self.error(key, "the value is no boolean").hint("write True or False")),
        }
    }

    /// The lines of a value, without empty ones.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_list(&self, key: &str) -> Result<Vec<String>> {
        let text = self.get(key)?.unwrap_or_default();
        let lines = text.split('\n').map(|line| line.trim_matches(ini::is_space));
        Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// All keys that the section and those that it is a part of have, with their values.
    ///
    /// Not those of `DEFAULT`, which only answers when it is asked for a key, nor those that a storage
    /// finds in the section of its host.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries(&self) -> Result<Vec<(&'a str, String)>> {
        let mut entries = Vec::new();
        for key in self.keys() {
            if let Some(value) = self.get(key)? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// The keys of [`entries`](Self::entries), and those without value.
    pub fn keys(&self) -> Vec<&'a str> {
        let mut keys = indexmap::IndexSet::new();
        for layer in self.configuration.layers().rev() {
            for name in self.groups[0].iter().rev() {
                let section = layer.sections.get(name);
                keys.extend(section.iter().flat_map(|section| section.entries.keys()));
            }
        }
        keys.into_iter().map(String::as_str).collect()
    }

    /// An error about the value of a key, which says where it is written. `message` must not tell
    /// the value of a secret.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        match self.find(key) {
            Ok(Some((_, found))) => {
                let Found { layer, section, entry } = found;
                ini::error_at(&layer.origin, &entry.place, section, key, message)
            }
            _ => Error::new(crate::ErrorKind::Configuration, message)
                .context("section", self.name())
                .context("key", key),
        }
    }

    /// The first value that is not empty.
    fn find(&self, key: &str) -> Result<Option<(String, Found<'a>)>> {
        for found in self.candidates(key) {
            let context = if found.section == DEFAULT { self.name() } else { found.section };
            let lookup = |key: &str| {
                let configuration = self.configuration;
                configuration.entry(context, key).or_else(|| configuration.entry(DEFAULT, key))
            };
            let text = found.layer.resolve(context, key, found.entry, &lookup)?;
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Ok(Some((text, found)));
            }
        }
        Ok(None)
    }

    /// The text to write for a key of its own. What only the file says of the sections that it is a
    /// part of is left there, where its references are.
    pub(super) fn raw(&self, key: &str) -> Option<&'a str> {
        let is_inherited = |found: &Found<'_>| {
            found.section != self.name() && matches!(found.entry.place, Origin::Line(_))
                || !self.groups[0].iter().any(|name| name == found.section)
        };
        let candidates = self.candidates(key).into_iter().filter(|found| !is_inherited(found));
        let mut raw = candidates.filter_map(|found| found.entry.raw.as_deref());
        let first = raw.next()?;
        if first.is_empty() { raw.find(|raw| !raw.is_empty()).or(Some(first)) } else { Some(first) }
    }

    /// The entries of a key, the strongest first.
    fn candidates(&self, key: &str) -> Vec<Found<'a>> {
        let mut found = Vec::new();
        let defaults = [DEFAULT.to_owned()];
        let groups = self.groups.iter().map(Vec::as_slice).chain([&defaults[..]]);
        for group in groups {
            for layer in self.configuration.layers() {
                for name in group {
                    let section = match layer.sections.get_key_value(name) {
                        Some((name, section)) => Some((name.as_str(), section)),
                        None if name == DEFAULT => Some((DEFAULT, &layer.defaults)),
                        None => None,
                    };
                    let entry = section.and_then(|(name, s)| Some((name, s.entries.get(key)?)));
                    found.extend(entry.map(|(section, entry)| Found { layer, section, entry }));
                }
            }
        }
        found
    }
}

/// Where it stands what holds for a type of hosts, and for storages of that type that do not say it.
fn host_of(configuration: &Configuration, host_type: &str) -> Vec<String> {
    let host = Section::joined(configuration, vec!["host".to_owned()]);
    // The credentials of one provider are not for another.
    let is_other = match host.get("host_type") {
        Ok(Some(other)) => !other.eq_ignore_ascii_case(host_type),
        _ => false,
    };
    let mut names = vec![configuration.spelled(&format!("host.{host_type}"))];
    if !is_other {
        names.push("host".to_owned());
    }
    names
}
