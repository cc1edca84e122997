//! The forward transform (ITU-T T.81, section A.3.3) and the quantization after it.
//!
//! Two blocks beside each other are worked on at once. All is in integers and each step has one
//! result, so every way to compute it gives the same coefficients.

use super::color::Samples;
use super::quantization::Divisors;

#[cfg(target_arch = "x86_64")]
mod avx2;

/// Samples in a row of both blocks.
pub(super) const LANES: usize = 16;

/// The quantized coefficients of two blocks beside each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// For each horizontal frequency those of all vertical ones, of the first block and then of the second.
    coefficients: [[i16; LANES]; 8],
    /// Which are not zero: bit `8 * u + v` of a block is that of horizontal frequency u and vertical v.
    nonzero: [u64; 2],
}

impl Pair {
    /// One of the blocks: the coefficient at a place, which is that of its bit in [`nonzero`](Self::nonzero).
    #[inline(always)]
    pub(super) fn coefficient(&self, block: usize, place: usize) -> i16 {
        let lanes = self.coefficients.as_flattened();
        lanes[(place & 56) * 2 + (block & 1) * 8 + place % 8]
    }

    /// Which coefficients of a block are not zero.
    #[inline(always)]
    pub(super) fn nonzero(&self, block: usize) -> u64 {
        self.nonzero[block & 1]
    }
}

/// Transforms the first pairs of blocks in eight rows of samples.
pub(super) fn forward(rows: &[Samples; 8], divisors: &Divisors, pairs: &mut [Pair]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::forward(rows, divisors, pairs) {
        return;
    }
    forward_plain(rows, divisors, pairs);
}

/// Bits behind the point of the cosines.
const SCALE: u32 = 13;

/// Bits behind the point of what the first pass hands to the second.
const BETWEEN: u32 = 2;

/// `sqrt(2) * cos(k * pi / 16)` for k from 1 to 7, the first place being unused.
const COSINES: [i16; 8] = [0, 11_363, 10_703, 9_633, 8_192, 6_437, 4_433, 2_260];

/// How the coefficients of odd frequency are made of the differences of samples.
const ODD: [[i16; 4]; 4] = {
    let [_, c1, _, c3, _, c5, _, c7] = COSINES;
    [[c1, c3, c5, c7], [c3, -c7, -c1, -c5], [c5, -c1, c7, c3], [c7, -c5, c3, -c1]]
};

fn forward_plain(rows: &[Samples; 8], divisors: &Divisors, pairs: &mut [Pair]) {
    for (number, pair) in pairs.iter_mut().enumerate() {
        let mut block = [[0_i32; LANES]; 8];
        for (y, row) in rows.iter().enumerate() {
            for (x, sample) in row[number * LANES..][..LANES].iter().enumerate() {
                block[y][x] = i32::from(*sample) - 128;
            }
        }
        pass::<{ SCALE - BETWEEN }>(&mut block);
        let between = block;
        for half in [0, 8] {
            for i in 0..8 {
                for j in 0..8 {
                    block[i][half + j] = between[j][half + i];
                }
            }
        }
        pass::<{ SCALE + BETWEEN }>(&mut block);
        pair.nonzero = [0; 2];
        for (u, (row, quantized)) in block.iter().zip(&mut pair.coefficients).enumerate() {
            for (lane, (value, quantized)) in row.iter().zip(quantized).enumerate() {
                *quantized = divisors.quantize(u, lane, *value as i16);
                pair.nonzero[lane / 8] |= u64::from(*quantized != 0) << (8 * u + lane % 8);
            }
        }
    }
}

/// One-dimensional transforms, one in each lane, which leave out `SHIFT` bits. Those of frequency 0
/// and 4 need no cosines.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a lane is a column of the block")]
fn pass<const SHIFT: u32>(block: &mut [[i32; LANES]; 8]) {
    let round = |sum: i32| (sum + (1 << (SHIFT - 1))) >> SHIFT;
    let scale = |sum: i32| match SHIFT {
        ..SCALE => sum << (SCALE - SHIFT),
        _ => (sum + (1 << (SHIFT - SCALE - 1))) >> (SHIFT - SCALE),
    };
    for lane in 0..LANES {
        let sample = |at: usize| block[at][lane];
        let sums = [0, 1, 2, 3].map(|at| sample(at) + sample(7 - at));
        let differences = [0, 1, 2, 3].map(|at| sample(at) - sample(7 - at));
        let (outer, inner) = (sums[0] + sums[3], sums[1] + sums[2]);
        block[0][lane] = scale(outer + inner);
        block[4][lane] = scale(outer - inner);
        let (outer, inner) = (sums[0] - sums[3], sums[1] - sums[2]);
        let [c2, c6] = [COSINES[2], COSINES[6]].map(i32::from);
        block[2][lane] = round(c2 * outer + c6 * inner);
        block[6][lane] = round(c6 * outer - c2 * inner);
        for (number, factors) in ODD.iter().enumerate() {
            let products = factors.iter().zip(differences);
            let sum = products.map(|(factor, difference)| i32::from(*factor) * difference).sum();
            block[2 * number + 1][lane] = round(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::color::WIDTH;
    use super::*;

    fn noise() -> impl FnMut() -> u8 {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        }
    }

    /// Blocks of all kinds: one value, noise, two values that no coefficient is larger for, and in between.
    fn blocks() -> Vec<[Samples; 8]> {
        let mut noise = noise();
        let mut blocks = vec![[[0; WIDTH]; 8], [[255; WIDTH]; 8], [[128; WIDTH]; 8]];
        for frequencies in 0..64 {
            let (u, v) = (f64::from(frequencies / 8), f64::from(frequencies % 8));
            let wave = |x: usize, y: usize| {
                let part = |at: usize, frequency: f64| {
                    ((2 * at + 1) as f64 * frequency * std::f64::consts::PI / 16.0).cos()
                };
                part(x % 8, u) * part(y, v)
            };
            let of = |value: &dyn Fn(f64) -> f64| {
                std::array::from_fn(|y| std::array::from_fn(|x| value(wave(x, y)) as u8))
            };
            blocks.push(of(&|wave| if wave < 0.0 { 0.0 } else { 255.0 }));
            blocks.push(of(&|wave| if wave < 0.0 { 255.0 } else { 0.0 }));
            blocks.push(of(&|wave| 128.0 + 100.0 * wave));
        }
        for shift in [0, 0, 0, 2, 5, 7] {
            blocks.push(std::array::from_fn(|_| std::array::from_fn(|_| noise() >> shift)));
        }
        blocks
    }

    #[test]
    fn coefficients_are_those_of_the_standard() {
        let divisors = Divisors::new(&[1; 64]);
        for rows in blocks() {
            let mut pairs = [Pair::default(); 4];
            forward(&rows, &divisors, &mut pairs);
            for (block, pair) in (0..8).map(|block| (block, &pairs[block / 2])) {
                for place in 0..64 {
                    let (u, v) = (place / 8, place % 8);
                    let mut exact = 0.0;
                    for (y, row) in rows.iter().enumerate() {
                        for (x, sample) in row[block * 8..][..8].iter().enumerate() {
                            let cosine = |at: usize, frequency: usize| {
                                let angle = ((2 * at + 1) * frequency) as f64 / 16.0;
                                let scale = if frequency == 0 { 0.5_f64.sqrt() } else { 1.0 };
                                scale * (angle * std::f64::consts::PI).cos()
                            };
                            let level = f64::from(*sample) - 128.0;
                            exact += level * cosine(x, u) * cosine(y, v) / 4.0;
                        }
                    }
                    let ours = pair.coefficient(block, place);
                    assert!((f64::from(ours) - exact).abs() < 0.8, "{u} {v}: {ours} {exact}");
                    assert_eq!(pair.nonzero(block) >> place & 1 == 1, ours != 0);
                }
            }
        }
    }

    #[test]
    fn every_way_gives_the_same() {
        for quality in [1, 10, 50, 75, 92, 100] {
            for divisors in super::super::quantization::tables(quality).map(|t| Divisors::new(&t)) {
                for rows in blocks() {
                    let (mut best, mut plain) = ([Pair::default(); 4], [Pair::default(); 4]);
                    forward(&rows, &divisors, &mut best[..3]);
                    forward_plain(&rows, &divisors, &mut plain[..3]);
                    assert_eq!(best, plain);
                }
            }
        }
    }
}
