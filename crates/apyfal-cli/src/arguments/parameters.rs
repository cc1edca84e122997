//! The parameters of an accelerator, as a command line has them.

use std::convert::Infallible;

use apyfal::{AcceleratorInfo, Error, ErrorKind, ParamKind, Result};
use apyfal_core::{json_value, read_value};
use clap::Args;
use serde_json::{Map, Value};

/// Parameters as they were written; what they mean depends on who takes them.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, Word)>);

#[derive(Debug)]
pub(super) enum Word {
    /// A key without a value.
    Switch,
    Text(String),
}

/// Parameters whose names are also options of the command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Set {
    /// Set a parameter, also one that is called like an option here, such as name.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a '=' is missing")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Parameters {
    /// Adds one.
    ///
    /// # Errors
    /// It was given before.
    pub(super) fn add(&mut self, key: String, value: Word) -> Result<()> {
        if self.0.iter().any(|(earlier, _)| *earlier == key) {
            return Err(Error::new(ErrorKind::Usage, format!("'--{key}' was given twice")));
        }
        self.0.push((key, value));
        Ok(())
    }

    /// The last one, if it was given no value.
    pub(super) fn without_value(&self) -> Option<&str> {
        match self.0.last()? {
            (key, Word::Switch) => Some(key),
            (_, Word::Text(_)) => None,
        }
    }

    /// Adds those that were given by `--set`, which win.
    pub(crate) fn and(mut self, set: Set) -> Self {
        for (key, value) in set.set {
            self.0.retain(|(earlier, _)| *earlier != key);
            self.0.push((key, Word::Text(value)));
        }
        self
    }

    /// Takes out those of some names.
    pub(crate) fn take(&mut self, is_taken: impl Fn(&str) -> bool) -> Self {
        Self(self.0.extract_if(.., |(key, _)| is_taken(key)).collect())
    }

    /// Each value of a setting as the Python literal that it is, or as its text; those that are text as they
    /// were written.
    pub(crate) fn literal(self, is_text: impl Fn(&str) -> bool) -> Map<String, Value> {
        // Arguments for a cloud may have bytes, which are text there.
        let Ok(values) = self.read(is_text, |_, text| Ok::<_, Infallible>(read_value(&text)));
        values
    }

    /// The same for an accelerator: where it takes text, the text is left as it was written.
    ///
    /// # Errors
    /// JSON, by which they are sent, cannot say one.
    pub(crate) fn of(self, info: &AcceleratorInfo) -> Result<Map<String, Value>> {
        let is_text = |key: &str| {
            let mut specs = info.params.iter();
            specs.any(|spec| {
                spec.name == key && matches!(spec.kind, ParamKind::Text | ParamKind::Choice(_))
            })
        };
        self.read(is_text, |key, text| json_value(key, &text))
    }

    fn read<E>(
        self,
        is_text: impl Fn(&str) -> bool,
        read: impl Fn(&str, String) -> Result<Value, E>,
    ) -> Result<Map<String, Value>, E> {
        let value = |(key, word): (String, Word)| {
            let value = match word {
                Word::Switch => Value::Bool(true),
                Word::Text(text) if is_text(&key) => Value::String(text),
                Word::Text(text) => read(&key, text)?,
            };
            Ok((key, value))
        };
        self.0.into_iter().map(value).collect()
    }
}
