//! Parameters: what an engine declares, and values checked against it.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result, is_secret_key, nearest, shorten, size, truth};

/// Text that is mostly written in the source, and for a user's own program read from a file.
type Text = Cow<'static, str>;

/// When a parameter may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Only with `start`: it shapes the session.
    Start,
    /// With each `process`; given with `start` it is the default for the session.
    Process,
}

/// The type and range of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamKind {
    /// True or false; `0` and `1` are accepted too.
    Bool,
    /// A whole number within the range.
    Integer(RangeInclusive<i64>),
    /// So many bytes, within the range: a whole number, or a size such as `1MB` or `64KiB`.
    Bytes(RangeInclusive<i64>),
    /// A number.
    Float(RangeInclusive<f64>),
    /// Any text.
    Text,
    /// One of these words; a number is taken as its digits.
    Choice(Vec<Text>),
    /// Anything that JSON can say.
    Any,
}

impl ParamKind {
    /// The type and range as help and errors show them: `integer 1 to 100`.
    pub fn describe(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer(range) => described("integer", range),
            Self::Bytes(range) => described("bytes", range) + ", such as 64kB",
            Self::Float(range) => match (*range.start(), *range.end()) {
                (f64::NEG_INFINITY, f64::INFINITY) => "number".to_owned(),
                (start, f64::INFINITY) => format!("number from {start}"),
                (start, end) => format!("number {start} to {end}"),
            },
            Self::Text => "text".to_owned(),
            Self::Choice(choices) => choices.join(", "),
            Self::Any => "any value".to_owned(),
        }
    }

    /// The value in its canonical form, or what would have been right.
    fn accept(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Bool => truth(value).map(Value::Bool),
            Self::Integer(range) => {
                let number = integer(value)?;
                range.contains(&number).then(|| number.into())
            }
            Self::Bytes(range) => {
                let as_size = || size(value.as_str()?).and_then(|size| i64::try_from(size).ok());
                let bytes = integer(value).or_else(as_size)?;
                range.contains(&bytes).then(|| bytes.into())
            }
            Self::Float(range) => {
                let number = match value {
                    Value::Number(number) => number.as_f64()?,
                    Value::String(text) => text.trim().parse().ok()?,
                    _ => return None,
                };
                range.contains(&number).then(|| number.into())
            }
            Self::Text => match value {
                Value::String(_) => Some(value.clone()),
                Value::Number(number) => Some(number.to_string().into()),
                _ => None,
            },
            Self::Choice(choices) => {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                };
                choices
                    .iter()
                    .find(|choice| choice.eq_ignore_ascii_case(&text))
                    .map(|choice| choice.to_string().into())
            }
            Self::Any => Some(value.clone()),
        }
    }
}

/// A word for what is counted, and its range.
fn described(what: &str, range: &RangeInclusive<i64>) -> String {
    match (*range.start(), *range.end()) {
        (i64::MIN, i64::MAX) => what.to_owned(),
        (start, i64::MAX) => format!("{what} from {start}"),
        (start, end) => format!("{what} {start} to {end}"),
    }
}

/// A whole number, or the text of one.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole_number)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A float that is exactly an integer, as JSON writers produce: `3.0`.
fn whole_number(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 2f64.powi(53)).then_some(number as i64)
}

/// One parameter that an engine publishes.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name, as the user writes it.
    pub name: Text,
    /// Type and range.
    pub kind: ParamKind,
    /// When it may be given.
    pub stage: Stage,
    /// The value where none is given. Without a default the parameter is unset.
    pub default: Option<Value>,
    /// What it means, one sentence with its unit.
    pub help: Text,
}

impl ParamSpec {
    /// A parameter of `process` without a default.
    pub fn new(name: impl Into<Text>, kind: ParamKind, help: impl Into<Text>) -> Self {
        Self { name: name.into(), kind, stage: Stage::Process, default: None, help: help.into() }
    }

    /// Stands for every parameter that is not declared: it is taken with any value. For programs
    /// that check their parameters themselves.
    pub fn any_other(help: impl Into<Text>) -> Self {
        Self::new("*", ParamKind::Any, help)
    }

    /// Whether a parameter of this name is meant.
    pub fn is_for(&self, name: &str) -> bool {
        self.name == name || self.name == "*"
    }

    /// Makes it a parameter of `start` alone.
    #[must_use]
    pub fn at_start(mut self) -> Self {
        self.stage = Stage::Start;
        self
    }

    /// Sets the default.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
}

/// Checked parameters of one session or job.
///
/// Every name in it was declared, every value has its declared type, and defaults are filled in.
/// Those of a session are shared by the jobs that do not change them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Arc<Map<String, Value>>);

impl Params {
    /// Checks `raw` against `specs`.
    ///
    /// `start` are the checked parameters of the session when this is for a job, and none when
    /// this is for the session itself: a session takes parameters of both stages, a job only its
    /// own, which win over those of the session. A null counts as absent.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] names the parameter, what was given and what would be right.
    pub fn check(
        accelerator: &str,
        specs: &[ParamSpec],
        start: Option<&Params>,
        raw: &Map<String, Value>,
    ) -> Result<Self> {
        let mut checked = match start {
            Some(session) => session.0.clone(),
            None => {
                let defaults = specs.iter();
                let defaults = defaults
                    .filter_map(|spec| Some((spec.name.to_string(), spec.default.clone()?)));
                Arc::new(defaults.collect())
            }
        };
        for (name, value) in raw {
            let Some(spec) = specs.iter().find(|spec| spec.is_for(name)) else {
                return Err(unknown(accelerator, specs, name));
            };
            if value.is_null() {
                continue;
            }
            let Some(value) = spec.kind.accept(value) else {
                return Err(ill_typed(accelerator, spec, value));
            };
            if let (Stage::Start, Some(session)) = (spec.stage, start)
                && session.0.get(name) != Some(&value)
            {
                let shown = shorten(name);
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("'{shown}' of {accelerator} can be given with start only"),
                )
                .of_parameter(name)
                .hint(format!("give --{shown} to start, then process without it")));
            }
            Arc::make_mut(&mut checked).insert(name.clone(), value);
        }
        Ok(Self(checked))
    }

    /// The value of a text or choice.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The value of an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// The value of a float.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// The value of a boolean; unset is false.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The value as JSON.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All values, in the order of declaration.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn unknown(accelerator: &str, specs: &[ParamSpec], name: &str) -> Error {
    let why = format!("{accelerator} has no parameter '{}'", shorten(name));
    let error = Error::new(ErrorKind::Usage, why).of_parameter(name);
    let names = || specs.iter().map(|spec| spec.name.as_ref());
    match nearest(name, names()) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None if specs.is_empty() => error.hint(format!("{accelerator} takes no parameters")),
        None => error.hint(format!("it has {}", names().collect::<Vec<_>>().join(", "))),
    }
}

fn ill_typed(accelerator: &str, spec: &ParamSpec, value: &Value) -> Error {
    let (name, kind) = (&spec.name, spec.kind.describe());
    let shown = if is_secret_key(name) { "what it is".to_owned() } else { shorten(value) };
    let why = format!("'{name}' of {accelerator} cannot be {shown}");
    let error = Error::new(ErrorKind::Usage, why).of_parameter(name);
    match &spec.kind {
        ParamKind::Choice(choices) => {
            let given = value.as_str().unwrap_or_default();
            // One digit is near to every other.
            let words = choices.iter().map(AsRef::as_ref).filter(|choice: &&str| choice.len() > 2);
            match nearest(given, words) {
                Some(near) => error.hint(format!("did you mean '{near}'? It can be {kind}")),
                None => error.hint(format!("it can be {kind}")),
            }
        }
        _ => error.hint(format!("it takes {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn specs() -> Vec<ParamSpec> {
        vec![
            ParamSpec::new(
                "level",
                ParamKind::Choice(["fast", "best", "1", "9"].map(Text::from).to_vec()),
                "",
            )
            .default("fast"),
            ParamSpec::new("nbBytes", ParamKind::Integer(0..=i64::MAX), ""),
            ParamSpec::new("mode", ParamKind::Integer(1..=3), "").at_start().default(3),
            ParamSpec::new("last", ParamKind::Bool, ""),
            ParamSpec::new("length", ParamKind::Bytes(0..=i64::MAX), ""),
            ParamSpec::new("block", ParamKind::Bytes(1..=65_536), ""),
        ]
    }

    fn check(start: Option<&Params>, raw: Value) -> Result<Params> {
        Params::check("it", &specs(), start, raw.as_object().expect("an object"))
    }

    #[test]
    fn session_values_are_defaults_of_its_jobs() {
        let session = check(None, json!({"level": 9, "mode": "2"})).unwrap();
        let job = check(Some(&session), json!({"nbBytes": 5.0, "last": 1, "mode": 2})).unwrap();
        assert_eq!(job.text("level"), Some("9"));
        assert_eq!(job.integer("mode"), Some(2));
        assert_eq!(job.integer("nbBytes"), Some(5));
        assert!(job.flag("last"));
    }

    #[test]
    fn a_start_parameter_cannot_change_later() {
        let session = check(None, json!({})).unwrap();
        let error = check(Some(&session), json!({"mode": 1})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("start only"), "{error}");
    }

    #[test]
    fn bytes_may_have_a_unit() {
        for (given, meant) in [
            (json!(1000), 1000),
            (json!(1e6), 1_000_000),
            (json!("1000"), 1000),
            (json!("1MB"), 1_000_000),
            (json!("64KiB"), 65_536),
            (json!("1.5 kB"), 1500),
        ] {
            let checked = check(None, json!({"length": given.clone()})).unwrap();
            assert_eq!(checked.integer("length"), Some(meant), "{given}");
        }
        for wrong in
            [json!("1MX"), json!("-1MB"), json!(-1), json!("1.5"), json!("10E"), json!([1])]
        {
            let error = check(None, json!({"length": wrong.clone()})).unwrap_err();
            assert_eq!(error.hints(), ["it takes bytes from 0, such as 64kB"], "{wrong}");
        }
        let error = check(None, json!({"block": "1MB"})).unwrap_err();
        assert_eq!(error.hints(), ["it takes bytes 1 to 65536, such as 64kB"]);
        // Other numbers have none.
        assert!(check(None, json!({"nbBytes": "1MB"})).is_err());
    }

    #[test]
    fn undeclared_parameters_pass_only_where_they_may() {
        let specs =
            [ParamSpec::new("level", ParamKind::Integer(1..=9), ""), ParamSpec::any_other("")];
        let check = |raw: Value| Params::check("it", &specs, None, raw.as_object().unwrap());
        assert_eq!(check(json!({"other": [1]})).unwrap().get("other"), Some(&json!([1])));
        assert!(check(json!({"level": 10})).is_err());
    }

    #[test]
    fn wrong_names_and_values_say_what_is_right() {
        let error = check(None, json!({"nbbytes": 1})).unwrap_err();
        assert_eq!(error.hints(), ["did you mean 'nbBytes'?"]);
        assert_eq!(error.details().parameter.as_deref(), Some("nbbytes"));
        let error = check(None, json!({"nbBytes": -1})).unwrap_err();
        assert_eq!(error.hints(), ["it takes integer from 0"]);
        let error = check(None, json!({"level": "fats"})).unwrap_err();
        assert_eq!(error.hints(), ["did you mean 'fast'? It can be fast, best, 1, 9"]);
        assert!(check(None, json!({"nbBytes": 1.5})).is_err());
        assert!(check(None, json!({"last": "maybe"})).is_err());
        assert!(check(None, json!({"level": null})).is_ok());
    }
}
