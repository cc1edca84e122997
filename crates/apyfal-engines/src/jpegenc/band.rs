//! A band of an image: rows of MCUs that are coded for themselves.

use super::bmp::Bmp;
use super::color::{Subsampling, Tile, WIDTH};
use super::quantization::Divisors;
use super::scan::Mcus;
use super::transform::{self, Pair};

/// Rows of a bitmap, as they are stored.
pub(super) struct Band<'a> {
    pub(super) bmp: &'a Bmp,
    pub(super) rows: &'a [u8],
    pub(super) height: usize,
    pub(super) subsampling: Subsampling,
}

impl Band<'_> {
    /// Gives all MCUs, quantized by the divisors of luma and of chroma, a few at a time so that they
    /// never leave the nearest cache.
    pub(super) fn transform(&self, divisors: &[Divisors; 2], mut each: impl FnMut(&Mcus)) {
        let Subsampling { horizontal, vertical } = self.subsampling;
        let mut tile = Tile::default();
        let pairs = [[Pair::default(); WIDTH / 16]; 2];
        let mut mcus = Mcus { count: 0, subsampling: self.subsampling, luma: pairs, chroma: pairs };
        for top in (0..self.height).step_by(8 * vertical) {
            for left in (0..self.bmp.width).step_by(WIDTH) {
                // What is below the last row is as that, and what is right of the last pixel likewise.
                let rows = std::array::from_fn(|y| {
                    &self.row((top + y).min(self.height - 1))[left * self.bmp.format.bytes..]
                });
                tile.convert(&rows, self.bmp.format, self.subsampling);
                let pixels = (self.bmp.width - left).min(WIDTH);
                mcus.count = pixels.div_ceil(8 * horizontal);
                let pairs = (mcus.count * horizontal).div_ceil(2);
                let (luma, _) = tile.luma.as_chunks();
                for (rows, row) in luma.iter().zip(&mut mcus.luma[..vertical]) {
                    transform::forward(rows, &divisors[0], &mut row[..pairs]);
                }
                let pairs = mcus.count.div_ceil(2);
                for (rows, row) in tile.chroma.iter().zip(&mut mcus.chroma) {
                    transform::forward(rows, &divisors[1], &mut row[..pairs]);
                }
                each(&mcus);
            }
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        let stored = if self.bmp.top_down { y } else { self.height - 1 - y };
        &self.rows[stored * self.bmp.stride()..][..self.bmp.row()]
    }
}
