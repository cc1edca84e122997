//! The hot loop: a compressed block, as long as neither source nor target are near their ends.
//!
//! What bits mean is looked up before more bits are read, for that is what the next step waits for: with the
//! reading first it takes 15 % longer.

use super::copy::{EXCESS, copy};
use super::input::Input;
use super::table::Tables;
use crate::tokens::MAX_MATCH;

/// How much room a step may need in the target: two literals, the longest match and what is copied in excess.
const ROOM: usize = 2 + MAX_MATCH + EXCESS;

/// Why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Source or target are too near their ends.
    Margin,
    /// The block has ended.
    End,
    /// It is no code, or refers to what was never written.
    Invalid,
}

/// Goes on in a block behind `end` bytes of the target, which it can refer to.
#[inline(always)]
pub(crate) fn run(
    tables: &Tables,
    input: &mut Input<'_>,
    target: &mut [u8],
    end: &mut usize,
) -> Stop {
    let mut ahead =
        Ahead { source: input.source, from: input.from, bits: input.bits, count: input.count };
    let mut to = *end;
    let Some(last) = target.len().checked_sub(ROOM) else { return Stop::Margin };
    if !ahead.fill() {
        return Stop::Margin;
    }
    let mut entry = tables.symbol(ahead.bits);
    let stop = loop {
        if to > last {
            break Stop::Margin;
        }
        target[to..to + 2].copy_from_slice(&entry.literals());
        to += entry.literals_len();
        if !entry.has_number() {
            if entry.literals_len() == 0 {
                entry = tables.longer_symbol(entry, ahead.bits);
                if !entry.is_other() {
                    continue;
                }
                if entry.is_end() {
                    ahead.skip(entry.shift());
                    break Stop::End;
                }
                break Stop::Invalid;
            }
            ahead.skip(entry.shift());
            entry = tables.symbol(ahead.bits);
        } else {
            let length = entry.length(ahead.bits);
            ahead.skip(entry.shift());
            let mut far = tables.distance(ahead.bits);
            if !far.has_number() {
                far = tables.longer_distance(far, ahead.bits);
                if !far.has_number() {
                    break Stop::Invalid;
                }
            }
            let distance = far.distance(ahead.bits);
            ahead.skip(far.shift());
            // Of 64 bits those of a length and a distance are 48 at most: the next step has its bits.
            entry = tables.symbol(ahead.bits);
            if distance > to {
                break Stop::Invalid;
            }
            // SAFETY: it is not before the target, no entry is of a longer length, and of the room for all of a step
            // there are only two literals less.
            #[allow(unsafe_code)]
            unsafe {
                copy(target, to, distance, length);
            }
            to += length;
        }
        if !ahead.fill() {
            break Stop::Margin;
        }
    };
    (input.from, *end) = (ahead.from, to);
    // Eight bytes may have been read of which not all were counted.
    input.count = ahead.count & 63;
    input.bits = ahead.bits & ((1 << input.count) - 1);
    stop
}

/// The source, of which all bits that fit are read in one go.
struct Ahead<'a> {
    source: &'a [u8],
    from: usize,
    /// Those of the byte at `from`, and behind it, may be there already.
    bits: u64,
    /// How many there are before that byte, modulo 64.
    count: u32,
}

impl Ahead<'_> {
    /// Reads on, so that there are 56 bits at least; not near the end of the source.
    #[inline(always)]
    fn fill(&mut self) -> bool {
        let next = self.source.get(self.from..).and_then(<[u8]>::first_chunk);
        let Some(next) = next else { return false };
        self.bits |= u64::from_le_bytes(*next) << (self.count & 63);
        self.from += (7 - (self.count >> 3 & 7)) as usize;
        self.count |= 56;
        true
    }

    /// Skips as many bits as the lowest six of this say.
    #[inline(always)]
    fn skip(&mut self, shift: u32) {
        self.bits >>= shift & 63;
        self.count = self.count.wrapping_sub(shift);
    }
}
