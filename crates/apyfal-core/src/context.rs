//! What surrounds a job while it runs: progress, scratch space and threads.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use crate::streams::{End, InputReader, OutputWriter, Patience, ScratchWriter};
use crate::turn::{Lending, Turn};
use crate::{Cancel, Input, JobParameters, Output, Result, Scratch, Sink, Source, unix_time};

/// How far a job is, in bytes. Written by the job, read by whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    /// When it began to run, in microseconds since 1970; 0 before.
    began: AtomicU64,
}

impl Progress {
    /// Says that the job runs, and waits for no slot any more.
    pub fn begin(&self) {
        self.began.store(unix_time().as_micros() as u64, Ordering::Relaxed);
    }

    /// When the job began to run, in seconds since 1970; none while it waits.
    pub fn began(&self) -> Option<f64> {
        match self.began.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(micros as f64 / 1e6),
        }
    }

    /// Says that the job begins anew, with nothing read or written.
    pub fn begin_anew(&self) {
        self.read.store(0, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
        self.begin();
    }

    /// Says how many bytes there are to read.
    pub fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    /// Adds bytes read.
    pub fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds bytes written.
    pub fn add_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes there are to read, where that is known.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Where goes what a job says while it runs, such as the standard error of a program. By default
/// nowhere. Clones are the same place.
#[derive(Clone, Default)]
pub struct JobLog(Option<Arc<Listener>>);

type Listener = dyn Fn(&str) + Send + Sync;

impl JobLog {
    /// Hands each line to `take`, which must not block.
    pub fn new(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// Whether anybody listens.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Says one line, given without its end.
    pub fn line(&self, text: &str) {
        if let Some(take) = &self.0 {
            take(text);
        }
    }
}

impl fmt::Debug for JobLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobLog").field(&self.is_kept()).finish()
    }
}

/// What an engine is given beside the job itself.
#[derive(Clone, Debug)]
pub struct JobContext {
    cancel: Cancel,
    progress: Arc<Progress>,
    scratch: Scratch,
    threads: NonZeroUsize,
    request: Option<Arc<JobParameters>>,
    log: JobLog,
    stall: Stall,
    turn: Option<Weak<dyn Turn>>,
    variables: Arc<[(&'static str, String)]>,
}

/// How long the clients at the ends of a job may keep it waiting.
#[derive(Clone, Copy, Debug, Default)]
struct Stall {
    reading: Option<Duration>,
    writing: Option<Duration>,
}

impl JobContext {
    /// A context. `scratch` is a directory that is deleted with the session.
    pub fn new(
        cancel: Cancel,
        progress: Arc<Progress>,
        scratch: impl Into<Scratch>,
        threads: NonZeroUsize,
    ) -> Self {
        Self {
            cancel,
            progress,
            scratch: scratch.into(),
            threads,
            request: None,
            log: JobLog::default(),
            stall: Stall::default(),
            turn: None,
            variables: Arc::default(),
        }
    }

    /// Adds what the caller sent, for programs that are sent it on.
    #[must_use]
    pub fn with_request(mut self, request: JobParameters) -> Self {
        self.request = Some(Arc::new(request));
        self
    }

    /// What the caller sent, unchecked: `reset`, `logging` and the like beside the parameters.
    pub fn request(&self) -> &JobParameters {
        static NONE: LazyLock<JobParameters> = LazyLock::new(JobParameters::default);
        self.request.as_deref().unwrap_or(&NONE)
    }

    /// Says where the job's lines go.
    #[must_use]
    pub fn with_log(self, log: JobLog) -> Self {
        Self { log, ..self }
    }

    /// Where the job's lines go.
    pub fn log(&self) -> &JobLog {
        &self.log
    }

    /// Says for how long the streams of the job may keep it waiting, the one it reads and the one
    /// it writes. Over any such time of waiting they must move 1 KiB; the job fails with
    /// [`Timeout`](crate::ErrorKind::Timeout) where they do not. Files and memory do not count.
    #[must_use]
    pub fn with_stall(self, reading: Option<Duration>, writing: Option<Duration>) -> Self {
        Self { stall: Stall { reading, writing }, ..self }
    }

    /// Has the job lend its turn to others while a stream that it reads keeps it waiting.
    #[must_use]
    pub fn with_turn(self, turn: Weak<dyn Turn>) -> Self {
        Self { turn: Some(turn), ..self }
    }

    /// The same job, which keeps its turn while it waits: a program of it runs meanwhile.
    #[must_use]
    pub fn keeping_turn(&self) -> Self {
        Self { turn: None, ..self.clone() }
    }

    /// Lets another job run while this one waits for what that may have to do. Then
    /// [`take_turn_back`](Self::take_turn_back) is to be called before it goes on.
    pub fn lend_turn(&self) {
        if let Some(turn) = self.turn.as_ref().and_then(Weak::upgrade) {
            turn.lend();
        }
    }

    /// Waits until the job may run again.
    ///
    /// # Errors
    /// It was cancelled meanwhile.
    pub fn take_turn_back(&self) -> Result<()> {
        let turn = self.turn.as_ref().and_then(Weak::upgrade);
        turn.map_or(Ok(()), |turn| turn.take_back(&self.cancel))
    }

    /// Adds environment variables for the programs of this job.
    #[must_use]
    pub fn with_variables(self, variables: Vec<(&'static str, String)>) -> Self {
        Self { variables: variables.into(), ..self }
    }

    /// Environment variables for the programs of this job, such as the slot of a device.
    pub fn variables(&self) -> &Arc<[(&'static str, String)]> {
        &self.variables
    }

    /// The same job with a switch of its own, for a part of it that may have to end earlier.
    #[must_use]
    pub fn with_cancel(&self, cancel: Cancel) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// The same place for another job, which counts its own bytes.
    #[must_use]
    pub fn with_progress(self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self }
    }

    /// The switch that ends the job.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// An error once the job was asked to end; to be called at least every 100 ms.
    ///
    /// # Errors
    /// Of kind [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// How far the job is.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// A directory for temporary files, which other jobs use too: to be made there under names of their
    /// own, and removed by who made them. It is there once it is asked for.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self) -> Result<&Path> {
        self.scratch.path()
    }

    /// The same directory for another job.
    pub fn share_scratch(&self) -> Scratch {
        self.scratch.clone()
    }

    /// How many threads the job may keep busy.
    pub fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Reads an input as [`Input::into_reader`] does: counted as progress, ended by cancellation and
    /// by a client who sends too little.
    ///
    /// # Errors
    /// The input is a directory.
    pub fn reader(&self, input: Input) -> Result<InputReader> {
        if let Some(len) = input.len() {
            self.progress.set_total(len);
        }
        let waits = !input.is_in_memory() && matches!(input.source(), Source::Stream(_));
        let limit = self.stall.reading.filter(|_| waits);
        let lending = self.turn.clone().filter(|_| waits).map(Lending::new);
        let end = End { lending, ..self.end(limit.map(Patience::reading)) };
        Ok(InputReader::new(input.into_reader()?, end))
    }

    /// Writes an output from its start: counted as progress, ended by cancellation and by a client
    /// who takes too little.
    pub fn writer(&self, output: Output) -> OutputWriter {
        let waits = !output.is_in_memory() && matches!(output.sink(), Sink::Stream(_));
        let place = output.place().map(str::to_owned);
        let inner: Box<dyn Write + Send> = match output.into_sink() {
            Sink::Stream(writer) => writer,
            Sink::File { file, .. } => Box::new(file),
        };
        let limit = self.stall.writing.filter(|_| waits);
        OutputWriter::new(inner, place, self.end(limit.map(Patience::writing)))
    }

    /// Writes a temporary file that was made in [`scratch`](Self::scratch), as far as others do not need
    /// what is left of the disk.
    pub fn scratch_writer<W: Write>(&self, file: W) -> ScratchWriter<'_, W> {
        ScratchWriter { inner: file, scratch: &self.scratch, room: 0 }
    }

    fn end(&self, patience: Option<Patience>) -> End {
        let (cancel, progress) = (self.cancel.clone(), self.progress.clone());
        End { cancel, progress, patience, lending: None }
    }

    /// Reads a file at an offset: counted as progress, ended by cancellation.
    ///
    /// Returns how much of `buffer` was filled, which is less than all only at the end of the file.
    ///
    /// # Errors
    /// Reading failed, or the job was cancelled.
    pub fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut filled = 0;
        while filled < buffer.len() {
            self.check()?;
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.progress.add_read(filled as u64);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn context() -> JobContext {
        JobContext::new(Cancel::default(), Arc::default(), "/nonexistent", NonZeroUsize::MIN)
    }

    #[test]
    fn reading_counts_and_ends_when_cancelled() {
        let context = context();
        let mut reader = context.reader(Input::bytes(*b"0123456789")).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(reader.fill(&mut buffer).unwrap(), 4);
        assert_eq!((context.progress().read(), context.progress().total()), (4, Some(10)));
        context.cancel().cancel();
        assert!(reader.fill(&mut buffer).unwrap_err().is_cancelled());
    }

    #[test]
    fn a_directory_is_not_a_stream() {
        let error = context().reader(Input::directory("/tmp")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
