//! `accelerator.conf`: what it says, wherever it was written.
//!
//! * [`Configuration`] holds what the file, the environment and the arguments say.
//! * [`Section`] is one section of it, with what it inherits.
//! * [`schema`] lists the sections and keys that are known.
//! * [`ini`] and [`interpolate`] read the file's syntax, [`literal`] that of its values.

mod check;
mod environment;
pub mod ini;
pub mod interpolate;
mod legacy;
pub mod literal;
mod paths;
pub mod schema;
mod section;
mod write;

pub use check::Warning;
pub use environment::PREFIX;
pub use literal::{Literal, json_value, read_value};
pub use paths::Placed;
pub use section::Section;

use indexmap::IndexSet;
use ini::{DEFAULT, Entry, Ini, Origin};
use schema::Form;
use serde_json::{Map, Value};

use crate::Result;

/// What the file, the environment and the arguments say, as text.
///
/// Arguments go before the environment, and the environment before the file, whatever the order of
/// the calls. Within each of them a section goes before the one that it is a part of: an argument
/// for `host` goes before the file's `[host.AWS]`. `Debug` shows secrets as `***`.
///
/// ```
/// use apyfal_core::Configuration;
/// # fn main() -> apyfal_core::Result<()> {
/// let file = b"[host]\nregion = a\nstop_mode = keep\n[host.AWS]\nregion = us-east-1\n";
/// let mut config = Configuration::parse(file, "accelerator.conf")?;
/// assert_eq!(config.section("host.aws").get("region")?.as_deref(), Some("us-east-1"));
/// assert_eq!(config.section("host.AWS").get("stop_mode")?.as_deref(), Some("keep"));
/// config.apply_environment([("APYFAL__HOST__REGION", "eu-west-1")]);
/// assert_eq!(config.section("host.AWS").get("region")?.as_deref(), Some("eu-west-1"));
/// config.set("host", "region", Some("us-west-2"));
/// assert_eq!(config.section("host.AWS").get("region")?.as_deref(), Some("us-west-2"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Configuration {
    /// What the file says.
    file: Ini,
    /// What the environment says.
    environment: Ini,
    /// What arguments say.
    arguments: Ini,
    warnings: Vec<Warning>,
}

impl Default for Configuration {
    /// Nothing: every key is unset.
    fn default() -> Self {
        Self::new(Ini::empty("no file", Origin::Argument))
    }
}

impl Configuration {
    fn new(file: Ini) -> Self {
        Self {
            file,
            environment: Ini::empty("the environment", Origin::Argument),
            arguments: Ini::empty("the arguments", Origin::Argument),
            warnings: Vec::new(),
        }
    }

    /// Reads a file. `origin` is its name for errors and warnings.
    ///
    /// Values are interpolated when they are asked for, so a wrong one that nobody needs is no error.
    ///
    /// # Errors
    /// As [`Ini::parse`].
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Self> {
        let (file, mut warnings) = legacy::modernise(Ini::parse(bytes, origin)?);
        check::check(&file, &mut warnings);
        Ok(Self { warnings, ..Self::new(file) })
    }

    /// What the user should know: names that are unknown or out of date.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// A section with what it inherits. One that is nowhere written is empty.
    ///
    /// `host.AWS` inherits from `host`, `configuration.gzip` from `configuration`,
    /// `storage.AWS.archive` from `storage.AWS`, `storage` and then from `host.AWS` (and `host`, if
    /// that is of type AWS or of none), and all of them from `DEFAULT`. Types of hosts and storages
    /// and names of accelerators are the same in any case.
    pub fn section(&self, name: &str) -> Section<'_> {
        Section::new(self, &self.spelled(name))
    }

    /// What is said of hosts of a type: in its own section, and in `[host]` unless that is of another
    /// type, whose keys and regions are not for this one.
    ///
    /// ```
    /// use apyfal_core::Configuration;
    /// # fn main() -> apyfal_core::Result<()> {
    /// let file = b"[host]\nhost_type = OpenStack\nclient_id = me\n[host.AWS]\nregion = us-east-1\n";
    /// let mut config = Configuration::parse(file, "accelerator.conf")?;
    /// assert_eq!(config.host("AWS").get("client_id")?, None);
    /// assert_eq!(config.host("OpenStack").get("client_id")?.as_deref(), Some("me"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn host(&self, host_type: &str) -> Section<'_> {
        Section::of_host(self, host_type)
    }

    /// The names of all sections, `DEFAULT` aside; in the order of the file.
    pub fn section_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for layer in self.layers().rev() {
            for (name, _) in &layer.sections {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The keys that a section has itself, those without value too; in the order of the file. `DEFAULT` is
    /// one as well.
    ///
    /// ```
    /// use apyfal_core::Configuration;
    /// # fn main() -> apyfal_core::Result<()> {
    /// let file = b"[DEFAULT]\nrole = r\n[host]\nregion = a\n[host.AWS]\nregion = a\n";
    /// let mut config = Configuration::parse(file, "accelerator.conf")?;
    /// assert_eq!(config.own_keys("host.aws"), ["region"]);
    /// assert_eq!(config.own_keys("DEFAULT"), ["role"]);
    /// config.remove("host.AWS", "region");
    /// assert!(config.own_keys("host.AWS").is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn own_keys(&self, section: &str) -> Vec<&str> {
        let name = self.spelled(section);
        let sections = self.layers().rev().filter_map(|layer| layer.section(&name));
        let keys: IndexSet<&String> = sections.flat_map(|section| section.entries.keys()).collect();
        keys.into_iter().map(String::as_str).collect()
    }

    /// What follows `section.` in the names of the sections: `AWS`, `AWS.archive` for `storage`.
    pub fn subsections(&self, section: &str) -> Vec<&str> {
        let part = |name: &&'_ str| name.strip_prefix(section)?.strip_prefix('.').map(str::len);
        let names = self.section_names();
        names.into_iter().filter_map(|name| Some(&name[name.len() - part(&name)?..])).collect()
    }

    /// Sets a value, as arguments do; none or an empty one does nothing. It is taken as it is:
    /// references in it are not resolved.
    pub fn set(&mut self, section: &str, key: &str, value: Option<&str>) {
        let (section, key) = self.present(section, key);
        put(&mut self.arguments, &section, &key, value, Origin::Argument);
    }

    /// Sets a value that need not be text, in the form in which it reads back equal; null does
    /// nothing.
    pub fn set_value(&mut self, section: &str, key: &str, value: &Value) {
        let (name, present) = self.present(section, key);
        let text = match value {
            Value::Null => return,
            Value::String(text) => {
                let plain = match schema::form(&name, &present) {
                    Form::Literal => read_value(text) == *value && !text.contains('\n'),
                    Form::Text | Form::Bool | Form::Lines => true,
                };
                if plain { text.clone() } else { Literal::from(value).to_string() }
            }
            value => Literal::from(value).to_string(),
        };
        self.set(section, key, Some(&text));
    }

    /// Forgets a value wherever it was set: in this section and in those that inherit from it.
    pub fn unset(&mut self, section: &str, key: &str) {
        let (section, key) = self.present(section, key);
        let inherits = format!("{section}.");
        for layer in self.layers_mut() {
            for (name, values) in &mut layer.sections {
                if *name == section || name.starts_with(&inherits) {
                    values.entries.shift_remove(&key);
                }
            }
        }
    }

    /// Forgets a value of a section itself, wherever it was set; sections that inherit from it keep theirs.
    pub fn remove(&mut self, section: &str, key: &str) {
        let (section, key) = self.present(section, key);
        for layer in self.layers_mut() {
            let values = match section.as_str() {
                DEFAULT => Some(&mut layer.defaults),
                name => layer.sections.get_mut(name),
            };
            if let Some(values) = values {
                values.entries.shift_remove(&key);
            }
        }
    }

    /// Forgets a section; those that inherit from it stay.
    pub fn remove_section(&mut self, section: &str) {
        let name = self.spelled(section);
        for layer in self.layers_mut() {
            layer.sections.shift_remove(&name);
        }
    }

    /// The default parameters of `start` (`configuration`) or `process` for an accelerator, which may
    /// go by several names: of these the first goes before the others.
    ///
    /// The key `parameters` is left out.
    ///
    /// # Errors
    /// A value cannot be interpolated, or JSON cannot say it.
    pub fn parameters(&self, section: &str, accelerator: &[&str]) -> Result<Map<String, Value>> {
        let names = accelerator.iter().map(|name| self.spelled(&format!("{section}.{name}")));
        let mut names: Vec<_> = names.collect();
        names.push(section.to_owned());
        let section = Section::joined(self, names);
        let mut parameters = Map::new();
        for key in section.keys().into_iter().filter(|key| *key != "parameters") {
            if let Some(value) = section.get_json(key)? {
                parameters.insert(key.to_owned(), value);
            }
        }
        Ok(parameters)
    }

    /// The strongest first.
    fn layers(&self) -> impl DoubleEndedIterator<Item = &Ini> {
        [&self.arguments, &self.environment, &self.file].into_iter()
    }

    fn layers_mut(&mut self) -> [&mut Ini; 3] {
        [&mut self.arguments, &mut self.environment, &mut self.file]
    }

    /// The entry of a key in a section itself, the strongest first.
    fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        self.layers().find_map(|layer| layer.entry(section, key))
    }

    /// The name of a section as it is spelled here.
    fn spelled(&self, name: &str) -> String {
        legacy::spelled(name, self.layers().flat_map(|layer| layer.sections.keys()))
    }

    /// Section and key by the names that they have today.
    fn present(&self, section: &str, key: &str) -> (String, String) {
        let present =
            Some(key).filter(|_| schema::is_legacy(section)).and_then(schema::present_key);
        (self.spelled(section), present.unwrap_or(key).to_owned())
    }
}

/// Puts a text that stands for itself into a layer.
fn put(layer: &mut Ini, section: &str, key: &str, value: Option<&str>, place: Origin) {
    let Some(text) = value.filter(|text| !text.is_empty()) else { return };
    let entry = Entry { raw: Some(interpolate::escape(text)), place: place.clone() };
    layer.section_mut(section, place).entries.insert(key.to_owned(), entry);
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
