//! Values as Python writes them: `True`, `1024`, `"sha1"`, `{'a': [1, 2]}`.

mod parser;
mod strings;

use std::fmt;

use num_bigint::BigInt;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, shorten};

/// A value that Python's [`ast.literal_eval`][1] can read.
///
/// What is not read here though Python reads it, and so stays text: characters that JSON cannot hold
/// (lone surrogates such as `'\ud800'`), characters by name (`'\N{BULLET}'`), the ellipsis `...`,
/// `(set)()`, names in full-width letters, and integers that Python could not print either (over 4,300 digits).
///
/// [1]: https://docs.python.org/3.11/library/ast.html#ast.literal_eval
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// `1024`, `0x_ff`
    Int(BigInt),
    /// `1.5e3`
    Float(f64),
    /// `1+2j`
    Complex {
        /// The real part.
        re: f64,
        /// The imaginary part.
        im: f64,
    },
    /// `'text'`
    Str(String),
    /// `b'bytes'`
    Bytes(Vec<u8>),
    /// `[1, 2]`
    List(Vec<Literal>),
    /// `(1, 2)`
    Tuple(Vec<Literal>),
    /// `{1, 2}`, in the order written, equal members once.
    Set(Vec<Literal>),
    /// `{'a': 1}`, in the order written; of equal keys the last value.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// Reads a text that is one literal. What is none gives `None`: it means itself.
    ///
    /// Brackets nest up to 200 deep, as in Python.
    pub fn parse(text: &str) -> Option<Self> {
        parser::parse(text)
    }

    /// The value in JSON's words.
    ///
    /// Tuples and sets become arrays; bytes become text, one character (U+0000 to U+00FF) for each;
    /// keys become text as Python's `json` writes them (`1`, `true`, `null`); complex numbers,
    /// infinities and integers beyond 64 bits become text.
    pub fn to_json(&self) -> Value {
        let array = |items: &[Literal]| Value::Array(items.iter().map(Literal::to_json).collect());
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => i64::try_from(value)
                .map(Value::from)
                .or_else(|_| u64::try_from(value).map(Value::from))
                .unwrap_or_else(|_| Value::String(value.to_string())),
            Self::Float(value) if value.is_finite() => Value::from(*value),
            Self::Float(_) | Self::Complex { .. } => Value::String(self.to_string()),
            Self::Str(text) => Value::String(text.clone()),
            Self::Bytes(bytes) => Value::String(latin1(bytes)),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => array(items),
            Self::Dict(items) => items
                .iter()
                .map(|(key, value)| (key.json_key(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// The value as JSON, as Python's `json` writes it.
    ///
    /// # Errors
    /// What it is, or has in it, that JSON does not have: bytes, a set, a complex number, one that is not
    /// finite, or an integer beyond 64 bits.
    pub fn try_json(&self) -> Result<Value, &'static str> {
        match self {
            Self::Int(value) if i64::try_from(value).is_err() && u64::try_from(value).is_err() => {
                Err("an integer of more than 64 bits")
            }
            Self::Float(value) if !value.is_finite() => Err("a number that is not finite"),
            Self::Complex { .. } => Err("a complex number"),
            Self::Bytes(_) => Err("bytes"),
            Self::Set(_) => Err("a set"),
            Self::List(items) | Self::Tuple(items) => {
                items.iter().map(Self::try_json).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Dict(items) => {
                let item =
                    |(key, value): &(Self, Self)| Ok((key.try_json_key()?, value.try_json()?));
                items.iter().map(item).collect::<Result<_, _>>().map(Value::Object)
            }
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Str(_) => {
                Ok(self.to_json())
            }
        }
    }

    fn try_json_key(&self) -> Result<String, &'static str> {
        match self {
            Self::Tuple(_) => Err("a tuple as a key"),
            // Of any size, since it is text there.
            Self::Int(_) => Ok(self.json_key()),
            _ => self.try_json().map(|_| self.json_key()),
        }
    }

    fn json_key(&self) -> String {
        match self {
            Self::None => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Str(text) => text.clone(),
            Self::Bytes(bytes) => latin1(bytes),
            _ => self.to_string(),
        }
    }

    /// A text that is equal for values that Python takes as equal; `None` for what has no hash.
    fn identity(&self) -> Option<String> {
        Some(match self {
            Self::None => "None".to_owned(),
            Self::Bool(value) => format!("n{}", u8::from(*value)),
            Self::Int(value) => format!("n{value}"),
            Self::Float(value) => number_identity(*value),
            Self::Complex { re, im } if *im == 0.0 => number_identity(*re),
            Self::Complex { re, im } => {
                format!("{}+{}j", number_identity(*re), number_identity(*im))
            }
            Self::Str(text) => format!("s{}:{text}", text.len()),
            Self::Bytes(bytes) => format!("b{}:{}", bytes.len(), latin1(bytes)),
            Self::Tuple(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::identity).collect();
                format!("({})", items?.join(","))
            }
            Self::List(_) | Self::Set(_) | Self::Dict(_) => return None,
        })
    }
}

/// `1`, `1.0` and `True` are the same key, and so are `0.0` and `-0.0`.
fn number_identity(value: f64) -> String {
    match value {
        0.0 => "n0".to_owned(),
        value if value.is_finite() && value.fract() == 0.0 => format!("n{value:.0}"),
        value => format!("n{value:?}"),
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A value given as text: the literal that it is, else the text itself. What JSON cannot say becomes text, so it is
/// for what is not sent as JSON; that is read by [`json_value`].
///
/// ```
/// use apyfal_core::read_value;
/// assert_eq!(read_value("{'mode': 3}"), serde_json::json!({"mode": 3}));
/// assert_eq!(read_value("'sha3-256'"), "sha3-256");
/// assert_eq!(read_value("sha3-256"), "sha3-256");
/// ```
pub fn read_value(text: &str) -> Value {
    Literal::parse(text).map_or_else(|| Value::String(text.to_owned()), |literal| literal.to_json())
}

/// A parameter of an accelerator that is given as text, on a command line or in a query: the literal that it is,
/// else the text itself. `name` is what errors call it.
///
/// # Errors
/// JSON cannot say it: [`Literal::try_json`].
pub fn json_value(name: &str, text: &str) -> crate::Result<Value> {
    let Some(literal) = Literal::parse(text) else { return Ok(Value::String(text.to_owned())) };
    literal.try_json().map_err(|what| {
        Error::new(ErrorKind::Usage, format!("it has {what}, which JSON cannot say"))
            .operation(format!("use the value of '{}'", shorten(name)))
            .hint("where a text is meant, write it in quotes")
    })
}

impl From<&Value> for Literal {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), _, _) => Self::Int(value.into()),
                (_, Some(value), _) => Self::Int(value.into()),
                (_, _, value) => Self::Float(value.unwrap_or_default()),
            },
            Value::String(text) => Self::Str(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(items) => Self::Dict(
                items.iter().map(|(key, value)| (Self::Str(key.clone()), value.into())).collect(),
            ),
        }
    }
}

impl fmt::Display for Literal {
    /// In Python's syntax, on one line: [`Literal::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write_float(f, *value),
            Self::Complex { re, im } => {
                f.write_str("(")?;
                write_float(f, *re)?;
                f.write_str(if im.is_sign_negative() { "-" } else { "+" })?;
                write_float(f, im.abs())?;
                f.write_str("j)")
            }
            Self::Str(text) => strings::write_str(f, text),
            Self::Bytes(bytes) => strings::write_bytes(f, bytes),
            Self::List(items) => write_items(f, "[", items, "]"),
            Self::Tuple(items) if items.len() == 1 => write_items(f, "(", items, ",)"),
            Self::Tuple(items) => write_items(f, "(", items, ")"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => write_items(f, "{", items, "}"),
            Self::Dict(items) => {
                f.write_str("{")?;
                for (index, (key, value)) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    match value {
        // Python has no literal for infinity, but reads one that is too large as such.
        f64::INFINITY => f.write_str("1e999"),
        f64::NEG_INFINITY => f.write_str("-1e999"),
        value => write!(f, "{value:?}"),
    }
}

fn write_items(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[Literal],
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    f.write_str(close)
}

#[cfg(test)]
mod tests;
