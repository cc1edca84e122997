//! Cuts a gzip stream into blocks that can be decompressed each by itself, as far as that is
//! possible, and decompresses on the way what cannot be cut.

use std::ops::Range;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_deflate::{Decompressor, Flaw, HISTORY, Invalid, LOOKAHEAD, Progress};
use libdeflater::Crc;

use super::window::Window;
use crate::gzip_format::{Header, MAGIC, TRAILER, Trailer};

/// A member is decompressed as a whole only if it is no longer than this, compressed and
/// decompressed: that bounds the memory of a block, whatever the data claims of itself.
pub(super) const WHOLE: usize = 4 << 20;

/// A header may be this long; names and comments have no length of their own.
const MAX_HEADER: usize = 1 << 20;

/// How long the small members of a block are together, and how much decompressed data makes any
/// block.
const BATCH: usize = 256 << 10;

/// How much of the source is looked at to see whether it is all of it.
const SMALL: usize = 512 << 10;

/// Some of the decompressed data, or members that become that.
#[derive(Default)]
pub(super) struct Block {
    members: Vec<Member>,
    /// How long the members are in the source. Their deflate data alone would not do to bound their
    /// number: it may be empty.
    members_len: usize,
    compressed: Vec<u8>,
    /// As long as was ever needed; what is in use of it stands beside it. Before it there may be what the stream
    /// decompressed to before.
    output: Vec<u8>,
    in_use: Range<usize>,
    /// How long it will be once the members are decompressed.
    expected_len: usize,
}

/// A member whose end is known before it is decompressed.
struct Member {
    /// Where in the source it begins.
    offset: u64,
    /// Its deflate data within the block.
    deflate: Range<usize>,
    trailer: Trailer,
}

impl Block {
    /// Decompresses the members in it.
    ///
    /// # Errors
    /// One of them is corrupt.
    pub(super) fn decompress(&mut self, decompressor: &mut Decompressor) -> Result<()> {
        let Self { members, compressed, output, in_use, .. } = self;
        for member in members.drain(..) {
            let target = free_space(output, in_use.end, member.trailer.len as usize);
            if !is_whole(decompressor, &compressed[member.deflate], target, member.trailer) {
                return Err(corrupt(member.offset, "the member that begins here is corrupt"));
            }
            in_use.end += target.len();
        }
        Ok(())
    }

    /// What it decompressed to.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[self.in_use.clone()]
    }

    fn clear(&mut self) {
        self.members.clear();
        self.members_len = 0;
        self.compressed.clear();
        self.in_use = 0..0;
        self.expected_len = 0;
    }
}

/// Whether all of a deflate stream decompresses to what fills the target and has this trailer.
fn is_whole(
    decompressor: &mut Decompressor,
    deflate: &[u8],
    target: &mut [u8],
    trailer: Trailer,
) -> bool {
    decompressor.restart();
    let whole = Progress { consumed: deflate.len(), end: target.len(), ended: true };
    decompressor.decompress(deflate, true, target, 0) == Ok(whole) && Trailer::of(target) == trailer
}

/// The `len` bytes of a buffer behind those in use. It grows where needed and never shrinks, so
/// that it is not filled with zeros again for every block.
fn free_space(buffer: &mut Vec<u8>, used: usize, len: usize) -> &mut [u8] {
    if buffer.len() < used + len {
        buffer.resize(used + len, 0);
    }
    &mut buffer[used..used + len]
}

/// The members of a gzip stream.
pub(super) struct Members {
    window: Window,
    place: Position,
    decompressor: Decompressor,
    /// The end of what the member decompressed to so far, which the rest of it may refer to.
    history: Vec<u8>,
}

/// Where in the source we are.
enum Position {
    Start,
    /// Within the deflate data of a member.
    Inside {
        crc: Crc,
        len: u64,
    },
    /// Behind a member.
    Between,
}

impl Members {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            place: Position::Start,
            decompressor: Decompressor::new(),
            history: Vec::new(),
        }
    }

    /// Whether the source is too small for the work to be worth more than one thread.
    ///
    /// # Errors
    /// Reading failed, or the job was cancelled.
    pub(super) fn is_small(&mut self) -> Result<bool> {
        Ok(self.window.peek(BATCH)?.len() < BATCH)
    }

    /// Fills the next block, and answers whether there is one.
    ///
    /// # Errors
    /// The data is not gzip, corrupt or cut off; reading failed, or the job was cancelled.
    pub(super) fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.clear();
        while block.members_len < BATCH && block.expected_len < BATCH {
            if let Position::Inside { .. } = self.place {
                self.decompress_part(block)?;
                continue;
            }
            let Some(header) = self.header()? else { break };
            let bounds = self.bounds(&header)?;
            // What is decompressed already and what is yet to be do not go into one block: they
            // would have to be kept in order.
            let fits =
                if bounds.is_some() { block.in_use.is_empty() } else { block.members.is_empty() };
            if !fits {
                break;
            }
            match bounds {
                Some((size, trailer)) => self.take_member(&header, size, trailer, block)?,
                None if self.decompress_last(&header, block)? => {}
                None => self.enter(&header),
            }
        }
        Ok(block.expected_len > 0 || !block.members.is_empty())
    }

    /// The header of the next member, which is left in the window; none at the end of the source.
    fn header(&mut self) -> Result<Option<Header>> {
        if !self.skip_padding()? {
            return Ok(None);
        }
        let mut len = 1;
        loop {
            let bytes = self.window.peek(len)?;
            let complete = bytes.len() >= len;
            match Header::parse(bytes) {
                Ok(Some(header)) => return Ok(Some(header)),
                Ok(None) if !complete => return Err(self.cut_off()),
                Ok(None) if bytes.len() > MAX_HEADER => {
                    return Err(corrupt(self.window.offset(), "its header is over 1 MiB long"));
                }
                Ok(None) => len = 2 * bytes.len(),
                Err(why) => return Err(self.not_a_header(why)),
            }
        }
    }

    /// Skips zeros behind a member, which tapes and disks are filled up with. Answers whether there
    /// is more.
    fn skip_padding(&mut self) -> Result<bool> {
        loop {
            let bytes = self.window.peek(1)?;
            if bytes.is_empty() {
                return match self.place {
                    Position::Start => Err(Error::new(ErrorKind::InvalidData, "it is empty")
                        .hint("gzip data has at least 18 bytes, even of an empty file")),
                    _ => Ok(false),
                };
            }
            let zeros = match self.place {
                Position::Start => 0,
                _ => bytes.iter().take_while(|byte| **byte == 0).count(),
            };
            let all = zeros == bytes.len();
            self.window.take(zeros);
            if !all {
                return Ok(true);
            }
        }
    }

    /// Size and trailer of the member that begins here, if its header tells the size, all of it is
    /// there, and it is small enough to be decompressed as a whole.
    ///
    /// The size may be a lie, or the subfield mean something else: unless another member or the end
    /// of the source follows, it is not believed.
    fn bounds(&mut self, header: &Header) -> Result<Option<(usize, Trailer)>> {
        let Some(size) = header.member_size else { return Ok(None) };
        if size < header.len + TRAILER || size > WHOLE {
            return Ok(None);
        }
        let bytes = self.window.peek(size + MAGIC.len())?;
        let Some((member, next)) = bytes.split_at_checked(size) else { return Ok(None) };
        let next = &next[..next.len().min(MAGIC.len())];
        Ok(last_trailer(member)
            .filter(|trailer| MAGIC.starts_with(next) && trailer.len as usize <= WHOLE)
            .map(|trailer| (size, trailer)))
    }

    /// Puts a member into the block as it is.
    fn take_member(
        &mut self,
        header: &Header,
        size: usize,
        trailer: Trailer,
        block: &mut Block,
    ) -> Result<()> {
        let offset = self.window.offset();
        let start = block.compressed.len();
        let member = self.window.peek(size)?;
        block.compressed.extend_from_slice(&member[header.len..size - TRAILER]);
        let deflate = start..block.compressed.len();
        block.members.push(Member { offset, deflate, trailer });
        block.members_len += size;
        block.expected_len += trailer.len as usize;
        self.window.take(size);
        self.place = Position::Between;
        Ok(())
    }

    /// Decompresses the member that begins here into the block, if the rest of the source is small
    /// and no more than this member. Answers whether it did.
    fn decompress_last(&mut self, header: &Header, block: &mut Block) -> Result<bool> {
        let rest = self.window.peek(SMALL)?;
        let size = rest.len();
        if size >= SMALL || size < header.len + TRAILER {
            return Ok(false);
        }
        let Some(trailer) = last_trailer(rest).filter(|trailer| trailer.len as usize <= WHOLE)
        else {
            return Ok(false);
        };
        let deflate = &rest[header.len..size - TRAILER];
        let target = free_space(&mut block.output, block.in_use.end, trailer.len as usize);
        if !is_whole(&mut self.decompressor, deflate, target, trailer) {
            return Ok(false);
        }
        block.in_use.end += target.len();
        block.expected_len = block.in_use.len();
        self.window.take(size);
        self.place = Position::Between;
        Ok(true)
    }

    /// Begins to decompress a member piece by piece.
    fn enter(&mut self, header: &Header) {
        self.window.take(header.len);
        self.decompressor.restart();
        self.history.clear();
        self.place = Position::Inside { crc: Crc::new(), len: 0 };
    }

    /// Decompresses on until the block is full or the member ends.
    fn decompress_part(&mut self, block: &mut Block) -> Result<()> {
        let Position::Inside { crc, len } = &mut self.place else { return Ok(()) };
        let source = self.window.peek(LOOKAHEAD)?;
        let is_all = source.len() < LOOKAHEAD;
        if block.in_use.is_empty() {
            let history = self.history.len();
            free_space(&mut block.output, 0, history).copy_from_slice(&self.history);
            block.in_use = history..history;
        }
        let at = block.in_use.end;
        let end = block.in_use.start + BATCH;
        free_space(&mut block.output, at, end - at);
        let progress =
            match self.decompressor.decompress(source, is_all, &mut block.output[..end], at) {
                Ok(progress) => progress,
                Err(Invalid { flaw: Flaw::CutOff, .. }) => return Err(self.cut_off()),
                Err(invalid) => {
                    let offset = self.window.offset() + invalid.at as u64;
                    return Err(corrupt(offset, "the compressed data is corrupt"));
                }
            };
        let written = &block.output[at..progress.end];
        crc.update(written);
        *len += written.len() as u64;
        let trailer = Trailer { crc: crc.sum(), len: *len as u32 };
        block.in_use.end = progress.end;
        block.expected_len = block.in_use.len();
        self.history.clear();
        self.history
            .extend_from_slice(&block.output[progress.end.saturating_sub(HISTORY)..progress.end]);
        self.window.take(progress.consumed);
        if progress.ended { self.check_trailer(trailer) } else { Ok(()) }
    }

    fn check_trailer(&mut self, found: Trailer) -> Result<()> {
        let Some(stored) = self.window.peek(TRAILER)?.first_chunk() else {
            return Err(self.cut_off());
        };
        let stored = Trailer::from_bytes(*stored);
        if stored.crc != found.crc {
            return Err(corrupt(self.window.offset(), "the checksum (CRC-32) does not match"));
        }
        if stored.len != found.len {
            return Err(corrupt(self.window.offset() + 4, "the length does not match"));
        }
        self.window.take(TRAILER);
        self.place = Position::Between;
        Ok(())
    }

    /// The error where the source ends too early.
    fn cut_off(&mut self) -> Error {
        let unseen = self.window.peek(0).map_or(0, <[u8]>::len) as u64;
        corrupt(self.window.offset() + unseen, "the data ends in the middle of a member")
            .hint("it was cut off: get it again, whole")
    }

    /// The error where no header is but should be.
    fn not_a_header(&self, why: &'static str) -> Error {
        match self.place {
            Position::Start => corrupt(self.window.offset(), why),
            _ => corrupt(self.window.offset(), "what follows the compressed data is not gzip")
                .hint("if it is not needed, cut it off there"),
        }
    }
}

/// The trailer of a member that ends where `bytes` end.
fn last_trailer(bytes: &[u8]) -> Option<Trailer> {
    bytes.last_chunk().copied().map(Trailer::from_bytes)
}

fn corrupt(offset: u64, why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, why).context("byte", offset)
}
