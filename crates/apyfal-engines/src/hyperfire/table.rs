//! The words of a corpus in the form in which they are found fastest.
//!
//! A word of up to 16 bytes is two integers, so finding it is a multiplication, one look into a hash
//! table and a comparison: all of a word is in one place of memory. About every second word of a text is
//! found, in no order that a processor could predict, so a word that is not there takes the same path
//! without a branch. A table of one byte for each place, small enough for the caches where the words
//! themselves are not, tells of most words that they are in no corpus: the rest of the work is not done for them.

use std::collections::HashMap;

use apyfal_core::Result;

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

/// A word that is looked for, and its place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    key: Key,
    at: u32,
}

/// Finds words.
#[derive(Debug)]
pub(super) struct Table {
    /// The highest bits of the hash choose the place; where that is full, the next one is taken.
    buckets: Vec<Bucket>,
    /// Of each place, by the next bits of the hash, which words belong there: one in eight of those that do
    /// not has the bit of one that does.
    tags: Vec<u8>,
    shift: u32,
    /// The words that are no keys.
    long: HashMap<Box<[u8]>, Span>,
    longest: usize,
}

impl Table {
    /// # Errors
    /// [`ErrorKind::InvalidData`] names a word that is there twice, and both lines.
    ///
    /// [`ErrorKind::InvalidData`]: apyfal_core::ErrorKind::InvalidData
    pub(super) fn new(corpus: &Corpus) -> Result<Self> {
        // A quarter to half full, so that nearly all words are where they belong.
        let bits = corpus.pairs().len().next_power_of_two().trailing_zeros().max(4);
        let mut table = Self {
            buckets: vec![Bucket::default(); 1 << bits],
            tags: vec![0; 1 << bits],
            shift: u64::BITS - bits,
            long: HashMap::new(),
            longest: 0,
        };
        for pair in corpus.pairs() {
            let word = corpus.get(pair.word);
            table.longest = table.longest.max(word.len());
            let is_new = if word.len() <= KEY_LEN {
                let mut bytes = [0; KEY_LEN];
                bytes[..word.len()].copy_from_slice(word);
                table.insert(Key::new(&bytes, word.len()), pair.replacement)
            } else {
                table.long.insert(word.into(), pair.replacement).is_none()
            };
            if !is_new {
                return Err(corpus.repeated(pair));
            }
        }
        Ok(table)
    }

    /// The length of the longest word.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Puts a word in, and answers whether it was not there yet.
    fn insert(&mut self, key: Key, replacement: Span) -> bool {
        let hash = key.hash();
        let mut at = (hash >> self.shift) as usize;
        self.tags[at] |= 1 << self.tag(hash);
        loop {
            let bucket = &mut self.buckets[at];
            if bucket.find(key).is_hit {
                return false;
            }
            if let Some(free) = bucket.keys.iter().position(|own| *own == Key::default()) {
                (bucket.keys[free], bucket.replacements[free]) = (key, replacement);
                return true;
            }
            bucket.has_more = true;
            at = self.next(at);
        }
    }

    /// Which bit of the byte of its place is that of a word.
    #[inline(always)]
    fn tag(&self, hash: u64) -> u64 {
        hash >> (self.shift - 3) & 7
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }

    /// What finds the first `len` bytes, which are at most [`KEY_LEN`], and whether they can be there at all.
    #[inline(always)]
    pub(super) fn probe(&self, bytes: &[u8; KEY_LEN], len: usize) -> (Probe, bool) {
        let key = Key::new(bytes, len);
        let hash = key.hash();
        let at = hash >> self.shift;
        let may_be = self.tags[at as usize] >> self.tag(hash) & 1 == 1;
        (Probe { key, at: at as u32 }, may_be)
    }

    /// Finds a word of up to [`KEY_LEN`] bytes.
    #[inline(always)]
    pub(super) fn find(&self, probe: &Probe) -> Found {
        let at = probe.at as usize;
        let bucket = &self.buckets[at];
        if bucket.has_more { self.find_further(probe.key, at) } else { bucket.find(probe.key) }
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

#[cfg(test)]
mod tests {
    use super::super::charset::Charset;
    use super::super::corpus::Rules;
    use super::*;

    fn table(csv: &str) -> Result<Table> {
        let rules = Rules { charset: Charset::Ascii, max_word: 36 };
        Table::new(&Corpus::read(csv.as_bytes(), rules)?)
    }

    #[test]
    fn a_word_that_is_there_twice_is_refused_with_both_lines() {
        // Enough that words stand in other places than their own.
        let many: String = (0..1000).map(|number| format!("word{number},x\n")).collect();
        assert!(table(&many).unwrap().buckets.iter().any(|bucket| bucket.has_more));
        for number in 0..1000 {
            assert_eq!(
                table(&format!("{many}word{number},y\n")).unwrap_err().to_string(),
                format!("'word{number}' is already on line {} (line 1001)", number + 1)
            );
        }
        for (csv, message) in [
            ("a,\"1\n2\"\na,3", "'a' is already on line 1 (line 3)"),
            (
                "b,1\nsixteen_letters_,2\nsixteen_letters_,3",
                "'sixteen_letters_' is already on line 2 (line 3)",
            ),
            (
                "b,1\nover_sixteen_letters,2\nover_sixteen_letters,3",
                "'over_sixteen_letters' is already on line 2 (line 3)",
            ),
        ] {
            assert_eq!(table(csv).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn most_words_that_are_not_there_are_known_without_a_look_at_those_that_are() {
        let many: String = (0..1000).map(|number| format!("word{number},x\n")).collect();
        let table = table(&many).unwrap();
        let may_be = |word: &str| {
            let mut bytes = [0; KEY_LEN];
            bytes[..word.len()].copy_from_slice(word.as_bytes());
            table.probe(&bytes, word.len()).1
        };
        assert!((0..1000).all(|number| may_be(&format!("word{number}"))));
        let wrong = (1000..11_000).filter(|number| may_be(&format!("word{number}"))).count();
        assert!(wrong < 2_000, "{wrong} of 10,000");
    }
}
