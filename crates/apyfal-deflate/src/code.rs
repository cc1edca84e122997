//! The alphabets of deflate ([RFC 1951](https://www.rfc-editor.org/rfc/rfc1951), 3.2.5 and 3.2.6), and
//! codes for them.

use crate::huffman;

/// Literals, the end of the block, lengths, and two that never occur but have a fixed code.
pub(crate) const SYMBOLS: usize = 288;

/// Distances.
pub(crate) const DISTANCES: usize = 30;

/// The lengths of codes for both alphabets.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    pub symbols: [u8; SYMBOLS],
    pub distances: [u8; DISTANCES],
}

impl Lengths {
    /// Those that need no header.
    pub(crate) const FIXED: Self = {
        let mut symbols = [8; SYMBOLS];
        let mut symbol = 144;
        while symbol < 280 {
            symbols[symbol] = if symbol < 256 { 9 } else { 7 };
            symbol += 1;
        }
        Self { symbols, distances: [5; DISTANCES] }
    };

    /// The best ones for what occurs so often.
    pub(crate) fn of(symbols: &[u32; SYMBOLS], distances: &[u32; DISTANCES]) -> Self {
        let mut lengths = Self { symbols: [0; SYMBOLS], distances: [0; DISTANCES] };
        huffman::lengths(symbols, 15, &mut lengths.symbols);
        huffman::lengths(distances, 15, &mut lengths.distances);
        lengths
    }

    pub(crate) fn codes(&self) -> ([u16; SYMBOLS], [u16; DISTANCES]) {
        let (mut symbols, mut distances) = ([0; SYMBOLS], [0; DISTANCES]);
        huffman::codes(&self.symbols, &mut symbols);
        huffman::codes(&self.distances, &mut distances);
        (symbols, distances)
    }

    /// How many bits all these are, without extra bits.
    pub(crate) fn bits(&self, symbols: &[u32; SYMBOLS], distances: &[u32; DISTANCES]) -> u64 {
        let symbols = symbols.iter().zip(&self.symbols);
        let distances = distances.iter().zip(&self.distances);
        symbols.chain(distances).map(|(count, bits)| u64::from(*count) * u64::from(*bits)).sum()
    }
}

/// The symbol of a length, its extra bits and how many those are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Length {
    pub symbol: u16,
    pub rest: u8,
    pub extra: u8,
}

/// Those of the lengths up to 258.
pub(crate) static LENGTHS: [Length; 259] = {
    let mut lengths = [Length { symbol: 0, rest: 0, extra: 0 }; 259];
    let mut len = 3;
    while len < 258 {
        let rest = len as u32 - 3;
        // Each power of two from 4 on is cut into four symbols.
        let extra = (rest | 4).ilog2() - 2;
        lengths[len] = Length {
            symbol: (257 + 4 * extra + (rest >> extra)) as u16,
            rest: (rest & ((1 << extra) - 1)) as u8,
            extra: extra as u8,
        };
        len += 1;
    }
    lengths[258] = Length { symbol: 285, rest: 0, extra: 0 };
    lengths
};

/// How many extra bits a distance of this code has.
pub(crate) const fn distance_extra(code: usize) -> u32 {
    (code as u32 / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_symbols_of_the_standard() {
        for (len, expected) in [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 0, 1)),
            (12, (265, 1, 1)),
            (13, (266, 0, 1)),
            (18, (268, 1, 1)),
            (19, (269, 0, 2)),
            (66, (276, 7, 3)),
            (67, (277, 0, 4)),
            (257, (284, 30, 5)),
            (258, (285, 0, 0)),
        ] {
            let Length { symbol, rest, extra } = LENGTHS[len];
            assert_eq!((symbol, rest, extra), expected, "of {len}");
        }
    }

    #[test]
    fn distances_have_the_extra_bits_of_the_standard() {
        let extra = [0, 1, 3, 4, 5, 6, 28, 29].map(distance_extra);
        assert_eq!(extra, [0, 0, 0, 1, 1, 2, 13, 13]);
    }
}
