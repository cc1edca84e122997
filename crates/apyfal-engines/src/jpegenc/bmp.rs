//! The header of a Windows or OS/2 bitmap, as Microsoft documents it ("Bitmap Storage").

use apyfal_core::{Error, ErrorKind, Result};

/// The longest header that is understood: file header and BITMAPV5HEADER.
pub(super) const MAX_HEADER: usize = FILE_HEADER + 124;

const FILE_HEADER: usize = 14;
const CORE_HEADER: usize = 12;
const INFO_HEADER: usize = 40;

/// The longest side that the two bytes of a JPEG frame header can tell.
const MAX_SIDE: u32 = 65_535;

/// Where the pixels of a bitmap are and how they are laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bmp {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Whether the first row in the file is the uppermost.
    pub(super) top_down: bool,
    pub(super) format: PixelFormat,
    /// Where the first row in the file starts.
    offset: u64,
}

/// The bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PixelFormat {
    /// How many: three or four.
    pub(super) bytes: usize,
    /// Which of them are red, green and blue.
    pub(super) order: [usize; 3],
}

impl PixelFormat {
    /// Blue, green, red and, of four bytes, one that says nothing.
    fn bgr(bytes: usize) -> Self {
        Self { bytes, order: [2, 1, 0] }
    }
}

impl Bmp {
    /// Reads the header from the first bytes of a file, up to [`MAX_HEADER`] of them.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::InvalidData`]: it is no bitmap, or of a form that is not supported.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(b"BM") {
            return Err(invalid("the source is not a BMP file").hint("convert the image to BMP"));
        }
        let header = Header { bytes };
        let offset = header.u32(10)?;
        let size = header.u32(FILE_HEADER)? as usize;
        let (width, height, depth, compression) = match size {
            CORE_HEADER => {
                (header.u16(18)?.into(), header.u16(20)?.into(), header.u16(24)?, BI_RGB)
            }
            INFO_HEADER.. => (
                header.u32(18)?.cast_signed(),
                header.u32(22)?.cast_signed(),
                header.u16(28)?,
                header.u32(30)?,
            ),
            _ => return Err(invalid(format!("a BMP header of {size} bytes is unknown"))),
        };
        let format = match (depth, compression) {
            (24 | 32, BI_RGB) => PixelFormat::bgr(usize::from(depth) / 8),
            (24 | 32, BI_BITFIELDS | BI_ALPHABITFIELDS) => header.masks(usize::from(depth) / 8)?,
            _ => return Err(unsupported(depth, compression)),
        };
        let (width, height, top_down) = match (u32::try_from(width), height.unsigned_abs()) {
            (Err(_) | Ok(0), _) | (_, 0) => {
                return Err(invalid(format!("the image is {width} by {height} pixels")));
            }
            (Ok(wide), high) if wide > MAX_SIDE || high > MAX_SIDE => {
                return Err(invalid(format!("the image is {wide} by {high} pixels")).hint(
                    format!(
                        "the sides of a JPEG image are at most {MAX_SIDE} pixels; cut or scale it"
                    ),
                ));
            }
            (Ok(wide), high) => (wide as usize, high as usize, height < 0),
        };
        if (offset as usize) < FILE_HEADER + size {
            return Err(invalid(format!("the pixels start within the header, at {offset}")));
        }
        Ok(Self { width, height, top_down, format, offset: offset.into() })
    }

    /// Bytes of a row's pixels.
    pub(super) fn row(&self) -> usize {
        self.width * self.format.bytes
    }

    /// Bytes from one row to the next: a multiple of four.
    pub(super) fn stride(&self) -> usize {
        self.row().next_multiple_of(4)
    }

    /// Where in the file the rows from `top` up to `bottom` are, and how long they are together,
    /// without what may be missing behind the last row.
    pub(super) fn place(&self, top: usize, bottom: usize) -> (u64, usize) {
        let first = if self.top_down { top } else { self.height - bottom };
        let offset = self.offset + first as u64 * self.stride() as u64;
        (offset, (bottom - top - 1) * self.stride() + self.row())
    }

    /// How long the file must be to hold all pixels.
    pub(super) fn end(&self) -> u64 {
        self.offset + (self.height - 1) as u64 * self.stride() as u64 + self.row() as u64
    }
}

const BI_RGB: u32 = 0;
const BI_RLE8: u32 = 1;
const BI_RLE4: u32 = 2;
const BI_BITFIELDS: u32 = 3;
const BI_ALPHABITFIELDS: u32 = 6;

struct Header<'a> {
    bytes: &'a [u8],
}

impl Header<'_> {
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let array = self.bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
        array.ok_or_else(|| {
            invalid(format!("the source ends within the BMP header, after {}", self.bytes.len()))
        })
    }

    fn u16(&self, at: usize) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// The masks of red, green and blue, which are at the same place in or behind every header.
    fn masks(&self, bytes: usize) -> Result<PixelFormat> {
        let at = FILE_HEADER + INFO_HEADER;
        let masks = [self.u32(at)?, self.u32(at + 4)?, self.u32(at + 8)?];
        let order = masks.map(|mask| (0..bytes).find(|byte| mask == 0xff << (8 * byte)));
        match order {
            [Some(red), Some(green), Some(blue)]
                if red != green && green != blue && red != blue =>
            {
                Ok(PixelFormat { bytes, order: [red, green, blue] })
            }
            _ => Err(invalid(format!("the colour masks {masks:08x?} are not whole bytes"))
                .hint(SUPPORTED)),
        }
    }
}

const SUPPORTED: &str = "24-bit and 32-bit BMP with 8 bits per colour, without compression or \
                         palette, is supported; convert the image to that";

fn unsupported(depth: u16, compression: u32) -> Error {
    let what = match compression {
        BI_RGB | BI_BITFIELDS | BI_ALPHABITFIELDS => format!("has {depth} bits per pixel"),
        BI_RLE8 | BI_RLE4 => "is compressed by run lengths".to_owned(),
        other => format!("has the compression method {other}"),
    };
    invalid(format!("the image {what}")).hint(SUPPORTED)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, message).operation("read the BMP image")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(size: u32, width: i32, height: i32, depth: u16, compression: u32) -> Vec<u8> {
        let mut bytes = b"BM".to_vec();
        bytes.extend([0; 8]);
        bytes.extend((14 + size).to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend([1, 0]);
        bytes.extend(depth.to_le_bytes());
        bytes.extend(compression.to_le_bytes());
        bytes.resize(14 + size as usize, 0);
        bytes
    }

    #[test]
    fn rows_are_where_the_orientation_says() {
        let bottom_up = Bmp::parse(&header(40, 3, 10, 24, 0)).unwrap();
        assert_eq!((bottom_up.row(), bottom_up.stride(), bottom_up.end()), (9, 12, 54 + 117));
        assert_eq!(bottom_up.place(0, 4), (54 + 6 * 12, 3 * 12 + 9));
        assert_eq!(bottom_up.place(8, 10), (54, 12 + 9));
        let top_down = Bmp::parse(&header(40, 3, -10, 24, 0)).unwrap();
        assert_eq!(top_down.place(0, 4), (54, 3 * 12 + 9));
    }

    #[test]
    fn masks_tell_the_order_of_bytes() {
        let mut bytes = header(124, 1, 1, 32, 3);
        for (mask, at) in [(0xff_u32, 54), (0xff00, 58), (0xff_0000, 62)] {
            bytes[at..at + 4].copy_from_slice(&mask.to_le_bytes());
        }
        let format = Bmp::parse(&bytes).unwrap().format;
        assert_eq!(format, PixelFormat { bytes: 4, order: [0, 1, 2] });
        bytes[28] = 24;
        let format = Bmp::parse(&bytes).unwrap().format;
        assert_eq!(format, PixelFormat { bytes: 3, order: [0, 1, 2] });
        bytes[54..58].copy_from_slice(&0xff00_0000_u32.to_le_bytes());
        assert!(Bmp::parse(&bytes).is_err(), "a pixel of three bytes has no fourth");
        bytes[28] = 32;
        assert_eq!(Bmp::parse(&bytes).unwrap().format.order, [3, 1, 2]);
        for mask in [0_u32, 0xff00, 0x7f, 0x1fe, u32::MAX] {
            bytes[54..58].copy_from_slice(&mask.to_le_bytes());
            assert!(Bmp::parse(&bytes).is_err(), "{mask:#x}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (depth, compression, word) in
            [(8, 0, "8 bits"), (8, 1, "run lengths"), (16, 3, "16 bits"), (24, 4, "method 4")]
        {
            let error = Bmp::parse(&header(40, 1, 1, depth, compression)).unwrap_err();
            assert!(error.message().contains(word), "{error}");
            assert_eq!(
                (error.kind(), error.hints()),
                (ErrorKind::InvalidData, &[SUPPORTED.into()][..])
            );
        }
    }

    #[test]
    fn absurd_headers_are_refused() {
        for (width, height) in [
            (0, 1),
            (1, 0),
            (-1, 1),
            (65_536, 1),
            (1, 65_536),
            (1, -65_536),
            (i32::MAX, i32::MAX),
            (i32::MIN, i32::MIN),
        ] {
            let error = Bmp::parse(&header(40, width, height, 24, 0)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
        assert!(Bmp::parse(&header(40, 65_535, i32::from(i16::MIN), 32, 0)).is_ok());
        let good = header(40, 1, 1, 24, 0);
        for len in 0..34 {
            assert!(Bmp::parse(&good[..len]).is_err(), "{len} bytes");
        }
        let mut within = good.clone();
        within[10] = 53;
        assert!(Bmp::parse(&within).is_err());
        assert!(Bmp::parse(&header(39, 1, 1, 24, 0)).is_err());
        assert!(Bmp::parse(b"\x89PNG\r\n\x1a\n").is_err());
    }
}
