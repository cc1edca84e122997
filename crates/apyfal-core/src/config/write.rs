//! Writing a configuration.

use indexmap::IndexMap;

use super::Configuration;
use super::ini::{DEFAULT, Ini};
use crate::{Error, ErrorKind, Result};

/// Sections with raw values.
type Raw<'a> = IndexMap<&'a str, IndexMap<&'a str, Option<&'a str>>>;

impl Configuration {
    /// The text of a file that reads back equal: keys keep their case, references stay references.
    /// Comments are not kept. It holds the secrets of the configuration.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`]: a value that was set cannot be said in this format, for
    /// example one that starts or ends with white space, or with a line that starts with `#`.
    pub fn write(&self) -> Result<String> {
        let sections = self.flattened();
        let mut text = String::new();
        for (section, entries) in &sections {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in entries {
                match value {
                    Some(value) => {
                        text.push_str(&format!("{key} = {}\n", value.replace('\n', "\n\t")));
                    }
                    None => text.push_str(&format!("{key}\n")),
                }
            }
            text.push('\n');
        }
        let back = Ini::parse(text.as_bytes(), "the written configuration")?;
        verify(&sections, &back)?;
        Ok(text)
    }

    /// For each section its own keys, with the raw values that they have with all precedence applied.
    fn flattened(&self) -> Raw<'_> {
        let mut sections = Raw::new();
        let names = std::iter::once(DEFAULT).chain(self.section_names());
        for name in names {
            let view = self.section(name);
            let keys = self.own_keys(name).into_iter();
            let entries: IndexMap<_, _> = keys.map(|key| (key, view.raw(key))).collect();
            if name != DEFAULT || !entries.is_empty() {
                sections.insert(name, entries);
            }
        }
        sections
    }
}

/// An error for the first value that does not read back as it is.
fn verify(sections: &Raw<'_>, back: &Ini) -> Result<()> {
    let count = |entries: &IndexMap<_, _>| entries.len();
    for (section, entries) in sections {
        for (key, value) in entries {
            let read = back.entry(section, key).map(|entry| entry.raw.as_deref());
            if read != Some(*value) {
                return Err(lost(section, key));
            }
        }
        let read = back.section(section).map(|section| section.entries.len());
        if read != Some(count(entries)) {
            return Err(lost(section, ""));
        }
    }
    Ok(())
}

fn lost(section: &str, key: &str) -> Error {
    let error = Error::new(ErrorKind::Configuration, "this format cannot hold the value")
        .operation("write the configuration")
        .context("section", section);
    if key.is_empty() { error } else { error.context("key", key) }
        .hint("white space at the ends, and lines that start with '#' or ';', are not kept")
}
