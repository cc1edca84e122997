//! Copying a stream to its end.

use std::io::{self, Read, Write};

use apyfal_core::Result;

/// How long the first blocks are, and how many are full before longer ones pay.
const SHORT: usize = 2 << 10;
const MANY: usize = 16;
/// How long the others are.
const LONG: usize = 1 << 20;

/// Copies in blocks that are large enough to cost little and small enough that a cancelled job, whose
/// reader or writer then fails, ends soon.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
    // Most that is short is copied in less time than a large block of memory takes to be had.
    let (mut short, mut long) = ([0; SHORT], Vec::new());
    let mut full = 0;
    loop {
        let buffer = if long.is_empty() { &mut short[..] } else { &mut long[..] };
        match from.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                full += usize::from(count == buffer.len());
                if full == MANY && long.is_empty() {
                    long = vec![0; LONG];
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
