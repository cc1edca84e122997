//! A band of an image as the encoder library takes it: rows of luma and chroma.

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, SamplingFactor};

use super::bmp::{Bmp, PixelFormat};

/// How many pixels share one chroma sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Subsampling {
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
}

impl Subsampling {
    fn factor(self) -> SamplingFactor {
        match (self.horizontal, self.vertical) {
            (1, _) => SamplingFactor::F_1_1,
            (_, 1) => SamplingFactor::F_2_1,
            _ => SamplingFactor::F_2_2,
        }
    }
}

/// Rows of a bitmap, as they are stored.
pub(super) struct Band<'a> {
    pub(super) bmp: &'a Bmp,
    pub(super) rows: &'a [u8],
    pub(super) height: usize,
    pub(super) subsampling: Subsampling,
}

impl Band<'_> {
    /// Encodes the band as an image of its own, with the tables of ITU-T T.81, annex K.
    pub(super) fn encode(self, quality: u8, jpeg: &mut Vec<u8>) -> Result<(), EncodingError> {
        let mut encoder = Encoder::new(jpeg, quality);
        // Chroma is averaged below, to the first pixel of each group, which is the one taken.
        encoder.set_sampling_factor(self.subsampling.factor());
        encoder.encode_image(self)
    }

    fn row(&self, y: usize) -> &[u8] {
        let stored = if self.bmp.top_down { y } else { self.height - 1 - y };
        &self.rows[stored * self.bmp.stride()..][..self.bmp.row()]
    }
}

impl ImageBuffer for Band<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.bmp.width as u16
    }

    fn height(&self) -> u16 {
        self.height as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let y = usize::from(y);
        let [luma, blue, red, _] = buffers;
        let [luma, blue, red] = [luma, blue, red].map(|buffer| {
            let start = buffer.len();
            buffer.resize(start + self.bmp.width, 0);
            &mut buffer[start..]
        });
        let row = self.row(y);
        // The last row is asked for again and again to fill the blocks: there it counts alone.
        let last = y + 1 == self.height;
        let other = match self.subsampling.vertical {
            2 if !last => self.row(y + 1),
            _ => row,
        };
        let chroma = (self.subsampling.vertical == 1 || y % 2 == 0 || last).then_some(Chroma {
            other,
            horizontal: self.subsampling.horizontal,
            blue,
            red,
        });
        // The orders that occur are compiled each for itself.
        match self.bmp.format {
            PixelFormat::Bgr => convert::<3>([2, 1, 0], row, luma, chroma),
            PixelFormat::Four { red: 2, green: 1, blue: 0 } => {
                convert::<4>([2, 1, 0], row, luma, chroma);
            }
            PixelFormat::Four { red, green, blue } => {
                convert::<4>([red, green, blue], row, luma, chroma);
            }
        }
    }
}

/// Bits behind the point in the factors below.
const SCALE: u32 = 16;

/// What is needed to make a row of chroma.
struct Chroma<'a> {
    /// The row that shares it.
    other: &'a [u8],
    /// How many pixels of each row share a sample.
    horizontal: usize,
    blue: &'a mut [u8],
    red: &'a mut [u8],
}

/// Converts a row by ITU-T T.871, section 7.
///
/// Chroma is the mean of the pixels that share it and is written for each of them.
#[inline(always)]
fn convert<const BYTES: usize>(
    order: [usize; 3],
    row: &[u8],
    luma: &mut [u8],
    chroma: Option<Chroma>,
) {
    let (row, _) = row.as_chunks::<BYTES>();
    let color = |pixel: &[u8; BYTES]| order.map(|i| i32::from(pixel[i]));
    for (luma, pixel) in luma.iter_mut().zip(row) {
        let [r, g, b] = color(pixel);
        *luma = ((19_595 * r + 38_470 * g + 7_471 * b + (1 << (SCALE - 1))) >> SCALE) as u8;
    }
    let Some(Chroma { other, horizontal, blue, red }) = chroma else { return };
    if horizontal == 1 {
        for ((blue, red), pixel) in blue.iter_mut().zip(red).zip(row) {
            (*blue, *red) = difference::<0>(color(pixel));
        }
        return;
    }
    let (other, _) = other.as_chunks::<BYTES>();
    let sum = |a: [i32; 3], b: [i32; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
    let (pairs, _) = row.as_chunks::<2>();
    let (other_pairs, _) = other.as_chunks::<2>();
    let (blue_pairs, blue_rest) = blue.as_chunks_mut::<2>();
    let (red_pairs, red_rest) = red.as_chunks_mut::<2>();
    for (((blue, red), pair), other) in
        blue_pairs.iter_mut().zip(red_pairs).zip(pairs).zip(other_pairs)
    {
        let above = sum(color(&pair[0]), color(&pair[1]));
        let below = sum(color(&other[0]), color(&other[1]));
        let (b, r) = difference::<2>(sum(above, below));
        (*blue, *red) = ([b; 2], [r; 2]);
    }
    // The last column of an odd number counts alone.
    if let (([blue], [red]), (Some(pixel), Some(other))) =
        ((blue_rest, red_rest), (row.last(), other.last()))
    {
        (*blue, *red) = difference::<1>(sum(color(pixel), color(other)));
    }
}

/// The two chroma values of the sum of 2^`LOG_COUNT` pixels.
#[inline(always)]
fn difference<const LOG_COUNT: u32>([r, g, b]: [i32; 3]) -> (u8, u8) {
    let shift = SCALE + LOG_COUNT;
    // One less than a half, so that 255.5, which occurs, does not become 256.
    let zero = (128 << shift) + (1 << (shift - 1)) - 1;
    let blue = (-11_059 * r - 21_709 * g + 32_768 * b + zero) >> shift;
    let red = (32_768 * r - 27_439 * g - 5_329 * b + zero) >> shift;
    (blue as u8, red as u8)
}
