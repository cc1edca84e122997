//! Runs one tool of a device's maker: for a limited time, in a process group of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_machine::{Group, Guard};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

/// How often a running tool is looked at.
const TICK: Duration = Duration::from_millis(10);
/// How long a killed tool may take to be gone before it is left to the system: one that waits for
/// its card within the kernel cannot be ended at all.
const LAST: Duration = Duration::from_secs(5);
/// More of a tool's output is not read.
const SAID: u64 = 1 << 20;
/// So much of it is shown.
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

/// What a tool said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    stderr: String,
    status: ExitStatus,
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
        let said = self.start(program, &args, limit, cancel)?;
        if said.status.success() {
            return Ok(said.stdout);
        }
        let error = Error::new(ErrorKind::Engine, format!("'{program}' failed"));
        let error = match said.status.code() {
            Some(code) => error.context("status", code).exit_status(code),
            None => error.context("status", said.status),
        };
        Err(error.context("said", said.shown()).context("command", line(program, &args)))
    }

    fn start(
        &self,
        program: &str,
        args: &[OsString],
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Said> {
        cancel.check()?;
        let Some(path) = self.find(program) else {
            let why = format!("there is no program '{program}' on the search path");
            return Err(Error::new(ErrorKind::Unavailable, why)
                .hint("install the tools of the device's maker"));
        };
        // Files, and not pipes: what the tool leaves running may hold on to them.
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let group = Arc::new(Guard::start()?).group()?;
        let mut command = Command::new(&path);
        group.take_in(&mut command);
        let child = command
            .args(args)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .spawn()
            .map_err(|error| apyfal_machine::not_started(&path, error))?;
        let mut running = Running { child, group, status: None };
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        while !running.has_ended()? {
            cancel.check()?;
            if Instant::now() >= end {
                let after = limit.as_secs_f32();
                let why = format!("'{program}' did not end within {after} s and was killed");
                return Err(Error::new(ErrorKind::Timeout, why)
                    .context("command", line(program, args))
                    .hint("the card may hang: look at it with its maker's tools, or reboot"));
            }
            sleep(pause);
            pause = (pause * 2).min(TICK);
        }
        let Some(status) = running.status else {
            return Err(Error::new(ErrorKind::Internal, "a tool that ended has no status"));
        };
        Ok(Said { stdout: read(&mut stdout)?, stderr: read(&mut stderr)?, status })
    }
}

impl Said {
    /// What there is to show of it. Tools of AWS tell their errors on standard output.
    fn shown(&self) -> String {
        let whole = [self.stderr.trim(), self.stdout.trim()].join("\n");
        let text = whole.trim().replace('\n', "; ");
        let skipped = text.chars().count().saturating_sub(SHOWN);
        text.chars().skip(skipped).collect()
    }
}

/// A running tool; what is left of it is killed when this is dropped.
struct Running {
    child: Child,
    group: Group,
    status: Option<ExitStatus>,
}

impl Running {
    fn has_ended(&mut self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let tool = WaitId::Pid(Pid::from_child(&self.child));
        if self.status.is_none() && waitid(tool, options).map_err(io::Error::from)?.is_some() {
            self.group.signal(Signal::KILL);
            self.status = Some(self.child.wait()?);
        }
        Ok(self.status.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        self.group.signal(Signal::KILL);
        let end = Instant::now() + LAST;
        while matches!(self.has_ended(), Ok(false)) && Instant::now() < end {
            sleep(TICK);
        }
    }
}

fn read(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(SAID).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn line(program: &str, args: &[OsString]) -> String {
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
