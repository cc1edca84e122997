//! Warnings about names that nobody will read.

use std::fmt;

use super::Configuration;
use super::ini::{Ini, Origin};
use super::schema::{self, SECTIONS, SectionSpec};
use crate::{nearest, shorten};

/// After so many warnings the file is most likely something else.
const MAX_WARNINGS: usize = 100;

/// Something in the configuration that has no effect, or an old name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub origin: String,
    /// Where in the file, or which variable of the environment.
    pub place: Origin,
    /// What is the matter.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Origin::Line(line) => write!(f, "{}, line {line}: ", self.origin)?,
            Origin::Variable(name) => write!(f, "{name}: ")?,
            Origin::Argument => {}
        }
        f.write_str(&self.message)
    }
}

/// Looks through a file whose names are those of today.
pub(super) fn check(ini: &Ini, warnings: &mut Vec<Warning>) {
    let warning = |place: &Origin, message| Warning {
        origin: ini.origin.clone(),
        place: place.clone(),
        message,
    };
    for (name, section) in &ini.sections {
        if warnings.len() >= MAX_WARNINGS {
            return;
        }
        warnings.extend(section_problem(name).map(|message| warning(&section.place, message)));
        for (key, entry) in &section.entries {
            if warnings.len() >= MAX_WARNINGS {
                return;
            }
            warnings.extend(key_problem(name, key).map(|message| warning(&entry.place, message)));
        }
    }
}

impl Configuration {
    /// A warning for each section of parameters that is for no accelerator of these names, since nobody
    /// will read it. Where these need not be all that are meant, only for a likely slip.
    pub fn unknown_accelerators(&self, known: &[&str], are_all: bool) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for layer in self.layers() {
            for (name, section) in &layer.sections {
                let accelerator = ["configuration.", "process."]
                    .iter()
                    .find_map(|prefix| name.strip_prefix(prefix));
                let Some(accelerator) = accelerator else { continue };
                if known.iter().any(|known| known.eq_ignore_ascii_case(accelerator)) {
                    continue;
                }
                let near = nearest(accelerator, known.iter().copied());
                if near.is_some() || are_all {
                    let message = format!(
                        "[{}] is for no accelerator that is known here{}",
                        shorten(name),
                        did_you_mean(near)
                    );
                    let (origin, place) = (layer.origin.clone(), section.place.clone());
                    warnings.push(Warning { origin, place, message });
                }
            }
        }
        warnings.truncate(MAX_WARNINGS);
        warnings
    }
}

/// What is wrong with the name of a section.
pub(super) fn section_problem(name: &str) -> Option<String> {
    let mut words = name.split('.');
    let (top, kind) = (words.next().unwrap_or_default(), words.next());
    let Some(spec) = schema::section(name) else {
        let nearest = nearest(top, SECTIONS.iter().map(|spec| spec.name));
        return Some(format!("unknown section [{}]{}", shorten(name), did_you_mean(nearest)));
    };
    let kind = kind?;
    match spec.subsections {
        "" => Some(format!("[{}] is not read: [{top}] has no subsections", shorten(name))),
        _ if top == "host" => unknown_type("host", kind, schema::HOST_TYPES.iter().copied()),
        _ if top == "storage" => unknown_type(
            "storage",
            kind,
            schema::STORAGE_TYPES.iter().flat_map(|(name, other)| [*name, *other]),
        ),
        _ => None,
    }
}

/// A type that looks like a known one misspelled; others may well exist.
fn unknown_type(
    what: &str,
    name: &str,
    mut known: impl Iterator<Item = &'static str> + Clone,
) -> Option<String> {
    let nearest = nearest(name, known.clone())?;
    let message =
        || format!("unknown {what} type '{}'{}", shorten(name), did_you_mean(Some(nearest)));
    (!known.any(|known| known == name)).then(message)
}

/// What is wrong with the name of a key.
pub(super) fn key_problem(section: &str, key: &str) -> Option<String> {
    let spec: &SectionSpec = schema::section(section).filter(|spec| !spec.open)?;
    if spec.keys.iter().any(|spec| spec.name == key) {
        return None;
    }
    if key.starts_with('[') {
        return Some(format!("'{}' is no section: the ']' is missing", shorten(key)));
    }
    // A line whose '=' is missing is all key; what may be its value is not to be shown.
    let key = key.split_whitespace().next().unwrap_or(key);
    let nearest = nearest(key, spec.keys.iter().map(|spec| spec.name));
    Some(format!(
        "unknown key '{}' in [{}]{}",
        shorten(key),
        shorten(section),
        did_you_mean(nearest)
    ))
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}
