//! A device that is reached through the helper.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Access, COMMAND, LINE, Named, Reply, Request, Verb};
use crate::{Device, Image, Kind, Loaded, Tools};

/// How much longer than its tool the helper may take.
const GRACE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// How long a helper that gives no answer may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A device behind the helper.
#[derive(Debug)]
pub(crate) struct Helped {
    kind: Kind,
    access: Access,
    look: Duration,
    change: Duration,
    sudo: Option<PathBuf>,
}

impl Helped {
    pub(crate) fn new(kind: Kind, access: Access, tools: &Tools) -> Self {
        let sudo = tools.find("sudo");
        Self { kind, access, look: tools.look, change: tools.change, sudo }
    }

    fn ask(
        &self,
        verb: Verb,
        slot: Option<&str>,
        image: Option<&Image>,
        cancel: &Cancel,
    ) -> Result<Reply> {
        let changes = !matches!(verb, Verb::Slots | Verb::Describe);
        let limit = if changes { self.change } else { self.look } + GRACE;
        let image = image.map(|image| match image.path() {
            Some(path) => Named::File(path.to_owned()),
            None => Named::Agfi(image.id().to_owned()),
        });
        let slot = slot.map(str::to_owned);
        let request = Request { verb, device: self.kind, slot, image };
        let text = serde_json::to_string(&request).map_err(std::io::Error::from)?;
        cancel.check()?;
        let mut helper = match &self.access {
            Access::Direct => {
                return Err(Error::new(ErrorKind::Internal, "there is no helper to ask"));
            }
            Access::Socket(path) => connect(path)?,
            Access::Sudo(program) => Line::sudo(self.sudo.as_deref(), program)?,
        };
        // Where it is gone already, what it said is more telling than that.
        let _ = helper.write(format!("{text}\n").as_bytes());
        let line = helper.read(limit, cancel)?;
        match serde_json::from_slice(&line) {
            Ok(Reply::Error(reply)) => Err(reply.into()),
            Ok(answer) => Ok(answer),
            Err(_) => Err(helper.failure()),
        }
    }

    fn change(
        &self,
        verb: Verb,
        slot: &str,
        image: Option<&Image>,
        cancel: &Cancel,
    ) -> Result<bool> {
        match self.ask(verb, Some(slot), image, cancel)? {
            Reply::Done(done) => Ok(done),
            other => Err(odd(&other)),
        }
    }
}

impl Device for Helped {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn slots(&self, cancel: &Cancel) -> Result<Vec<String>> {
        match self.ask(Verb::Slots, None, None, cancel)? {
            Reply::Slots(slots) => Ok(slots),
            other => Err(odd(&other)),
        }
    }

    fn describe(&self, slot: &str, cancel: &Cancel) -> Result<Loaded> {
        match self.ask(Verb::Describe, Some(slot), None, cancel)? {
            Reply::Loaded(loaded) => Ok(loaded),
            other => Err(odd(&other)),
        }
    }

    fn load(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<()> {
        self.change(Verb::Load, slot, Some(image), cancel).map(|_| ())
    }

    fn clear(&self, slot: &str, cancel: &Cancel) -> Result<()> {
        self.change(Verb::Clear, slot, None, cancel).map(|_| ())
    }

    fn prefetch(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<bool> {
        self.change(Verb::Prefetch, slot, Some(image), cancel)
    }
}

fn odd(answer: &Reply) -> Error {
    Error::new(ErrorKind::Internal, format!("the device helper answered {answer:?}"))
}

/// Both ends of a line to the helper, which ends what it does when they are closed.
enum Line {
    Socket(UnixStream),
    Program { child: Child, stdin: ChildStdin, stdout: ChildStdout, stderr: File },
}

fn connect(path: &Path) -> Result<Line> {
    UnixStream::connect(path).map(Line::Socket).map_err(|error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let error = Error::new(
            if denied { ErrorKind::Security } else { ErrorKind::Unavailable },
            Error::from(error).to_string(),
        );
        let error = error.operation(format!("reach the device helper at '{}'", path.display()));
        match denied {
            true => error.hint("only members of its group may: see deploy/README.md"),
            false => error.hint("start it: systemctl start apyfal-device.socket"),
        }
    })
}

impl Line {
    fn sudo(sudo: Option<&Path>, program: &Path) -> Result<Self> {
        let needed = || {
            let why = "the device needs privileges, and there is no sudo";
            Error::new(ErrorKind::Security, why)
                .hint("run this as root, or install the helper: see deploy/README.md")
        };
        let Some(sudo) = sudo else { return Err(needed()) };
        let stderr = tempfile::tempfile()?;
        // Never asks for a password, which nobody would be there to give.
        let mut child = Command::new(sudo)
            .args(["-n", "--"])
            .arg(program)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .map_err(|error| needed().source(error))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self::Program { child, stdin, stdout, stderr }),
            _ => Err(Error::new(ErrorKind::Internal, "sudo was started without pipes")),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(stream) => stream.as_fd(),
            Self::Program { stdout, .. } => stdout.as_fd(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Socket(stream) => stream.write_all(bytes),
            Self::Program { stdin, .. } => stdin.write_all(bytes),
        }
    }

    /// The line that it answers, or less where it ends before.
    fn read(&mut self, limit: Duration, cancel: &Cancel) -> Result<Vec<u8>> {
        let end = Instant::now() + limit;
        let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
        while line.last() != Some(&b'\n') && line.len() <= LINE {
            cancel.check()?;
            if Instant::now() >= end {
                let after = limit.as_secs_f32();
                let why = format!("the device helper did not answer within {after} s");
                return Err(Error::new(ErrorKind::Timeout, why));
            }
            let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
            match poll(&mut fds, Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(std::io::Error::from(error).into()),
            }
            let count = match self {
                Self::Socket(stream) => stream.read(&mut buffer),
                Self::Program { stdout, .. } => stdout.read(&mut buffer),
            };
            match count {
                // A socket that was closed with our question unread is reset.
                Ok(0) | Err(_) => break,
                Ok(count) => line.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(line)
    }

    /// Why there is no answer.
    fn failure(&mut self) -> Error {
        let mut said = String::new();
        if let Self::Program { child, stderr, .. } = self {
            // It has nothing more to say, and what it said is all that is wanted.
            let end = Instant::now() + LAST_WORDS;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(TICK);
            }
            let _ = stderr.rewind();
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
        let error = Error::new(ErrorKind::Security, "the device helper did not answer");
        let said = said.trim().replace('\n', "; ");
        let error = if said.is_empty() { error } else { error.context("said", said) };
        error.hint("run this as root, or install the helper: see deploy/README.md")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Program { child, .. } = self
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            // Its input ends with us, which it takes as the end of its work. It is reaped by a
            // thread, so that who cancelled does not wait.
            let pid = child.id();
            let _ = std::thread::Builder::new().name(format!("reap-{pid}")).spawn({
                let raw = rustix::process::Pid::from_child(child);
                move || {
                    let options = rustix::process::WaitOptions::empty();
                    let _ = rustix::process::waitpid(Some(raw), options);
                }
            });
        }
    }
}
