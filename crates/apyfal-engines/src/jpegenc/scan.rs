//! Coefficients as symbols, and symbols as bits: ITU-T T.81, sections F.1.2 and F.1.1.5.

use multiversion::multiversion;

use super::color::{Subsampling, WIDTH};
use super::huffman::{Code, Codes, Counts};
use super::transform::Pair;

/// The order of the coefficients of a block: horizontal and vertical frequency.
pub(super) const ZIGZAG: [(usize, usize); 64] = {
    let mut order = [(0, 0); 64];
    let (mut at, mut u, mut v) = (0, 0, 0);
    while at < 64 {
        order[at] = (u, v);
        at += 1;
        (u, v) = match ((u + v) % 2, u, v) {
            (0, 7, _) => (u, v + 1),
            (0, _, 0) => (u + 1, v),
            (0, ..) => (u + 1, v - 1),
            (_, _, 7) => (u + 1, v),
            (_, 0, _) => (u, v + 1),
            _ => (u - 1, v + 1),
        };
    }
    order
};

/// Where a [`Pair`] has the coefficients, in the order of the scan.
const PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[at] = (8 * ZIGZAG[at].0 + ZIGZAG[at].1) as u8;
        at += 1;
    }
    places
};

/// For each byte of [`Pair::nonzero`] and each of its values the same in the order of the scan.
static IN_ORDER: [[u64; 256]; 8] = {
    let mut in_order = [[0; 256]; 8];
    let mut at = 0;
    while at < 64 {
        let (byte, bit) = (PLACES[at] / 8, PLACES[at] % 8);
        let mut value = 0;
        while value < 256 {
            in_order[byte as usize][value] |= (value as u64 >> bit & 1) << at;
            value += 1;
        }
        at += 1;
    }
    in_order
};

/// The blocks of MCUs beside each other.
#[derive(Debug)]
pub(super) struct Mcus {
    pub(super) count: usize,
    pub(super) subsampling: Subsampling,
    pub(super) luma: [[Pair; WIDTH / 16]; 2],
    /// Blue and red.
    pub(super) chroma: [[Pair; WIDTH / 16]; 2],
}

/// Tables of DC and AC symbols.
const LUMA: [usize; 2] = [0, 1];
const CHROMA: [usize; 2] = [2, 3];

/// The end of a block: there are only zeros more.
const END: u8 = 0;

/// Sixteen zeros.
const ZEROS: u8 = 0xf0;

/// What takes symbols.
trait Sink {
    /// A symbol of a table, and the low `count` bits of `bits`, which follow it.
    fn put(&mut self, table: usize, symbol: u8, bits: u32, count: u32);
}

/// The DC coefficients of the last blocks: of luma, blue and red.
type Predictions = [i16; 3];

/// Puts all symbols.
#[inline(always)]
fn put_all(mcus: &Mcus, predictions: &mut Predictions, sink: &mut impl Sink) {
    let Subsampling { horizontal, vertical } = mcus.subsampling;
    for mcu in 0..mcus.count {
        for row in &mcus.luma[..vertical] {
            for block in mcu * horizontal..(mcu + 1) * horizontal {
                put_block(&row[block / 2], block, LUMA, &mut predictions[0], sink);
            }
        }
        for (row, prediction) in mcus.chroma.iter().zip(&mut predictions[1..]) {
            put_block(&row[mcu / 2], mcu, CHROMA, prediction, sink);
        }
    }
}

#[inline(always)]
fn put_block(
    pair: &Pair,
    block: usize,
    [dc, ac]: [usize; 2],
    prediction: &mut i16,
    sink: &mut impl Sink,
) {
    let level = pair.coefficient(block, 0);
    let (bits, count) = magnitude(i32::from(level) - i32::from(*prediction));
    *prediction = level;
    sink.put(dc, count as u8, bits, count);

    let nonzero = pair.nonzero(block).to_le_bytes();
    let mut left = 0;
    for (in_order, byte) in IN_ORDER.iter().zip(nonzero) {
        left |= in_order[usize::from(byte)];
    }
    left &= !1;
    let mut last = 0;
    while left != 0 {
        let at = left.trailing_zeros();
        left &= left - 1;
        let mut run = at - last - 1;
        last = at;
        while run > 15 {
            sink.put(ac, ZEROS, 0, 0);
            run -= 16;
        }
        let place = PLACES[at as usize % 64];
        let (bits, count) = magnitude(pair.coefficient(block, place.into()).into());
        sink.put(ac, (run << 4 | count) as u8, bits, count);
    }
    if last != 63 {
        sink.put(ac, END, 0, 0);
    }
}

/// The bits that tell a value of which it is known how many they are.
#[inline(always)]
fn magnitude(value: i32) -> (u32, u32) {
    let count = u32::BITS - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)) as u32 & ((1 << count) - 1);
    (bits, count)
}

impl Sink for Counts {
    #[inline(always)]
    fn put(&mut self, table: usize, symbol: u8, _: u32, _: u32) {
        self.count(table, symbol);
    }
}

/// Counts the symbols of a band.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub(super) counts: &'a mut Counts,
    predictions: Predictions,
}

impl<'a> Counter<'a> {
    pub(super) fn new(counts: &'a mut Counts) -> Self {
        Self { counts, predictions: [0; 3] }
    }

    pub(super) fn add(&mut self, mcus: &Mcus) {
        count_all(mcus, &mut self.predictions, self.counts);
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn count_all(mcus: &Mcus, predictions: &mut Predictions, counts: &mut Counts) {
    put_all(mcus, predictions, counts);
}

/// Writes the entropy-coded segment of a band.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    predictions: Predictions,
    bits: Bits<'a>,
}

#[derive(Debug)]
struct Bits<'a> {
    codes: &'a Codes,
    bytes: &'a mut Vec<u8>,
    /// What is not in `bytes` yet, above which stands what is there already.
    waiting: u64,
    /// How many more bits can wait.
    free: u32,
    /// Whether a symbol had no code.
    incomplete: bool,
}

impl<'a> Writer<'a> {
    /// One that appends to `bytes`.
    pub(super) fn new(codes: &'a Codes, bytes: &'a mut Vec<u8>) -> Self {
        let bits = Bits { codes, bytes, waiting: 0, free: u64::BITS, incomplete: false };
        Self { predictions: [0; 3], bits }
    }

    pub(super) fn add(&mut self, mcus: &Mcus) {
        write_all(mcus, &mut self.predictions, &mut self.bits);
    }

    /// Writes what is left, and answers whether each symbol had a code.
    pub(super) fn finish(mut self) -> bool {
        // The last byte is filled up with ones: section F.1.2.3.
        self.bits.push(0x7f, 7);
        let count = (u64::BITS - self.bits.free) / 8;
        let left = self.bits.waiting << (self.bits.free % u64::BITS);
        self.bits.push_bytes(&left.to_be_bytes()[..count as usize]);
        !self.bits.incomplete
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn write_all(mcus: &Mcus, predictions: &mut Predictions, bits: &mut Bits<'_>) {
    // A copy of its own stays in registers.
    let mut own = Bits { bytes: &mut *bits.bytes, ..*bits };
    put_all(mcus, predictions, &mut own);
    let Bits { waiting, free, incomplete, .. } = own;
    (bits.waiting, bits.free, bits.incomplete) = (waiting, free, incomplete);
}

impl Sink for Bits<'_> {
    #[inline(always)]
    fn put(&mut self, table: usize, symbol: u8, bits: u32, count: u32) {
        let Code { bits: code, length } = self.codes.get(table, symbol);
        self.incomplete |= length == 0;
        self.push(u64::from(u32::from(code) << count | bits), u32::from(length) + count);
    }
}

impl Bits<'_> {
    /// Appends the low `count` bits, up to 32 of them. There are no others.
    #[inline(always)]
    fn push(&mut self, bits: u64, count: u32) {
        if count <= self.free {
            self.waiting = self.waiting << count | bits;
            self.free -= count;
        } else {
            let rest = count - self.free;
            self.push_word(self.waiting << self.free | bits >> rest);
            self.waiting = bits;
            self.free = u64::BITS - rest;
        }
    }

    #[inline(always)]
    fn push_word(&mut self, word: u64) {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        const LOW: u64 = 0x0101_0101_0101_0101;
        // A byte whose highest bit goes away when one is added is 0xff.
        if word & HIGH & !word.wrapping_add(LOW) == 0 {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        } else {
            self.push_bytes(&word.to_be_bytes());
        }
    }

    /// A zero follows each 0xff, so that it is no marker.
    #[cold]
    fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes.push(*byte);
            if *byte == 0xff {
                self.bytes.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::huffman::Table;
    use super::*;

    fn mcus() -> Mcus {
        let pairs = [[Pair::default(); WIDTH / 16]; 2];
        let subsampling = Subsampling { horizontal: 1, vertical: 1 };
        Mcus { count: 1, subsampling, luma: pairs, chroma: pairs }
    }

    #[test]
    fn the_scan_goes_along_diagonals() {
        assert_eq!(ZIGZAG[..6], [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (2, 0)]);
        assert_eq!(ZIGZAG[58..], [(5, 7), (6, 6), (7, 5), (7, 6), (6, 7), (7, 7)]);
        let mut places = PLACES;
        places.sort_unstable();
        assert_eq!(places, std::array::from_fn(|place| place as u8));
    }

    #[test]
    fn a_symbol_without_a_code_is_noticed() {
        let standard = Table::standard();
        let mut scan = Vec::new();
        let codes = Codes::new(&standard);
        let mut writer = Writer::new(&codes, &mut scan);
        writer.add(&mcus());
        assert!(writer.finish());
        // Codes of tables K.3 to K.6: no difference, end of block, of luma once and of chroma twice.
        assert_eq!(scan, [0b0010_1000, 0b0000_0011]);

        let counts = Counts::default();
        let codes = Codes::new(&counts.tables());
        let mut writer = Writer::new(&codes, &mut scan);
        writer.add(&mcus());
        assert!(!writer.finish());
    }

    #[test]
    fn bits_of_any_number_follow_each_other_and_no_marker_occurs() {
        let codes = Codes::new(&Table::standard());
        let mut state = 7_u64;
        for kind in 0..3 {
            let (mut bytes, mut expected) = (Vec::new(), String::new());
            let mut writer = Writer::new(&codes, &mut bytes);
            for _ in 0..5_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let count = (state >> 33) % 33;
                let bits = match kind {
                    0 => (1 << count) - 1,
                    1 => 0,
                    _ => state >> 20 & ((1 << count) - 1),
                };
                writer.bits.push(bits, count as u32);
                if count > 0 {
                    expected += &format!("{bits:0width$b}", width = count as usize);
                }
            }
            assert!(writer.finish());
            let mut read = String::new();
            let mut bytes = bytes.into_iter();
            while let Some(byte) = bytes.next() {
                read += &format!("{byte:08b}");
                assert!(byte != 0xff || bytes.next() == Some(0));
            }
            expected += &"1".repeat(expected.len().next_multiple_of(8) - expected.len());
            assert!(read == expected, "kind {kind}");
        }
    }
}
