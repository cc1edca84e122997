//! The source and the destination of a job as files, for programs that want paths.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Input, JobContext, Output, Result, Sink, Source};
use tempfile::TempPath;

use crate::copy::copy;

/// A source that can be opened by its path.
#[derive(Debug)]
pub(super) struct SourceFile {
    path: PathBuf,
    /// Keeps the file open: its path may be that of the descriptor, such as /proc/1/fd/9.
    input: Option<Input>,
    /// Deletes the copy of a stream.
    _copy: Option<TempPath>,
}

impl SourceFile {
    /// The file or directory itself where there is one, else a copy of the stream in scratch space.
    ///
    /// # Errors
    /// The stream cannot be copied.
    pub(super) fn new(input: Input, ctx: &JobContext) -> Result<Self> {
        match input.source() {
            Source::File { path, file } => {
                ctx.progress().set_total(file.metadata()?.len());
                Ok(Self { path: std::path::absolute(path)?, _copy: None, input: Some(input) })
            }
            Source::Directory(path) => {
                Ok(Self { path: std::path::absolute(path)?, _copy: None, input: Some(input) })
            }
            Source::Stream(_) => {
                let mut file = temporary(ctx, "src-", input.name())?;
                copy(&mut ctx.reader(input)?, &mut ctx.scratch_writer(&mut file))?;
                let file = file.into_temp_path();
                Ok(Self { path: file.to_path_buf(), _copy: Some(file), input: None })
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Counts it as read, once the program is done with it. A copy was counted when it was made.
    ///
    /// # Errors
    /// It is shorter than it was: the program cannot have known that it read less than all.
    pub(super) fn count(&self, ctx: &JobContext) -> Result<()> {
        let Some((Source::File { file, .. }, Some(len))) =
            self.input.as_ref().map(|input| (input.source(), input.len()))
        else {
            return Ok(());
        };
        let now = file.metadata()?.len();
        if now < len {
            return Err(
                Error::cut_off(now, len).operation(format!("read '{}'", self.path.display()))
            );
        }
        ctx.progress().add_read(now);
        Ok(())
    }
}

/// A destination that can be opened by its path.
#[derive(Debug)]
pub(super) struct DestinationFile {
    path: PathBuf,
    place: Target,
}

#[derive(Debug)]
enum Target {
    /// The destination itself, and what errors call it.
    Here(File, Option<String>),
    /// A file in scratch space, to be copied to the destination.
    Copied { output: Output, _file: TempPath },
}

impl DestinationFile {
    /// The file itself where it is one, else one in scratch space.
    ///
    /// # Errors
    /// Scratch space has no room.
    pub(super) fn new(output: Output, ctx: &JobContext) -> Result<Self> {
        let name = output.name().map(str::to_owned);
        let place = output.place().map(str::to_owned);
        match output.sink() {
            Sink::File { .. } => match output.into_sink() {
                Sink::File { file, path } => {
                    Ok(Self { path: std::path::absolute(path)?, place: Target::Here(file, place) })
                }
                Sink::Stream(_) => Err(Error::new(ErrorKind::Internal, "a file became a stream")),
            },
            Sink::Stream(_) => {
                let file = temporary(ctx, "dst-", name.as_deref())?.into_temp_path();
                Ok(Self { path: file.to_path_buf(), place: Target::Copied { output, _file: file } })
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what the program wrote to the destination.
    ///
    /// # Errors
    /// The program removed the file, or the copy failed.
    pub(super) fn deliver(self, ctx: &JobContext) -> Result<()> {
        let mut written = File::open(&self.path).map_err(|error| {
            Error::new(ErrorKind::Engine, "the program left no output")
                .context("path", self.path.display())
                .source(error)
        })?;
        match self.place {
            Target::Copied { output, _file } => {
                let mut writer = ctx.writer(output);
                copy(&mut written, &mut writer)?;
                writer.flush()?;
            }
            Target::Here(file, place) => {
                let (ours, theirs) = (file.metadata()?, written.metadata()?);
                if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
                    ctx.progress().add_written(theirs.len());
                } else {
                    // The program put a new file in the place of ours.
                    file.set_len(0)?;
                    let output = Output::file(file, &self.path);
                    let mut writer = ctx.writer(match place {
                        Some(place) => output.with_place(place),
                        None => output,
                    });
                    copy(&mut written, &mut writer)?;
                }
            }
        }
        Ok(())
    }
}

/// An extension longer than this is none that programs go by. Names come from clients.
const EXTENSION: usize = 16;

/// An empty file that only this user may read, with the extension that programs go by.
fn temporary(
    ctx: &JobContext,
    prefix: &str,
    name: Option<&str>,
) -> Result<tempfile::NamedTempFile> {
    let extension = name.and_then(|name| Path::new(name).extension()?.to_str());
    let extension = extension.filter(|extension| extension.len() <= EXTENSION);
    let suffix = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
    let scratch = ctx.scratch()?;
    let made = tempfile::Builder::new().prefix(prefix).suffix(&suffix).tempfile_in(scratch);
    made.map_err(|error| {
        Error::from(error).operation(format!("make a file in {}", scratch.display()))
    })
}
