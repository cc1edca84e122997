//! Arguments with placeholders: `--level={level}`.

use std::ffi::{OsStr, OsString};

/// An argument in which every `{name}` stands for a value.
///
/// A name is a letter or underscore, then letters, digits, underscores and dashes. Any other brace
/// stands for itself, so most text with braces needs no care; `{{name}}` is a literal `{name}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            literal.push_str(&rest[..open]);
            rest = &rest[open..];
            if let Some((name, behind)) = rest.strip_prefix("{{").and_then(name)
                && let Some(behind) = behind.strip_prefix('}')
            {
                literal.push_str(&format!("{{{name}}}"));
                rest = behind;
            } else if let Some((name, behind)) = name(&rest[1..]) {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = behind;
            } else {
                literal.push('{');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Self(pieces)
    }

    /// The names of its placeholders.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether it is this text and has no placeholder.
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(&*self.0, [Piece::Text(own)] if own == text)
    }

    /// The placeholder whose value the filled argument begins with; none if it begins with text of
    /// its own.
    pub(super) fn first_value<V: AsRef<OsStr>>(
        &self,
        value: impl Fn(&str) -> Option<V>,
    ) -> Option<&str> {
        let is_empty = |name: &str| value(name).is_some_and(|value| value.as_ref().is_empty());
        let first = self.0.iter().find(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Placeholder(name) => !is_empty(name),
        });
        match first? {
            Piece::Text(_) => None,
            Piece::Placeholder(name) => Some(name),
        }
    }

    /// Puts the values in. None if one of them is unset: then the argument is left out.
    pub(super) fn fill<V: AsRef<OsStr>>(
        &self,
        value: impl Fn(&str) -> Option<V>,
    ) -> Option<OsString> {
        let mut filled = OsString::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push(text),
                Piece::Placeholder(name) => filled.push(value(name)?),
            }
        }
        Some(filled)
    }
}

/// The name up to a closing brace, and what stands behind the brace.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.split_once('}')?;
    let mut bytes = name.bytes();
    let first = bytes.next()?;
    ((first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'))
    .then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Option<String> {
        let value = |name: &str| match name {
            "src" => Some("/a b"),
            "level" => Some("9"),
            _ => None,
        };
        Template::parse(text).fill(value).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn values_take_the_place_of_names() {
        assert_eq!(fill("{src}").unwrap(), "/a b");
        assert_eq!(fill("-{level}{level}:{src}.").unwrap(), "-99:/a b.");
        assert_eq!(fill("").unwrap(), "");
    }

    #[test]
    fn the_first_value_is_what_an_argument_begins_with() {
        let value = |name: &str| (name != "unset").then_some(if name == "no" { "" } else { "x" });
        let first = |text: &str| Template::parse(text).first_value(value).map(str::to_owned);
        assert_eq!(first("{a}{b}").as_deref(), Some("a"));
        assert_eq!(first("{no}{b}.txt").as_deref(), Some("b"));
        for text in ["-{a}", "{no}-{a}", "{no}", "text"] {
            assert_eq!(first(text), None, "{text}");
        }
    }

    #[test]
    fn an_argument_with_an_unset_value_is_left_out() {
        assert_eq!(fill("--name={unset}"), None);
    }

    #[test]
    fn other_braces_are_text() {
        for text in ["{print $1}", "{}", "{", "}", "a{3,4}b", r#"{"a": {"b": 1}}"#, "{src", "é{"] {
            assert_eq!(fill(text).unwrap(), text);
        }
        assert_eq!(fill("{{src}} {level}").unwrap(), "{src} 9");
    }
}
