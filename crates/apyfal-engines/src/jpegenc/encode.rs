//! An image, band by band, to one JPEG stream.

use std::io::{Read, Seek, Write};
use std::sync::OnceLock;

use apyfal_core::{Error, ErrorKind, JobContext, Params, Result};
use tempfile::spooled_tempfile_in;

use super::band::{Band, Subsampling};
use super::huffman::{Blocks, Counts, Decoder, Recoder, TABLES, Table};
use super::source::{MAX_IN_MEMORY, Source};
use super::stream;
use crate::ordered;

/// MCUs in a band, about: enough to spread the cost of its header, and few enough to divide a small
/// image among cores and to stay in their caches.
const BAND_MCUS: usize = 512;

/// An image and how it is encoded.
pub(super) struct Encoding {
    source: Source,
    quality: u8,
    subsampling: Subsampling,
    optimize: bool,
}

/// A band on its way.
#[derive(Default)]
struct Work {
    number: usize,
    height: usize,
    rows: Vec<u8>,
    jpeg: Vec<u8>,
    counts: Counts,
}

impl Encoding {
    /// Takes the parameters of the job.
    pub(super) fn new(source: Source, params: &Params) -> Self {
        let (horizontal, vertical) = match params.text("subsampling") {
            Some("4:4:4") => (1, 1),
            Some("4:2:2") => (2, 1),
            _ => (2, 2),
        };
        Self {
            source,
            quality: params.integer("quality").map_or(75, |quality| quality as u8),
            subsampling: Subsampling { horizontal, vertical },
            optimize: params.flag("optimize"),
        }
    }

    /// Writes the JPEG stream.
    ///
    /// # Errors
    /// Reading or writing failed, or the job was cancelled.
    pub(super) fn write(&self, writer: &mut (impl Write + Send), ctx: &JobContext) -> Result<()> {
        if self.optimize {
            self.write_optimized(writer, ctx)?;
        } else {
            self.write_standard(writer, ctx)?;
        }
        Ok(writer.write_all(&stream::EOI)?)
    }

    /// With the Huffman tables of the standard.
    fn write_standard(&self, writer: &mut (impl Write + Send), ctx: &JobContext) -> Result<()> {
        self.encode_bands(
            ctx,
            |_| Ok(()),
            |work| {
                match work.number {
                    0 => writer.write_all(&self.header(&work.jpeg, None)?)?,
                    number => writer.write_all(&stream::restart(number))?,
                }
                Ok(writer.write_all(stream::entropy_coded(&work.jpeg)?)?)
            },
        )
    }

    /// With Huffman tables of its own: encoded and counted first, then coded again.
    fn write_optimized(&self, writer: &mut (impl Write + Send), ctx: &JobContext) -> Result<()> {
        // Every band defines the same tables, so the first one to be encoded will do.
        let decoder = OnceLock::new();
        let mut counts = Counts::default();
        let mut first = Vec::new();
        let mut lengths = Vec::new();
        let mut spool = spooled_tempfile_in(MAX_IN_MEMORY, ctx.scratch());
        self.encode_bands(
            ctx,
            |work| {
                work.counts = Counts::default();
                let decoder = match decoder.get() {
                    Some(decoder) => decoder,
                    None => {
                        let tables = stream::tables(&work.jpeg)?;
                        decoder.get_or_init(|| Decoder::new(&tables))
                    }
                };
                let scan = stream::entropy_coded(&work.jpeg)?;
                work.counts.add_scan(scan, decoder, &self.blocks(work.height))
            },
            |work| {
                let scan = stream::entropy_coded(&work.jpeg)?;
                if work.number == 0 {
                    first.extend_from_slice(&work.jpeg);
                }
                counts.add(&work.counts);
                lengths.push((scan.len(), work.height));
                Ok(ctx.scratch_writer(&mut spool).write_all(scan)?)
            },
        )?;

        spool.rewind()?;
        let tables = counts.tables();
        writer.write_all(&self.header(&first, Some(&tables))?)?;
        let Some(decoder) = decoder.into_inner() else {
            return Err(Error::new(ErrorKind::Internal, "an image had no bands"));
        };
        let recoder = Recoder::new(decoder, &tables);
        let mut bands = lengths.into_iter().enumerate();
        ordered::run(
            ctx.threads().min(self.bands()),
            || (),
            |work: &mut Work| {
                ctx.check()?;
                let Some((number, (len, height))) = bands.next() else { return Ok(false) };
                (work.number, work.height) = (number, height);
                work.rows.resize(len, 0);
                spool.read_exact(&mut work.rows)?;
                Ok(true)
            },
            |(), work| {
                work.jpeg.clear();
                recoder.recode(&work.rows, &self.blocks(work.height), &mut work.jpeg)
            },
            |work| {
                if work.number > 0 {
                    writer.write_all(&stream::restart(work.number))?;
                }
                Ok(writer.write_all(&work.jpeg)?)
            },
        )
    }

    /// Encodes all bands on all threads: each is finished where it was encoded, and then written in
    /// order.
    fn encode_bands(
        &self,
        ctx: &JobContext,
        finish: impl Fn(&mut Work) -> Result<()> + Sync,
        write: impl FnMut(&mut Work) -> Result<()> + Send,
    ) -> Result<()> {
        let mut next = 0;
        ordered::run(
            ctx.threads().min(self.bands()),
            || (),
            |work: &mut Work| {
                ctx.check()?;
                if next == self.bands() {
                    return Ok(false);
                }
                let top = next * self.band_height();
                let bottom = (top + self.band_height()).min(self.source.bmp.height);
                (work.number, work.height) = (next, bottom - top);
                next += 1;
                self.source.rows(top, bottom, &mut work.rows, ctx)?;
                Ok(true)
            },
            |(), work| {
                work.jpeg.clear();
                let band = Band {
                    bmp: &self.source.bmp,
                    rows: &work.rows,
                    height: work.height,
                    subsampling: self.subsampling,
                };
                band.encode(self.quality, &mut work.jpeg).map_err(|error| {
                    Error::new(ErrorKind::Internal, "a band could not be encoded").source(error)
                })?;
                finish(work)
            },
            write,
        )
    }

    fn header(&self, first_band: &[u8], tables: Option<&[Table; TABLES]>) -> Result<Vec<u8>> {
        let restart_interval =
            (self.bands() > 1).then(|| self.blocks(self.band_height()).mcus as u16);
        stream::header(first_band, self.source.bmp.height as u16, restart_interval, tables)
    }

    /// MCUs beside each other: 8,192 at most, so that a restart interval, at most 65,535 MCUs, holds
    /// a band.
    fn mcus_across(&self) -> usize {
        self.source.bmp.width.div_ceil(8 * self.subsampling.horizontal)
    }

    /// Rows of pixels in every band but the last.
    fn band_height(&self) -> usize {
        8 * self.subsampling.vertical * (BAND_MCUS / self.mcus_across()).max(1)
    }

    fn bands(&self) -> usize {
        self.source.bmp.height.div_ceil(self.band_height())
    }

    /// The blocks of a band.
    fn blocks(&self, height: usize) -> Blocks {
        let Subsampling { horizontal, vertical } = self.subsampling;
        let down = height.div_ceil(8 * vertical);
        Blocks { mcus: self.mcus_across() * down, luma: horizontal * vertical }
    }
}
