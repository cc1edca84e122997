//! Quantization tables: those of ITU-T T.81, annex K.1, scaled by a quality as libjpeg does.

use super::transform::LANES;

/// The steps of a table, row by row.
pub(super) type Steps = [u8; 64];

/// Of luma and of chroma, at quality 50.
const STANDARD: [Steps; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, //
        12, 12, 14, 19, 26, 58, 60, 55, //
        14, 13, 16, 24, 40, 57, 69, 56, //
        14, 17, 22, 29, 51, 87, 80, 62, //
        18, 22, 37, 56, 68, 109, 103, 77, //
        24, 35, 55, 64, 81, 104, 113, 92, //
        49, 64, 78, 87, 103, 121, 120, 101, //
        72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, //
        18, 21, 26, 66, 99, 99, 99, 99, //
        24, 26, 56, 99, 99, 99, 99, 99, //
        47, 66, 99, 99, 99, 99, 99, 99, //
        99, 99, 99, 99, 99, 99, 99, 99, //
        99, 99, 99, 99, 99, 99, 99, 99, //
        99, 99, 99, 99, 99, 99, 99, 99, //
        99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The tables of luma and of chroma at a quality from 1 to 100.
pub(super) fn tables(quality: u8) -> [Steps; 2] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    STANDARD
        .map(|steps| steps.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8))
}

/// The steps of a table, made for dividing by multiplying. The coefficients that are divided are
/// eight times as large as those of the standard.
#[derive(Debug)]
pub(super) struct Divisors([Factors; 8]);

/// What divides the coefficients of one horizontal frequency, of two blocks: half a divisor is added
/// first; then the upper 16 bits of a product with one number, and of that with the other, are the quotient.
#[derive(Debug)]
pub(super) struct Factors {
    pub(super) half: [u16; LANES],
    pub(super) reciprocal: [u16; LANES],
    pub(super) scale: [u16; LANES],
}

impl Divisors {
    pub(super) fn new(steps: &Steps) -> Self {
        Self(std::array::from_fn(|u| {
            let divisor = |lane: usize| 8 * u32::from(steps[lane % 8 * 8 + u]);
            // The largest power of two below the divisor: so the reciprocal has all of 16 bits, and the
            // quotient is exact for all numbers below 2^15.
            let bits = |lane: usize| (divisor(lane) - 1).ilog2();
            Factors {
                half: std::array::from_fn(|lane| (divisor(lane) / 2) as u16),
                reciprocal: std::array::from_fn(|lane| {
                    (1_u32 << (16 + bits(lane))).div_ceil(divisor(lane)) as u16
                }),
                scale: std::array::from_fn(|lane| 1 << (16 - bits(lane))),
            }
        }))
    }

    /// Those for the coefficients of a horizontal frequency.
    #[inline(always)]
    pub(super) fn of(&self, u: usize) -> &Factors {
        &self.0[u]
    }

    /// Divides one coefficient, and rounds halves away from zero.
    #[inline(always)]
    pub(super) fn quantize(&self, u: usize, lane: usize, coefficient: i16) -> i16 {
        let Factors { half, reciprocal, scale } = self.of(u);
        let upper = |a: u16, b: u16| ((u32::from(a) * u32::from(b)) >> 16) as u16;
        let sum = coefficient.unsigned_abs() + half[lane];
        let quotient = upper(upper(sum, reciprocal[lane]), scale[lane]) as i16;
        if coefficient < 0 { -quotient } else { quotient }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quotient_is_exact() {
        for step in 1..=255_u8 {
            let divisors = Divisors::new(&[step; 64]);
            let divisor = 8 * i32::from(step);
            for coefficient in -8_300..=8_300_i16 {
                let wide = i32::from(coefficient);
                let exact = (wide.abs() + divisor / 2) / divisor * wide.signum();
                assert_eq!(i32::from(divisors.quantize(3, 9, coefficient)), exact, "by {divisor}");
            }
        }
    }

    #[test]
    fn quality_means_what_it_means_to_libjpeg() {
        assert_eq!(tables(50), STANDARD);
        assert_eq!(tables(100), [[1; 64]; 2]);
        assert_eq!(tables(1), [[255; 64]; 2]);
        let [luma, chroma] = tables(75);
        assert_eq!(
            (luma[..4].as_ref(), chroma[..4].as_ref()),
            (&[8, 6, 5, 8][..], &[9, 9, 12, 24][..])
        );
    }
}
