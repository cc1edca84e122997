//! What bits can mean.

use crate::code::{DISTANCES, LENGTHS, SYMBOLS, distance_extra};
use crate::header::ORDER;

/// What bits mean: literals, a length or a distance. From the lowest bit on:
///
/// * 8 bits: how many bits it is, with those behind the code that belong to it
/// * 4 bits: how many of these are code
/// * 2 bits: how many literals
/// * 1 bit: there is no number
/// * 8 bits: the literal
/// * 9 bits: the other literal, or the least length of this code
///
/// A distance is where literals and length are, in the highest 15 bits. Without literals and number it is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(u32);

impl Entry {
    const CODE: u32 = 8;
    const LITERALS_LEN: u32 = 12;
    const NO_NUMBER: u32 = 1 << 14;
    const LITERALS: u32 = 15;
    const LENGTH: u32 = 23;
    const DISTANCE: u32 = 17;

    /// Among what is something else: no code.
    pub(super) const INVALID: Self = Self(Self::NO_NUMBER);
    /// The block ends.
    const END: Self = Self(Self::NO_NUMBER | 1 << 15);
    /// The code is longer, its other bits (3 bits tell how many) are looked up elsewhere (12 bits).
    const LONGER: u32 = Self::NO_NUMBER | 1 << 16;
    const REST_BITS: u32 = 17;
    const TABLE: u32 = 20;

    const fn literal(byte: u8) -> Self {
        Self((byte as u32) << Self::LITERALS | 1 << Self::LITERALS_LEN | Self::NO_NUMBER)
    }

    /// A length that is so much and what so many bits behind the code say.
    const fn length_of(least: u16, extra: u32) -> Self {
        Self((least as u32) << Self::LENGTH | extra)
    }

    /// A distance, likewise.
    const fn distance_of(least: u16, extra: u32) -> Self {
        Self((least as u32) << Self::DISTANCE | extra)
    }

    pub(super) fn longer(table: usize, rest_bits: u32) -> Self {
        Self(Self::LONGER | rest_bits << Self::REST_BITS | (table as u32) << Self::TABLE)
    }

    /// With the length of its code.
    pub(super) fn of_code(self, bits: u32) -> Self {
        Self(self.0 + (bits << Self::CODE | bits))
    }

    /// A literal and what follows it, one literal or a length.
    pub(super) fn then(self, next: Self) -> Self {
        const LENS: u32 = (1 << 14) - 1;
        // Of literal and length one is there, and the other is 0.
        let second = next.0 >> Self::LENGTH | next.0 >> Self::LITERALS & 0xff;
        let lens = (self.0 & LENS) + (next.0 & LENS);
        let literal = self.0 & 0xff << Self::LITERALS;
        Self(lens | next.0 & Self::NO_NUMBER | literal | second << Self::LENGTH)
    }

    /// How many bits it is in all.
    pub(crate) fn bits(self) -> u32 {
        self.shift() & 0xff
    }

    /// The same in the lowest byte.
    #[inline(always)]
    pub(crate) fn shift(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(super) fn code_bits(self) -> u32 {
        self.0 >> Self::CODE & 0xf
    }

    /// The literals, and something else where they are less than two.
    #[inline(always)]
    pub(crate) fn literals(self) -> [u8; 2] {
        ((self.0 >> Self::LITERALS) as u16).to_le_bytes()
    }

    #[inline(always)]
    pub(crate) fn literals_len(self) -> usize {
        (self.0 >> Self::LITERALS_LEN) as usize & 3
    }

    /// Whether it is, or ends with, a length or distance.
    #[inline(always)]
    pub(crate) fn has_number(self) -> bool {
        self.0 & Self::NO_NUMBER == 0
    }

    /// Whether it is neither literals nor a number.
    #[inline(always)]
    pub(crate) fn is_other(self) -> bool {
        self.0 & (Self::NO_NUMBER | 3 << Self::LITERALS_LEN) == Self::NO_NUMBER
    }

    pub(crate) fn is_end(self) -> bool {
        self.is_other() && self.0 >> Self::LITERALS == Self::END.0 >> Self::LITERALS
    }

    /// Where a longer code is in the table, if this is what it begins with.
    pub(super) fn elsewhere(self, bits: u64) -> Option<usize> {
        if !self.is_other() || self.0 & Self::LONGER != Self::LONGER {
            return None;
        }
        let rest_bits = self.0 >> Self::REST_BITS & 7;
        let rest = bits >> self.bits() & ((1 << rest_bits) - 1);
        Some((self.0 >> Self::TABLE) as usize + rest as usize)
    }

    /// The length, if bits begin with this.
    #[inline(always)]
    pub(crate) fn length(self, bits: u64) -> usize {
        (self.0 >> Self::LENGTH) as usize + self.extra(bits)
    }

    /// The distance, if bits begin with this.
    #[inline(always)]
    pub(crate) fn distance(self, bits: u64) -> usize {
        (self.0 >> Self::DISTANCE) as usize + self.extra(bits)
    }

    #[inline(always)]
    fn extra(self, bits: u64) -> usize {
        ((bits & ((1 << (self.bits() & 63)) - 1)) >> self.code_bits()) as usize
    }
}

/// What symbols mean.
pub(super) static SYMBOL: [Entry; SYMBOLS] = {
    let mut entries = [Entry::INVALID; SYMBOLS];
    let mut byte = 0;
    while byte < 256 {
        entries[byte] = Entry::literal(byte as u8);
        byte += 1;
    }
    entries[256] = Entry::END;
    let mut len = 258;
    while len > 2 {
        let length = LENGTHS[len];
        entries[length.symbol as usize] = Entry::length_of(len as u16, length.extra as u32);
        len -= 1;
    }
    entries
};

/// What codes of distances mean, of which the last two mean nothing.
pub(super) static DISTANCE: [Entry; 32] = {
    let mut entries = [Entry::INVALID; 32];
    let (mut code, mut least) = (0, 1);
    while code < DISTANCES {
        let extra = distance_extra(code);
        entries[code] = Entry::distance_of(least, extra);
        least = least.wrapping_add(1 << extra);
        code += 1;
    }
    entries
};

/// What codes for lengths of codes mean, as lengths.
pub(super) static LENGTH: [Entry; ORDER.len()] = {
    let mut entries = [Entry::INVALID; ORDER.len()];
    let mut symbol = 0;
    while symbol < ORDER.len() {
        entries[symbol] = Entry::length_of(symbol as u16, 0);
        symbol += 1;
    }
    entries
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::MAX_MATCH;

    /// What is copied has no other bound than this.
    #[test]
    fn no_length_is_longer_than_the_longest() {
        let longest = SYMBOL.iter().filter(|entry| entry.has_number());
        assert_eq!(longest.map(|entry| entry.length(u64::MAX)).max(), Some(MAX_MATCH));
        for literal in &SYMBOL[..256] {
            let joined =
                SYMBOL[257..286].iter().map(|length| literal.of_code(1).then(length.of_code(10)));
            assert_eq!(joined.map(|entry| entry.length(u64::MAX)).max(), Some(MAX_MATCH));
        }
        let farthest = DISTANCE.iter().filter(|entry| entry.has_number());
        assert_eq!(
            farthest.map(|entry| entry.distance(u64::MAX)).max(),
            Some(super::super::HISTORY)
        );
    }
}
