//! A band of an image as the encoder library takes it: rows of luma and chroma.

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, SamplingFactor};
use multiversion::multiversion;

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
        // The encoder takes the chroma of the first pixel that shares it, where the mean is put
        // below: the encoder's own averaging costs a sixth of all time.
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
        // The last row is asked for again and again to fill the blocks: there it counts alone.
        let last = y + 1 == self.height;
        let chroma = match self.subsampling {
            Subsampling { horizontal: 1, .. } => Chroma::Own,
            Subsampling { vertical: 2, .. } if !last => match y % 2 {
                0 => Chroma::MeanWith(self.row(y + 1)),
                _ => Chroma::Unused,
            },
            _ => Chroma::MeanWith(self.row(y)),
        };
        // The orders that occur are compiled each for itself.
        let row = self.row(y);
        match self.bmp.format {
            PixelFormat { bytes: 3, order: [2, 1, 0] } => convert_bgr(row, &chroma, buffers),
            PixelFormat { bytes: 4, order: [2, 1, 0] } => convert_bgrx(row, &chroma, buffers),
            PixelFormat { bytes: 3, order } => convert::<3>(order, row, &chroma, buffers),
            PixelFormat { order, .. } => convert::<4>(order, row, &chroma, buffers),
        }
    }
}

/// What the chroma of a row is.
enum Chroma<'a> {
    /// Each pixel has its own.
    Own,
    /// That of two pixels beside each other and of the two in this row.
    MeanWith(&'a [u8]),
    /// That of the row above is used.
    Unused,
}

#[multiversion(targets("x86_64+avx2"))]
fn convert_bgr(row: &[u8], chroma: &Chroma, buffers: &mut [Vec<u8>; 4]) {
    convert::<3>([2, 1, 0], row, chroma, buffers);
}

#[multiversion(targets("x86_64+avx2"))]
fn convert_bgrx(row: &[u8], chroma: &Chroma, buffers: &mut [Vec<u8>; 4]) {
    convert::<4>([2, 1, 0], row, chroma, buffers);
}

/// Pixels converted at once: a number that the compiler can turn into vector instructions.
const CHUNK: usize = 64;

/// One colour of as many pixels.
type Plane = [u8; CHUNK];

/// Converts a row. `order` is where in the bytes of a pixel its red, green and blue are.
#[inline(always)]
fn convert<const BYTES: usize>(
    order: [usize; 3],
    row: &[u8],
    chroma: &Chroma,
    buffers: &mut [Vec<u8>; 4],
) {
    let [luma, blue, red, _] = buffers;
    for (number, pixels) in row.chunks(BYTES * CHUNK).enumerate() {
        let own = planes::<BYTES>(order, pixels);
        let (chroma_blue, chroma_red) = match chroma {
            Chroma::Own => chroma_of_each(&own),
            Chroma::MeanWith(other) => {
                let other = &other[number * BYTES * CHUNK..][..pixels.len()];
                chroma_of_squares(&own, &planes::<BYTES>(order, other))
            }
            Chroma::Unused => ([0; CHUNK], [0; CHUNK]),
        };
        let count = pixels.len() / BYTES;
        luma.extend_from_slice(&luma_of_each(&own)[..count]);
        blue.extend_from_slice(&chroma_blue[..count]);
        red.extend_from_slice(&chroma_red[..count]);
    }
}

/// Red, green and blue of a chunk of pixels; of fewer the last one is repeated.
//
// Plain loops here and below: closures are not compiled for the vector unit of their caller.
#[inline(always)]
fn planes<const BYTES: usize>([r, g, b]: [usize; 3], pixels: &[u8]) -> [Plane; 3] {
    let (pixels, _) = pixels.as_chunks::<BYTES>();
    let mut planes = [[0; CHUNK]; 3];
    if let Some(pixels) = pixels.first_chunk::<CHUNK>() {
        for i in 0..CHUNK {
            let pixel = &pixels[i];
            (planes[0][i], planes[1][i], planes[2][i]) = (pixel[r], pixel[g], pixel[b]);
        }
    } else {
        for i in 0..CHUNK {
            let pixel = &pixels[i.min(pixels.len() - 1)];
            (planes[0][i], planes[1][i], planes[2][i]) = (pixel[r], pixel[g], pixel[b]);
        }
    }
    planes
}

/// Bits behind the point in the factors of the conversion, which is that of ITU-T T.871, section 7.
const SCALE: u32 = 16;

#[inline(always)]
fn luma_of_each([red, green, blue]: &[Plane; 3]) -> Plane {
    let mut luma = [0; CHUNK];
    for i in 0..CHUNK {
        let (r, g, b) = (u32::from(red[i]), u32::from(green[i]), u32::from(blue[i]));
        let sum = 19_595 * r + 38_470 * g + 7_471 * b + (1 << (SCALE - 1));
        luma[i] = (sum >> SCALE) as u8;
    }
    luma
}

#[inline(always)]
fn chroma_of_each([r, g, b]: &[Plane; 3]) -> (Plane, Plane) {
    let (mut blue, mut red) = ([0; CHUNK], [0; CHUNK]);
    for i in 0..CHUNK {
        (blue[i], red[i]) = chroma::<1>(r[i].into(), g[i].into(), b[i].into());
    }
    (blue, red)
}

/// The mean of each square of four pixels, written for both columns.
#[inline(always)]
fn chroma_of_squares(above: &[Plane; 3], below: &[Plane; 3]) -> (Plane, Plane) {
    let mut sums = [[0_u16; CHUNK / 2]; 3];
    for color in 0..3 {
        let (above, below) = (&above[color], &below[color]);
        for i in 0..CHUNK / 2 {
            sums[color][i] = u16::from(above[2 * i])
                + u16::from(above[2 * i + 1])
                + u16::from(below[2 * i])
                + u16::from(below[2 * i + 1]);
        }
    }
    let (mut blue, mut red) = ([0; CHUNK], [0; CHUNK]);
    for i in 0..CHUNK / 2 {
        let (b, r) = chroma::<4>(sums[0][i].into(), sums[1][i].into(), sums[2][i].into());
        (blue[2 * i], blue[2 * i + 1]) = (b, b);
        (red[2 * i], red[2 * i + 1]) = (r, r);
    }
    (blue, red)
}

/// The two chroma values of the sum of `COUNT` pixels, a power of two.
#[inline(always)]
fn chroma<const COUNT: u32>(r: i32, g: i32, b: i32) -> (u8, u8) {
    let shift = const { SCALE + COUNT.ilog2() };
    // One less than a half, so that 255.5, which occurs, does not become 256.
    let zero = (128 << shift) + (1 << (shift - 1)) - 1;
    let blue = (-11_059 * r - 21_709 * g + 32_768 * b + zero) >> shift;
    let red = (32_768 * r - 27_439 * g - 5_329 * b + zero) >> shift;
    (blue as u8, red as u8)
}
