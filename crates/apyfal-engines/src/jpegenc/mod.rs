//! `jpegenc`: BMP images to JPEG.
//!
//! The image is cut into bands of a few rows of blocks. Each is read from its place in the file and
//! encoded for itself on any core, and the results are joined by restart markers. So memory does
//! not depend on the image's size, rows stored from the bottom up cost nothing, and the bytes are
//! the same on any number of cores.

mod band;
mod bmp;
mod color;
mod encode;
mod huffman;
mod quantization;
mod scan;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod transform;

use std::io::Write;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, JobContext, Outcome, ParamKind,
    ParamSpec, Result,
};

use crate::cpu::Cpu;
use encode::Encoding;
use source::Source;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("jpegenc", "Encode a BMP image as JPEG");
    info.aliases = vec!["alse_jpegenc".into()];
    info.description = "Takes 24-bit and 32-bit BMP without compression or palette, bottom-up \
        and top-down, up to 65,535 pixels a side, and writes baseline JPEG (JFIF). An alpha \
        channel is ignored. The quality means what it means to libjpeg, \
        some versions of which read no side over 65,500 pixels.\n\n\
        An image is encoded on all cores in bands with restart markers between them; the \
        bytes do not depend on the number of cores, nor memory on the image's size. A source \
        that is only a stream is kept in a temporary file first when it is over 16 MiB, since \
        BMP stores the last row first."
        .into();
    info.params = vec![
        ParamSpec::new(
            "quality",
            ParamKind::Integer(1..=100),
            "From 1, smallest, to 100, best; scales the quantization tables as libjpeg does.",
        )
        .default(75),
        ParamSpec::new(
            "subsampling",
            ParamKind::Choice(vec!["4:4:4".into(), "4:2:2".into(), "4:2:0".into()]),
            "Chroma for every pixel, for two in a row, or for squares of four.",
        )
        .default("4:2:0"),
        ParamSpec::new(
            "optimize",
            ParamKind::Bool,
            "Huffman tables made for the image: some percent smaller, and slower.",
        )
        .default(false),
    ];
    Cpu::new(info, |_| Ok(Box::new(JpegencSession)))
}

#[derive(Debug)]
struct JpegencSession;

// There is no comparison with plain software: this is the only encoder here.
impl EngineSession for JpegencSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (Some(src), Some(dst)) = (job.src, job.dst) else {
            return Err(Error::new(
                ErrorKind::Internal,
                "jpegenc was run without source or destination",
            ));
        };
        let source = Source::open(src, ctx)?;
        let (width, height) = (source.bmp.width, source.bmp.height);
        let mut writer = ctx.writer(dst);
        Encoding::new(source, &job.params).write(&mut writer, ctx)?;
        writer.flush()?;
        Ok(Outcome::default().with("width", width).with("height", height))
    }
}
