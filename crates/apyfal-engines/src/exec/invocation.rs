//! What is run for a job, and how it is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use apyfal_core::{Error, Result};
use apyfal_machine::Group;

/// What to run.
#[derive(Clone)]
pub(super) struct Invocation {
    /// The program and its arguments.
    pub(super) argv: Vec<OsString>,
    /// Variables added to the environment.
    pub(super) env: BTreeMap<String, OsString>,
    /// Values that must not be shown.
    pub(super) secrets: Vec<String>,
    /// Whether the first of `argv` is `sudo`, whose processes only `sudo` may end.
    pub(super) sudo: bool,
}

impl Invocation {
    /// The command line as it could be typed, without secrets.
    pub(super) fn line(&self) -> String {
        // Masked before they are quoted, which may change how a secret looks.
        let words: Vec<_> =
            self.argv.iter().map(|word| self.mask(&word.to_string_lossy())).collect();
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
    }

    /// Starts it in this process group, with pipes for its output and, if asked for, its
    /// input. It inherits no other descriptor of ours: Rust opens all of them close-on-exec.
    ///
    /// # Errors
    /// It cannot be started; the error says why and what to do.
    pub(super) fn spawn(&self, stdin: bool, group: &Group) -> Result<Child> {
        spawn(self, stdin, group).map_err(|error| not_started(self, error))
    }

    /// A text of the program's own, without the secrets that it was given.
    pub(super) fn mask(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// Starts it, again and again for a moment while its file is still being written.
fn spawn(invocation: &Invocation, stdin: bool, group: &Group) -> io::Result<Child> {
    let Some((program, args)) = invocation.argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(&invocation.env)
        .stdin(if stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    group.take_in(&mut command);
    let mut tries = 0;
    loop {
        match command.spawn() {
            // Another thread that starts a program at this moment may still hold a copy of the
            // descriptor with which this one was just written.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                sleep(Duration::from_millis(5));
            }
            spawned => return spawned,
        }
    }
}

/// Why a program did not start, and what to do.
fn not_started(invocation: &Invocation, error: io::Error) -> Error {
    let program = invocation.argv.first().map(Path::new).unwrap_or(Path::new(""));
    apyfal_machine::not_started(program, error)
        .operation("run the accelerator's program")
        .context("command", invocation.line())
}
