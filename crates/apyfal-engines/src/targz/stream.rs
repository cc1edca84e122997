//! The bytes of an archive, made as they are asked for.

use std::os::unix::fs::FileExt;

use apyfal_core::{Error, JobContext, Result};

use super::header::{RECORD, TRAILER};
use super::member::{Content, Member};

/// The tar bytes of at most one member, and the end of the archive where it is wanted.
pub(super) struct TarStream<'a> {
    ctx: &'a JobContext,
    member: Option<&'a mut Member>,
    trailer: bool,
    records: Vec<u8>,
    /// How much of `records` was given out.
    given: usize,
    content: Option<(Content, u64)>,
}

impl<'a> TarStream<'a> {
    /// Makes it.
    pub(super) fn new(member: Option<&'a mut Member>, trailer: bool, ctx: &'a JobContext) -> Self {
        Self { ctx, member, trailer, records: Vec::new(), given: 0, content: None }
    }

    /// Fills `buffer` as far as the bytes go; less than all means the end.
    ///
    /// # Errors
    /// A file cannot be read or became shorter, or the job was cancelled.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            self.ctx.check()?;
            let rest = &mut buffer[filled..];
            if self.given < self.records.len() {
                let records = &self.records[self.given..];
                let count = records.len().min(rest.len());
                rest[..count].copy_from_slice(&records[..count]);
                self.given += count;
                filled += count;
            } else if let Some((content, offset)) = &mut self.content {
                let left = content.size - *offset;
                if left == 0 {
                    let size = content.size as usize % RECORD;
                    self.set_records(vec![0; (RECORD - size) % RECORD]);
                    self.content = None;
                    continue;
                }
                let wanted = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let count = read(content, &mut rest[..wanted], *offset, self.ctx)?;
                *offset += count as u64;
                filled += count;
            } else if !self.advance()? {
                break;
            }
        }
        Ok(filled)
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As [`fill`](Self::fill), and those of `write`.
    pub(super) fn copy_to(&mut self, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = self.fill(&mut buffer)?;
            write(&buffer[..count])?;
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Goes to the next entry. False at the end.
    fn advance(&mut self) -> Result<bool> {
        if let Some(member) = &mut self.member {
            if let Some(entry) = member.next()? {
                self.set_records(entry.header);
                self.content = entry.content.map(|content| (content, 0));
                return Ok(true);
            }
            self.member = None;
        }
        if std::mem::take(&mut self.trailer) {
            self.set_records(TRAILER.to_vec());
            return Ok(true);
        }
        Ok(false)
    }

    fn set_records(&mut self, records: Vec<u8>) {
        self.records = records;
        self.given = 0;
    }
}

/// Reads some of a file that is known to have more.
fn read(content: &Content, buffer: &mut [u8], offset: u64, ctx: &JobContext) -> Result<usize> {
    let failed = |error: Error| error.operation(format!("read '{}'", content.path.display()));
    match content.file.read_at(buffer, offset) {
        Ok(0) => Err(failed(Error::cut_off(offset, content.size))),
        Ok(count) => {
            if content.counts {
                ctx.progress().add_read(count as u64);
            }
            Ok(count)
        }
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(failed(error.into())),
    }
}
