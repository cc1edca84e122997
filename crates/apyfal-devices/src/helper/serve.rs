//! The helper itself.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::open::open;
use super::{Access, ErrorReply, LINE, Named, Reply, Request, Verb};
use crate::{Image, Kind, Tools, device};

/// How long who connects may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is seen whether who asked is still there.
const TICK: Duration = Duration::from_millis(10);

/// What the helper needs to know.
#[derive(Clone, Debug)]
pub struct Helper {
    /// The tools of the devices.
    pub tools: Tools,
    /// Directories below which the files of images may lie.
    pub folders: Vec<PathBuf>,
    /// The user whose own files may be images too: who called `sudo`.
    pub owner: Option<u32>,
}

impl Helper {
    /// Answers one question, whose line is read from `input`. It ends early, with all it started,
    /// when `cancel` is thrown or the input ends.
    ///
    /// # Errors
    /// The streams failed. That a device did is the answer.
    pub fn serve(
        &self,
        mut input: impl Read + AsFd + Send,
        mut output: impl Write,
        cancel: &Cancel,
    ) -> Result<()> {
        let answer = match ask(&mut input) {
            Ok(request) => while_there(input, cancel, || self.answer(&request, cancel)),
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| Reply::Error(ErrorReply::from(&error)));
        let text = serde_json::to_string(&answer).map_err(std::io::Error::from)?;
        output.write_all(format!("{text}\n").as_bytes())?;
        Ok(output.flush()?)
    }

    fn answer(&self, request: &Request, cancel: &Cancel) -> Result<Reply> {
        let device = device(request.device, &self.tools, &Access::Direct);
        if request.verb == Verb::Slots {
            return Ok(Reply::Slots(device.slots(cancel)?));
        }
        let slot = request.slot.as_deref().ok_or_else(|| lacks("slot"))?;
        request.device.check_slot(slot)?;
        match request.verb {
            Verb::Slots | Verb::Describe => Ok(Reply::Loaded(device.describe(slot, cancel)?)),
            Verb::Clear => device.clear(slot, cancel).map(|()| Reply::Done(true)),
            Verb::Load | Verb::Prefetch => {
                let named = request.image.as_ref().ok_or_else(|| lacks("image"))?;
                self.with_image(named, request.device, |image| {
                    if request.verb == Verb::Prefetch {
                        return Ok(Reply::Done(device.prefetch(slot, image, cancel)?));
                    }
                    device.load(slot, image, cancel).map(|()| Reply::Done(true))
                })
            }
        }
    }

    fn with_image(
        &self,
        named: &Named,
        kind: Kind,
        run: impl FnOnce(&Image) -> Result<Reply>,
    ) -> Result<Reply> {
        match named {
            Named::Agfi(name) if kind == Kind::AwsF2 => run(&Image::agfi(name)?),
            Named::Agfi(_) => Err(Error::new(ErrorKind::Usage, "only aws-f2 has AGFIs")),
            Named::File(path) => {
                // Open until the tool has ended, for that is how the tool reaches it.
                let (_file, image) = open(kind, path, &self.folders, self.owner)?;
                run(&image)
            }
        }
    }
}

fn lacks(what: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("the request names no {what}"))
}

/// Reads the question.
fn ask(input: &mut (impl Read + AsFd)) -> Result<Request> {
    let end = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    while line.last() != Some(&b'\n') {
        if line.len() > LINE || Instant::now() >= end {
            return Err(Error::new(ErrorKind::Usage, "a request is one line of JSON"));
        }
        if is_ready(input)? {
            match input.read(&mut buffer)? {
                0 => break,
                count => line.extend_from_slice(&buffer[..count]),
            }
        }
    }
    serde_json::from_slice(&line).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("the request cannot be understood: {error}"))
    })
}

/// Runs something that is cancelled when the input ends, which is how its writer goes away.
fn while_there<T>(
    mut input: impl Read + AsFd + Send,
    cancel: &Cancel,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 64];
            while !done.load(Ordering::Acquire) {
                if is_ready(&input).unwrap_or(true) && !matches!(input.read(&mut buffer), Ok(1..)) {
                    cancel.cancel();
                    return;
                }
            }
        });
        let result = run();
        done.store(true, Ordering::Release);
        result
    })
}

/// Whether something can be read, or the other end is closed, within a moment.
fn is_ready(input: &impl AsFd) -> Result<bool> {
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
    match poll(&mut fds, Some(&tick)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}
