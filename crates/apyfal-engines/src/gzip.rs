//! `gzip`: compresses to the gzip format, in parallel.
//!
//! The source is cut into blocks and each becomes a member of its own, which costs
//! 0.4 % of size and makes the result independent of the number of threads. Every reader of gzip
//! reads files of many members; the header of each member says how long it is, so that
//! [`gunzip`](crate::gunzip) can decompress them in parallel.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome,
    Output, ParamKind, ParamSpec, Params, Result,
};
use parking_lot::Mutex;

use crate::cpu::Cpu;
use crate::gzip_format::{NewHeader, TRAILER, Trailer, set_member_size};
use crate::gzip_level::{Compressor, Level};
use crate::ordered;

/// Bytes of the source that become one member.
///
/// Against one member for all, level 6 loses 0.7 % of size with 512 KiB, 0.4 % with 1 MiB and 0.2 %
/// with 2 MiB.
const BLOCK: usize = 1 << 20;

/// As many where a whole block takes long. A cancelled job waits for its blocks, for libdeflate
/// cannot be stopped within one: 5 to 40 ms, but levels 7 to 9 on data of few symbols, such as DNA,
/// take 220 to 360 ms for 1 MiB and 60 to 95 ms for 256 KiB. That costs such data 0.2 % of size, and
/// would cost text 1.8 %.
const SMALL_BLOCK: usize = BLOCK / 4;

/// Sources of this many bytes take 100 µs at most, whatever the level and the data.
const QUICK: usize = 4 << 10;

/// What is read first. Most short sources are compressed in less time than the memory for a whole
/// block takes to be had.
const SHORT: usize = 16 << 10;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("gzip", "Compress to the gzip format");
    info.aliases = vec!["cast_gzip".into()];
    info.description =
        "The result can be read by every gunzip, and depends on the source and the level alone: \
         the same source gives the same bytes on any machine and any number of cores.\n\n\
         A source of more than 1 MiB becomes several gzip members that say how long they are, \
         so that gunzip here can decompress them in parallel. Neither the name nor the time of \
         the source is stored unless asked for."
            .into();
    let levels = Level::CHOICES.map(Into::into).to_vec();
    info.params = vec![
        ParamSpec::new("level", ParamKind::Choice(levels), Level::HELP).default("default"),
        ParamSpec::new("name", ParamKind::Text, "The file name to store"),
        ParamSpec::new("store_name", ParamKind::Bool, "Store the source's own name").default(false),
        ParamSpec::new(
            "mtime",
            ParamKind::Integer(0..=u32::MAX.into()),
            "The time of modification to store, in seconds since 1970; 0 stores none",
        )
        .default(0),
    ];
    Cpu::new(info, |_| Ok(Box::new(GzipSession))).quick_to(QUICK)
}

#[derive(Debug)]
struct GzipSession;

impl EngineSession for GzipSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (src, dst, settings) = parts(job)?;
        let mut reader = ctx.reader(src)?;
        let mut writer = ctx.writer(dst);
        compress(
            |buffer| reader.fill(buffer),
            |member| Ok(writer.write_all(member)?),
            &settings,
            ctx.threads(),
        )?;
        writer.flush()?;
        Ok(Outcome::default())
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(parts(job).and_then(|(src, dst, settings)| {
            let mut encoder = flate2::write::GzEncoder::new(ctx.writer(dst), settings.level.into());
            std::io::copy(&mut ctx.reader(src)?, &mut encoder)?;
            encoder.finish()?.flush()?;
            Ok(())
        }))
    }
}

fn parts(job: EngineJob) -> Result<(Input, Output, Settings)> {
    let (Some(src), Some(dst)) = (job.src, job.dst) else {
        return Err(Error::new(ErrorKind::Internal, "gzip was run without source or destination"));
    };
    let settings = Settings::from_params(&job.params, src.os_name())?;
    Ok((src, dst, settings))
}

/// What the user may choose of the result.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub level: Level,
    /// The name to store, if any.
    pub name: Option<Vec<u8>>,
    /// The time to store in seconds since 1970; 0 stores none.
    pub mtime: u32,
}

impl Settings {
    /// The parameter `level` alone: neither a name nor a time is stored.
    pub(crate) fn anonymous(params: &Params) -> Result<Self> {
        let level = params.text("level").and_then(Level::from_choice).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the parameter 'level' was not checked")
        })?;
        Ok(Self { level, name: None, mtime: 0 })
    }

    fn from_params(params: &Params, src_name: Option<&OsStr>) -> Result<Self> {
        let name = match params.text("name") {
            Some(name) => Some(checked_name(name.as_ref())?),
            None if params.flag("store_name") => {
                Some(checked_name(src_name.ok_or_else(|| {
                    Error::new(ErrorKind::Usage, "the source has no name to store")
                        .hint("give one with the parameter 'name'")
                })?)?)
            }
            None => None,
        };
        let mtime = params.integer("mtime").and_then(|time| time.try_into().ok()).unwrap_or(0);
        Ok(Self { name, mtime, ..Self::anonymous(params)? })
    }

    fn header(&self, place: Member) -> Vec<u8> {
        let first = place != Member::Later;
        NewHeader {
            name: self.name.as_deref().filter(|_| first),
            mtime: if first { self.mtime } else { 0 },
            effort: self.level.effort(),
            sized: place != Member::Only,
        }
        .to_bytes()
    }
}

/// A name as the bytes that it is, which is what `gzip -N` stores and takes for one.
fn checked_name(name: &OsStr) -> Result<Vec<u8>> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(Error::new(ErrorKind::Usage, format!("{name:?} is not the name of a file"))
            .hint("give the last part of a path, without '/'"));
    }
    Ok(bytes.to_vec())
}

/// Which member of the file a block becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    /// The only one: its end is that of the file, so its size need not be told.
    Only,
    First,
    #[default]
    Later,
}

/// Compresses what `read` gives to `write`, on this many threads.
///
/// `read` fills its buffer as far as the source goes; less than all means its end.
///
/// The trailer of each member is written with the next one, so that what was written is no valid
/// file before its end: every gunzip will notice if the rest never came.
///
/// # Errors
/// Those of `read` and `write`.
pub(crate) fn compress(
    mut read: impl FnMut(&mut [u8]) -> Result<usize> + Send,
    mut write: impl FnMut(&[u8]) -> Result<()> + Send,
    settings: &Settings,
    threads: usize,
) -> Result<()> {
    let mut spare = Spare::take(settings.level);
    if !spare.block.fill(settings.level, &mut read)? {
        let written = write(spare.whole_member(settings)?);
        spare.give_back();
        return written;
    }
    let mut first = std::mem::take(&mut spare.block);
    spare.give_back();
    first.place = Member::First;
    let mut first = Some(first);
    let mut ended = false;
    let mut trailer = None;
    ordered::run(
        threads,
        || settings.level.compressor(),
        |block: &mut Block| {
            if let Some(first) = first.take() {
                *block = first;
                return Ok(true);
            }
            if ended {
                return Ok(false);
            }
            block.place = Member::Later;
            ended = !block.fill(settings.level, &mut read)?;
            Ok(block.source_len > 0)
        },
        |compressor, block| block.compress(compressor, settings),
        |block| {
            write(block.member_behind(trailer))?;
            trailer = Some(block.trailer);
            Ok(())
        },
    )?;
    trailer.map_or(Ok(()), |trailer| write(&trailer))
}

/// What compresses a short source, for the next one: to have and to clear memory for it takes longer than many of
/// them themselves.
struct Spare {
    level: Level,
    compressor: Option<Compressor>,
    block: Block,
}

/// Those that are not in use.
static SPARE: Mutex<Vec<Spare>> = Mutex::new(Vec::new());

impl Spare {
    /// How many are kept, of about 300 kB each.
    const MOST: usize = 8;

    fn take(level: Level) -> Self {
        let mut all = SPARE.lock();
        match all.iter().rposition(|spare| spare.level == level) {
            Some(at) => all.remove(at),
            None => Self { level, compressor: None, block: Block::default() },
        }
    }

    fn give_back(self) {
        // What a longer source had grow is of no use to a short one.
        if self.compressor.is_some() && self.block.source.len() <= SHORT {
            let mut all = SPARE.lock();
            if all.len() == Self::MOST {
                all.remove(0);
            }
            all.push(self);
        }
    }

    /// The whole file, of a source that is one block.
    fn whole_member(&mut self, settings: &Settings) -> Result<&[u8]> {
        let compressor = self.compressor.get_or_insert_with(|| self.level.compressor());
        self.block.place = Member::Only;
        self.block.compress(compressor, settings)?;
        self.block.member.extend(self.block.trailer);
        Ok(self.block.member_behind(None))
    }
}

/// Whether ten values make up 97 % of the data: the four letters of DNA in both cases, line ends and
/// gaps among them. Then what was seen before matches so often that the search for the best match is
/// long.
fn has_few_symbols(data: &[u8]) -> bool {
    let mut counts = [0usize; 256];
    data.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    counts.sort_unstable();
    100 * counts.iter().rev().take(10).sum::<usize>() >= 97 * data.len()
}

#[derive(Default)]
struct Block {
    place: Member,
    /// As long as a block, or [`SHORT`] where that is all; how much is in use stands beside it.
    source: Vec<u8>,
    source_len: usize,
    /// Room for the trailer of the member before, then this member without its own.
    member: Vec<u8>,
    trailer: [u8; TRAILER],
}

impl Block {
    /// Reads the next block, and answers whether it is a full one.
    fn fill(
        &mut self,
        level: Level,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<bool> {
        let mut read_len = 0;
        if self.source.len() <= SHORT {
            self.source.resize(SHORT, 0);
            read_len = read(&mut self.source)?;
            if read_len < SHORT {
                self.source_len = read_len;
                return Ok(false);
            }
            self.source.resize(BLOCK, 0);
        }
        let (start, rest) = self.source.split_at_mut(SMALL_BLOCK);
        self.source_len = read_len + read(&mut start[read_len..])?;
        if self.source_len < SMALL_BLOCK || level.may_be_slow() && has_few_symbols(start) {
            return Ok(self.source_len == SMALL_BLOCK);
        }
        self.source_len += read(rest)?;
        Ok(self.source_len == BLOCK)
    }

    fn compress(&mut self, compressor: &mut Compressor, settings: &Settings) -> Result<()> {
        let source = &self.source[..self.source_len];
        self.member.clear();
        self.member.resize(TRAILER, 0);
        self.member.extend(settings.header(self.place));
        compressor.compress(source, &mut self.member)?;
        self.trailer = Trailer::of(source).to_bytes();
        if self.place != Member::Only {
            let size = self.member.len();
            set_member_size(&mut self.member[TRAILER..], size);
        }
        Ok(())
    }

    /// The trailer of the member before, if there is one, and this member without its own.
    fn member_behind(&mut self, trailer: Option<[u8; TRAILER]>) -> &[u8] {
        let Some(trailer) = trailer else { return &self.member[TRAILER..] };
        self.member[..TRAILER].copy_from_slice(&trailer);
        &self.member
    }
}
