//! The parameters that a declaration gives its program.

use std::borrow::Cow;
use std::collections::BTreeSet;

use apyfal_core::{Error, ErrorKind, ParamKind, ParamSpec, Params, Result, Stage, size};
use serde_json::{Map, Value};

use super::declaration::Program;
use super::section::{flag, refuse_unknown, text, words, wrong};

const PARAMETER_KEYS: [&str; 8] =
    ["type", "default", "min", "max", "choices", "help", "stage", "leading_dash"];
/// Placeholders that are no parameters.
pub(super) const PLACES: [&str; 3] = ["src", "dst", "scratch"];

/// Reads the key `parameters`.
pub(super) fn read_params(value: Option<&Value>, program: &Program) -> Result<Vec<ParamSpec>> {
    let map = match value {
        None | Some(Value::Null) if matches!(program, Program::Executable(_)) => {
            return Ok(vec![ParamSpec::any_other("Passed on to the program, which checks it.")]);
        }
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(wrong("parameters", other, "a dictionary")),
    };
    map.iter()
        .map(|(name, value)| {
            read_param(name, value)
                .map_err(|error| error.of_parameter(name).context("parameter", name))
        })
        .collect()
}

/// The parameters whose values may begin with `-`.
pub(super) fn read_leading_dash(value: Option<&Value>) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        let Value::Object(map) = value else { continue };
        if flag(map, "leading_dash")
            .map_err(|error| error.of_parameter(name).context("parameter", name))?
        {
            names.insert(name.clone());
        }
    }
    Ok(names)
}

fn read_param(name: &str, value: &Value) -> Result<ParamSpec> {
    if PLACES.contains(&name) {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("'{name}' has a meaning already"),
        ));
    }
    let short = Map::from_iter([("default".to_owned(), value.clone())]);
    let map = match value {
        Value::Object(map) => map,
        _ => &short,
    };
    refuse_unknown("a parameter's ", map, &PARAMETER_KEYS)?;
    let default = map.get("default").filter(|value| !value.is_null());
    let mut spec = ParamSpec::new(
        name.to_owned(),
        read_kind(map, default)?,
        text(map, "help")?.unwrap_or_default(),
    );
    spec.stage = match text(map, "stage")?.as_deref() {
        None | Some("process") => Stage::Process,
        Some("start") => Stage::Start,
        Some(other) => return Err(wrong("stage", &other.into(), "'start' or 'process'")),
    };
    if let Some(default) = default {
        let given = Map::from_iter([(name.to_owned(), default.clone())]);
        let checked = Params::check("the default", std::slice::from_ref(&spec), None, &given)
            .map_err(|error| {
                Error::new(ErrorKind::Configuration, "the default is not a value of its type")
                    .source(error)
            })?;
        spec.default = checked.get(name).cloned();
    }
    Ok(spec)
}

/// The declared type, else that of the choices, the default or the bounds.
fn read_kind(map: &Map<String, Value>, default: Option<&Value>) -> Result<ParamKind> {
    let choices = words(map, "choices")?;
    let bound = |key: &str| map.get(key).filter(|value| !value.is_null());
    let kind = match text(map, "type")? {
        Some(kind) => kind,
        None if choices.is_some() => "choice".to_owned(),
        None => match default.or(bound("min")).or(bound("max")) {
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(number)) if number.is_f64() => "float",
            Some(Value::Number(_)) => "integer",
            Some(Value::Array(_) | Value::Object(_)) => "any",
            _ => "text",
        }
        .to_owned(),
    };
    let integer = |key, open| match bound(key) {
        None => Ok(open),
        Some(value) => value.as_i64().ok_or_else(|| wrong(key, value, "a whole number")),
    };
    let bytes = |key, open| match bound(key) {
        Some(Value::String(text)) => size(text)
            .and_then(|size| i64::try_from(size).ok())
            .ok_or_else(|| wrong(key, &text.as_str().into(), "a size such as 64KiB or 1MB")),
        _ => integer(key, open),
    };
    let float = |key, open| match bound(key) {
        None => Ok(open),
        Some(value) => value.as_f64().ok_or_else(|| wrong(key, value, "a number")),
    };
    Ok(match (kind.as_str(), choices) {
        ("bool", _) => ParamKind::Bool,
        ("integer" | "int", _) => {
            ParamKind::Integer(integer("min", i64::MIN)?..=integer("max", i64::MAX)?)
        }
        ("bytes", _) => ParamKind::Bytes(bytes("min", 0)?..=bytes("max", i64::MAX)?),
        ("float" | "number", _) => {
            ParamKind::Float(float("min", f64::NEG_INFINITY)?..=float("max", f64::INFINITY)?)
        }
        ("text" | "str" | "string", _) => ParamKind::Text,
        ("any", _) => ParamKind::Any,
        ("choice", Some(choices)) => {
            ParamKind::Choice(choices.into_iter().map(Cow::from).collect())
        }
        ("choice", None) => {
            return Err(Error::new(ErrorKind::Configuration, "a choice needs 'choices'"));
        }
        (other, _) => {
            return Err(wrong(
                "type",
                &other.into(),
                "bool, integer, bytes, float, text, choice or any",
            ));
        }
    })
}
