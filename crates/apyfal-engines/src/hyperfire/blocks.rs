//! Cuts a stream of text into blocks that can be worked on one by one.
//!
//! A block never ends inside a word that could be in the corpus. A run of word characters that is
//! longer than every word of the corpus cannot be one of them, so it is cut anywhere, and the next
//! block is told.

use apyfal_core::{InputReader, Result};

use super::charset::Charset;
use super::output::Output;
use super::replace::{Count, PADDING};

/// A part of the text, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The text and [`PADDING`].
    pub(super) text: Vec<u8>,
    /// Whether the text begins inside a word that is in no corpus.
    pub(super) in_word: bool,
    pub(super) output: Output,
    pub(super) count: Count,
}

/// Reads blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    reader: InputReader,
    charset: Charset,
    /// The length of the longest word of the corpus.
    longest: usize,
    /// How much is read for a block.
    size: usize,
    /// The start of the next block: a word, or a part of a character, that may go on.
    carry: Vec<u8>,
    in_word: bool,
    ended: bool,
}

impl Blocks {
    pub(super) fn new(reader: InputReader, charset: Charset, longest: usize, size: usize) -> Self {
        Self { reader, charset, longest, size, carry: Vec::new(), in_word: false, ended: false }
    }

    /// Reads the next block, or answers that there is none.
    ///
    /// # Errors
    /// Reading failed, or the job was cancelled.
    pub(super) fn read(&mut self, block: &mut Block) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let Block { text, in_word, .. } = block;
        let start = self.carry.len();
        text.resize(start + self.size + PADDING, 0);
        text[..start].copy_from_slice(&self.carry);
        self.carry.clear();
        let count = self.reader.fill(&mut text[start..start + self.size])?;
        text.truncate(start + count);
        *in_word = self.in_word;
        if count < self.size {
            self.ended = true;
        } else {
            self.cut(text);
        }
        text.extend_from_slice(&[0; PADDING]);
        Ok(true)
    }

    /// Keeps back the end of `text` if it may be the start of a word of the corpus.
    fn cut(&mut self, text: &mut Vec<u8>) {
        let decided = text.len() - usize::from(self.charset.is_undecided(text));
        let mut start = decided;
        while decided - start <= self.longest {
            match self.charset.last_len(&text[..start]) {
                0 => break,
                len => start -= len,
            }
        }
        let goes_on = start == 0 && self.in_word;
        self.in_word = goes_on || decided - start > self.longest;
        if self.in_word {
            start = decided;
        }
        self.carry.extend_from_slice(&text[start..]);
        text.truncate(start);
    }
}
