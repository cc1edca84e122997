//! Values from environment variables, which the caller reads.

use super::check::{self, Warning};
use super::ini::Origin;
use super::{Configuration, put, schema};

/// What the name of a variable starts with that sets a value.
pub const PREFIX: &str = "APYFAL__";

impl Configuration {
    /// Takes the values of variables named `APYFAL__<SECTION>[__<SUB>]__<KEY>`; others are ignored.
    ///
    /// `APYFAL__HOST__AWS__CLIENT_ID` is `client_id` in `[host.AWS]`. The parts match known and
    /// existing names in any case, `_` also standing for `-`; what matches none is taken as it is
    /// written if it has a lower-case letter, else in lower case. An empty value does nothing.
    pub fn apply_environment<K, V>(&mut self, variables: impl IntoIterator<Item = (K, V)>)
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let variables = variables.into_iter().filter_map(|(name, value)| {
            name.as_ref().starts_with(PREFIX).then(|| (name.as_ref().to_owned(), value))
        });
        let mut variables: Vec<_> = variables.collect();
        // So that two variables for one key have an order.
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, value) in variables {
            self.apply_variable(&name, value.as_ref());
        }
    }

    fn apply_variable(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let words: Vec<&str> = name[PREFIX.len()..].split("__").collect();
        let (Some((key, section)), false) = (words.split_last(), words.contains(&"")) else {
            return self.warn(name, "it names no section and key".to_owned());
        };
        if section.is_empty() {
            let message = format!("it names no section; call it {PREFIX}<SECTION>__{key}");
            return self.warn(name, message);
        }
        let written = self.match_section(section);
        let key = self.match_key(&written, key);
        if schema::is_legacy(&written) {
            self.warn(name, "the section 'csp' is deprecated; call it 'host'".to_owned());
        }
        let (section, key) = self.present(&written, &key);
        let problem =
            check::section_problem(&section).or_else(|| check::key_problem(&section, &key));
        if let Some(message) = problem {
            self.warn(name, message);
        }
        let place = Origin::Variable(name.to_owned());
        put(&mut self.environment, &section, &key, Some(value), place);
    }

    fn warn(&mut self, variable: &str, message: String) {
        let place = Origin::Variable(variable.to_owned());
        let origin = self.environment.origin.clone();
        self.warnings.push(Warning { origin, place, message });
    }

    /// Part by part: an existing name that starts so, else a known one, else the word.
    fn match_section(&self, words: &[&str]) -> String {
        let types = schema::HOST_TYPES.iter().map(|name| format!("host.{name}"));
        let storages = schema::STORAGE_TYPES
            .iter()
            .flat_map(|(name, other)| [format!("storage.{name}"), format!("storage.{other}")]);
        let tops = schema::SECTIONS.iter().map(|spec| spec.name.to_owned());
        let existing = self.layers().flat_map(|layer| layer.sections.keys().cloned());
        let known: Vec<String> = existing.chain(tops).chain(types).chain(storages).collect();
        let mut name = String::new();
        for word in words {
            let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
            let part = known
                .iter()
                .filter_map(|known| known.strip_prefix(&prefix)?.split('.').next())
                .find(|part| is_same(part, word));
            name = format!("{prefix}{}", part.map_or_else(|| as_written(word), str::to_owned));
        }
        name
    }

    fn match_key(&self, section: &str, word: &str) -> String {
        let view = self.section(section);
        let known = schema::section(view.name()).map_or(&[][..], |spec| spec.keys);
        let known = known.iter().map(|spec| spec.name);
        let found = known.chain(view.keys()).find(|key| is_same(key, word));
        found.map_or_else(|| as_written(word), str::to_owned)
    }
}

fn is_same(name: &str, word: &str) -> bool {
    name.replace('-', "_").eq_ignore_ascii_case(word)
}

fn as_written(word: &str) -> String {
    if word.contains(char::is_lowercase) { word.to_owned() } else { word.to_lowercase() }
}
