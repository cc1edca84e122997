//! Programs that run: each in a process group of its own, and ended with all that it started.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, geteuid, waitid};

use crate::{Group, Guard, not_started};

/// The longest pause between two looks at a program that is waited for.
const TICK: Duration = Duration::from_millis(10);
/// How long a program has to end by itself once it was asked to.
const GRACE: Duration = Duration::from_millis(50);
/// How long a killed program may take to be gone before it is left to the system: one that waits
/// within the kernel, for a device, cannot be ended at all.
const LAST: Duration = Duration::from_secs(5);
/// More than this of what a program wrote to its end is not read.
const SAID: u64 = 1 << 20;

/// A running program. Dropping it ends it, and all that it started in its group.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Group,
    /// Whether it runs as root, through `sudo`, and is out of our reach.
    is_roots: bool,
    status: Option<ExitStatus>,
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The first MiB of its standard output.
    pub stdout: String,
    /// The first MiB of its standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Program {
    /// Starts a program. It inherits no descriptor of ours beside its standard streams: Rust opens
    /// all of them close-on-exec.
    ///
    /// # Errors
    /// It cannot be started; the error says why and what to do.
    pub fn start(mut command: Command, guard: &Arc<Guard>) -> Result<Self> {
        let group = guard.group()?;
        group.take_in(&mut command);
        let program = Path::new(command.get_program());
        let is_roots = program.file_name() == Some(OsStr::new("sudo")) && !geteuid().is_root();
        let child = spawn(&mut command)
            .map_err(|error| not_started(Path::new(command.get_program()), error))?;
        Ok(Self { child, group, is_roots, status: None })
    }

    /// Runs a program without input to its end.
    ///
    /// # Errors
    /// It cannot be started, or it was ended since it took longer than `limit` or `cancel` was
    /// thrown.
    pub fn run(mut command: Command, limit: Duration, cancel: &Cancel) -> Result<Said> {
        cancel.check()?;
        // Files, and not pipes: what the program leaves running may hold on to them.
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
        let mut program = Self::start(command, &Arc::new(Guard::start()?))?;
        let Some(status) = program.wait(limit, cancel)? else {
            let (name, after) = (name.display(), limit.as_secs_f32());
            let why = format!("'{name}' did not end within {after} s and was killed");
            return Err(Error::new(ErrorKind::Timeout, why));
        };
        Ok(Said { stdout: read(&mut stdout)?, stderr: read(&mut stderr)?, status })
    }

    /// The pipes to its standard input, output and error, as far as it was started with any.
    pub fn take_pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Its process group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// How it ended, once that was seen.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Whether it has ended. What it left running is ended with it.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn has_ended(&mut self) -> Result<bool> {
        if self.status.is_none() && self.is_over()? {
            self.signal(Signal::KILL);
            self.status = Some(self.child.wait()?);
        }
        Ok(self.status.is_some())
    }

    /// Waits for it to end by itself: none where it did not within `limit`.
    ///
    /// # Errors
    /// `cancel` was thrown meanwhile.
    pub fn wait(&mut self, limit: Duration, cancel: &Cancel) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        while !self.has_ended()? {
            cancel.check()?;
            if Instant::now() >= end {
                break;
            }
            sleep(pause);
            pause = (pause * 2).min(TICK);
        }
        Ok(self.status)
    }

    /// Whether it has ended, without taking its status, so that its number stays its own.
    fn is_over(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let program = WaitId::Pid(Pid::from_child(&self.child));
        Ok(waitid(program, options).map_err(io::Error::from)?.is_some())
    }

    fn signal(&self, signal: Signal) {
        self.group.signal(signal);
        if self.is_roots {
            let name = if signal == Signal::KILL { "KILL" } else { "TERM" };
            let group = format!("-{}", self.group.id().as_raw_nonzero());
            let _ = Command::new("sudo")
                .args(["-n", "--", "kill", "-s", name, "--", &group])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        self.signal(Signal::TERM);
        let end = Instant::now() + GRACE;
        while matches!(self.is_over(), Ok(false)) && Instant::now() < end {
            sleep(Duration::from_millis(1));
        }
        self.signal(Signal::KILL);
        let _ = self.wait(LAST, &Cancel::default());
    }
}

/// Starts it, again and again for a moment while its file is still being written.
fn spawn(command: &mut Command) -> io::Result<Child> {
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

fn read(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(SAID).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// A script that runs, and what it and all that it started write: to its end, once they are
    /// gone. Those that are not ended in time would say so.
    fn started(script: &str) -> (Program, BufReader<ChildStdout>) {
        let mut command = sh(script);
        command.stdout(Stdio::piped());
        let mut program = Program::start(command, &Arc::new(Guard::start().unwrap())).unwrap();
        let mut stdout = BufReader::new(program.take_pipes().1.unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "runs\n");
        (program, stdout)
    }

    #[test]
    fn it_is_ended_with_all_that_it_started() {
        for script in [
            "(sleep 60; echo late) & echo runs; sleep 60; echo late",
            "trap '' TERM; (sleep 60; echo late) & echo runs; sleep 60; echo late",
        ] {
            let (program, mut stdout) = started(script);
            drop(program);
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            assert!(!said.contains("late"), "{script}: {said}");
        }
    }

    #[test]
    fn what_it_left_running_ends_with_it() {
        let (mut program, mut stdout) = started("(sleep 60; echo late) & echo runs; exit 3");
        let status = program.wait(LONG, &Cancel::default()).unwrap().unwrap();
        assert_eq!((status.code(), program.status()), (Some(3), Some(status)));
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }

    #[test]
    fn what_it_said_is_bounded() {
        let script = "head -c 2000000 /dev/zero; echo why >&2; kill -9 $$";
        let said = Program::run(sh(script), LONG, &Cancel::default()).unwrap();
        assert_eq!((said.stdout.len(), &*said.stderr), (1 << 20, "why\n"));
        assert_eq!(said.status.signal(), Some(9));
        let error = Program::run(Command::new("/nonexistent/program"), LONG, &Cancel::default());
        assert!(error.unwrap_err().to_string().contains("there is no program"));
    }

    #[test]
    fn it_may_take_so_long_and_be_cancelled() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
        let error = Program::run(sh("sleep 600"), Duration::ZERO, &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.message(), "'sh' did not end within 0 s and was killed");
        let running = folder.path().join("running");
        let script = format!("touch '{}'; sleep 600", running.display());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !running.exists() {
                    sleep(Duration::from_millis(1));
                }
                cancel.cancel();
            });
            let error = Program::run(sh(&script), LONG, &cancel).unwrap_err();
            assert!(error.is_cancelled(), "{error}");
        });
    }
}
