//! Deflate streams decompressed piece by piece.

mod codes;
mod copy;
mod entry;
mod header;
pub(crate) mod input;
pub(crate) mod quick;
pub(crate) mod table;

use std::error::Error;
use std::fmt;

use crate::path::Path;
use crate::tokens::WINDOW;
use codes::Unwritten;
use header::Kind;
use input::Input;
use quick::Stop;
use table::Tables;

/// With so much of a source, or all that is left of it, each call gets on.
pub const LOOKAHEAD: usize = 1024;

/// How far back a stream refers to what it decompressed to.
pub const HISTORY: usize = WINDOW as usize;

/// A stream that cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Why.
    pub flaw: Flaw,
    /// Behind how many bytes of the source that showed: what is wrong stands there or shortly before.
    pub at: usize,
}

/// Why a stream cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// No compressor writes what stands there.
    Corrupt,
    /// It ends before its last block does.
    CutOff,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.flaw {
            Flaw::Corrupt => "the compressed data is corrupt",
            Flaw::CutOff => "the compressed data ends too early",
        })
    }
}

impl Error for Invalid {}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many bytes of the source are done with.
    pub consumed: usize,
    /// Where in the target the decompressed data ends.
    pub end: usize,
    /// Whether the stream has ended. What follows it is not consumed.
    pub ended: bool,
}

/// A decompressor, to be used for one stream after the other.
///
/// ```
/// use apyfal_deflate::{Compressor, Decompressor, Level, Progress};
///
/// let mut deflated = Vec::new();
/// Compressor::new(Level::Default).compress(b"to be or not to be", &mut deflated);
/// let mut target = [0; 100];
/// let progress = Decompressor::new().decompress(&deflated, true, &mut target, 0)?;
/// assert_eq!(progress, Progress { consumed: deflated.len(), end: 18, ended: true });
/// assert_eq!(&target[..18], b"to be or not to be");
/// # Ok::<(), apyfal_deflate::Invalid>(())
/// ```
#[derive(Debug)]
pub struct Decompressor {
    tables: Box<Tables>,
    path: Path,
    state: State,
    /// Whether this is the last block.
    is_last: bool,
    /// Bits of the last byte that was consumed which are yet to be used, and how many.
    bits: (u64, u32),
    /// What the target had no room for.
    unwritten: Unwritten,
    /// How much of the stream is written that can be referred to: no more is counted than that.
    history: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before a block.
    Between,
    /// In a block of bytes as they are, of which so many are left.
    Stored(usize),
    /// In a compressed block.
    Codes,
    Ended,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// Makes one.
    #[must_use]
    pub fn new() -> Self {
        Self::with_path(Path::best())
    }

    fn with_path(path: Path) -> Self {
        Self {
            tables: Tables::new(),
            path,
            state: State::Between,
            is_last: false,
            bits: (0, 0),
            unwritten: Unwritten::default(),
            history: 0,
        }
    }

    /// Makes ready for another stream.
    pub fn restart(&mut self) {
        self.state = State::Between;
        self.is_last = false;
        self.bits = (0, 0);
        self.unwritten = Unwritten::default();
        self.history = 0;
    }

    /// Decompresses on, until the target is full, more of the source is needed or the stream ends.
    ///
    /// `source` begins with what was not consumed before. It needs to have [`LOOKAHEAD`] bytes unless it
    /// `is_all` that is left. What the stream decompressed to before has to stand in the target before
    /// `at`, of which the last [`HISTORY`] bytes will do.
    ///
    /// # Errors
    /// The stream is invalid. What was written of it before that is not told.
    ///
    /// # Panics
    /// `at` is outside of the target, or less than this stream has there.
    pub fn decompress(
        &mut self,
        source: &[u8],
        is_all: bool,
        target: &mut [u8],
        at: usize,
    ) -> Result<Progress, Invalid> {
        assert!(at <= target.len() && at >= self.history, "the history is missing");
        // What stands before the stream is none of its own.
        let before = at - self.history;
        let target = &mut target[before..];
        let mut input = Input::new(source, self.bits);
        let mut end = self.history;
        self.run(&mut input, is_all, target, &mut end)
            .map_err(|flaw| Invalid { flaw, at: input.from })?;
        let (consumed, bits) = input.finish();
        self.bits = bits;
        self.history = end.min(HISTORY);
        Ok(Progress { consumed, end: before + end, ended: matches!(self.state, State::Ended) })
    }

    fn run(
        &mut self,
        input: &mut Input<'_>,
        is_all: bool,
        target: &mut [u8],
        end: &mut usize,
    ) -> Result<(), Flaw> {
        while !self.unwritten.write(target, end) && (is_all || input.left() >= LOOKAHEAD) {
            match self.state {
                State::Ended => break,
                State::Between if self.is_last => {
                    input.align();
                    self.state = State::Ended;
                }
                State::Between => self.begin_block(input)?,
                State::Stored(0) => self.state = State::Between,
                State::Stored(left) => match input.copy(left, &mut target[*end..]) {
                    0 if *end < target.len() => return Err(Flaw::CutOff),
                    0 => break,
                    copied => {
                        *end += copied;
                        self.state = State::Stored(left - copied);
                    }
                },
                State::Codes => self.go_on(input, target, end)?,
            }
        }
        Ok(())
    }

    fn begin_block(&mut self, input: &mut Input<'_>) -> Result<(), Flaw> {
        let header = header::read(input, &mut self.tables)?;
        self.is_last = header.is_last;
        self.state = match header.kind {
            Kind::Stored(len) => State::Stored(len),
            Kind::Codes => State::Codes,
        };
        Ok(())
    }

    /// Goes on in a compressed block: quickly while neither source nor target are near their ends, and then
    /// one step after the other.
    fn go_on(
        &mut self,
        input: &mut Input<'_>,
        target: &mut [u8],
        end: &mut usize,
    ) -> Result<(), Flaw> {
        let stop = self.path.inflate(&self.tables, input, target, end);
        match stop {
            Stop::Invalid => Err(Flaw::Corrupt),
            Stop::End => {
                self.state = State::Between;
                Ok(())
            }
            Stop::Margin => {
                match codes::step(&self.tables, input, *end)? {
                    Some(unwritten) => self.unwritten = unwritten,
                    None => self.state = State::Between,
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
