//! What a block begins with ([RFC 1951](https://www.rfc-editor.org/rfc/rfc1951), 3.2.3 to 3.2.7).

use super::Flaw;
use super::input::Input;
use super::table::{LengthTable, Tables};
use crate::header::ORDER;

/// The most symbols and distances that a header may name; those behind them have codes in blocks without
/// lengths of codes only, and never occur.
const MOST_SYMBOLS: usize = 286;
const MOST_DISTANCES: usize = 30;

/// How much of the source has to be left for the tables to be worth more work.
const LONG: usize = 8 << 10;

/// What a block is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub is_last: bool,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// So many bytes as they are.
    Stored(usize),
    /// Codes, for which there are tables now.
    Codes,
}

/// Reads the header of a block, and makes the tables for what follows it.
///
/// # Errors
/// It is none, or cut off.
pub(super) fn read(input: &mut Input<'_>, tables: &mut Tables) -> Result<Header, Flaw> {
    let is_last = input.take(1)? == 1;
    let kind = match input.take(2)? {
        0 => {
            input.align();
            let (len, inverted) = (input.take(16)?, input.take(16)?);
            if len ^ inverted != 0xffff {
                return Err(Flaw::Corrupt);
            }
            Kind::Stored(len)
        }
        1 => {
            tables.set_fixed()?;
            Kind::Codes
        }
        2 => {
            let counts = (input.take(5)? + 257, input.take(5)? + 1);
            let lengths = lengths(input, counts)?;
            let (symbols, distances) = lengths.split_at(MOST_SYMBOLS);
            tables.set(symbols, distances, input.left() > LONG)?;
            Kind::Codes
        }
        _ => return Err(Flaw::Corrupt),
    };
    Ok(Header { is_last, kind })
}

/// Reads the lengths of the codes of so many symbols and distances.
fn lengths(
    input: &mut Input<'_>,
    (symbols, distances): (usize, usize),
) -> Result<[u8; MOST_SYMBOLS + MOST_DISTANCES], Flaw> {
    if symbols > MOST_SYMBOLS || distances > MOST_DISTANCES {
        return Err(Flaw::Corrupt);
    }
    let mut of_lengths = [0; ORDER.len()];
    let count = input.take(4)? + 4;
    for &symbol in &ORDER[..count] {
        of_lengths[symbol] = input.take(3)? as u8;
    }
    let table = LengthTable::new(&of_lengths)?;

    // In one row: one may be repeated from symbols into distances.
    let mut row = [0_u8; MOST_SYMBOLS + MOST_DISTANCES];
    let row_len = symbols + distances;
    let mut at = 0;
    while at < row_len {
        input.fill();
        let (symbol, bits) = table.at(input.bits);
        input.skip(bits)?;
        let (length, times) = match symbol {
            16 if at == 0 => return Err(Flaw::Corrupt),
            16 => (row[at - 1], 3 + input.take(2)?),
            17 => (0, 3 + input.take(3)?),
            18 => (0, 11 + input.take(7)?),
            length => (length as u8, 1),
        };
        row[..row_len].get_mut(at..at + times).ok_or(Flaw::Corrupt)?.fill(length);
        at += times;
    }
    // Without an end of the block there is none.
    if row[256] == 0 {
        return Err(Flaw::Corrupt);
    }
    row.copy_within(symbols..row_len, MOST_SYMBOLS);
    let behind = MOST_SYMBOLS + distances;
    row[symbols..MOST_SYMBOLS].fill(0);
    row[behind..].fill(0);
    Ok(row)
}
