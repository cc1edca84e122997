//! The members of a request of RunInstances: which there are, what each takes, and how it is sent.

use std::sync::LazyLock;

use apyfal_core::{Error, ErrorKind, Literal, Result, nearest, shorten};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;

use super::api::Params;

/// A shape on each line: `Name Member:type Other=NameOnTheWire:type`, or `Name [type]` for a list. Types
/// are `s` (text), `i` (integer), `b` (truth), `t` (time) and other shapes.
const TABLE: &str = include_str!("run_instances.txt");

static REQUEST: LazyLock<Shape> = LazyLock::new(|| Shape::named("RunInstancesRequest"));

/// Refuses a request, or a part of one, that boto3 would refuse: nothing is asked of anybody for it.
///
/// # Errors
/// It has a member that does not exist, or a value of another type than its member takes.
pub(crate) fn check(request: &Value) -> Result<()> {
    REQUEST.check(request, "")
}

/// The parameters by which a request is sent, in its order.
pub(crate) fn flatten(request: &Value) -> Params {
    let mut params = Params::new();
    REQUEST.flatten(request, "", &mut params);
    params
}

/// A time as a request may have it: text with its zone, or seconds since 1970.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(seconds) => Timestamp::from_second(seconds.as_i64()?).ok(),
        _ => None,
    }
}

/// What a value has to be.
#[derive(Debug)]
enum Shape {
    Text,
    Integer,
    Truth,
    Time,
    List(Box<Self>),
    Members(Vec<Member>),
}

#[derive(Debug)]
struct Member {
    name: &'static str,
    /// What it is called where it is sent.
    wire: &'static str,
    shape: Shape,
}

impl Shape {
    fn named(name: &str) -> Self {
        let line = TABLE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(line) = line else {
            return match name {
                "i" => Self::Integer,
                "b" => Self::Truth,
                "t" => Self::Time,
                _ => Self::Text,
            };
        };
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(item) => Self::List(Box::new(Self::named(item))),
            None => Self::Members(line.split(' ').filter_map(Member::read).collect()),
        }
    }

    fn check(&self, value: &Value, path: &str) -> Result<()> {
        match (self, value) {
            (Self::Members(members), Value::Object(given)) => {
                given.iter().try_for_each(|(name, value)| {
                    let path = joined(path, name);
                    match members.iter().find(|member| member.name == name) {
                        Some(member) => member.shape.check(value, &path),
                        None => Err(unknown(members, name, &path)),
                    }
                })
            }
            (Self::List(item), Value::Array(given)) => {
                let mut given = given.iter().enumerate();
                given.try_for_each(|(index, value)| item.check(value, &format!("{path}[{index}]")))
            }
            (Self::Text, Value::String(_)) | (Self::Truth, Value::Bool(_)) => Ok(()),
            (Self::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
            (Self::Time, value) if time(value).is_some() => Ok(()),
            _ => Err(self.refuse(value, path)),
        }
    }

    fn refuse(&self, value: &Value, path: &str) -> Error {
        let value = match value {
            Value::Object(_) => "a dictionary".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            value => shorten(Literal::from(value)),
        };
        let what = if path.is_empty() { "the request".to_owned() } else { format!("'{path}'") };
        Error::new(ErrorKind::Usage, format!("{what} cannot be {value}")).hint(match self {
            Self::Text => "it takes text, in quotes",
            Self::Integer => "it takes an integer, without quotes",
            Self::Truth => "it takes True or False, without quotes",
            Self::Time => "it takes a time with its zone, such as '2030-01-31T12:00:00Z'",
            Self::List(_) => "it takes a list",
            Self::Members(_) => "it takes a dictionary",
        })
    }

    fn flatten(&self, value: &Value, path: &str, params: &mut Params) {
        let text = match (self, value) {
            (Self::Members(members), Value::Object(given)) => {
                for (name, value) in given {
                    if let Some(member) = members.iter().find(|member| member.name == name) {
                        member.shape.flatten(value, &joined(path, member.wire), params);
                    }
                }
                return;
            }
            (Self::List(item), Value::Array(given)) => {
                for (index, value) in given.iter().enumerate() {
                    item.flatten(value, &format!("{path}.{}", index + 1), params);
                }
                return;
            }
            (Self::Text, Value::String(text)) if path == "UserData" => {
                BASE64.encode(text.as_bytes())
            }
            (Self::Text, Value::String(text)) => text.clone(),
            (Self::Time, value) => time(value).map(sent).unwrap_or_default(),
            (_, value) => value.to_string(),
        };
        params.push((path.to_owned(), text));
    }
}

impl Member {
    /// `Name:type` or `Name=Wire:type`.
    fn read(word: &'static str) -> Option<Self> {
        let (names, shape) = word.split_once(':')?;
        let (name, wire) = names.split_once('=').unwrap_or((names, names));
        Some(Self { name, wire, shape: Shape::named(shape) })
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn unknown(members: &[Member], name: &str, path: &str) -> Error {
    let known = || members.iter().map(|member| member.name);
    let error =
        Error::new(ErrorKind::Usage, format!("RunInstances has no member '{}'", shorten(path)));
    error.hint(match nearest(name, known()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    })
}

/// A time as boto3 sends it.
fn sent(time: Timestamp) -> String {
    match time.subsec_microsecond() {
        0 => format!("{time:.0}"),
        _ => format!("{time:.6}"),
    }
}

#[cfg(test)]
mod tests;
