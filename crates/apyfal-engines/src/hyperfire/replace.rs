//! A block of text: find the edges of words, look each word up, and copy what stands between those that
//! are replaced. Each step is a loop of its own without a branch that a processor could not predict.

use super::charset::{Charset, Classifier, LANES};
use super::corpus::{Corpus, Span};
use super::output::{self, Output};
use super::table::{Found, KEY_LEN, Probe, Table};

/// How many bytes must follow a text that is given to [`Replacer::replace`]: zeros.
pub(super) const PADDING: usize = LANES;

const _: () = assert!(PADDING >= output::STRIDE && PADDING >= KEY_LEN);

/// How often words were met and replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) words: u64,
    pub(super) replacements: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.words += other.words;
        self.replacements += other.replacements;
    }
}

/// Replaces words, one block of text after the other. Keeps its buffers between blocks.
#[derive(Debug)]
pub(super) struct Replacer<'a> {
    corpus: &'a Corpus,
    table: &'a Table,
    charset: Charset,
    edges: Vec<u32>,
    hits: Vec<Hit>,
}

/// A word that is replaced.
#[derive(Clone, Copy, Debug, Default)]
struct Hit {
    start: u32,
    end: u32,
    replacement: Span,
}

/// A word that may be in the corpus.
#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    probe: Probe,
    start: u32,
    end: u32,
}

/// How many words are looked at in one go.
const BATCH: usize = 64;

impl<'a> Replacer<'a> {
    pub(super) fn new(corpus: &'a Corpus, table: &'a Table, charset: Charset) -> Self {
        Self { corpus, table, charset, edges: Vec::new(), hits: Vec::new() }
    }

    /// Writes `text` without its [`PADDING`], with its words replaced, to `output`.
    ///
    /// `in_word` says that the text begins inside a word that is in no corpus.
    pub(super) fn replace(&mut self, text: &[u8], in_word: bool, output: &mut Output) -> Count {
        let edges = find_edges(self.charset, text, &mut self.edges);
        let (words, _) = edges.as_chunks::<2>();
        let words = match words {
            [[0, _], rest @ ..] if in_word => rest,
            all => all,
        };
        let hits = find_hits(self.table, text, words, &mut self.hits);
        output.clear();
        let mut from = 0;
        for Hit { start, end, replacement } in hits {
            output.push(text, from, *start as usize - from);
            output.push(self.corpus.bytes(), replacement.start as usize, replacement.len as usize);
            from = *end as usize;
        }
        output.push(text, from, text.len() - PADDING - from);
        Count { words: words.len() as u64, replacements: hits.len() as u64 }
    }
}

/// Lists the words that are replaced: each word is put into a list, and stays there if it may be in the
/// corpus, and those that stayed into another, where they stay if they are found. The loops are short, so a
/// processor is at many words at once while it waits for their places of a table larger than its caches.
#[inline(never)]
fn find_hits<'a>(
    table: &Table,
    text: &[u8],
    words: &[[u32; 2]],
    hits: &'a mut Vec<Hit>,
) -> &'a [Hit] {
    if hits.len() < words.len() {
        hits.resize(words.len(), Hit::default());
    }
    let mut count = 0;
    let mut candidates = [Candidate::default(); BATCH];
    for words in words.chunks(BATCH) {
        let mut left = 0;
        for &[start, end] in words {
            let len = (end - start) as usize;
            // There always are so many bytes: the padding follows.
            let Some(bytes) = text[start as usize..].first_chunk::<KEY_LEN>() else { continue };
            let (probe, may_be) = table.probe(bytes, len.min(KEY_LEN));
            candidates[left] = Candidate { probe, start, end };
            left += usize::from(may_be | (len > KEY_LEN));
        }
        for &Candidate { probe, start, end } in &candidates[..left] {
            let Found { is_hit, replacement } = if (end - start) as usize <= KEY_LEN {
                table.find(&probe)
            } else {
                table.find_long(&text[start as usize..end as usize])
            };
            hits[count] = Hit { start, end, replacement };
            count += usize::from(is_hit);
        }
    }
    &hits[..count]
}

/// Lists where words start and end, in turn.
///
/// Writing a fixed number of edges per mask, most of them wanted, is faster than a loop whose end
/// no processor can predict: the method of simdjson.
fn find_edges<'a>(charset: Charset, text: &[u8], edges: &'a mut Vec<u32>) -> &'a [u32] {
    const USUAL: usize = 24;
    let (pieces, _) = text.as_chunks::<LANES>();
    if edges.len() < text.len() + LANES {
        edges.resize(text.len() + LANES, 0);
    }
    let mut classifier = Classifier::new(charset);
    let mut inside = 0;
    let mut count = 0;
    for (number, piece) in pieces.iter().enumerate() {
        let base = number * LANES;
        let next = text.get(base + LANES).copied().unwrap_or(0);
        let word = classifier.classify(piece, next);
        let mut mask = word ^ (word << 1 | inside);
        inside = word >> (LANES - 1);
        // Long stretches without an edge are no rarity, such as lines that hold no word.
        if mask == 0 {
            continue;
        }
        let found = mask.count_ones() as usize;
        let mut place = || {
            let edge = base as u32 + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
            edge
        };
        let room = &mut edges[count..count + LANES];
        for edge in &mut room[..USUAL] {
            *edge = place();
        }
        if found > USUAL {
            for edge in &mut room[USUAL..found] {
                *edge = place();
            }
        }
        count += found;
    }
    &edges[..count]
}
