//! Copying a stream to its end.

use std::io::{self, Read, Write};

use apyfal_core::Result;

/// How long the first block is, and the longest.
const SHORT: usize = 16 << 10;
const LONG: usize = 1 << 20;

/// Copies in blocks that are large enough to cost little and small enough that a cancelled job, whose
/// reader or writer then fails, ends soon.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
    // Most that is short is copied in less time than a large block of memory takes to be had.
    let mut buffer = vec![0; SHORT];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                if count == buffer.len() && count < LONG {
                    buffer = vec![0; 4 * count];
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
