//! An image, band by band, to one JPEG stream.

use std::io::Write;

use apyfal_core::{Error, ErrorKind, JobContext, Params, Result};

use super::band::Band;
use super::color::Subsampling;
use super::huffman::{Codes, Counts, TABLES, Table};
use super::quantization::{Divisors, Steps, tables};
use super::scan::{Counter, Writer};
use super::source::{Reading, Source};
use super::stream::{self, Header};
use crate::ordered;

/// MCUs in a band, about: enough to spread the cost of its header, and few enough to divide a small
/// image among cores and to stay in their caches.
const BAND_MCUS: usize = 512;

/// An image and how it is encoded.
pub(super) struct Encoding {
    source: Source,
    subsampling: Subsampling,
    /// Of luma and of chroma.
    steps: [Steps; 2],
    divisors: [Divisors; 2],
    optimize: bool,
}

/// A band on its way.
#[derive(Default)]
struct Work {
    number: usize,
    height: usize,
    rows: Vec<u8>,
    scan: Vec<u8>,
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
        let steps = tables(params.integer("quality").map_or(75, |quality| quality as u8));
        Self {
            source,
            subsampling: Subsampling { horizontal, vertical },
            divisors: [Divisors::new(&steps[0]), Divisors::new(&steps[1])],
            steps,
            optimize: params.flag("optimize"),
        }
    }

    /// Writes the JPEG stream.
    ///
    /// # Errors
    /// Reading or writing failed, or the job was cancelled.
    pub(super) fn write(&self, writer: &mut (impl Write + Send), ctx: &JobContext) -> Result<()> {
        let (tables, reading) = if self.optimize {
            (self.count(ctx)?.tables(), Reading::Again)
        } else {
            (Table::standard(), Reading::First)
        };
        writer.write_all(&self.header(&tables))?;
        let codes = Codes::new(&tables);
        self.for_bands(
            reading,
            ctx,
            |band, work| {
                work.scan.clear();
                let mut scan = Writer::new(&codes, &mut work.scan);
                band.transform(&self.divisors, |mcus| scan.add(mcus));
                if scan.finish() { Ok(()) } else { Err(changed()) }
            },
            |work| {
                if work.number > 0 {
                    writer.write_all(&stream::restart(work.number))?;
                }
                Ok(writer.write_all(&work.scan)?)
            },
        )?;
        Ok(writer.write_all(&stream::EOI)?)
    }

    /// Counts all symbols, so that the Huffman tables can be made for them.
    fn count(&self, ctx: &JobContext) -> Result<Counts> {
        let mut counts = Counts::default();
        self.for_bands(
            Reading::First,
            ctx,
            |band, work| {
                work.counts = Counts::default();
                let mut counter = Counter::new(&mut work.counts);
                band.transform(&self.divisors, |mcus| counter.add(mcus));
                Ok(())
            },
            |work| {
                counts.add(&work.counts);
                Ok(())
            },
        )?;
        Ok(counts)
    }

    /// Works on all bands on all threads, and takes what became of them in order.
    fn for_bands(
        &self,
        reading: Reading,
        ctx: &JobContext,
        work: impl Fn(&Band<'_>, &mut Work) -> Result<()> + Sync,
        take: impl FnMut(&mut Work) -> Result<()> + Send,
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
                self.source.rows(top, bottom, &mut work.rows, reading, ctx)?;
                Ok(true)
            },
            |(), one| {
                let rows = std::mem::take(&mut one.rows);
                let band = Band {
                    bmp: &self.source.bmp,
                    rows: &rows,
                    height: one.height,
                    subsampling: self.subsampling,
                };
                work(&band, one)?;
                one.rows = rows;
                Ok(())
            },
            take,
        )
    }

    fn header(&self, tables: &[Table; TABLES]) -> Vec<u8> {
        let mcus = self.mcus_across() * self.band_height() / (8 * self.subsampling.vertical);
        Header {
            width: self.source.bmp.width,
            height: self.source.bmp.height,
            subsampling: self.subsampling,
            steps: &self.steps,
            tables,
            restart_interval: (self.bands() > 1).then_some(mcus),
        }
        .to_bytes()
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
}

/// The error where an image has symbols that it did not have when they were counted.
fn changed() -> Error {
    Error::new(ErrorKind::InvalidData, "it changed while it was read")
        .operation("read the BMP image")
        .hint("run it again when nobody writes to it")
}
