//! A stream of which one can look at as many bytes as needed before taking them.

use std::io::Read;

use apyfal_core::{InputReader, Result};

/// How much is read at a time.
const CAPACITY: usize = 1 << 20;

/// The part of the source that was read but not yet taken.
#[derive(Debug)]
pub(super) struct Window {
    reader: InputReader,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Window {
    pub(super) fn new(reader: InputReader) -> Self {
        Self { reader, buffer: vec![0; CAPACITY], start: 0, end: 0, offset: 0, ended: false }
    }

    /// Where in the source the window begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What was read and not taken: at least `len` bytes, if the source has so many.
    ///
    /// Memory for `len` bytes is needed, so it must have a bound.
    ///
    /// # Errors
    /// Reading failed, or the job was cancelled.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8]> {
        if self.start + len > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if len > self.buffer.len() {
                self.buffer.resize(len, 0);
            }
        }
        while self.end - self.start < len && !self.ended {
            match self.reader.read(&mut self.buffer[self.end..])? {
                0 => self.ended = true,
                count => self.end += count,
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes bytes that were seen.
    pub(super) fn take(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start);
        self.start += len;
        self.offset += len as u64;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}
