//! One step in a compressed block, wherever in source and target it is.

use super::Flaw;
use super::input::Input;
use super::table::Tables;

/// What a step found and the target had no room for: up to two literals, and a match.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwritten {
    literals: [u8; 2],
    literals_len: usize,
    length: usize,
    distance: usize,
}

impl Unwritten {
    /// Writes as much of it as there is room for, and answers whether anything is left.
    pub(super) fn write(&mut self, target: &mut [u8], end: &mut usize) -> bool {
        while self.literals_len > 0 || self.length > 0 {
            if *end == target.len() {
                return true;
            }
            if self.literals_len > 0 {
                target[*end] = self.literals[0];
                self.literals[0] = self.literals[1];
                self.literals_len -= 1;
            } else {
                target[*end] = target[*end - self.distance];
                self.length -= 1;
            }
            *end += 1;
        }
        false
    }
}

/// Decodes what one look at the tables finds, behind so much that can be referred to; none at the end of the
/// block.
///
/// # Errors
/// It is no code, refers to what was never written, or is cut off.
pub(super) fn step(
    tables: &Tables,
    input: &mut Input<'_>,
    written: usize,
) -> Result<Option<Unwritten>, Flaw> {
    input.fill();
    let mut entry = tables.symbol(input.bits);
    if entry.is_other() {
        entry = tables.longer_symbol(entry, input.bits);
    }
    if entry.is_end() {
        input.skip(entry.bits())?;
        return Ok(None);
    }
    if entry.is_other() {
        return Err(Flaw::Corrupt);
    }
    let literals_len = entry.literals_len();
    let mut unwritten =
        Unwritten { literals: entry.literals(), literals_len, ..Unwritten::default() };
    let length = entry.length(input.bits);
    input.skip(entry.bits())?;
    if entry.has_number() {
        let mut entry = tables.distance(input.bits);
        if entry.is_other() {
            entry = tables.longer_distance(entry, input.bits);
        }
        let distance = entry.distance(input.bits);
        if entry.is_other() || distance > written + literals_len {
            return Err(Flaw::Corrupt);
        }
        input.skip(entry.bits())?;
        (unwritten.length, unwritten.distance) = (length, distance);
    }
    Ok(Some(unwritten))
}
