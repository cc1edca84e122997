//! A program that is run once per job, over its standard streams or with paths.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use apyfal_core::{
    Cancel, EngineJob, EngineSession, Error, ErrorKind, InputReader, JobContext, Outcome,
    OutputWriter, Params, Result,
};

use super::Launcher;
use super::declaration::{Program, param};
use super::file::{DestinationFile, SourceFile};
use super::process::{Event, Feed, Process};
use super::tail::Tail;
use super::template::Template;

const BUFFER: usize = 256 << 10;
/// How much of its output a program that has no destination may show in the result.
const SHOWN: usize = 64 << 10;

/// A session of a `command`. Nothing of it outlives a job.
#[derive(Debug)]
pub(super) struct CommandSession {
    launcher: Launcher,
}

impl CommandSession {
    /// Opens it.
    pub(super) fn new(launcher: Launcher) -> Self {
        Self { launcher }
    }
}

impl EngineSession for CommandSession {
    fn process(&self, mut job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let Program::Command(arguments) = self.launcher.declaration.program() else {
            return Err(Error::new(ErrorKind::Internal, "a command session without a command"));
        };
        let uses =
            |place| arguments.iter().any(|argument| argument.names().any(|name| name == place));
        let source = match job.src.take_if(|_| uses("src")) {
            Some(input) => Some(SourceFile::new(input, ctx)?),
            None => None,
        };
        let destination = match job.dst.take_if(|_| uses("dst")) {
            Some(output) => Some(DestinationFile::new(output, ctx)?),
            None => None,
        };
        let scratch = match uses("scratch") {
            true => Some(tempfile::tempdir_in(ctx.scratch()?)?),
            false => None,
        };
        let argv = fill(arguments, &job.params, |place| {
            Some(match place {
                "src" => source.as_ref()?.path().into(),
                "dst" => destination.as_ref()?.path().into(),
                _ => scratch.as_ref()?.path().into(),
            })
        });
        let feeding = Cancel::default();
        let input = match job.src {
            // The program is there while it waits, so nobody else can have its place.
            Some(input) => Some(ctx.with_cancel(feeding.clone()).keeping_turn().reader(input)?),
            None => None,
        };
        let process = self.launcher.start(argv, &job.params, input.is_some(), ctx)?;
        let shown = stream(process, input, feeding, job.dst.map(|output| ctx.writer(output)), ctx)?;
        if let Some(source) = source {
            source.count(ctx)?;
        }
        if let Some(destination) = destination {
            destination.deliver(ctx)?;
        }
        Ok(if shown.is_empty() {
            Outcome::default()
        } else {
            Outcome::default().with("output", shown.text())
        })
    }
}

/// The arguments with their placeholders filled in.
pub(super) fn fill(
    arguments: &[Template],
    params: &Params,
    place: impl Fn(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let value = |name: &str| match name {
        "src" | "dst" | "scratch" => place(name),
        _ => param(params, name).map(OsString::from),
    };
    arguments.iter().filter_map(|argument| argument.fill(value)).collect()
}

/// Streams the input in and the output out until the program ends. Without a destination the end of
/// the output comes back.
fn stream(
    process: Process,
    input: Option<InputReader>,
    feeding: Cancel,
    mut output: Option<OutputWriter>,
    ctx: &JobContext,
) -> Result<Tail> {
    let mut shown = Tail::new(SHOWN);
    std::thread::scope(|scope| {
        // In here, so that both end on every way out, before the scope waits for its thread.
        let _end = EndFeeding(&feeding);
        let mut process = process;
        let part = ctx.with_cancel(feeding.clone());
        let mut feeder = input
            .zip(process.take_stdin())
            .map(|(input, stdin)| scope.spawn(move || feed_or_keep(input, stdin, &part)));
        let mut buffer = vec![0; BUFFER];
        loop {
            ctx.check()?;
            if let Some(feeder) = feeder.take_if(|feeder| feeder.is_finished())
                && let Ok(Err((error, _stdin))) = feeder.join()
            {
                // The input is kept open until the program is killed: what it got is not all.
                drop(process);
                return Err(error);
            }
            match process.look(&mut buffer)? {
                Event::Output(count) => match &mut output {
                    Some(output) => output.write_all(&buffer[..count])?,
                    None => shown.push(&buffer[..count]),
                },
                Event::Quiet => {}
                Event::Ended => break,
            }
        }
        if !process.succeeded() {
            return Err(process.failure("the program failed"));
        }
        if let Some(output) = &mut output {
            output.flush()?;
        }
        Ok(())
    })?;
    Ok(shown)
}

struct EndFeeding<'a>(&'a Cancel);

impl Drop for EndFeeding<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Feeds the program. After a failure, and be it a panic, its input comes back open: its end would
/// tell the program that it got everything.
fn feed_or_keep(
    input: InputReader,
    mut stdin: Feed,
    ctx: &JobContext,
) -> std::result::Result<(), (Error, Feed)> {
    catch_unwind(AssertUnwindSafe(|| feed(input, &mut stdin, ctx)))
        .unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the thread that feeds the program panicked"))
        })
        .map_err(|error| (error, stdin))
}

/// Writes the input to the program until either has had enough.
fn feed(mut input: InputReader, stdin: &mut Feed, ctx: &JobContext) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 || !stdin.send(&buffer[..count], ctx)? {
            return Ok(());
        }
    }
}
