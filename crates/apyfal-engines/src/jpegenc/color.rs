//! Pixels of a bitmap as samples of luma and chroma: ITU-T T.871, section 7.

use multiversion::multiversion;

use super::bmp::PixelFormat;

/// How many pixels beside each other are converted at once: whole MCUs of each subsampling, and a
/// number that the compiler turns into vector instructions.
pub(super) const WIDTH: usize = 64;

/// Rows of an MCU where two rows share their chroma.
pub(super) const MAX_HEIGHT: usize = 16;

/// How many pixels share one chroma sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subsampling {
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
}

/// Samples of one kind, of a row of [`WIDTH`] pixels. Where pixels share them, the first part counts.
pub(super) type Samples = [u8; WIDTH];

/// The samples of so many pixels of the rows of an MCU.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) luma: [Samples; MAX_HEIGHT],
    /// Blue and red.
    pub(super) chroma: [[Samples; 8]; 2],
}

impl Default for Tile {
    fn default() -> Self {
        Self { luma: [[0; WIDTH]; MAX_HEIGHT], chroma: [[[0; WIDTH]; 8]; 2] }
    }
}

impl Tile {
    /// Converts the pixels of eight rows for each row of chroma blocks. They are a part of their row,
    /// from some pixel on, of which up to [`WIDTH`] pixels count; where a row has fewer, the last one
    /// is repeated.
    pub(super) fn convert(
        &mut self,
        rows: &[&[u8]; MAX_HEIGHT],
        format: PixelFormat,
        subsampling: Subsampling,
    ) {
        match format {
            PixelFormat { bytes: 3, order: [2, 1, 0] } => convert_bgr(self, rows, subsampling),
            PixelFormat { bytes: 4, order: [2, 1, 0] } => convert_bgrx(self, rows, subsampling),
            PixelFormat { bytes: 3, order } => convert::<3>(self, rows, order, subsampling),
            PixelFormat { order, .. } => convert::<4>(self, rows, order, subsampling),
        }
    }
}

// The orders of colours that occur are compiled each for itself.
#[multiversion(targets("x86_64+avx2"))]
fn convert_bgr(tile: &mut Tile, rows: &[&[u8]; MAX_HEIGHT], subsampling: Subsampling) {
    convert::<3>(tile, rows, [2, 1, 0], subsampling);
}

#[multiversion(targets("x86_64+avx2"))]
fn convert_bgrx(tile: &mut Tile, rows: &[&[u8]; MAX_HEIGHT], subsampling: Subsampling) {
    convert::<4>(tile, rows, [2, 1, 0], subsampling);
}

/// `order` is where in the bytes of a pixel its red, green and blue are.
#[inline(always)]
fn convert<const BYTES: usize>(
    tile: &mut Tile,
    rows: &[&[u8]; MAX_HEIGHT],
    order: [usize; 3],
    Subsampling { horizontal, vertical }: Subsampling,
) {
    let Tile { luma, chroma: [blue, red] } = tile;
    for y in 0..8 {
        match (horizontal, vertical) {
            (1, _) => {
                let own = planes::<BYTES>(rows[y], order);
                luma[y] = luma_of(&own);
                (blue[y], red[y]) = chroma_of_each(&own);
            }
            (_, 1) => {
                let own = planes::<BYTES>(rows[y], order);
                luma[y] = luma_of(&own);
                (blue[y], red[y]) = chroma_of_pairs(&own);
            }
            _ => {
                let above = planes::<BYTES>(rows[2 * y], order);
                let below = planes::<BYTES>(rows[2 * y + 1], order);
                luma[2 * y] = luma_of(&above);
                luma[2 * y + 1] = luma_of(&below);
                (blue[y], red[y]) = chroma_of_squares(&above, &below);
            }
        }
    }
}

/// Red, green and blue of a row.
type Planes = [Samples; 3];

// Plain loops here and below: closures are not compiled for the vector unit of their caller.
#[inline(always)]
fn planes<const BYTES: usize>(row: &[u8], [r, g, b]: [usize; 3]) -> Planes {
    let (pixels, _) = row.as_chunks::<BYTES>();
    let mut planes = [[0; WIDTH]; 3];
    if let Some(pixels) = pixels.first_chunk::<WIDTH>() {
        for i in 0..WIDTH {
            let pixel = &pixels[i];
            (planes[0][i], planes[1][i], planes[2][i]) = (pixel[r], pixel[g], pixel[b]);
        }
    } else {
        for i in 0..WIDTH {
            let pixel = &pixels[i.min(pixels.len() - 1)];
            (planes[0][i], planes[1][i], planes[2][i]) = (pixel[r], pixel[g], pixel[b]);
        }
    }
    planes
}

/// A factor of the conversion, with so many bits behind the point as an integer of 16 bits has: what
/// such factors keep of a product is what the vector unit answers.
#[inline(always)]
fn times(sample: u16, factor: u16) -> u16 {
    ((u32::from(sample) * u32::from(factor)) >> 16) as u16
}

#[inline(always)]
fn luma_of([red, green, blue]: &Planes) -> Samples {
    let mut luma = [0; WIDTH];
    for i in 0..WIDTH {
        let (r, g, b) = (u16::from(red[i]), u16::from(green[i]), u16::from(blue[i]));
        // Eight bits behind the point. Three products are cut off, so one bit more than a half is added.
        let sum = times(r << 8, 19_595) + times(g << 8, 38_470) + times(b << 8, 7_471) + 129;
        luma[i] = (sum >> 8) as u8;
    }
    luma
}

#[inline(always)]
fn chroma_of_each([red, green, blue]: &Planes) -> (Samples, Samples) {
    let (mut cb, mut cr) = ([0; WIDTH], [0; WIDTH]);
    for i in 0..WIDTH {
        (cb[i], cr[i]) = chroma::<1>(red[i].into(), green[i].into(), blue[i].into());
    }
    (cb, cr)
}

#[inline(always)]
fn chroma_of_pairs(row: &Planes) -> (Samples, Samples) {
    let (mut cb, mut cr) = ([0; WIDTH], [0; WIDTH]);
    let mut sums = [[0; WIDTH / 2]; 3];
    for color in 0..3 {
        sums[color] = sums_of_pairs(&row[color]);
    }
    for i in 0..WIDTH / 2 {
        (cb[i], cr[i]) = chroma::<2>(sums[0][i], sums[1][i], sums[2][i]);
    }
    (cb, cr)
}

#[inline(always)]
fn chroma_of_squares(above: &Planes, below: &Planes) -> (Samples, Samples) {
    let (mut cb, mut cr) = ([0; WIDTH], [0; WIDTH]);
    let mut sums = [[0; WIDTH / 2]; 3];
    for color in 0..3 {
        let (above, below) = (sums_of_pairs(&above[color]), sums_of_pairs(&below[color]));
        for i in 0..WIDTH / 2 {
            sums[color][i] = above[i] + below[i];
        }
    }
    for i in 0..WIDTH / 2 {
        (cb[i], cr[i]) = chroma::<4>(sums[0][i], sums[1][i], sums[2][i]);
    }
    (cb, cr)
}

#[inline(always)]
fn sums_of_pairs(samples: &Samples) -> [u16; WIDTH / 2] {
    let mut sums = [0; WIDTH / 2];
    let (pairs, _) = samples.as_chunks::<2>();
    for i in 0..WIDTH / 2 {
        let pair = u16::from_le_bytes(pairs[i]);
        sums[i] = (pair & 0xff) + (pair >> 8);
    }
    sums
}

/// Both chroma samples of the sums of `COUNT` pixels, a power of two.
#[inline(always)]
fn chroma<const COUNT: u32>(r: u16, g: u16, b: u16) -> (u8, u8) {
    let shift = const { 7 - COUNT.ilog2() };
    let (r, g, b) = (r << shift, g << shift, b << shift);
    // Seven bits behind the point. One less than a half, so that 255.5, which occurs, does not become 256.
    let zero = (128 << 7) + 63;
    let blue = zero + (b >> 1) - times(r, 11_059) - times(g, 21_709);
    let red = zero + (r >> 1) - times(g, 27_439) - times(b, 5_329);
    ((blue >> 7) as u8, (red >> 7) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_the_standard() {
        let mut row = Vec::new();
        for color in 0..WIDTH as u32 {
            // Colours from one end to the other, with the purest.
            let pure = |bit: u32| if color >> bit & 1 == 1 { 255.0 } else { 0.0 };
            let mixed =
                [f64::from(color * 4), f64::from(255 - color * 3), f64::from(color * 97 % 256)];
            row.push(if color < 8 { [pure(0), pure(1), pure(2)] } else { mixed });
        }
        let bytes: Vec<u8> = row.iter().flatten().map(|value| *value as u8).collect();
        for vertical in [1, 2] {
            for horizontal in [1, 2] {
                let subsampling = Subsampling { horizontal, vertical };
                if subsampling == (Subsampling { horizontal: 1, vertical: 2 }) {
                    continue;
                }
                let mut tile = Tile::default();
                let format = PixelFormat { bytes: 3, order: [2, 1, 0] };
                tile.convert(&[&bytes; MAX_HEIGHT], format, subsampling);
                for y in 0..8 * vertical {
                    for (luma, [b, g, r]) in tile.luma[y].iter().zip(&row) {
                        let exact = 0.299 * r + 0.587 * g + 0.114 * b;
                        assert!((f64::from(*luma) - exact).abs() < 0.52, "{luma} {exact}");
                    }
                }
                for (x, pixels) in row.chunks(horizontal).enumerate() {
                    let mean = |color: usize| {
                        pixels.iter().map(|pixel| pixel[color]).sum::<f64>() / horizontal as f64
                    };
                    let (b, g, r) = (mean(0), mean(1), mean(2));
                    let exact = [
                        (128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b).min(255.0),
                        (128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b).min(255.0),
                    ];
                    for (samples, exact) in tile.chroma.iter().zip(exact) {
                        assert!((f64::from(samples[3][x]) - exact).abs() < 0.52, "{exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn grey_stays_grey_and_no_color_leaves_its_range() {
        for value in 0..=255 {
            let grey = [[value; WIDTH]; 3];
            assert_eq!(luma_of(&grey), [value; WIDTH]);
            assert_eq!(chroma_of_each(&grey), ([128; WIDTH], [128; WIDTH]));
            assert_eq!(chroma_of_squares(&grey, &grey).0[..WIDTH / 2], [128; WIDTH / 2]);
        }
    }
}
