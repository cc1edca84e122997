//! Runs one tool of a device's maker, for a limited time.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_machine::{Program, Said};

/// So much of a tool's output is shown.
const SHOWN: usize = 400;

/// The tools of devices: where they are looked for, and how long they may take.
#[derive(Clone, Debug)]
pub struct Tools {
    path: OsString,
    /// For what only looks.
    pub look: Duration,
    /// For what changes a slot.
    pub change: Duration,
}

impl Tools {
    /// Those on this search path. The limits are 30 seconds to look and two minutes to change a
    /// slot: loading takes seconds.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { path: path.into(), look: Duration::from_secs(30), change: Duration::from_secs(120) }
    }

    /// Where a program is.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).map(|folder| folder.join(program)).find(|path| {
            let found = std::fs::metadata(path);
            found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }

    /// Runs a tool, which must succeed, and hands out its standard output.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = A>,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<String> {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let Some(path) = self.find(program) else {
            let why = format!("there is no program '{program}' on the search path");
            return Err(Error::new(ErrorKind::Unavailable, why)
                .hint("install the tools of the device's maker"));
        };
        let mut command = Command::new(path);
        command.args(&args).env("LC_ALL", "C").current_dir("/");
        let said = Program::run(command, limit, cancel).map_err(|error| match error.kind() {
            ErrorKind::Timeout => error
                .context("command", line(program, &args))
                .hint("the card may hang: look at it with its maker's tools, or reboot"),
            _ => error,
        })?;
        if said.status.success() {
            return Ok(said.stdout);
        }
        let error = Error::new(ErrorKind::Engine, format!("'{program}' failed"));
        let error = match said.status.code() {
            Some(code) => error.context("status", code).exit_status(code),
            None => error.context("status", said.status),
        };
        Err(error.context("said", shown(&said)).context("command", line(program, &args)))
    }
}

/// What there is to show of what a tool said. Tools of AWS tell their errors on standard output.
fn shown(said: &Said) -> String {
    let whole = [said.stderr.trim(), said.stdout.trim()].join("\n");
    let text = whole.trim().replace('\n', "; ");
    let skipped = text.chars().count().saturating_sub(SHOWN);
    text.chars().skip(skipped).collect()
}

fn line(program: &str, args: &[OsString]) -> String {
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
