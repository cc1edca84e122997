//! The transform on AVX2, where one instruction multiplies and adds sixteen pairs of 16 bits.
//!
//! What a compiler makes of the plain form is several times slower, as it widens each lane to 32 bits and
//! knows no way to turn a block over.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::color::Samples;
use super::super::quantization::Divisors;
use super::{BETWEEN, COSINES, LANES, ODD, Pair, SCALE};

/// Does it, or answers that this processor cannot.
pub(super) fn forward(rows: &[Samples; 8], divisors: &Divisors, pairs: &mut [Pair]) -> bool {
    if !is_x86_feature_detected!("avx2") {
        return false;
    }
    for (number, pair) in pairs.iter_mut().enumerate() {
        // SAFETY: the processor has AVX2.
        unsafe { forward_pair(rows, number, divisors, pair) };
    }
    true
}

/// Rows of both blocks, in the two halves of a register each.
type Rows = [__m256i; 8];

#[target_feature(enable = "avx2")]
fn forward_pair(rows: &[Samples; 8], number: usize, divisors: &Divisors, pair: &mut Pair) {
    let mut block = [_mm256_setzero_si256(); 8];
    for (row, samples) in block.iter_mut().zip(rows) {
        *row = _mm256_sub_epi16(widened(&samples.as_chunks().0[number]), _mm256_set1_epi16(128));
    }
    let block = pass::<{ (SCALE - BETWEEN) as i32 }>(&block);
    let block = pass::<{ (SCALE + BETWEEN) as i32 }>(&turned(&block));
    let mut quantized = [_mm256_setzero_si256(); 8];
    for u in 0..8 {
        let divisors = divisors.of(u);
        let level = _mm256_abs_epi16(block[u]);
        let sum = _mm256_add_epi16(level, loaded(&divisors.half));
        let product = _mm256_mulhi_epu16(sum, loaded(&divisors.reciprocal));
        let quotient = _mm256_mulhi_epu16(product, loaded(&divisors.scale));
        quantized[u] = _mm256_sign_epi16(quotient, block[u]);
        store(&mut pair.coefficients[u], quantized[u]);
    }
    let mut zeros = [0; 2];
    for (number, two) in quantized.as_chunks::<2>().0.iter().enumerate() {
        let bytes = _mm256_packs_epi16(two[0], two[1]);
        let zero = _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())) as u32;
        zeros[0] |= u64::from(zero & 0xffff) << (16 * number);
        zeros[1] |= u64::from(zero >> 16) << (16 * number);
    }
    pair.nonzero = zeros.map(|zeros| !zeros);
}

/// One-dimensional transforms, as in plain.
#[target_feature(enable = "avx2")]
fn pass<const SHIFT: i32>(rows: &Rows) -> Rows {
    const BITS: i32 = SCALE as i32;
    let [a, b, c, d, e, f, g, h] = *rows;
    let sums = [
        _mm256_add_epi16(a, h),
        _mm256_add_epi16(b, g),
        _mm256_add_epi16(c, f),
        _mm256_add_epi16(d, e),
    ];
    let outer = _mm256_add_epi16(sums[0], sums[3]);
    let inner = _mm256_add_epi16(sums[1], sums[2]);
    let (zeroth, fourth) = (_mm256_add_epi16(outer, inner), _mm256_sub_epi16(outer, inner));
    let scale = |sum: __m256i| match SHIFT {
        ..BITS => _mm256_slli_epi16::<{ BETWEEN as i32 }>(sum),
        _ => {
            let half = _mm256_set1_epi16(1 << (BETWEEN - 1));
            _mm256_srai_epi16::<{ BETWEEN as i32 }>(_mm256_add_epi16(sum, half))
        }
    };
    let (zeroth, fourth) = (scale(zeroth), scale(fourth));

    let even =
        Interleaved::of(_mm256_sub_epi16(sums[0], sums[3]), _mm256_sub_epi16(sums[1], sums[2]));
    let second = even.times(COSINES[2], COSINES[6]).rounded::<SHIFT>();
    let sixth = even.times(COSINES[6], -COSINES[2]).rounded::<SHIFT>();

    let outer = Interleaved::of(_mm256_sub_epi16(a, h), _mm256_sub_epi16(b, g));
    let inner = Interleaved::of(_mm256_sub_epi16(c, f), _mm256_sub_epi16(d, e));
    let mut odd = [_mm256_setzero_si256(); 4];
    for (row, [w, x, y, z]) in odd.iter_mut().zip(ODD) {
        *row = outer.times(w, x).plus(inner.times(y, z)).rounded::<SHIFT>();
    }
    [zeroth, odd[0], second, odd[1], fourth, odd[2], sixth, odd[3]]
}

/// Two rows lane by lane in turn: the lower four lanes of each half, and the upper four.
#[derive(Clone, Copy)]
struct Interleaved(__m256i, __m256i);

impl Interleaved {
    #[target_feature(enable = "avx2")]
    fn of(a: __m256i, b: __m256i) -> Self {
        Self(_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b))
    }

    /// Sums of products with the factor of each row, as 32 bits.
    #[target_feature(enable = "avx2")]
    fn times(self, a: i16, b: i16) -> Self {
        let factors = _mm256_set1_epi32(i32::from(b) << 16 | i32::from(a as u16));
        Self(_mm256_madd_epi16(self.0, factors), _mm256_madd_epi16(self.1, factors))
    }

    #[target_feature(enable = "avx2")]
    fn plus(self, other: Self) -> Self {
        Self(_mm256_add_epi32(self.0, other.0), _mm256_add_epi32(self.1, other.1))
    }

    /// Sums without their last bits, as one row.
    #[target_feature(enable = "avx2")]
    fn rounded<const SHIFT: i32>(self) -> __m256i {
        let half = _mm256_set1_epi32(1 << (SHIFT - 1));
        let low = _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(self.0, half));
        let high = _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(self.1, half));
        _mm256_packs_epi32(low, high)
    }
}

/// Rows as columns, of each block for itself.
#[target_feature(enable = "avx2")]
fn turned(rows: &Rows) -> Rows {
    let [a, b, c, d, e, f, g, h] = *rows;
    let low = |a, b| _mm256_unpacklo_epi16(a, b);
    let high = |a, b| _mm256_unpackhi_epi16(a, b);
    let [a, b, c, d, e, f, g, h] = [
        low(a, b),
        high(a, b),
        low(c, d),
        high(c, d),
        low(e, f),
        high(e, f),
        low(g, h),
        high(g, h),
    ];
    let low = |a, b| _mm256_unpacklo_epi32(a, b);
    let high = |a, b| _mm256_unpackhi_epi32(a, b);
    let [a, b, c, d, e, f, g, h] = [
        low(a, c),
        high(a, c),
        low(b, d),
        high(b, d),
        low(e, g),
        high(e, g),
        low(f, h),
        high(f, h),
    ];
    let low = |a, b| _mm256_unpacklo_epi64(a, b);
    let high = |a, b| _mm256_unpackhi_epi64(a, b);
    [low(a, e), high(a, e), low(b, f), high(b, f), low(c, g), high(c, g), low(d, h), high(d, h)]
}

#[target_feature(enable = "avx2")]
fn widened(samples: &[u8; LANES]) -> __m256i {
    // SAFETY: as many bytes are read as there are; any alignment will do.
    let samples = unsafe { _mm_loadu_si128(samples.as_ptr().cast()) };
    _mm256_cvtepu8_epi16(samples)
}

#[target_feature(enable = "avx2")]
fn loaded(lanes: &[u16; LANES]) -> __m256i {
    // SAFETY: as many bytes are read as there are; any alignment will do.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(lanes: &mut [i16; LANES], value: __m256i) {
    // SAFETY: as many bytes are written as there are; any alignment will do.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), value) }
}
