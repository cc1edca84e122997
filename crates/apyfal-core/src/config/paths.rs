//! The paths that a configuration file names, and where they lead.

use serde_json::Value;

use super::check::Warning;
use super::ini::{DEFAULT, Entry};
use super::schema::{self, Files, Form, KeySpec};
use super::{Configuration, Literal, interpolate, read_value};

/// What a relative path of a file means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The path to use instead; none where it stays as it is.
    pub path: Option<String>,
    /// What the user should know.
    pub warning: Option<String>,
}

/// Says what a relative path means.
type Resolve<'a> = dyn FnMut(&str, Files) -> Placed + 'a;

impl Configuration {
    /// Has the relative paths that the file names lead where `place` says. Those of the environment and
    /// of arguments are left as they are.
    pub fn place_paths(&mut self, place: &mut Resolve<'_>) {
        let mut changed = Vec::new();
        for (name, section) in &self.file.sections {
            let keys = schema::section(name).map_or(&[][..], |spec| spec.keys);
            for spec in keys.iter().filter(|spec| spec.files != Files::None) {
                let Some(entry) = section.entries.get(spec.name) else { continue };
                // What cannot be interpolated is told to who asks for it.
                let Some(text) = self.resolved(name, spec.name, entry) else { continue };
                let mut warnings = Vec::new();
                let placed = placed(&text, spec, &mut |path| {
                    if !is_relative(path, spec.files) {
                        return None;
                    }
                    let Placed { path, warning } = place(path, spec.files);
                    warnings.extend(warning);
                    path
                });
                changed.push((name.clone(), spec.name, placed, warnings));
            }
        }
        for (name, key, placed, warnings) in changed {
            let Some(section) = self.file.sections.get_mut(&name) else { continue };
            let Some(entry) = section.entries.get_mut(key) else { continue };
            for message in warnings {
                let (origin, place) = (self.file.origin.clone(), entry.place.clone());
                self.warnings.push(Warning { origin, place, message });
            }
            if let Some(text) = placed {
                entry.raw = Some(interpolate::escape(&text));
            }
        }
    }

    fn resolved(&self, section: &str, key: &str, entry: &Entry) -> Option<String> {
        let lookup = |key: &str| self.entry(section, key).or_else(|| self.entry(DEFAULT, key));
        self.file.resolve(section, key, entry, &lookup).ok().flatten()
    }
}

/// A value whose paths are placed; none where it stays as it is.
fn placed(
    text: &str,
    spec: &KeySpec,
    place: &mut dyn FnMut(&str) -> Option<String>,
) -> Option<String> {
    match spec.form {
        Form::Bool => None,
        Form::Text => place(text),
        Form::Lines => {
            let mut is_changed = false;
            let mut line = |line: &str| match place(line.trim()) {
                Some(path) => {
                    is_changed = true;
                    path
                }
                None => line.to_owned(),
            };
            let lines: Vec<_> = text.split('\n').map(&mut line).collect();
            is_changed.then(|| lines.join("\n"))
        }
        Form::Literal => match read_value(text) {
            Value::String(text) => match (spec.files, text.split_once(char::is_whitespace)) {
                // A command that is text begins with its program.
                (Files::Program, Some((program, words))) => {
                    Some(format!("{} {words}", quoted(&place(program)?)))
                }
                _ => Some(literal(Value::String(place(&text)?))),
            },
            Value::Array(mut words) => {
                let program = place(words.first()?.as_str()?)?;
                *words.first_mut()? = Value::String(program);
                Some(literal(Value::Array(words)))
            }
            _ => None,
        },
    }
}

/// A text that reads back equal as a literal.
fn literal(value: Value) -> String {
    match value {
        Value::String(text) if read_value(&text) == Value::String(text.clone()) => text,
        value => Literal::from(&value).to_string(),
    }
}

/// A word of a command.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether a text is a path that the working directory has a part in.
fn is_relative(text: &str, files: Files) -> bool {
    let is_other = |c: char| matches!(c, '/' | '~' | '{' | '"' | '\'' | '\\');
    !text.is_empty()
        && text != "-"
        && !text.starts_with(is_other)
        && !text.contains("://")
        && match files {
            Files::None => false,
            Files::Path | Files::PathOrText => true,
            Files::Program => text.contains('/') || text.ends_with(".apyfal"),
        }
}
