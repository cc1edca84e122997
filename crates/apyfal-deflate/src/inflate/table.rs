//! Tables that tell what the next bits of a stream mean.

use super::Flaw;
use super::entry::{DISTANCE, Entry, LENGTH, SYMBOL};
use crate::code::{Lengths, SYMBOLS};
use crate::header::ORDER;
use crate::huffman::{self, MOST_BITS};

/// Bits that are looked up at once; a longer code goes on in a table of its own.
const SYMBOL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
const LENGTH_BITS: u32 = 7;

/// The most entries that any codes need then, as zlib's `enough` counts them: of 288 symbols, and of 32.
const SYMBOL_ENTRIES: usize = 2342;
const DISTANCE_ENTRIES: usize = 402;

/// The tables of a block.
#[derive(Debug)]
pub(crate) struct Tables {
    symbols: [Entry; SYMBOL_ENTRIES],
    distances: [Entry; DISTANCE_ENTRIES],
    are_fixed: bool,
}

impl Tables {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            symbols: [Entry::INVALID; SYMBOL_ENTRIES],
            distances: [Entry::INVALID; DISTANCE_ENTRIES],
            are_fixed: false,
        })
    }

    /// Makes those of blocks that do not tell the lengths of their codes.
    pub(super) fn set_fixed(&mut self) -> Result<(), Flaw> {
        if !self.are_fixed {
            // The two distances that never occur have codes too.
            self.set(&Lengths::FIXED.symbols, &[5; 32], true)?;
            self.are_fixed = true;
        }
        Ok(())
    }

    /// Makes them of the lengths of codes; `for_long` blocks so that one look finds a literal and what follows
    /// it, where there are bits enough.
    ///
    /// # Errors
    /// No code has these.
    pub(super) fn set(
        &mut self,
        symbols: &[u8],
        distances: &[u8],
        for_long: bool,
    ) -> Result<(), Flaw> {
        self.are_fixed = false;
        let sorted = build(symbols, &SYMBOL, SYMBOL_BITS, &mut self.symbols)?;
        build(distances, &DISTANCE, DISTANCE_BITS, &mut self.distances)?;
        if for_long {
            self.join(symbols, &sorted);
        }
        Ok(())
    }

    fn join(&mut self, lengths: &[u8], sorted: &[(u16, u16)]) {
        let code = |(symbol, code): &(u16, u16)| {
            let symbol = usize::from(*symbol);
            (SYMBOL[symbol], usize::from(*code), u32::from(lengths[symbol]))
        };
        let shortest = sorted.first().map_or(0, |first| code(first).2);
        for (literal, first, first_bits) in
            sorted.iter().filter(|(symbol, _)| *symbol < 256).map(code)
        {
            if first_bits + shortest > SYMBOL_BITS {
                break;
            }
            for (next, second, second_bits) in sorted.iter().map(code) {
                let bits = first_bits + second_bits;
                if bits > SYMBOL_BITS {
                    break;
                }
                if !next.is_other() {
                    let joined = literal.of_code(first_bits).then(next.of_code(second_bits));
                    let places =
                        (first | second << first_bits..1 << SYMBOL_BITS).step_by(1 << bits);
                    places.for_each(|at| self.symbols[at] = joined);
                }
            }
        }
    }

    /// What the next bits mean: literals, a length or both.
    #[inline(always)]
    pub(crate) fn symbol(&self, bits: u64) -> Entry {
        self.symbols[(bits & ((1 << SYMBOL_BITS) - 1)) as usize]
    }

    /// What they mean if [`symbol`](Self::symbol) is something else.
    #[cold]
    pub(crate) fn longer_symbol(&self, found: Entry, bits: u64) -> Entry {
        longer(&self.symbols, found, bits)
    }

    /// What the next bits mean behind a length.
    #[inline(always)]
    pub(crate) fn distance(&self, bits: u64) -> Entry {
        self.distances[(bits & ((1 << DISTANCE_BITS) - 1)) as usize]
    }

    /// What they mean if [`distance`](Self::distance) is something else.
    #[cold]
    pub(crate) fn longer_distance(&self, found: Entry, bits: u64) -> Entry {
        longer(&self.distances, found, bits)
    }
}

fn longer(table: &[Entry], found: Entry, bits: u64) -> Entry {
    found.elsewhere(bits).map_or(found, |at| table[at])
}

/// The table of the code that the lengths of the others are told in.
#[derive(Debug)]
pub(super) struct LengthTable([Entry; 1 << LENGTH_BITS]);

impl LengthTable {
    pub(super) fn new(lengths: &[u8; ORDER.len()]) -> Result<Self, Flaw> {
        let mut table = Self([Entry::INVALID; 1 << LENGTH_BITS]);
        // An incomplete one is of no use: the end of a block and what else has a code are two lengths at least.
        let sorted = build(lengths, &LENGTH, LENGTH_BITS, &mut table.0)?;
        if sorted.is_empty() { Err(Flaw::Corrupt) } else { Ok(table) }
    }

    /// What the next bits mean, and how many it takes.
    pub(super) fn at(&self, bits: u64) -> (usize, u32) {
        let entry = self.0[(bits & ((1 << LENGTH_BITS) - 1)) as usize];
        (entry.length(0), entry.bits())
    }
}

/// Makes the table of a code of the lengths of its codes, each of which means something.
fn build(
    lengths: &[u8],
    meanings: &[Entry],
    table_bits: u32,
    table: &mut [Entry],
) -> Result<Vec<(u16, u16)>, Flaw> {
    let mut counts = [0u16; MOST_BITS + 1];
    for &bits in lengths {
        counts[usize::from(bits)] += 1;
    }
    counts[0] = 0;
    let taken: u32 =
        (1..=MOST_BITS).map(|bits| u32::from(counts[bits]) << (MOST_BITS - bits)).sum();
    if taken != 1 << MOST_BITS {
        return build_incomplete(lengths, meanings, &mut table[..1 << table_bits]);
    }
    let sorted = sorted(lengths, &counts);
    // What a code means, and the code as it stands in the stream.
    let mut codes =
        sorted.iter().map(|(symbol, code)| (meanings[usize::from(*symbol)], usize::from(*code)));

    // The table is made for the shortest codes and doubled for each bit more.
    let mut size = 1;
    for bits in 1..=table_bits {
        table.copy_within(..size, size);
        size *= 2;
        for (meaning, code) in codes.by_ref().take(counts[bits as usize].into()) {
            table[code] = meaning.of_code(bits);
        }
    }
    // Those that begin with the same bits share a table of the others.
    let (mut start, mut end, mut prefix) = (size, size, usize::MAX);
    for bits in table_bits + 1..=MOST_BITS as u32 {
        let count = counts[bits as usize];
        for (number, (meaning, code)) in (0..count).zip(codes.by_ref()) {
            let (this, rest) = (code % size, code / size);
            if this != prefix {
                prefix = this;
                let mut rest_bits = bits - table_bits;
                let mut taken = u32::from(count - number);
                while taken < 1 << rest_bits {
                    rest_bits += 1;
                    taken = 2 * taken + u32::from(counts[(table_bits + rest_bits) as usize]);
                }
                (start, end) = (end, end + (1 << rest_bits));
                table[prefix] = Entry::longer(start, rest_bits).of_code(table_bits);
            }
            for at in (start + rest..end).step_by(1 << (bits - table_bits)) {
                table[at] = meaning.of_code(bits);
            }
        }
    }
    Ok(sorted)
}

/// Makes the table of a code that has not a code for each sequence of bits: as zlib has it, it may be empty or have
/// one of one bit.
fn build_incomplete(
    lengths: &[u8],
    meanings: &[Entry],
    table: &mut [Entry],
) -> Result<Vec<(u16, u16)>, Flaw> {
    table.fill(Entry::INVALID);
    let mut used = (0..).zip(lengths).filter(|(_, bits)| **bits > 0);
    match (used.next(), used.next()) {
        (None, _) => {}
        (Some((symbol, 1)), None) => {
            let entry = meanings[symbol as usize].of_code(1);
            table.iter_mut().step_by(2).for_each(|place| *place = entry);
        }
        _ => return Err(Flaw::Corrupt),
    }
    Ok(Vec::new())
}

/// Symbols in the order of their codes, and these.
fn sorted(lengths: &[u8], counts: &[u16; MOST_BITS + 1]) -> Vec<(u16, u16)> {
    let mut codes = [0; SYMBOLS];
    huffman::codes(lengths, &mut codes);
    let mut places = [0u16; MOST_BITS + 1];
    for bits in 1..MOST_BITS {
        places[bits + 1] = places[bits] + counts[bits];
    }
    let mut sorted = vec![(0, 0); counts.iter().sum::<u16>().into()];
    for (symbol, &bits) in (0..).zip(lengths).filter(|(_, bits)| **bits > 0) {
        let place = &mut places[usize::from(bits)];
        sorted[usize::from(*place)] = (symbol, codes[usize::from(symbol)]);
        *place += 1;
    }
    sorted
}
