//! The two files of profiles.
//!
//! Both are what Python's `configparser` reads, with keys in any case. An indented block below a key
//! without value is a section within the section.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apyfal_core::config::ini::Ini;
use apyfal_core::{Environment, Error, ErrorKind, Result};

/// The sections of a file, or those of one kind, by name.
pub(crate) type Sections = BTreeMap<String, Section>;

/// The keys of one section, in lower case.
#[derive(Clone, Default)]
pub(crate) struct Section(BTreeMap<String, Value>);

#[derive(Clone)]
enum Value {
    Text(String),
    Block(BTreeMap<String, String>),
}

impl Section {
    /// The text of a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            Value::Block(_) => None,
        }
    }

    /// The text of a key within a block.
    pub(crate) fn within(&self, block: &str, key: &str) -> Option<&str> {
        match self.0.get(block)? {
            Value::Text(_) => None,
            Value::Block(block) => block.get(key).map(String::as_str),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// What both files say.
#[derive(Default)]
pub(crate) struct Files {
    /// Each profile with the keys of both files, those of the credentials going first.
    pub(crate) profiles: Sections,
    /// The profiles of `~/.aws/config` alone, and of `~/.aws/credentials` alone.
    pub(crate) config: Sections,
    pub(crate) credentials: Sections,
    pub(crate) services: Sections,
    pub(crate) sso_sessions: Sections,
}

impl Files {
    /// Reads them; what does not exist has nothing in it.
    pub(crate) fn read(environment: &Environment) -> Result<Self> {
        let mut files = Self::default();
        let config = sections(environment, "AWS_CONFIG_FILE", "~/.aws/config")?;
        for (header, section) in config {
            let named = match header.as_str() {
                "default" => {
                    files.config.insert(header, section);
                    continue;
                }
                header if header.starts_with("profile") => &mut files.config,
                header if header.starts_with("sso-session") => &mut files.sso_sessions,
                header if header.starts_with("services") => &mut files.services,
                _ => continue,
            };
            // A kind and a name; what else begins like one is none.
            if let Some([_, name]) = shlex::split(&header).as_deref() {
                named.insert(name.clone(), section);
            }
        }
        let credentials =
            sections(environment, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")?;
        files.credentials = credentials.into_iter().collect();
        files.profiles = files.config.clone();
        for (name, section) in &files.credentials {
            files.profiles.entry(name.clone()).or_default().0.extend(section.0.clone());
        }
        Ok(files)
    }
}

/// The sections of a file in its order.
fn sections(
    environment: &Environment,
    variable: &str,
    default: &str,
) -> Result<Vec<(String, Section)>> {
    let named = environment.set(variable).unwrap_or(default);
    // A variable that is set to nothing names no file.
    let Some(path) = expand(named, environment).filter(|path| path.is_file()) else {
        return Ok(Vec::new());
    };
    let shown = path.display().to_string();
    let reading = |error: Error| error.operation(format!("read '{shown}'"));
    let bytes = std::fs::read(&path).map_err(|error| reading(error.into()))?;
    let ini = Ini::parse(&bytes, &shown)?;
    let mut found = Vec::new();
    for (name, own) in &ini.sections {
        let mut section = Section::default();
        for (key, entry) in ini.defaults.entries.iter().chain(&own.entries) {
            let wrong = |why: &str| {
                let error = Error::new(ErrorKind::Configuration, why);
                reading(error.context("section", name).context("key", key))
            };
            let text = entry.raw.as_deref().ok_or_else(|| wrong("a key needs '=' behind it"))?;
            let value = match text.strip_prefix('\n') {
                None => Value::Text(text.to_owned()),
                Some(block) => Value::Block(
                    block
                        .lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty())
                        .map(|line| line.split_once('='))
                        .map(|pair| {
                            pair.map(|(key, value)| (key.trim().into(), value.trim().into()))
                        })
                        .collect::<Option<_>>()
                        .ok_or_else(|| wrong("each line of a block needs a '='"))?,
                ),
            };
            section.0.insert(key.to_lowercase(), value);
        }
        found.push((name.clone(), section));
    }
    Ok(found)
}

/// A path in which `~` stands for the home directory, and `$NAME` or `${NAME}` for a variable.
fn expand(text: &str, environment: &Environment) -> Option<PathBuf> {
    let mut path = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        path += before;
        let (name, end) = match behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, end)) => (name, end),
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len()))
            }
        };
        match environment.set(name) {
            Some(value) => path += value,
            // What is not set stays as it is written.
            None => path += &rest[before.len()..rest.len() - end.len()],
        }
        rest = end;
    }
    path += rest;
    match path.strip_prefix('~') {
        Some(inner) if inner.is_empty() || inner.starts_with('/') => {
            Some(environment.home.as_ref()?.join(inner.trim_start_matches('/')))
        }
        _ => Some(Path::new(&path).to_owned()).filter(|_| !path.is_empty()),
    }
}
