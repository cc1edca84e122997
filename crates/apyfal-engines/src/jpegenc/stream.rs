//! The marker segments of a JPEG stream: ITU-T T.81, annex B, and T.871 (JFIF).
//!
//! Bands are coded each for itself: predictions begin at zero, and the last byte is filled up. That is
//! what a restart marker does within an image (sections E.1.4 and F.1.2.1.1), so the entropy-coded
//! segments of the bands, with restart markers between, are those of the whole image.

use super::color::Subsampling;
use super::huffman::{TABLES, Table};
use super::quantization::Steps;
use super::scan::ZIGZAG;

const APP0: u8 = 0xe0;
const DQT: u8 = 0xdb;
const SOF0: u8 = 0xc0;
const DHT: u8 = 0xc4;
const DRI: u8 = 0xdd;
const SOS: u8 = 0xda;
const RST0: u8 = 0xd0;

/// What starts a stream.
const SOI: [u8; 2] = [0xff, 0xd8];

/// What ends it.
pub(super) const EOI: [u8; 2] = [0xff, 0xd9];

/// What stands before the first band.
pub(super) struct Header<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) subsampling: Subsampling,
    /// Of luma and of chroma.
    pub(super) steps: &'a [Steps; 2],
    pub(super) tables: &'a [Table; TABLES],
    /// MCUs in a band, where there are several.
    pub(super) restart_interval: Option<usize>,
}

impl Header<'_> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SOI.to_vec();
        // Version 1.2, square pixels, no thumbnail.
        push_segment(&mut bytes, APP0, b"JFIF\0\x01\x02\x00\x00\x01\x00\x01\x00\x00");
        for (number, steps) in self.steps.iter().enumerate() {
            let mut payload = vec![number as u8];
            payload.extend(ZIGZAG.map(|(u, v)| steps[8 * v + u]));
            push_segment(&mut bytes, DQT, &payload);
        }
        // Eight bits, three components: number, how often sampled, quantization table.
        let mut payload = vec![8];
        payload.extend((self.height as u16).to_be_bytes());
        payload.extend((self.width as u16).to_be_bytes());
        let Subsampling { horizontal, vertical } = self.subsampling;
        payload.extend([3, 1, (horizontal << 4 | vertical) as u8, 0, 2, 0x11, 1, 3, 0x11, 1]);
        push_segment(&mut bytes, SOF0, &payload);
        for (number, table) in self.tables.iter().enumerate() {
            push_segment(&mut bytes, DHT, &table.definition(number));
        }
        if let Some(mcus) = self.restart_interval {
            push_segment(&mut bytes, DRI, &(mcus as u16).to_be_bytes());
        }
        // The components with their Huffman tables, and all coefficients of all bits.
        push_segment(&mut bytes, SOS, &[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        bytes
    }
}

fn push_segment(bytes: &mut Vec<u8>, code: u8, payload: &[u8]) {
    bytes.extend([0xff, code]);
    bytes.extend((2 + payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// The marker that stands before a band, the first one excepted.
pub(super) fn restart(band: usize) -> [u8; 2] {
    [0xff, RST0 + ((band - 1) % 8) as u8]
}
