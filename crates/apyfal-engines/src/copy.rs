//! Copying a stream to its end.

use std::io::{self, Read, Write};

use apyfal_core::Result;

/// Copies in blocks that are large enough to cost little and small enough that a cancelled job, whose
/// reader or writer then fails, ends soon.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
