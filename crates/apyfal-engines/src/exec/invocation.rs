//! What is run for a job, and how it is started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::sync::Arc;

use apyfal_core::Result;
use apyfal_machine::{Guard, Program};

/// What to run.
#[derive(Clone)]
pub(super) struct Invocation {
    /// The program and its arguments.
    pub(super) argv: Vec<OsString>,
    /// Variables added to the environment.
    pub(super) env: BTreeMap<String, OsString>,
    /// Values that must not be shown.
    pub(super) secrets: Vec<String>,
}

impl Invocation {
    /// The command line as it could be typed, without secrets.
    pub(super) fn line(&self) -> String {
        // Masked before they are quoted, which may change how a secret looks.
        let words: Vec<_> =
            self.argv.iter().map(|word| self.mask(&word.to_string_lossy())).collect();
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
    }

    /// Starts it, with pipes for its output and, if asked for, its input.
    ///
    /// # Errors
    /// It cannot be started; the error says why and what to do.
    pub(super) fn start(&self, stdin: bool, guard: &Arc<Guard>) -> Result<Program> {
        let mut argv = self.argv.iter();
        // Without a program it is one without a name, which is not found.
        let mut command = Command::new(argv.next().map_or(OsStr::new(""), OsStr::new));
        command
            .args(argv)
            .envs(&self.env)
            .stdin(if stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Program::start(command, guard).map_err(|error| {
            error.operation("run the accelerator's program").context("command", self.line())
        })
    }

    /// A text of the program's own, without the secrets that it was given.
    pub(super) fn mask(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
