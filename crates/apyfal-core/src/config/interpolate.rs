//! References between values, `%(key)s`, as Python's [`BasicInterpolation`][1] resolves them.
//!
//! One limit is ours: Python expands ten levels of references whatever their size, so that a file of
//! a few lines can fill the memory; here an expansion ends at 1 MiB.
//!
//! [1]: https://docs.python.org/3.11/library/configparser.html#configparser.BasicInterpolation

use crate::{is_secret_key, shorten};

/// How deep references may nest: `configparser.MAX_INTERPOLATION_DEPTH`.
const MAX_DEPTH: usize = 10;

/// How many bytes and references one value may expand to.
const BUDGET: usize = 1 << 20;

/// What a referenced key holds.
#[derive(Clone, Copy, Debug)]
pub enum Reference<'a> {
    /// There is no such key.
    Missing,
    /// The key has no value.
    NoValue,
    /// This text, which may hold references itself.
    Text(&'a str),
}

/// Why a value cannot be interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A `%` stands before something else than `%` or `(key)s`.
    Syntax,
    /// The referenced key does not exist.
    Missing(String),
    /// The referenced key has no value.
    NoValue(String),
    /// References nest deeper than ten levels; most likely they go in a circle.
    TooDeep,
    /// The value would become larger than 1 MiB.
    TooLong,
}

impl Problem {
    /// The problem in words, for the value of `key`: what a secret holds is left out.
    pub fn describe(&self, key: &str) -> String {
        match self {
            Self::Syntax => "'%' is neither followed by '%' nor by '(key)s'; \
                             write '%%' for a percent sign"
                .to_owned(),
            Self::Missing(_) if is_secret_key(key) => {
                "it refers to a key that does not exist; write '%%' for a percent sign".to_owned()
            }
            Self::Missing(name) => {
                format!("it refers to the key '{}', which does not exist", shorten(name))
            }
            Self::NoValue(name) => {
                format!("it refers to the key '{}', which has no value", shorten(name))
            }
            Self::TooDeep => format!("references nest deeper than {MAX_DEPTH} levels"),
            Self::TooLong => format!("references expand to more than {} MiB", BUDGET >> 20),
        }
    }
}

/// A piece of a raw value.
enum Token<'a> {
    Text(&'a str),
    Percent,
    Reference(&'a str),
}

/// Takes the next piece off `rest`, which is not empty.
fn token<'a>(rest: &mut &'a str) -> Result<Token<'a>, Problem> {
    let text = *rest;
    let Some(tail) = text.strip_prefix('%') else {
        let (head, tail) = text.split_at(text.find('%').unwrap_or(text.len()));
        *rest = tail;
        return Ok(Token::Text(head));
    };
    if let Some(tail) = tail.strip_prefix('%') {
        *rest = tail;
        return Ok(Token::Percent);
    }
    let (name, tail) = tail
        .strip_prefix('(')
        .and_then(|tail| tail.split_once(')'))
        .and_then(|(name, tail)| Some((name, tail.strip_prefix('s')?)))
        .filter(|(name, _)| !name.is_empty())
        .ok_or(Problem::Syntax)?;
    *rest = tail;
    Ok(Token::Reference(name))
}

/// Resolves every reference of `raw`.
///
/// # Errors
/// As [`Problem`] says.
pub fn interpolate<'a>(
    raw: &'a str,
    lookup: &dyn Fn(&str) -> Reference<'a>,
) -> Result<String, Problem> {
    let mut out = String::with_capacity(raw.len());
    let mut budget = BUDGET.max(raw.len());
    expand(raw, lookup, 1, &mut budget, &mut out)?;
    Ok(out)
}

fn expand<'a>(
    raw: &'a str,
    lookup: &dyn Fn(&str) -> Reference<'a>,
    depth: usize,
    budget: &mut usize,
    out: &mut String,
) -> Result<(), Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::TooDeep);
    }
    let mut rest = raw;
    while !rest.is_empty() {
        let name = match token(&mut rest)? {
            Token::Text(text) => {
                *budget = budget.checked_sub(text.len()).ok_or(Problem::TooLong)?;
                out.push_str(text);
                continue;
            }
            Token::Percent => {
                *budget = budget.checked_sub(1).ok_or(Problem::TooLong)?;
                out.push('%');
                continue;
            }
            Token::Reference(name) => name,
        };
        *budget = budget.checked_sub(1).ok_or(Problem::TooLong)?;
        match lookup(name) {
            Reference::Missing => return Err(Problem::Missing(name.to_owned())),
            Reference::NoValue => return Err(Problem::NoValue(name.to_owned())),
            // Text without '%' is no level of its own.
            Reference::Text(text) if !text.contains('%') => {
                *budget = budget.checked_sub(text.len()).ok_or(Problem::TooLong)?;
                out.push_str(text);
            }
            Reference::Text(text) => expand(text, lookup, depth + 1, budget, out)?,
        }
    }
    Ok(())
}

/// The raw value that stands for exactly this text.
pub fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

/// Gives references new names. A value with a syntax error stays as it is.
pub fn rename_references(raw: &str, rename: impl Fn(&str) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while !rest.is_empty() {
        match token(&mut rest) {
            Ok(Token::Text(text)) => out.push_str(text),
            Ok(Token::Percent) => out.push_str("%%"),
            Ok(Token::Reference(name)) => {
                out.push_str(&format!("%({})s", rename(name).unwrap_or(name)));
            }
            Err(_) => return raw.to_owned(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(pairs: &'a [(&str, &'a str)], raw: &'a str) -> Result<String, Problem> {
        interpolate(raw, &|key| {
            pairs
                .iter()
                .find(|(name, _)| *name == key)
                .map_or(Reference::Missing, |(_, text)| Reference::Text(text))
        })
    }

    #[test]
    fn references_and_percent_signs() {
        let pairs = [("a", "1"), ("b", "%(a)s%%"), ("loop", "%(loop)s")];
        assert_eq!(with(&pairs, "x%(b)sy%%(a)s").unwrap(), "x1%y%(a)s");
        assert_eq!(with(&pairs, "%(c)s"), Err(Problem::Missing("c".to_owned())));
        assert_eq!(with(&pairs, "%(loop)s"), Err(Problem::TooDeep));
        for bad in ["%", "50%", "% d", "%()s", "%(a)d", "%(a", "%(a)"] {
            assert_eq!(with(&pairs, bad), Err(Problem::Syntax), "{bad}");
        }
    }

    #[test]
    fn a_bomb_ends() {
        let names: Vec<String> = (0..10).map(|level| format!("k{level}")).collect();
        let values: Vec<String> =
            (0..10).map(|level| format!("%(k{})s", level + 1).repeat(100)).collect();
        let mut pairs: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        pairs[9].1 = "";
        assert_eq!(with(&pairs, "%(k1)s"), Err(Problem::TooLong));
    }

    #[test]
    fn escaping_and_renaming() {
        assert_eq!(with(&[], &escape("100%(a)s%%")).unwrap(), "100%(a)s%%");
        let rename = |name: &str| (name == "old").then_some("new");
        assert_eq!(rename_references("%(old)s %%(old)s %(x)s", rename), "%(new)s %%(old)s %(x)s");
        assert_eq!(rename_references("%(old)s %", rename), "%(old)s %");
    }

    #[test]
    fn a_secret_is_not_told() {
        let problem = with(&[], "%(hunter2)s").unwrap_err();
        assert!(!problem.describe("secret_id").contains("hunter2"));
        assert!(problem.describe("region").contains("hunter2"));
    }
}
