//! Compresses a stream to gzip on several threads.

use apyfal_core::{Error, ErrorKind, Result};
use libdeflater::{CompressionLvl, Compressor};

use crate::ordered;

/// Bytes that become one gzip member.
const BLOCK: usize = 1 << 20;

/// The words and digits of the parameter `level`.
pub(crate) const LEVELS: [&str; 12] =
    ["fast", "default", "best", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The level of libdeflate that one of [`LEVELS`] means.
pub(crate) fn level(choice: &str) -> i32 {
    match choice {
        "best" => 6,
        digit => digit.parse().unwrap_or(1),
    }
}

#[derive(Default)]
struct Block {
    plain: Vec<u8>,
    filled: usize,
    member: Vec<u8>,
    written: usize,
}

/// Compresses what `read` fills its buffer with, less than all at the end, into gzip members for
/// `write`. There is always at least one, so that nothing becomes a valid file of nothing.
///
/// # Errors
/// Those of `read` and `write`.
pub(crate) fn compress(
    mut read: impl FnMut(&mut [u8]) -> Result<usize> + Send,
    mut write: impl FnMut(&[u8]) -> Result<()> + Send,
    level: i32,
    threads: usize,
) -> Result<()> {
    let mut first = true;
    ordered::run(
        threads,
        || Compressor::new(CompressionLvl::new(level).unwrap_or_default()),
        |block: &mut Block| {
            block.plain.resize(BLOCK, 0);
            block.filled = read(&mut block.plain)?;
            Ok(std::mem::take(&mut first) || block.filled > 0)
        },
        |compressor, block| {
            block.member.resize(compressor.gzip_compress_bound(block.filled), 0);
            block.written = compressor
                .gzip_compress(&block.plain[..block.filled], &mut block.member)
                .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
            Ok(())
        },
        |block| write(&block.member[..block.written]),
    )
}
