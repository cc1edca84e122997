//! How a block tells the codes that it uses (RFC 1951, 3.2.7).

use crate::bits::Bits;
use crate::code::{DISTANCES, Lengths, SYMBOLS};
use crate::huffman;

/// The order in which the lengths of the code for lengths are told.
pub(crate) const ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The lengths of two codes as symbols of a third.
#[derive(Debug)]
pub(crate) struct Header {
    symbols: usize,
    distances: usize,
    /// Lengths, and repetitions (16 of the last one, 17 and 18 of zero) with their extra bits.
    told: Vec<(u8, u8)>,
    counts: [u32; ORDER.len()],
    lengths: [u8; ORDER.len()],
    /// How many of those are told.
    ordered: usize,
}

impl Header {
    pub(crate) fn of(lengths: &Lengths) -> Self {
        let until_last = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|bits| *bits > 0).map_or(least, |last| (last + 1).max(least))
        };
        let symbols = until_last(&lengths.symbols, 257);
        let distances = until_last(&lengths.distances, 1);
        let mut all = [0; SYMBOLS + DISTANCES];
        all[..symbols].copy_from_slice(&lengths.symbols[..symbols]);
        all[symbols..symbols + distances].copy_from_slice(&lengths.distances[..distances]);
        let told = tell(&all[..symbols + distances]);
        let mut counts = [0; ORDER.len()];
        told.iter().for_each(|(symbol, _)| counts[usize::from(*symbol)] += 1);
        let mut lengths = [0; ORDER.len()];
        huffman::lengths(&counts, 7, &mut lengths);
        let ordered = ORDER.map(|symbol| lengths[symbol]);
        let ordered = until_last(&ordered, 4);
        Self { symbols, distances, told, counts, lengths, ordered }
    }

    /// How long it is.
    pub(crate) fn bits(&self) -> u64 {
        let codes = self.counts.iter().zip(&self.lengths);
        let codes: u32 = codes.map(|(count, bits)| count * u32::from(*bits)).sum();
        let extra: u32 = self.told.iter().map(|(symbol, _)| extra_bits(*symbol)).sum();
        u64::from(codes + extra) + 14 + 3 * self.ordered as u64
    }

    pub(crate) fn write(&self, bits: &mut Bits) {
        bits.put((self.symbols - 257) as u64, 5);
        bits.put((self.distances - 1) as u64, 5);
        bits.put((self.ordered - 4) as u64, 4);
        for symbol in &ORDER[..self.ordered] {
            bits.put(self.lengths[*symbol].into(), 3);
        }
        let mut codes = [0; ORDER.len()];
        huffman::codes(&self.lengths, &mut codes);
        for (symbol, extra) in &self.told {
            let code = usize::from(*symbol);
            bits.put(codes[code].into(), self.lengths[code].into());
            bits.put((*extra).into(), extra_bits(*symbol));
        }
    }
}

fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Lengths as symbols.
fn tell(mut lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut told = Vec::with_capacity(lengths.len());
    while let Some(&bits) = lengths.first() {
        let mut run = lengths.iter().take_while(|other| **other == bits).count();
        lengths = &lengths[run..];
        if bits > 0 {
            told.push((bits, 0));
            run -= 1;
        }
        while run >= 3 {
            let (symbol, least, most) = match bits {
                0 if run >= 11 => (18, 11, 138),
                0 => (17, 3, 10),
                _ => (16, 3, 6),
            };
            told.push((symbol, (run.min(most) - least) as u8));
            run -= run.min(most);
        }
        told.extend(std::iter::repeat_n((bits, 0), run));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_as_such() {
        assert_eq!(tell(&[5, 0, 0, 5, 5, 5]), [(5, 0), (0, 0), (0, 0), (5, 0), (5, 0), (5, 0)]);
        assert_eq!(tell(&[5; 8]), [(5, 0), (16, 3), (5, 0)]);
        assert_eq!(tell(&[0; 10]), [(17, 7)]);
        assert_eq!(tell(&[0; 11]), [(18, 0)]);
        assert_eq!(tell(&[0; 140]), [(18, 127), (0, 0), (0, 0)]);
    }
}
