//! A TOML document as values, whose mistakes are told with their line and key.

use std::collections::BTreeMap;

use apyfal_core::{Error, ErrorKind, Result, nearest};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where each key of a document stands: its dotted path, and the line.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// An error about the value of a key.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> Error {
        self.place(Error::new(ErrorKind::Configuration, message), key)
    }

    /// Adds to an error where the key stands, or what it stands in.
    pub(super) fn place(&self, error: Error, key: &str) -> Error {
        let mut within = key;
        let line = loop {
            if let Some(line) = self.0.get(within) {
                break Some(line);
            }
            match within.rsplit_once('.') {
                Some((outer, _)) => within = outer,
                None => break None,
            }
        };
        let error = match line {
            Some(line) => error.context("line", line),
            None => error,
        };
        match key.is_empty() {
            true => error,
            false => error.context("key", key),
        }
    }
}

/// Reads a document: its values, in their order, and where they stand.
pub(super) fn read(text: &str) -> Result<(Map<String, Value>, Lines)> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(text, span.start));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Error::new(ErrorKind::Configuration, message).context("line", line)
    })?;
    let mut reader = Reader { text, lines: Lines::default() };
    let map = reader.table(table.get_ref(), "")?;
    Ok((map, reader.lines))
}

fn line(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'t> {
    text: &'t str,
    lines: Lines,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Result<Map<String, Value>> {
        let mut entries: Vec<_> = table.iter().collect();
        // As they were written: parameters are shown in this order.
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut map = Map::new();
        for (key, value) in entries {
            let path = joined(path, key.get_ref());
            self.lines.0.insert(path.clone(), line(self.text, key.span().start));
            map.insert(key.get_ref().to_string(), self.value(value, &path)?);
        }
        Ok(map)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Result<Value> {
        let wrong =
            |lines: &Lines, what: &str| lines.error(path, format!("{what} is out of range"));
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(date) => Value::String(date.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::from)
                .map_err(|_| wrong(&self.lines, number.as_str()))?,
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number)
                .ok_or_else(|| wrong(&self.lines, number.as_str()))?,
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let path = joined(path, &(index + 1).to_string());
                    self.lines.0.insert(path.clone(), line(self.text, item.span().start));
                    values.push(self.value(item, &path)?);
                }
                Value::Array(values)
            }
            DeValue::Table(table) => Value::Object(self.table(table, path)?),
        })
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A table of the document, and how errors find their way to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'d> {
    pub(super) map: &'d Map<String, Value>,
    pub(super) lines: &'d Lines,
    path: &'d str,
}

impl<'d> Table<'d> {
    /// A table at its path; that of the document is empty.
    pub(super) fn new(map: &'d Map<String, Value>, lines: &'d Lines, path: &'d str) -> Self {
        Self { map, lines, path }
    }

    /// Refuses a key that means nothing, with the nearest that does.
    pub(super) fn refuse_unknown(&self, known: &[&str]) -> Result<()> {
        let Some(key) = self.map.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let error = self.error(key, format!("there is no key '{key}'"));
        Err(match nearest(key, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(format!("the keys are {}", known.join(", "))),
        })
    }

    /// An error about a key of this table.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> Error {
        self.lines.error(&joined(self.path, key), message)
    }

    /// The error for a value of the wrong kind.
    pub(super) fn wrong(&self, key: &str, value: &Value, right: &str) -> Error {
        self.error(key, format!("'{key}' cannot be {value}")).hint(format!("it takes {right}"))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, other, "text")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self, key: &str) -> Result<String> {
        let missing = || {
            self.lines.place(
                Error::new(ErrorKind::Configuration, format!("'{key}' is missing")),
                self.path,
            )
        };
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let right = "a list of texts";
        match self.map.get(key) {
            None => Ok(Vec::new()),
            Some(value @ Value::Array(items)) => {
                let text = |item: &Value| item.as_str().map(str::to_owned);
                let texts: Option<_> = items.iter().map(text).collect();
                texts.ok_or_else(|| self.wrong(key, value, right))
            }
            Some(other) => Err(self.wrong(key, other, right)),
        }
    }

    /// A whole number within bounds.
    /// A truth; no where it is missing.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.map.get(key) {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    pub(super) fn number(&self, key: &str, from: u64, to: u64) -> Result<Option<u64>> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(number) if (from..=to).contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(key, value, &format!("a whole number from {from} to {to}"))),
        }
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &str) -> Result<Option<&'d Map<String, Value>>> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong(key, other, &format!("a table: [{key}]"))),
        }
    }
}
