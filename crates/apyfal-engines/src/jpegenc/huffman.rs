//! Huffman tables made for one image: ITU-T T.81, annex K.2.
//!
//! Bands are encoded with the standard tables first. Their symbols are counted, and then written
//! again with codes that fit the counts; the coefficients are not touched.

use apyfal_core::{Error, ErrorKind, Result};

/// Tables of a scan: DC and AC of luma, DC and AC of chroma.
pub(super) const TABLES: usize = 4;

/// How often each symbol of each table occurs.
#[derive(Clone, Debug)]
pub(super) struct Counts([[u64; 256]; TABLES]);

impl Default for Counts {
    fn default() -> Self {
        Self([[0; 256]; TABLES])
    }
}

impl Counts {
    /// Adds the symbols of an entropy-coded segment.
    pub(super) fn add_scan(
        &mut self,
        scan: &[u8],
        decoder: &Decoder,
        blocks: &Blocks,
    ) -> Result<()> {
        decoder.symbols(scan, blocks, |table, symbol, _, _| {
            self.0[table][usize::from(symbol)] += 1;
        })
    }

    /// Adds counts.
    pub(super) fn add(&mut self, other: &Counts) {
        for (sum, count) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            *sum += count;
        }
    }

    /// The best tables for these counts.
    pub(super) fn tables(&self) -> [Table; TABLES] {
        std::array::from_fn(|table| Table::optimal(&self.0[table]))
    }
}

/// The blocks of a scan: how many MCUs, and in each so many blocks of luma before two of chroma.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub(super) mcus: usize,
    pub(super) luma: usize,
}

/// A Huffman table as the stream defines it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// How many codes there are of each length from 1 to 16 bits.
    counts: [u8; 16],
    /// The symbols, from the shortest code to the longest.
    symbols: Vec<u8>,
}

impl Table {
    /// The procedures of figures K.1 to K.4.
    fn optimal(frequencies: &[u64; 256]) -> Self {
        // One more symbol takes the code of all ones, which may not occur.
        const RESERVED: usize = 256;
        let mut weights = [0; RESERVED + 1];
        weights[..RESERVED].copy_from_slice(frequencies);
        weights[RESERVED] = 1;
        let mut lengths = [0_usize; RESERVED + 1];
        let mut trees: Vec<_> =
            (0..=RESERVED).filter(|i| weights[*i] > 0).map(|i| (weights[i], vec![i])).collect();
        while trees.len() > 1 {
            // Lightest last; of equals the later symbol, so that the reserved one is longest.
            trees.sort_by_key(|(weight, symbols)| {
                std::cmp::Reverse((*weight, std::cmp::Reverse(symbols.iter().max().copied())))
            });
            if let (Some((weight, symbols)), Some(other)) = (trees.pop(), trees.last_mut()) {
                other.0 += weight;
                other.1.extend(symbols);
                other.1.iter().for_each(|symbol| lengths[*symbol] += 1);
            }
        }
        let mut counts = [0_usize; RESERVED + 1];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[*length] += 1);
        // Shorten codes over 16 bits: a pair moves up to its prefix and to a longer sibling's place.
        for length in (17..counts.len()).rev() {
            while counts[length] > 0 {
                let shorter = (1..length - 1).rev().find(|i| counts[*i] > 0).unwrap_or(1);
                counts[length] -= 2;
                counts[length - 1] += 1;
                counts[shorter + 1] += 2;
                counts[shorter] -= 1;
            }
        }
        if let Some(longest) = counts.iter_mut().rev().find(|count| **count > 0) {
            *longest -= 1;
        }
        let mut symbols: Vec<u8> = (0..=u8::MAX).filter(|s| lengths[usize::from(*s)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts: std::array::from_fn(|i| counts[i + 1] as u8), symbols }
    }

    /// Every symbol with its code and the code's length: annex C.
    fn codes(&self) -> impl Iterator<Item = (u8, u16, u8)> {
        let lengths = (1..=16_u8).zip(self.counts);
        let lengths = lengths.flat_map(|(length, count)| (0..count).map(move |_| length));
        let mut code = 0_u32;
        let mut last = 0;
        self.symbols.iter().zip(lengths).map(move |(symbol, length)| {
            code <<= length - last;
            last = length;
            code += 1;
            (*symbol, (code - 1) as u16, length)
        })
    }

    /// The payload of its DHT segment, as table number `index` of [`TABLES`].
    pub(super) fn definition(&self, index: usize) -> Vec<u8> {
        let (class, destination) = (index % 2, index / 2);
        let mut payload = vec![(class << 4 | destination) as u8];
        payload.extend(self.counts);
        payload.extend_from_slice(&self.symbols);
        payload
    }

    /// The tables of a DHT segment's payload with their numbers.
    pub(super) fn parse(mut payload: &[u8]) -> Option<Vec<(usize, Self)>> {
        let mut tables = Vec::new();
        while let [kind, rest @ ..] = payload {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..count)?.to_vec();
            payload = &rest[count..];
            let index = usize::from((kind & 1) << 1 | kind >> 4);
            tables.push((index, Self { counts: *counts, symbols }));
        }
        Some(tables)
    }
}

/// Reads symbols that were written with given tables.
#[derive(Debug)]
pub(super) struct Decoder {
    /// By the next 16 bits: the symbol and the length of its code.
    lookup: Vec<[(u8, u8); 1 << 16]>,
}

impl Decoder {
    pub(super) fn new(tables: &[Table; TABLES]) -> Self {
        let lookup = tables.iter().map(|table| {
            let mut lookup = [(0, 0); 1 << 16];
            for (symbol, code, length) in table.codes() {
                let start = usize::from(code) << (16 - length);
                lookup[start..start + (1 << (16 - length))].fill((symbol, length));
            }
            lookup
        });
        Self { lookup: lookup.collect() }
    }

    /// Calls `visit` with table, symbol, and the bits that follow it, and how many those are.
    fn symbols(
        &self,
        scan: &[u8],
        blocks: &Blocks,
        mut visit: impl FnMut(usize, u8, u64, u8),
    ) -> Result<()> {
        let mut bits = BitReader::new(scan);
        for _ in 0..blocks.mcus {
            for block in 0..blocks.luma + 2 {
                let dc = if block < blocks.luma { 0 } else { 2 };
                let mut next = |table: usize| {
                    let ahead = bits.peek()?;
                    let (symbol, length) = self.lookup[table][(ahead >> 48) as usize];
                    let extra = symbol & 0x0f;
                    let value = (ahead << length) >> 1 >> (63 - extra);
                    bits.skip(length + extra);
                    visit(table, symbol, value, extra);
                    (length > 0).then_some(symbol)
                };
                next(dc).ok_or_else(malformed)?;
                let mut coefficient = 1;
                while coefficient < 64 {
                    let symbol = next(dc + 1).ok_or_else(malformed)?;
                    if symbol == 0 {
                        break;
                    }
                    coefficient += 1 + usize::from(symbol >> 4);
                }
            }
        }
        Ok(())
    }
}

/// Writes the symbols of scans again with other tables.
#[derive(Debug)]
pub(super) struct Recoder {
    decoder: Decoder,
    /// By symbol: the code and its length.
    codes: [[(u16, u8); 256]; TABLES],
}

impl Recoder {
    pub(super) fn new(decoder: Decoder, tables: &[Table; TABLES]) -> Self {
        let mut codes = [[(0, 0); 256]; TABLES];
        for (codes, table) in codes.iter_mut().zip(tables) {
            for (symbol, code, length) in table.codes() {
                codes[usize::from(symbol)] = (code, length);
            }
        }
        Self { decoder, codes }
    }

    /// Appends an entropy-coded segment to `output`.
    pub(super) fn recode(&self, scan: &[u8], blocks: &Blocks, output: &mut Vec<u8>) -> Result<()> {
        let mut writer = BitWriter { output, bits: 0, count: 0 };
        self.decoder.symbols(scan, blocks, |table, symbol, value, extra| {
            let (code, length) = self.codes[table][usize::from(symbol)];
            writer.put(u64::from(code) << extra | value, length + extra);
        })?;
        // Fill up with ones: section F.1.2.3.
        writer.put(0x7f, 7);
        Ok(())
    }
}

/// The bits of an entropy-coded segment without the zero bytes that follow its 0xff bytes.
struct BitReader {
    bytes: Vec<u8>,
    position: usize,
}

impl BitReader {
    fn new(scan: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(scan.len() + 8);
        let mut rest = scan;
        while let Some(at) = memchr::memchr(0xff, rest) {
            bytes.extend_from_slice(&rest[..=at]);
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        bytes.extend_from_slice(rest);
        bytes.extend([0; 8]);
        Self { bytes, position: 0 }
    }

    /// At least the next 57 bits, from the highest one on.
    #[inline(always)]
    fn peek(&self) -> Option<u64> {
        let bytes = self.bytes.get(self.position / 8..)?.first_chunk()?;
        Some(u64::from_be_bytes(*bytes) << (self.position % 8))
    }

    #[inline(always)]
    fn skip(&mut self, count: u8) {
        self.position += usize::from(count);
    }
}

struct BitWriter<'a> {
    output: &'a mut Vec<u8>,
    bits: u64,
    count: u8,
}

impl BitWriter<'_> {
    /// Writes the low `count` bits of `bits`, up to 32 of them.
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u8) {
        self.bits = self.bits << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.bits >> self.count) as u8;
            self.output.push(byte);
            if byte == 0xff {
                self.output.push(0);
            }
        }
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::Internal, "the encoder made an entropy-coded segment of an unknown form")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of each symbol's code.
    fn lengths(table: &Table) -> [u32; 256] {
        let mut lengths = [0; 256];
        table.codes().for_each(|(symbol, _, length)| lengths[usize::from(symbol)] = length.into());
        lengths
    }

    #[test]
    fn codes_follow_the_frequencies() {
        let mut frequencies = [0; 256];
        (frequencies[1], frequencies[2], frequencies[3]) = (100, 10, 1);
        let table = Table::optimal(&frequencies);
        let lengths = lengths(&table);
        assert_eq!((lengths[1], lengths[2], lengths[3], lengths[0]), (1, 2, 3, 0));
        // The code of all ones stays free.
        assert!(table.codes().all(|(_, code, length)| u32::from(code) + 1 < 1 << length));
    }

    #[test]
    fn no_code_is_longer_than_16_bits() {
        let mut frequencies = [0; 256];
        let (mut a, mut b) = (1, 1);
        for frequency in &mut frequencies[..80] {
            *frequency = a;
            (a, b) = (b, a + b);
        }
        let table = Table::optimal(&frequencies);
        let lengths = lengths(&table);
        assert!(lengths[..80].iter().all(|length| (1..=16).contains(length)));
        let kraft: u32 = lengths[..80].iter().map(|length| 1 << (16 - length)).sum();
        assert!(kraft < 1 << 16);
    }

    #[test]
    fn one_symbol_has_a_code() {
        let mut frequencies = [0; 256];
        frequencies[7] = 1;
        assert_eq!(lengths(&Table::optimal(&frequencies))[7], 1);
        assert!(Table::optimal(&[0; 256]).symbols.is_empty());
    }

    #[test]
    fn definitions_read_back() {
        let mut frequencies = [0; 256];
        frequencies.iter_mut().enumerate().for_each(|(i, count)| *count = (i * i) as u64);
        let table = Table::optimal(&frequencies);
        for index in 0..TABLES {
            let parsed = Table::parse(&table.definition(index)).unwrap();
            assert_eq!(parsed, [(index, table.clone())]);
        }
        assert_eq!(Table::parse(&[0; 5]), None);
    }
}
