//! The deflate format ([RFC 1951](https://www.rfc-editor.org/rfc/rfc1951)): a compressor for data that is in
//! memory, block by block, quick and with the same bytes on any machine; and a decompressor of streams, piece by
//! piece.
//!
//! ```
//! use apyfal_deflate::{Compressor, Level};
//!
//! let mut compressor = Compressor::new(Level::Default);
//! let mut deflated = Vec::new();
//! compressor.compress(b"to be or not to be, to be or not to be", &mut deflated);
//! assert!(deflated.len() < 25);
//! ```
//!
//! It is meant for blocks of about 1 MiB, such as the members of a gzip file. The instructions of the
//! processor that gain are chosen when a compressor is made; what is written does not depend on them.

mod bits;
mod block;
mod code;
mod compare;
mod header;
mod heads;
mod huffman;
mod inflate;
mod lane;
mod path;
mod tokens;

pub use inflate::{Decompressor, Flaw, HISTORY, Invalid, LOOKAHEAD, Progress};

use lane::{CHUNK, Lane};
use path::Path;

/// So many parts of a source are worked on at once. A part may refer to those before it, so that costs
/// nothing of size. Against one, two take 23 % less time and three 25 %; with four it is more again.
const LANES: usize = 3;

/// Shorter sources are worked on as one.
const LONG: usize = 128 << 10;

/// How hard to try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Looks at the last place where the same four bytes stood.
    Fast,
    /// Looks at the last two places, of more that are remembered.
    #[default]
    Default,
}

/// A compressor, to be used for one source after the other.
#[derive(Debug)]
pub struct Compressor {
    level: Lanes,
    path: Path,
}

/// The parts of a source on their way; made when they are needed.
#[derive(Debug)]
enum Lanes {
    Fast(Vec<Lane<{ 16 << 10 }, 1>>),
    Default(Vec<Lane<{ 16 << 10 }, 2>>),
}

impl Compressor {
    /// Makes one.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self::with_path(level, Path::best())
    }

    fn with_path(level: Level, path: Path) -> Self {
        let level = match level {
            Level::Fast => Lanes::Fast(Vec::new()),
            Level::Default => Lanes::Default(Vec::new()),
        };
        Self { level, path }
    }

    /// Appends the whole deflate stream of a source to `out`.
    pub fn compress(&mut self, source: &[u8], out: &mut Vec<u8>) {
        match &mut self.level {
            Lanes::Fast(lanes) => compress(lanes, source, self.path, out),
            Lanes::Default(lanes) => compress(lanes, source, self.path, out),
        }
    }
}

fn compress<const SLOTS: usize, const WAYS: usize>(
    lanes: &mut Vec<Lane<SLOTS, WAYS>>,
    source: &[u8],
    path: Path,
    out: &mut Vec<u8>,
) {
    let count = if source.len() < LONG { 1 } else { LANES };
    while lanes.len() < count {
        lanes.push(Lane::new());
    }
    let lanes = &mut lanes[..count];
    let part = source.len().div_ceil(count).next_multiple_of(CHUNK);
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.restart(source, number * part..((number + 1) * part).min(source.len()));
    }
    while lanes.iter().any(Lane::is_quick) {
        path.run(lanes, source);
        lanes.iter_mut().for_each(|lane| lane.go_on(source, path));
    }
    for lane in lanes {
        out.extend_from_slice(lane.finish(source, path));
    }
}

#[cfg(test)]
mod tests;
