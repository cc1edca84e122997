//! Whether the values of parameters reach the program as the values that they are.
//!
//! Whoever may give a job its parameters chooses values, not options: a text that begins with `-`
//! would be one where it becomes the beginning of an argument, unless a `--` stands before it. What
//! the declaration itself says, its defaults and choices, is its own affair, and so are numbers.

use std::collections::BTreeSet;

use apyfal_core::{AcceleratorInfo, Error, ErrorKind, ParamKind, Params, Result};
use serde_json::Value;

use super::declaration::param;
use super::parameters::PLACES;
use super::template::Template;

/// Refuses values that the program would not get as values. `arguments` are those behind its name;
/// the values of `free` parameters may begin with `-` anywhere.
pub(super) fn check_arguments(
    info: &AcceleratorInfo,
    arguments: &[Template],
    free: &BTreeSet<String>,
    params: &Params,
) -> Result<()> {
    // The paths of places are absolute, so they begin with no dash.
    let value = |name: &str| match PLACES.contains(&name) {
        true => Some("/".to_owned()),
        false => param(params, name),
    };
    let mut are_operands = false;
    for argument in arguments {
        check_text(info, argument, params)?;
        if are_operands {
            continue;
        }
        are_operands = argument.is_text("--");
        let has_dash =
            argument.fill(value).is_some_and(|filled| filled.as_encoded_bytes().starts_with(b"-"));
        if has_dash
            && let Some(name) = argument.first_value(value)
            && !free.contains(name)
            && !is_declared(info, params, name)
        {
            return Err(option(info, name));
        }
    }
    Ok(())
}

/// Whether a value is a number, or one of those that the declaration itself names.
fn is_declared(info: &AcceleratorInfo, params: &Params, name: &str) -> bool {
    let (value, spec) = (params.get(name), info.params.iter().find(|spec| spec.name == name));
    matches!(value, Some(Value::Number(_)))
        || spec.is_some_and(|spec| {
            matches!(spec.kind, ParamKind::Choice(_)) || spec.default.as_ref() == value
        })
}

/// Refuses what no argument and no variable can hold.
pub(super) fn check_text(info: &AcceleratorInfo, text: &Template, params: &Params) -> Result<()> {
    match text.names().find(|name| param(params, name).is_some_and(|value| value.contains('\0'))) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Usage,
            format!("'{name}' of {} cannot contain a NUL character", info.name),
        )
        .hint("arguments and variables of a program are text without it")),
    }
}

/// The error for a value that would be an option.
fn option(info: &AcceleratorInfo, name: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("'{name}' of {} cannot begin with '-': it would be an option of its program", info.name),
    )
    .hint(format!(
        "whoever declared it can put \"--\" before the argument, write --{name}={{{name}}}, or allow \
         it: 'leading_dash' of the parameter"
    ))
}
