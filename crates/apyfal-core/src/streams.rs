//! The two ends of a job as streams: counted as progress, ended by cancellation, and by a client who
//! keeps the job waiting for too long.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::turn::Lending;
use crate::{Cancel, Error, ErrorKind, Progress, Result, Scratch};

/// What must come or go within the limit, so that a byte now and then does not hold a slot for ever.
const TRICKLE: u64 = 1 << 10;

/// The input of a job as a stream. Made by [`JobContext::reader`](crate::JobContext::reader).
pub struct InputReader {
    inner: Box<dyn Read + Send>,
    end: End,
}

/// The output of a job as a stream. Made by [`JobContext::writer`](crate::JobContext::writer); to be
/// flushed at the end.
pub struct OutputWriter {
    inner: Box<dyn Write + Send>,
    /// What errors call it.
    place: Option<String>,
    end: End,
}

/// A temporary file that is written, whose errors name the directory it is in. Made by
/// [`JobContext::scratch_writer`](crate::JobContext::scratch_writer).
#[derive(Debug)]
pub struct ScratchWriter<'a, W> {
    pub(crate) inner: W,
    pub(crate) scratch: &'a Scratch,
    /// For how many bytes there is room, as far as was asked.
    pub(crate) room: u64,
}

/// How many bytes room is asked for at once.
const ROOM: u64 = 64 << 10;

/// What both ends have in common.
pub(crate) struct End {
    pub(crate) cancel: Cancel,
    pub(crate) progress: Arc<Progress>,
    /// How long the other side may keep the job waiting.
    pub(crate) patience: Option<Patience>,
    /// Lets others run while it does.
    pub(crate) lending: Option<Lending>,
}

/// How long the other side of a stream may keep a job waiting, and did: over any such time of waiting
/// it must move 1 KiB. The time that the job itself takes between two calls is not the other side's.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    waited: Duration,
    moved: u64,
    what: &'static str,
}

impl InputReader {
    pub(crate) fn new(inner: Box<dyn Read + Send>, end: End) -> Self {
        Self { inner, end }
    }

    /// Fills `buffer` as far as the input goes; less than all means the end.
    ///
    /// # Errors
    /// Reading failed, or the job was cancelled.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.wait_for(&mut buffer[filled..]).map_err(Error::from_io)? {
                0 => break,
                count => filled += count,
            }
        }
        // Not before: there is nothing to be done with less.
        self.end.goes_on()?;
        Ok(filled)
    }

    /// Reads what comes next, while others may have the turn of the job.
    fn wait_for(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.end.until_ready(|| self.inner.read(buffer))?;
        self.end.progress.add_read(count as u64);
        Ok(count)
    }

    #[cfg(test)]
    pub(crate) fn lending(&mut self) -> Option<&mut Lending> {
        self.end.lending.as_mut()
    }
}

impl Read for InputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.wait_for(buffer)?;
        self.end.goes_on().map_err(Error::into_io)?;
        Ok(count)
    }
}

impl OutputWriter {
    pub(crate) fn new(inner: Box<dyn Write + Send>, place: Option<String>, end: End) -> Self {
        Self { inner, place, end }
    }

    fn named(place: Option<&str>, error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(_) => Error::of_write(error, place).into_io(),
            None => error,
        }
    }
}

impl Write for OutputWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let place = self.place.as_deref();
        let written = self.end.until_ready(|| self.inner.write(buffer));
        let count = written.map_err(|error| Self::named(place, error))?;
        self.end.progress.add_written(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let place = self.place.as_deref();
        let flushed = self.end.until_ready(|| self.inner.flush().map(|()| 0));
        flushed.map(drop).map_err(|error| Self::named(place, error))
    }
}

impl<W: Write> Write for ScratchWriter<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let len = buffer.len() as u64;
        if self.room < len {
            self.scratch.check_room(len.max(ROOM)).map_err(Error::into_io)?;
            self.room = len.max(ROOM);
        }
        let count = self.inner.write(buffer).map_err(|error| self.named(error))?;
        self.room -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| self.named(error))
    }
}

impl<W> ScratchWriter<'_, W> {
    fn named(&self, error: io::Error) -> io::Error {
        let place = self.scratch.path().map(|path| format!("a file in '{}'", path.display()));
        Error::of_write(error, place.ok().as_deref()).into_io()
    }
}

impl End {
    /// Does `step` again and again while it would block.
    fn until_ready(&mut self, mut step: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        // Where there is no limit, what is there at once needs no clock.
        let mut begin = self.patience.as_ref().map(|_| Instant::now());
        loop {
            self.cancel.check().map_err(Error::into_io)?;
            if let Some(lending) = &mut self.lending {
                lending.waits();
            }
            let done = match step() {
                Ok(count) => Some(count),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
            // The end of the stream asks for nothing more.
            if let Some(begin) = begin
                && done != Some(0)
            {
                let (time, moved) = (begin.elapsed(), done.unwrap_or(0) as u64);
                if let Some(patience) = &mut self.patience {
                    patience.waited(time, moved).map_err(Error::into_io)?;
                }
                if let Some(lending) = &mut self.lending {
                    lending.waited(time, moved);
                }
            }
            if let Some(count) = done {
                return Ok(count);
            }
            begin = Some(Instant::now());
        }
    }

    /// Returns once it is the job's turn again.
    fn goes_on(&mut self) -> Result<()> {
        let lending = self.lending.as_mut();
        lending.map_or(Ok(()), |lending| lending.goes_on(&self.cancel))
    }
}

impl Patience {
    /// For one who reads what another sends.
    pub fn reading(limit: Duration) -> Self {
        Self { limit, waited: Duration::ZERO, moved: 0, what: "sent" }
    }

    /// For one who writes what a client takes.
    pub fn writing(limit: Duration) -> Self {
        Self { what: "took", ..Self::reading(limit) }
    }

    /// Counts a wait that moved this many bytes.
    ///
    /// # Errors
    /// It is [exhausted](Self::exhausted).
    pub fn waited(&mut self, time: Duration, bytes: u64) -> Result<()> {
        self.waited += time;
        self.moved += bytes;
        if self.moved >= TRICKLE {
            (self.waited, self.moved) = (Duration::ZERO, 0);
        } else if self.waited > self.limit {
            return Err(self.exhausted());
        }
        Ok(())
    }

    /// How long nothing may come from now on.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.waited)
    }

    /// The error of a client that moved too little.
    pub fn exhausted(&self) -> Error {
        Error::new(ErrorKind::Timeout, format!("the client {}", self.shortfall()))
            .hint("a job must not wait for its client: begin when the data is at hand")
    }

    /// What one did who moved too little: `sent nothing for 10 s`.
    pub fn shortfall(&self) -> String {
        let (what, seconds) = (self.what, self.limit.as_secs_f64());
        match self.moved {
            0 => format!("{what} nothing for {seconds} s"),
            1 => format!("{what} only 1 byte in {seconds} s"),
            bytes => format!("{what} only {bytes} bytes in {seconds} s"),
        }
    }
}

impl fmt::Debug for InputReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputReader").field("progress", &self.end.progress).finish_non_exhaustive()
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputWriter").field("progress", &self.end.progress).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, JobContext, Output};

    const LIMIT: Duration = Duration::from_millis(60);

    fn context() -> JobContext {
        let threads = std::num::NonZeroUsize::MIN;
        JobContext::new(Cancel::default(), Arc::default(), "/nonexistent", threads)
    }

    /// A stream that gives or takes this many bytes per call, after a wait.
    struct Slow(usize, Duration);

    impl Slow {
        fn step(&self, room: usize) -> io::Result<usize> {
            std::thread::sleep(self.1);
            match self.0.min(room) {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.step(buffer.len())
        }
    }

    impl Write for Slow {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.step(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn is_timeout(error: &Error, message: &str) -> bool {
        error.kind() == ErrorKind::Timeout && error.message().starts_with(message)
    }

    const TICK: Duration = Duration::from_millis(5);

    #[test]
    fn a_stream_that_would_block_is_asked_again() {
        struct Hesitant(bool);
        impl Read for Hesitant {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 = !self.0;
                if self.0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                buffer[0] = b'x';
                Ok(1)
            }
        }
        let mut reader = context().reader(Input::stream(Hesitant(false))).unwrap();
        assert_eq!(reader.fill(&mut [0; 3]).unwrap(), 3);
    }

    #[test]
    fn who_sends_or_takes_nothing_or_next_to_nothing_ends_the_job() {
        let context = context().with_stall(Some(LIMIT), Some(LIMIT));
        let mut buffer = vec![0; 64 << 10];
        for (bytes, sent, took) in [
            (0, "the client sent nothing for 0.06 s", "the client took nothing for 0.06 s"),
            (1, "the client sent only ", "the client took only "),
        ] {
            let mut reader = context.reader(Input::stream(Slow(bytes, TICK))).unwrap();
            let error = reader.fill(&mut buffer).unwrap_err();
            assert!(is_timeout(&error, sent), "{error}");
            let mut writer = context.writer(Output::stream(Slow(bytes, TICK)));
            let error = Error::from_io(writer.write_all(&buffer).unwrap_err());
            assert!(is_timeout(&error, took), "{error}");
        }
    }

    #[test]
    fn a_stream_that_moves_may_take_as_long_as_it_wants() {
        let mut patience = Patience::reading(LIMIT);
        for _ in 0..100 {
            patience.waited(LIMIT, TRICKLE - 1).unwrap();
            patience.waited(LIMIT, 1).unwrap();
        }
        patience.waited(LIMIT, 0).unwrap();
        let error = patience.waited(TICK, TRICKLE - 1).unwrap_err();
        assert!(is_timeout(&error, "the client sent only 1023 bytes"), "{error}");
    }

    #[test]
    fn the_time_of_the_job_is_not_the_clients() {
        let context = context().with_stall(Some(LIMIT), None);
        let mut reader = context.reader(Input::stream(io::repeat(0))).unwrap();
        let mut reading = Duration::ZERO;
        for _ in 0..3 {
            // What the job does between two calls.
            std::thread::sleep(TICK);
            let begin = Instant::now();
            assert_eq!(reader.fill(&mut [0; 8]).unwrap(), 8);
            reading += begin.elapsed();
        }
        assert!(reader.end.patience.unwrap().waited <= reading);
    }

    #[test]
    fn each_end_has_a_limit_of_its_own() {
        let context = context().with_stall(None, Some(LIMIT));
        let mut reader = context.reader(Input::stream(Slow(1, LIMIT))).unwrap();
        assert_eq!(reader.fill(&mut [0; 3]).unwrap(), 3);
    }

    #[test]
    fn the_end_of_a_stream_is_no_stall() {
        let context = context().with_stall(Some(Duration::ZERO), Some(Duration::ZERO));
        let mut reader = context.reader(Input::stream(io::empty())).unwrap();
        assert_eq!(reader.fill(&mut [0; 8]).unwrap(), 0);
        context.writer(Output::stream(io::sink())).flush().unwrap();
        let mut reader = context.reader(Input::bytes(*b"in memory")).unwrap();
        assert_eq!(reader.fill(&mut [0; 16]).unwrap(), 9);
    }
}
