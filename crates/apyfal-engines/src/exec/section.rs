//! Values of a section of the configuration, each as the kind that its key wants.

use apyfal_core::{Error, ErrorKind, Result, nearest};
use serde_json::{Map, Value};

/// Refuses a key that means nothing, with the nearest that does.
pub(super) fn refuse_unknown(whose: &str, map: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let error = Error::new(ErrorKind::Configuration, format!("there is no key '{key}'"))
        .context("key", key);
    Err(match nearest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint(format!("{whose}keys are {}", known.join(", ")).trim_start().to_owned()),
    })
}

/// The error for a value of the wrong kind.
pub(super) fn wrong(key: &'static str, value: &Value, right: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("'{key}' cannot be {value}"))
        .hint(format!("it takes {right}"))
}

/// A text.
pub(super) fn text(map: &Map<String, Value>, key: &'static str) -> Result<Option<String>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(key, other, "text")),
    }
}

/// A list of texts, or a text split into words as a shell would.
pub(super) fn words(map: &Map<String, Value>, key: &'static str) -> Result<Option<Vec<String>>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match shlex::split(text) {
            Some(words) => Ok(Some(words)),
            None => Err(wrong(key, &text.as_str().into(), "text whose quotes are closed")),
        },
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                other => Err(wrong(key, other, "a list of texts")),
            })
            .collect::<Result<_>>()
            .map(Some),
        Some(other) => Err(wrong(key, other, "a list of texts, or text")),
    }
}

/// A truth; unset is false.
pub(super) fn flag(map: &Map<String, Value>, key: &'static str) -> Result<bool> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong(key, value, "True or False")),
    }
}
