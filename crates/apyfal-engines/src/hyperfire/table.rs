//! The words of a corpus in the form in which they are found fastest.
//!
//! A word of up to 16 bytes is two integers, so finding it is a multiplication, one look into a hash
//! table and a comparison: all of a word is in one place of memory. About every second word of a text is
//! found, in no order that a processor could predict, so a word that is not there takes the same path
//! without a branch.

use std::collections::HashMap;

use super::corpus::{Corpus, Span};

/// The longest word that is a [`Key`].
pub(super) const KEY_LEN: usize = 16;

/// Where a word's replacement is, or that the word is not in the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) is_hit: bool,
    pub(super) replacement: Span,
}

/// A word of up to [`KEY_LEN`] bytes, filled up with zeros. No word contains a zero, so keys are
/// equal only if their words are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// The key of the first `len` bytes.
    #[inline(always)]
    fn new(bytes: &[u8; KEY_LEN], len: usize) -> Self {
        /// What to keep of the two halves of a key, by the word's length.
        const KEEP: [(u64, u64); KEY_LEN + 1] = {
            let mut keep = [(u64::MAX, u64::MAX); KEY_LEN + 1];
            let mut len = 0;
            while len < KEY_LEN {
                let mask = u128::MAX >> (8 * (KEY_LEN - len) - 1) >> 1;
                keep[len] = (mask as u64, (mask >> 64) as u64);
                len += 1;
            }
            keep
        };
        let both = u128::from_le_bytes(*bytes);
        let (low, high) = KEEP[len];
        Self { low: both as u64 & low, high: (both >> 64) as u64 & high }
    }

    /// Both halves of the product count: the method of wyhash.
    #[inline(always)]
    fn hash(self) -> u64 {
        let product = u128::from(self.low ^ 0x9E37_79B9_7F4A_7C15)
            * u128::from(self.high ^ 0xD6E8_FEB8_6659_FD93);
        (product >> 64) as u64 ^ product as u64
    }
}

/// A place of the table for two words, one line of the cache. The key where none stands is that of no word.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    keys: [Key; 2],
    replacements: [Span; 2],
    /// Whether words that belong here had to go to the next place.
    has_more: bool,
}

impl Bucket {
    /// Looks at both words; which of them it is decides no branch.
    #[inline(always)]
    fn find(&self, key: Key) -> Found {
        let [first, second] = self.keys.map(|own| (own.low ^ key.low) | (own.high ^ key.high) == 0);
        Found { is_hit: first | second, replacement: self.replacements[usize::from(second)] }
    }
}

/// Finds words.
#[derive(Debug)]
pub(super) struct Table {
    /// The highest bits of the hash choose the place; where that is full, the next one is taken.
    buckets: Vec<Bucket>,
    shift: u32,
    /// The words that are no keys.
    long: HashMap<Box<[u8]>, Span>,
    longest: usize,
}

impl Table {
    pub(super) fn new(corpus: &Corpus) -> Self {
        // A quarter to half full, so that nearly all words are where they belong.
        let bits = corpus.pairs().len().next_power_of_two().trailing_zeros().max(4);
        let mut table = Self {
            buckets: vec![Bucket::default(); 1 << bits],
            shift: u64::BITS - bits,
            long: HashMap::new(),
            longest: 0,
        };
        for pair in corpus.pairs() {
            let word = corpus.get(pair.word);
            table.longest = table.longest.max(word.len());
            if word.len() <= KEY_LEN {
                let mut bytes = [0; KEY_LEN];
                bytes[..word.len()].copy_from_slice(word);
                table.insert(Key::new(&bytes, word.len()), pair.replacement);
            } else {
                table.long.insert(word.into(), pair.replacement);
            }
        }
        table
    }

    /// The length of the longest word.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn insert(&mut self, key: Key, replacement: Span) {
        let mut at = (key.hash() >> self.shift) as usize;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(free) = bucket.keys.iter().position(|own| *own == Key::default()) {
                (bucket.keys[free], bucket.replacements[free]) = (key, replacement);
                return;
            }
            bucket.has_more = true;
            at = self.next(at);
        }
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }

    /// Finds the first `len` bytes, which are at most [`KEY_LEN`].
    #[inline(always)]
    pub(super) fn find(&self, bytes: &[u8; KEY_LEN], len: usize) -> Found {
        let key = Key::new(bytes, len);
        let at = (key.hash() >> self.shift) as usize;
        let bucket = &self.buckets[at];
        if bucket.has_more { self.find_further(key, at) } else { bucket.find(key) }
    }

    #[cold]
    #[inline(never)]
    fn find_further(&self, key: Key, mut at: usize) -> Found {
        loop {
            let found = self.buckets[at].find(key);
            if found.is_hit || !self.buckets[at].has_more {
                return found;
            }
            at = self.next(at);
        }
    }

    /// Finds a word that is longer than [`KEY_LEN`].
    pub(super) fn find_long(&self, word: &[u8]) -> Found {
        let found = if word.len() > self.longest { None } else { self.long.get(word) };
        Found { is_hit: found.is_some(), replacement: found.copied().unwrap_or_default() }
    }
}
