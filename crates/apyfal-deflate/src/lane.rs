//! One part of the source on its way to tokens.
//!
//! A processor that looks for one match after the other waits most of the time: for the table, for
//! the place that it names, for the length of what is equal there, which tells where to go on. So
//! some parts of the source are worked on at once, a token of one after a token of another. And what
//! can be known without waiting is found first, for a whole chunk: where each four bytes stood before.

use std::hint::select_unpredictable;

use crate::bits::Bits;
use crate::block;
use crate::compare::{Positions, WIDTH};
use crate::heads::{Heads, Slots};
use crate::path::Path;
use crate::tokens::{Counted, Found, MAX_MATCH, MIN_MATCH, Tokens, WINDOW};

/// For so many positions is found at once where their bytes stood before.
pub(crate) const CHUNK: usize = 2 << 10;

/// How many places for the same bytes there are at most.
const MOST_WAYS: usize = 2;

/// Where nothing repeats, so much is stored without being looked at; then twice as much.
const SKIP: usize = 16 << 10;
const MOST_SKIPPED: usize = 64 << 10;

/// So much of each chunk is looked at before it is skipped.
const SAMPLE: usize = 256;

/// A part of the source.
#[derive(Debug)]
pub(crate) struct Lane<const SLOTS: usize, const WAYS: usize> {
    heads: Heads<SLOTS, WAYS>,
    /// What the heads told of each position of the chunk that ends at `known`: `WAYS` places of 16 bits.
    before: Box<[u8; MOST_WAYS * 2 * CHUNK]>,
    known: usize,
    pairs: Box<[[u32; CHUNK / 4]; 2]>,
    tokens: Tokens,
    counted: Counted,
    at: usize,
    end: usize,
    /// Where the block begins, and where the chunk began with how many tokens.
    block: usize,
    chunk: (usize, usize),
    is_barren: bool,
    skip: usize,
    bits: Bits,
}

impl<const SLOTS: usize, const WAYS: usize> Lane<SLOTS, WAYS> {
    pub(crate) fn new() -> Self {
        Self {
            heads: Heads::new(),
            before: Box::new([0; MOST_WAYS * 2 * CHUNK]),
            known: 0,
            pairs: Box::new([[0; CHUNK / 4]; 2]),
            tokens: Tokens::new(),
            counted: Counted::new(),
            at: 0,
            end: 0,
            block: 0,
            chunk: (0, 0),
            is_barren: false,
            skip: SKIP,
            bits: Bits::new(),
        }
    }

    /// Begins with a part of a source. What stands before the part may be referred to.
    pub(crate) fn restart(&mut self, source: &[u8], part: std::ops::Range<usize>) {
        self.heads.clear();
        self.tokens.clear();
        self.bits.restart(block::bound(part.len()));
        (self.at, self.block, self.end) = (part.start, part.start, part.end);
        (self.is_barren, self.skip, self.chunk) = (false, SKIP, (part.start, 0));
        self.known = part.start / CHUNK * CHUNK;
        let seen = self.known.saturating_sub(WINDOW as usize);
        let mut slots = self.heads.slots();
        for (at, four) in (seen..self.known).zip(source[seen..].windows(4)) {
            slots.swap(Slots::<SLOTS, WAYS>::hash([four[0], four[1], four[2], four[3]]), at as u16);
        }
    }

    /// The end of what can be done quickly: no match goes over the end of the part, and comparing not
    /// over that of the source.
    fn quick_end(&self) -> usize {
        self.end.saturating_sub(MAX_MATCH)
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.at < self.quick_end()
    }

    /// Finds where the bytes of the next chunk stood before.
    #[inline(always)]
    fn learn(&mut self, source: &[u8]) {
        let start = self.known;
        self.known += CHUNK;
        let mut slots = self.heads.slots();
        let Some(chunk) = source.get(start..start + CHUNK + 4) else {
            for (before, (four, at)) in
                self.before.chunks_mut(2 * WAYS).zip(source[start..].windows(4).zip(start..))
            {
                let hash = Slots::<SLOTS, WAYS>::hash([four[0], four[1], four[2], four[3]]);
                before.copy_from_slice(&slots.swap(hash, at as u16).to_le_bytes()[..2 * WAYS]);
            }
            return;
        };
        // The hashes of positions 4n and 4n + 1 in one number, and of the two behind them in another:
        // in this form the compiler has the vector unit make them.
        for (shift, pairs) in self.pairs.iter_mut().enumerate() {
            let first = chunk[2 * shift..].as_chunks::<4>().0;
            let second = chunk[2 * shift + 1..].as_chunks::<4>().0;
            for ((pair, first), second) in pairs.iter_mut().zip(first).zip(second) {
                *pair =
                    Slots::<SLOTS, WAYS>::hash(*first) | Slots::<SLOTS, WAYS>::hash(*second) << 16;
            }
        }
        let [low, high] = &*self.pairs;
        let mut at = start as u16;
        // One write for four positions: these are as slow as what is looked up.
        for ((before, low), high) in self.before.chunks_exact_mut(8 * WAYS).zip(low).zip(high) {
            let hashes = [low & 0xffff, low >> 16, high & 0xffff, high >> 16];
            let mut all = 0;
            for (number, hash) in hashes.into_iter().enumerate() {
                let places = slots.swap(hash, at.wrapping_add(number as u16));
                all |= u128::from(places) << (16 * WAYS * number);
            }
            before.copy_from_slice(&all.to_le_bytes()[..8 * WAYS]);
            at = at.wrapping_add(4);
        }
    }

    /// What the heads told of a position.
    #[inline(always)]
    fn before(&self, at: usize) -> [u16; WAYS] {
        let place = at % CHUNK * 2 * WAYS;
        let places = self.before[place..place + 2 * WAYS].as_chunks().0;
        std::array::from_fn(|way| u16::from_le_bytes(places[way]))
    }

    /// What is found here, and how long it is. Without branches that cannot be foreseen.
    #[inline(always)]
    fn find(&self, source: &[u8], places: Positions<'_>, at: usize) -> (Found, usize) {
        let here = places.at(at);
        let (mut len, mut distance) = (0, 0);
        for (way, before) in self.before(at).into_iter().enumerate() {
            let back = (at as u16).wrapping_sub(before);
            let equal = here.common(back.into());
            let equal = select_unpredictable(u32::from(back).wrapping_sub(1) < WINDOW, equal, 0);
            let is_longer = way == 0 || equal > len;
            distance = select_unpredictable(is_longer, u32::from(back), distance);
            len = select_unpredictable(is_longer, equal, len);
        }
        len = select_unpredictable(len >= MIN_MATCH, len, 1);
        if len == WIDTH as u32 {
            len = longer(source, at, distance as usize);
        }
        (Found::new(here.byte(), len, distance), len as usize)
    }

    /// The same where an end is near.
    fn step_at_end(&mut self, source: &[u8]) {
        while self.at >= self.known {
            self.learn(source);
        }
        let here = &source[self.at..self.end.min(self.at + MAX_MATCH)];
        let (mut len, mut distance) = (1, 0);
        if source.len() - self.at >= MIN_MATCH as usize {
            for before in self.before(self.at) {
                let back = (self.at as u16).wrapping_sub(before);
                let there = &source[self.at - usize::from(back)..];
                let equal = here.iter().zip(there).take_while(|(a, b)| a == b).count() as u32;
                let in_window = (1..=WINDOW).contains(&u32::from(back));
                if in_window && equal >= MIN_MATCH && equal > len {
                    (len, distance) = (equal, u32::from(back));
                }
            }
        }
        self.tokens.put(0, Found::new(here[0], len, distance));
        self.tokens.take(1);
        self.at += len as usize;
    }

    /// Does what [`run`] stopped for, if it was for this one.
    pub(crate) fn go_on(&mut self, source: &[u8], path: Path) {
        if self.tokens.room() == 0 {
            self.end_block(source, path);
        }
        if self.is_barren {
            if is_flat(&source[self.chunk.0..self.at]) {
                self.skip(source, path);
            }
            self.is_barren = false;
            self.chunk = (self.at, self.tokens.len());
        }
    }

    /// Stores what follows bytes that gain by nothing, without a look at it.
    fn skip(&mut self, source: &[u8], path: Path) {
        let to = (self.at + self.skip) / CHUNK * CHUNK;
        if to >= self.quick_end() {
            return;
        }
        // What follows noise may be worth a look.
        let to = (self.at.next_multiple_of(CHUNK)..to)
            .step_by(CHUNK)
            .find(|chunk| !is_flat(&source[*chunk..chunk + SAMPLE]))
            .unwrap_or(to);
        if to <= self.at {
            return;
        }
        // What was found to be short is not stored for what follows.
        if self.tokens.len() > 2 * CHUNK || 64 * self.tokens.len() < 63 * (self.at - self.block) {
            self.end_block(source, path);
        }
        block::store(&mut self.bits, &source[self.block..to], false);
        self.tokens.clear();
        self.skip = (2 * self.skip).min(MOST_SKIPPED);
        (self.at, self.block, self.known) = (to, to, to);
    }

    fn end_block(&mut self, source: &[u8], path: Path) {
        let raw = &source[self.block..self.at];
        path.count(&mut self.counted, self.tokens.found());
        block::write(&mut self.bits, &self.counted, raw, self.at == source.len(), path);
        self.tokens.clear();
        self.block = self.at;
        self.chunk = (self.at, 0);
    }

    /// What came of the part, once all of it that is quick is done. Unless it is the last one another can stand behind it: it ends with a whole
    /// byte.
    pub(crate) fn finish(&mut self, source: &[u8], path: Path) -> &[u8] {
        while self.at < self.end {
            self.step_at_end(source);
            if self.tokens.room() == 0 && self.at < self.end {
                self.end_block(source, path);
            }
        }
        let is_last = self.end == source.len();
        if self.tokens.len() > 0 || is_last {
            self.end_block(source, path);
        }
        if !is_last {
            block::store(&mut self.bits, &[], false);
        }
        self.bits.finish()
    }
}

/// Goes on with each lane, token by token, until one of them is at its quick end, has a full block or
/// a chunk without matches.
#[inline(always)]
pub(crate) fn run<const SLOTS: usize, const WAYS: usize, const LANES: usize>(
    lanes: [&mut Lane<SLOTS, WAYS>; LANES],
    source: &[u8],
    places: Positions<'_>,
) {
    let mut at: [usize; LANES] = std::array::from_fn(|lane| lanes[lane].at);
    let end: [usize; LANES] = std::array::from_fn(|lane| lanes[lane].quick_end());
    let mut stop: [usize; LANES] = std::array::from_fn(|lane| lanes[lane].known.min(end[lane]));
    let room = lanes.iter().map(|lane| lane.tokens.room()).min().unwrap_or(0);
    let mut count = 0;
    'tokens: while count < room {
        for lane in 0..LANES {
            if at[lane] >= stop[lane] {
                let this = &mut *lanes[lane];
                if at[lane] >= end[lane] || this.notice_barren(at[lane], count) {
                    break 'tokens;
                }
                while at[lane] >= this.known {
                    this.learn(source);
                }
                stop[lane] = this.known.min(end[lane]);
            }
        }
        for lane in 0..LANES {
            let (found, len) = lanes[lane].find(source, places, at[lane]);
            lanes[lane].tokens.put(count, found);
            at[lane] += len;
        }
        count += 1;
    }
    for (lane, at) in lanes.into_iter().zip(at) {
        lane.at = at;
        lane.tokens.take(count);
    }
}

impl<const SLOTS: usize, const WAYS: usize> Lane<SLOTS, WAYS> {
    /// At the end of a chunk: whether hardly anything in it repeats.
    fn notice_barren(&mut self, at: usize, count: usize) -> bool {
        let (start, tokens) = self.chunk;
        let len = self.tokens.len() + count;
        let (bytes, made) = (at - start, len - tokens);
        if bytes < CHUNK / 2 {
            return false;
        }
        self.is_barren = 64 * made >= 63 * bytes;
        if !self.is_barren {
            self.chunk = (at, len);
            self.skip = SKIP;
        }
        self.is_barren
    }
}

/// How long the match is of which the first [`WIDTH`] bytes were compared.
#[cold]
#[inline(never)]
fn longer(source: &[u8], at: usize, distance: usize) -> u32 {
    let here = &source[at..source.len().min(at + MAX_MATCH)];
    let there = &source[at - distance..];
    let words = here.as_chunks::<8>().0.iter().zip(there.as_chunks::<8>().0);
    let equal = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = here[equal..].iter().zip(&there[equal..]);
    (equal + rest.take_while(|(a, b)| a == b).count()) as u32
}

/// Whether all values of a byte are about equally frequent.
fn is_flat(bytes: &[u8]) -> bool {
    let mut counts = [0u64; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // Of evenly distributed bytes it is len^2 / 256 + len.
    let len = bytes.len() as u64;
    4 * squares < 5 * (len * len / 256 + len)
}
