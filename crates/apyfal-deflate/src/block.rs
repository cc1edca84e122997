//! The blocks of a deflate stream: each in the form that is shortest.

use crate::bits::Bits;
use crate::code::{self, DISTANCES, LENGTHS, Lengths, SYMBOLS as LITERALS};
use crate::header::Header;
use crate::path::Path;
use crate::tokens::{Counted, MIN_MATCH, SYMBOLS, Token};

/// The symbol that ends a block.
const END: usize = 256;

/// The longest stored block.
const MOST_STORED: usize = 65_535;

/// How many bytes a source of so many becomes at most, where no block is shorter than it need be.
pub(crate) const fn bound(len: usize) -> usize {
    len + len / 128 + 64
}

/// What is written for each token.
#[derive(Debug)]
pub(crate) struct Codes {
    /// The code and the extra bits of a literal or length, and how many bits both are.
    symbols: [u32; SYMBOLS],
    symbol_bits: [u8; SYMBOLS],
    /// The code of a distance, how many bits it has, and how many with its extra bits.
    distances: [u16; 32],
    distance_bits: [u8; 32],
    far_bits: [u8; 32],
    end: (u64, u32),
}

impl Codes {
    fn new(lengths: &Lengths) -> Self {
        let (literals, far) = lengths.codes();
        let mut codes = Self {
            symbols: [0; SYMBOLS],
            symbol_bits: [0; SYMBOLS],
            distances: [0; 32],
            distance_bits: [0; 32],
            far_bits: [0; 32],
            end: (literals[END].into(), lengths.symbols[END].into()),
        };
        for (literal, code) in literals[..END].iter().enumerate() {
            codes.symbols[literal] = (*code).into();
            codes.symbol_bits[literal] = lengths.symbols[literal];
        }
        for (len, length) in LENGTHS.iter().enumerate().skip(MIN_MATCH as usize) {
            let symbol = usize::from(length.symbol);
            let bits = lengths.symbols[symbol];
            codes.symbols[254 + len] = u32::from(literals[symbol]) | u32::from(length.rest) << bits;
            codes.symbol_bits[254 + len] = bits + length.extra;
        }
        codes.distances[..DISTANCES].copy_from_slice(&far);
        for (code, &bits) in lengths.distances.iter().enumerate() {
            codes.distance_bits[code] = bits;
            codes.far_bits[code] = bits + code::distance_extra(code) as u8;
        }
        codes
    }

    #[inline(always)]
    fn of(&self, token: Token) -> (u64, u32) {
        let (symbol, code) = (token.symbol(), token.distance_code());
        let far = u64::from(self.distances[code])
            | u64::from(token.distance_rest()) << (self.distance_bits[code] & 63);
        let bits = self.symbol_bits[symbol];
        let both = u64::from(self.symbols[symbol]) | far << (bits & 63);
        (both, u32::from(bits) + u32::from(self.far_bits[code]))
    }
}

/// Writes what stands for the tokens.
#[inline(always)]
pub(crate) fn encode(bits: &mut Bits, tokens: &[Token], codes: &Codes) {
    let (pairs, rest) = tokens.as_chunks::<2>();
    bits.put_pairs(pairs.iter().map(|pair| pair.map(|token| codes.of(token))));
    for token in rest {
        let (code, count) = codes.of(*token);
        bits.put(code, count);
    }
}

/// Writes a block of tokens, which are those of `raw`.
pub(crate) fn write(bits: &mut Bits, counted: &Counted, raw: &[u8], is_last: bool, path: Path) {
    let mut symbols = [0u32; LITERALS];
    symbols[..END].copy_from_slice(&counted.symbols[..END]);
    symbols[END] = 1;
    let mut extra = 0;
    for (len, length) in LENGTHS.iter().enumerate().skip(MIN_MATCH as usize) {
        let count = counted.symbols[254 + len];
        symbols[usize::from(length.symbol)] += count;
        extra += u64::from(u32::from(length.extra) * count);
    }
    let distances: &[u32; DISTANCES] = counted.distances.first_chunk().unwrap_or(&[0; DISTANCES]);
    for (code, count) in distances.iter().enumerate() {
        extra += u64::from(code::distance_extra(code) * count);
    }

    let own = Lengths::of(&symbols, distances);
    let header = Header::of(&own);
    let stored = 8 * (raw.len() as u64 + 5 * raw.len().div_ceil(MOST_STORED).max(1) as u64);
    let dynamic = header.bits() + own.bits(&symbols, distances) + extra;
    let fixed = Lengths::FIXED.bits(&symbols, distances) + extra;
    if stored < dynamic.min(fixed) {
        return store(bits, raw, is_last);
    }
    bits.put(is_last.into(), 1);
    let codes = if fixed <= dynamic {
        bits.put(1, 2);
        Codes::new(&Lengths::FIXED)
    } else {
        bits.put(2, 2);
        header.write(bits);
        Codes::new(&own)
    };
    path.encode(bits, &counted.tokens, &codes);
    bits.put(codes.end.0, codes.end.1);
}

/// Writes bytes as they are: at least one block, an empty one for none.
pub(crate) fn store(bits: &mut Bits, raw: &[u8], is_last: bool) {
    let (mut block, mut rest) = raw.split_at(raw.len().min(MOST_STORED));
    loop {
        bits.put(u64::from(is_last && rest.is_empty()), 3);
        bits.align();
        bits.put(block.len() as u64 | (block.len() as u64 ^ 0xffff) << 16, 32);
        bits.put_bytes(block);
        if rest.is_empty() {
            return;
        }
        (block, rest) = rest.split_at(rest.len().min(MOST_STORED));
    }
}
