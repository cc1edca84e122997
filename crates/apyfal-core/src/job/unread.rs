//! What was said of parameters where nobody looks for it.

use serde_json::{Map, Value};

use super::Report;
use crate::{Error, shorten};

/// What `app` and its surroundings have that is read; all else is the accelerator's own, and belongs into `specific`.
const READ: [&str; 2] = ["app", "env"];
const READ_OF_APP: [&str; 6] =
    ["specific", "engine", "enable-sw-comparison", "reset", "reload", "logging"];

/// The names in parameters that nobody reads. The original ignored them without a word, so they are no error;
/// who wrote them meant something, so they are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unread(Vec<String>);

impl Unread {
    pub(super) fn of(root: &Map<String, Value>, app: &Map<String, Value>) -> Self {
        let besides = root.keys().filter(|name| !READ.contains(&name.as_str()));
        let within = app.keys().filter(|name| !READ_OF_APP.contains(&name.as_str()));
        let within = within.map(|name| format!("app.{name}"));
        Self(besides.cloned().chain(within).collect())
    }

    pub(super) fn extend(&mut self, more: Self) {
        for name in more.0 {
            if !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be said of them, where there are any.
    pub fn note(&self) -> Option<String> {
        let names: Vec<_> = self.0.iter().map(|name| format!("'{}'", shorten(name))).collect();
        let (last, others) = names.split_last()?;
        let (names, are) = match others.is_empty() {
            true => (last.clone(), "is"),
            false => (format!("{} and {last}", others.join(", ")), "are"),
        };
        Some(format!(
            "{names} of the parameters {are} ignored: what is the accelerator's own stands in \
             {{\"app\": {{\"specific\": {{…}}}}}}, or by itself"
        ))
    }

    /// Has a report say so.
    pub fn tell(&self, report: &mut Report) {
        if let Some(note) = self.note() {
            report.app.insert(Report::PARAMETERS_NOTE.to_owned(), note.into());
        }
    }

    /// Has an error say so: what was meant for the accelerator may be what it misses.
    #[must_use]
    pub fn hint(&self, error: Error) -> Error {
        match self.note() {
            Some(note) => error.hint(note),
            None => error,
        }
    }
}
