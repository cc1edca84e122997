//! Dictionaries of the configuration that are keyword arguments of boto3.

use std::time::Duration;

use apyfal_core::config::Section;
use apyfal_core::{Error, Result, nearest, shorten};
use serde_json::{Map, Value};

/// One of them, whose names are all known. What is `None` counts as not given, as in Python.
///
/// Errors do not show values, any of which may be a secret.
#[derive(Clone)]
pub(super) struct Keywords<'a> {
    section: &'a Section<'a>,
    key: &'static str,
    /// Where it is within the dictionary of the key: `config.`.
    path: String,
    values: Map<String, Value>,
}

impl<'a> Keywords<'a> {
    /// The dictionary of a key; an empty one where the key is not set.
    pub(super) fn read(
        section: &'a Section<'a>,
        key: &'static str,
        known: &[&str],
    ) -> Result<Self> {
        let value = section.get_literal(key)?.unwrap_or_default();
        Self { section, key, path: String::new(), values: Map::new() }.with(value, known)
    }

    /// A dictionary within this one.
    pub(super) fn within(&self, name: &str, known: &[&str]) -> Result<Self> {
        let path = format!("{}{name}.", self.path);
        let inner = Self { path, values: Map::new(), ..self.clone() };
        inner.with(self.value(name).cloned().unwrap_or_default(), known)
    }

    fn with(mut self, value: Value, known: &[&str]) -> Result<Self> {
        self.values = match value {
            Value::Object(values) => values,
            Value::Null => return Ok(self),
            _ => {
                let what = self.path.trim_end_matches('.');
                let what = if what.is_empty() { "it".to_owned() } else { format!("'{what}'") };
                return Err(self.refuse(&format!("{what} takes a dictionary")));
            }
        };
        for name in self.values.keys() {
            if !known.contains(&name.as_str()) {
                let path = shorten(format!("{}{name}", self.path));
                return Err(self.refuse(&format!("'{path}' is not known")).hint(
                    match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => format!("known are {}", known.join(", ")),
                    },
                ));
            }
        }
        Ok(self)
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.error(name, "takes text, in quotes")),
        }
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.error(name, "takes True or False")),
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<u32>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| count.try_into().ok());
        count.map(Some).ok_or_else(|| self.error(name, "takes an integer from 0"))
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let time = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let time = time.filter(|time| !time.is_zero());
        time.map(Some).ok_or_else(|| self.error(name, "takes a number of seconds above 0"))
    }

    /// An error about one of its values: "'config.retries' takes a dictionary".
    pub(super) fn error(&self, name: &str, rule: &str) -> Error {
        self.refuse(&format!("'{}{name}' {rule}", self.path))
    }

    fn refuse(&self, why: &str) -> Error {
        self.section.error(self.key, why)
    }
}
