//! Huffman tables: those of ITU-T T.81, annex K.3, and such as are made for one image, annex K.2.

/// Tables of a scan: DC and AC of luma, DC and AC of chroma.
pub(super) const TABLES: usize = 4;

/// Runs and sizes of luma, from the shortest code to the longest: table K.5.
const LUMA_AC: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

/// Those of chroma: table K.6.
const CHROMA_AC: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

/// How often each symbol of each table occurs.
#[derive(Clone, Debug)]
pub(super) struct Counts([[u64; 256]; TABLES]);

impl Default for Counts {
    fn default() -> Self {
        Self([[0; 256]; TABLES])
    }
}

impl Counts {
    /// Counts a symbol of a table.
    #[inline(always)]
    pub(super) fn count(&mut self, table: usize, symbol: u8) {
        self.0[table][usize::from(symbol)] += 1;
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

/// A Huffman table as the stream defines it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// How many codes there are of each length from 1 to 16 bits.
    counts: [u8; 16],
    /// The symbols, from the shortest code to the longest.
    symbols: Vec<u8>,
}

impl Table {
    /// The tables of annex K.3.
    pub(super) fn standard() -> [Self; TABLES] {
        let first: [u8; 12] = std::array::from_fn(|symbol| symbol as u8);
        let table = |counts, symbols: &[u8]| Self { counts, symbols: symbols.to_vec() };
        [
            table([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &first),
            table([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &LUMA_AC),
            table([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &first),
            table([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &CHROMA_AC),
        ]
    }

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
}

/// The codes of the symbols of all tables.
#[derive(Debug)]
pub(super) struct Codes([[Code; 256]; TABLES]);

/// A symbol's code and its length, which is 0 where the table has no such symbol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) length: u8,
}

impl Codes {
    pub(super) fn new(tables: &[Table; TABLES]) -> Self {
        let mut codes = [[Code::default(); 256]; TABLES];
        for (codes, table) in codes.iter_mut().zip(tables) {
            for (symbol, bits, length) in table.codes() {
                codes[usize::from(symbol)] = Code { bits, length };
            }
        }
        Self(codes)
    }

    #[inline(always)]
    pub(super) fn get(&self, table: usize, symbol: u8) -> Code {
        self.0[table][usize::from(symbol)]
    }
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
    fn the_standard_has_each_symbol_of_a_block_once() {
        for (number, table) in Table::standard().iter().enumerate() {
            let lengths = lengths(table);
            for symbol in 0..=255_u8 {
                let (run, size) = (symbol >> 4, symbol & 15);
                let occurs = match number % 2 {
                    0 => symbol <= 11,
                    _ => (1..=10).contains(&size) || size == 0 && (run == 0 || run == 15),
                };
                assert_eq!(lengths[usize::from(symbol)] > 0, occurs, "{number} {symbol:#x}");
            }
            let count: usize = table.counts.iter().map(|count| usize::from(*count)).sum();
            assert_eq!(count, table.symbols.len());
            assert!(table.codes().all(|(_, code, length)| u32::from(code) + 1 < 1 << length));
        }
    }
}
