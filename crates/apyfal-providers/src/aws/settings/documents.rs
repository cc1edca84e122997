//! What a user says of rights: documents of IAM.

use apyfal_core::config::Section;
use apyfal_core::{Result, read_value};
use serde_json::Value;

/// A document of IAM: a dictionary, or its JSON.
///
/// # Errors
/// It is no such document.
pub(super) fn read(section: &Section<'_>, key: &str) -> Result<Option<Value>> {
    let Some(text) = section.get(key)? else { return Ok(None) };
    let value = serde_json::from_str(&text).unwrap_or_else(|_| read_value(&text));
    let statements = match value.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        one => Vec::from_iter(one),
    };
    match statements.is_empty() || !statements.iter().all(|statement| statement.is_object()) {
        false => Ok(Some(value)),
        true => Err(section.error(key, "it is no document of IAM").hint(
            "write {'Version': '2012-10-17', 'Statement': [{…}]}, as the console of IAM shows it",
        )),
    }
}
