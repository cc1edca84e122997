//! One JPEG stream made of bands that were encoded each for itself.
//!
//! The encoder starts every image with the DC predictions at zero and ends it on a whole byte. That
//! is what a restart marker does within an image (ITU-T T.81, sections E.1.4 and F.1.2.1.1), so the
//! entropy-coded segments of the bands, with restart markers between, are those of the whole image.

use std::ops::Range;

use apyfal_core::{Error, ErrorKind, Result};

use super::huffman::{TABLES, Table};

const SOF0: u8 = 0xc0;
const DHT: u8 = 0xc4;
const SOS: u8 = 0xda;
const DRI: u8 = 0xdd;
const RST0: u8 = 0xd0;

/// What starts a stream.
const SOI: [u8; 2] = [0xff, 0xd8];

/// What ends it.
pub(super) const EOI: [u8; 2] = [0xff, 0xd9];

/// The marker segments of an encoded image, up to the entropy-coded one.
struct Segments<'a> {
    jpeg: &'a [u8],
    position: usize,
}

impl Iterator for Segments<'_> {
    /// A marker's code, and where its segment is, the marker included.
    type Item = (u8, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let Some([0xff, code, high, low]) = self.jpeg.get(self.position..)?.first_chunk() else {
            return None;
        };
        let start = self.position;
        self.position += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        Some((*code, start..self.position))
    }
}

fn segments(jpeg: &[u8]) -> Segments<'_> {
    Segments { jpeg, position: 2 }
}

/// The entropy-coded segment of an encoded band.
pub(super) fn entropy_coded(jpeg: &[u8]) -> Result<&[u8]> {
    let scan = segments(jpeg).find(|(code, _)| *code == SOS);
    scan.and_then(|(_, scan)| jpeg.get(scan.end..)?.strip_suffix(&EOI)).ok_or_else(malformed)
}

/// The Huffman tables that an encoded band defines.
pub(super) fn tables(jpeg: &[u8]) -> Result<[Table; TABLES]> {
    let mut tables = [const { None }; TABLES];
    for (_, segment) in segments(jpeg).filter(|(code, _)| *code == DHT) {
        let payload = jpeg.get(segment.start + 4..segment.end).ok_or_else(malformed)?;
        for (index, table) in Table::parse(payload).ok_or_else(malformed)? {
            *tables.get_mut(index).ok_or_else(malformed)? = Some(table);
        }
    }
    match tables {
        [Some(a), Some(b), Some(c), Some(d)] => Ok([a, b, c, d]),
        _ => Err(malformed()),
    }
}

/// The header of the whole image: that of its first band with the whole height, a restart interval
/// in MCUs where there are more bands, and other Huffman tables if given.
pub(super) fn header(
    band: &[u8],
    height: u16,
    interval: Option<u16>,
    tables: Option<&[Table; TABLES]>,
) -> Result<Vec<u8>> {
    let mut header = SOI.to_vec();
    for (code, range) in segments(band) {
        let segment = band.get(range).ok_or_else(malformed)?;
        match code {
            DHT if tables.is_some() => continue,
            SOS => {
                for (index, table) in tables.into_iter().flatten().enumerate() {
                    push_segment(&mut header, DHT, &table.definition(index));
                }
                if let Some(interval) = interval {
                    push_segment(&mut header, DRI, &interval.to_be_bytes());
                }
                header.extend_from_slice(segment);
                return Ok(header);
            }
            _ => {}
        }
        let start = header.len();
        header.extend_from_slice(segment);
        if code == SOF0 {
            // After the marker, the segment's length and the precision.
            header[start + 5..][..2].copy_from_slice(&height.to_be_bytes());
        }
    }
    Err(malformed())
}

fn push_segment(header: &mut Vec<u8>, code: u8, payload: &[u8]) {
    header.extend([0xff, code]);
    header.extend((2 + payload.len() as u16).to_be_bytes());
    header.extend_from_slice(payload);
}

/// The marker that stands before a band, the first one excepted.
pub(super) fn restart(band: usize) -> [u8; 2] {
    [0xff, RST0 + ((band - 1) % 8) as u8]
}

fn malformed() -> Error {
    Error::new(ErrorKind::Internal, "the encoder made a JPEG stream of an unknown form")
}
