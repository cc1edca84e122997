//! The streams of one running program: its output read without blocking, its input fed, its words on
//! standard error on their way to the log of a job.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, JobContext, JobLog, Result};
use apyfal_machine::{Guard, Program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::invocation::Invocation;
use super::lines::Lines;
use super::tail::Tail;

/// How often a waiting job looks whether it was cancelled or its program ended.
const TICK: Duration = Duration::from_millis(20);
/// Large pipes save switches between the program and us.
const PIPE: usize = 1 << 20;
/// How much of standard error is read at a time.
const STEP: usize = 16 << 10;

/// What a look at the program showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It wrote this many bytes to its standard output.
    Output(usize),
    /// Nothing for a while.
    Quiet,
    /// It has ended and all its output was read.
    Ended,
}

/// A running program. Dropping it ends it, and everything that it started.
pub(super) struct Process {
    // It is ended before its pipes are closed.
    program: Program,
    invocation: Invocation,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    tail: Tail,
    /// Standard error, on its way to the log of the present job.
    said: Lines,
    pause: Duration,
}

impl Process {
    /// Starts a program, with a pipe as its standard input or none.
    ///
    /// # Errors
    /// It cannot be started; the error says why and what to do.
    pub(super) fn start(
        invocation: Invocation,
        stdin: bool,
        guard: &Arc<Guard>,
        log: &JobLog,
    ) -> Result<Self> {
        let mut program = invocation.start(stdin, guard)?;
        let (stdin, stdout, stderr) = program.take_pipes();
        let said = Lines::new(log, &invocation.secrets);
        let process = Self {
            program,
            invocation,
            stdin,
            stdout,
            stderr,
            tail: Tail::new(16 << 10),
            said,
            pause: Duration::from_micros(50),
        };
        for pipe in [
            process.stdin.as_ref().map(AsFd::as_fd),
            process.stdout.as_ref().map(AsFd::as_fd),
            process.stderr.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            rustix::io::ioctl_fionbio(pipe, true).map_err(io::Error::from)?;
        }
        for pipe in
            [process.stdin.as_ref().map(AsFd::as_fd), process.stdout.as_ref().map(AsFd::as_fd)]
        {
            // Refused where a user's pipes already hold their share of memory: slower, not wrong.
            let _ = pipe.map(|pipe| rustix::pipe::fcntl_setpipe_size(pipe, PIPE));
        }
        Ok(process)
    }

    /// Hands out the standard input, for a thread that feeds it.
    pub(super) fn take_stdin(&mut self) -> Option<Feed> {
        self.stdin.take().map(Feed)
    }

    /// Looks for output, for at most 20 ms. Standard error is kept and logged by the way.
    ///
    /// Once the program itself has ended, whatever it left running is ended too: a job is over with
    /// its program.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn look(&mut self, buffer: &mut [u8]) -> Result<Event> {
        if self.stdout.is_none() && self.stderr.is_none() {
            if self.has_ended()? {
                return Ok(Event::Ended);
            }
            // It closed its output and goes on, mostly just long enough to exit.
            sleep(self.pause);
            self.pause = (self.pause * 2).min(TICK);
            return Ok(Event::Quiet);
        }
        let ended = self.program.status().is_some();
        let wait = if ended { Duration::ZERO } else { TICK };
        let ready = readable(
            [self.stdout.as_ref().map(AsFd::as_fd), self.stderr.as_ref().map(AsFd::as_fd)],
            wait,
        )?;
        if ready == [false, false] {
            // What is not there after the whole group was killed will not come.
            if ended {
                return Ok(Event::Ended);
            }
            self.has_ended()?;
            return Ok(Event::Quiet);
        }
        if ready[1] && self.read_stderr()? == Some(0) {
            self.stderr = None;
        }
        if ready[0]
            && let Some(stdout) = &mut self.stdout
        {
            match some(stdout.read(buffer))? {
                Some(0) => self.stdout = None,
                Some(count) => return Ok(Event::Output(count)),
                None => {}
            }
        }
        Ok(Event::Quiet)
    }

    fn read_stderr(&mut self) -> Result<Option<usize>> {
        let Some(stderr) = &mut self.stderr else { return Ok(None) };
        let mut buffer = [0; STEP];
        let count = some(stderr.read(&mut buffer))?;
        let written = &buffer[..count.unwrap_or(0)];
        self.tail.push(written);
        self.said.push(written);
        Ok(count)
    }

    /// Writes all of `bytes` to the standard input. False if the program no longer reads.
    ///
    /// # Errors
    /// The job was cancelled.
    pub(super) fn send(&mut self, bytes: &[u8], ctx: &JobContext) -> Result<bool> {
        let Some(stdin) = self.stdin.take() else { return Ok(false) };
        let mut feed = Feed(stdin);
        let sent = feed.send(bytes, ctx);
        self.stdin = Some(feed.0);
        sent
    }

    /// Ends the standard input, which asks a program that waits for work to end.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Whether the program has ended. What it left running is ended with it.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.program.has_ended()
    }

    /// Waits for the program to end by itself, for at most `limit`.
    pub(super) fn wait(&mut self, limit: Duration) {
        // What cannot be waited for is ended all the same.
        let _ = self.program.wait(limit, &Cancel::default());
    }

    /// What is written to standard error from now on is this job's; what was before is nobody's.
    pub(super) fn begin_job(&mut self, log: &JobLog) -> Result<()> {
        self.drain_stderr()?;
        self.tail.clear();
        self.said = Lines::new(log, &self.invocation.secrets);
        Ok(())
    }

    /// Hands the log what the job has still written to standard error.
    pub(super) fn end_job(&mut self) -> Result<()> {
        self.drain_stderr()?;
        self.said = Lines::default();
        Ok(())
    }

    /// Reads what is in the pipe of standard error, and no more than that of one who goes on.
    fn drain_stderr(&mut self) -> Result<()> {
        for _ in 0..PIPE / STEP {
            if matches!(self.read_stderr()?, None | Some(0)) {
                break;
            }
        }
        Ok(())
    }

    /// Whether the program ended well.
    pub(super) fn succeeded(&self) -> bool {
        self.program.status().is_some_and(|status| status.success())
    }

    /// The error of a program that failed: its command, how it ended, and the end of its standard
    /// error.
    pub(super) fn failure(&mut self, message: &str) -> Error {
        while matches!(self.read_stderr(), Ok(Some(1..))) {}
        let mut error = Error::new(ErrorKind::Engine, message)
            .context("command", self.invocation.line())
            .operation("run the accelerator's program");
        if let Some(status) = self.program.status() {
            error = error.context("status", describe(status));
            error = match status.code() {
                Some(code) => error.exit_status(code),
                None => error,
            };
        }
        if !self.tail.is_empty() {
            error = error.context("stderr", self.invocation.mask(&self.tail.text()));
        }
        error
    }

    /// A text of the program's, without secrets.
    pub(super) fn mask(&self, text: &str) -> String {
        self.invocation.mask(text)
    }

    /// Another stream of the program's, for the log of a job.
    pub(super) fn lines(&self, log: &JobLog) -> Lines {
        Lines::new(log, &self.invocation.secrets)
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("command", &self.invocation.line())
            .field("group", &self.program.group().id())
            .finish_non_exhaustive()
    }
}

/// The standard input of a program.
pub(super) struct Feed(ChildStdin);

impl Feed {
    /// Writes all of `bytes`. False if the program no longer reads, which it may choose.
    ///
    /// # Errors
    /// The job was cancelled.
    pub(super) fn send(&mut self, mut bytes: &[u8], ctx: &JobContext) -> Result<bool> {
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ctx.check()?;
                    let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
                    poll(&mut fds, Some(&timespec(TICK))).or_else(interrupted)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// How a program ended, in words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Which of two pipes have something to read or were closed.
fn readable(pipes: [Option<BorrowedFd<'_>>; 2], wait: Duration) -> Result<[bool; 2]> {
    let mut fds: Vec<_> =
        pipes.iter().flatten().map(|pipe| PollFd::from_borrowed_fd(*pipe, PollFlags::IN)).collect();
    poll(&mut fds, Some(&timespec(wait))).or_else(interrupted)?;
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(pipes.map(|pipe| pipe.is_some() && ready.next() == Some(true)))
}

fn interrupted(error: rustix::io::Errno) -> Result<usize> {
    if error == rustix::io::Errno::INTR { Ok(0) } else { Err(io::Error::from(error).into()) }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: 0, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// None where a read would have to wait.
fn some(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(count) => Ok(Some(count)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
