//! The bytes of a bitmap at any offset, whether it came as a file or as a stream.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use apyfal_core::{Error, ErrorKind, Input, JobContext, Result, Source as From};
use tempfile::{SpooledData, spooled_tempfile_in};

use super::bmp::{Bmp, MAX_HEADER};

/// What must be kept for a while is in memory up to this length, and in a temporary file beyond it.
pub(super) const MAX_IN_MEMORY: usize = 16 << 20;

/// A bitmap, whose pixels are all there.
pub(super) struct Source {
    pub(super) bmp: Bmp,
    bytes: Bytes,
}

/// How often rows were read before: progress counts them once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    First,
    Again,
}

enum Bytes {
    /// The job's own file.
    File(File),
    /// What came as a stream. An image is stored from its bottom up and encoded from its top down.
    Spooled(SpooledData),
}

impl Source {
    /// Reads the header, and a stream to its end.
    ///
    /// # Errors
    /// It is no bitmap that is supported, it is shorter than its header says, or reading failed.
    pub(super) fn open(input: Input, ctx: &JobContext) -> Result<Self> {
        let mut header = [0; MAX_HEADER];
        if let (From::File { .. }, Some(len)) = (input.source(), input.len()) {
            ctx.progress().set_total(len);
            let From::File { file, .. } = input.into_source() else { unreachable!() };
            let count = ctx.read_at(&file, &mut header, 0)?;
            let bmp = Bmp::parse(&header[..count])?;
            check_length(&bmp, len)?;
            return Ok(Self { bmp, bytes: Bytes::File(file) });
        }
        let mut reader = ctx.reader(input)?;
        let count = reader.fill(&mut header)?;
        let bmp = Bmp::parse(&header[..count])?;
        let mut spool = spooled_tempfile_in(MAX_IN_MEMORY, ctx.scratch()?);
        ctx.scratch_writer(&mut spool).write_all(&header[..count])?;
        let mut len = count as u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            // What follows the pixels is read, so that its sender can finish, but not kept.
            let wanted = (bmp.end().saturating_sub(len)).min(count as u64) as usize;
            ctx.scratch_writer(&mut spool).write_all(&buffer[..wanted])?;
            len += count as u64;
        }
        check_length(&bmp, len)?;
        Ok(Self { bmp, bytes: Bytes::Spooled(spool.into_inner()) })
    }

    /// Reads the rows from `top` up to `bottom`, in the order in which they are stored.
    ///
    /// # Errors
    /// The file became shorter, reading failed, or the job was cancelled.
    pub(super) fn rows(
        &self,
        top: usize,
        bottom: usize,
        rows: &mut Vec<u8>,
        reading: Reading,
        ctx: &JobContext,
    ) -> Result<()> {
        let (offset, len) = self.bmp.place(top, bottom);
        rows.resize(len, 0);
        match &self.bytes {
            Bytes::File(file) => {
                let count = match reading {
                    Reading::First => ctx.read_at(file, rows, offset)?,
                    Reading::Again => file.read_exact_at(rows, offset).map_or_else(
                        |error| match error.kind() {
                            std::io::ErrorKind::UnexpectedEof => Ok(0),
                            _ => Err(error),
                        },
                        |()| Ok(len),
                    )?,
                };
                if count < len {
                    return Err(Error::cut_off(offset + count as u64, self.bmp.end())
                        .operation("read the BMP image"));
                }
            }
            Bytes::Spooled(SpooledData::OnDisk(file)) => file.read_exact_at(rows, offset)?,
            Bytes::Spooled(SpooledData::InMemory(cursor)) => {
                let start = offset as usize;
                rows.copy_from_slice(&cursor.get_ref()[start..start + len]);
            }
        }
        Ok(())
    }
}

fn check_length(bmp: &Bmp, len: u64) -> Result<()> {
    if len < bmp.end() {
        let (width, height) = (bmp.width, bmp.height);
        return Err(truncated(format!(
            "an image of {width} by {height} pixels needs {} bytes, and there are {len}",
            bmp.end()
        )));
    }
    Ok(())
}

fn truncated(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, message)
        .operation("read the BMP image")
        .hint("the image is cut off; get it again")
}
