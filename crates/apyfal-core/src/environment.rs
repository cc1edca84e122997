//! What a process was started with.

use std::fmt;
use std::path::PathBuf;

/// The surroundings of a process, as far as it is told of them.
///
/// No library looks at them by itself; a program passes them in at its edge.
#[derive(Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: Vec<(String, String)>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.set(name).filter(|value| !value.is_empty())
    }

    /// A variable that is set, if only to nothing.
    pub fn set(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Gives a variable a value, or none.
    pub fn assign(&mut self, name: &str, value: Option<&str>) {
        self.variables.retain(|(key, _)| key != name);
        self.variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
}

impl fmt::Debug for Environment {
    /// Without the values, any of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("home", &self.home)
            .finish()
    }
}
