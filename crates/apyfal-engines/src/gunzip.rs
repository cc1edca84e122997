//! `gunzip`: decompresses the gzip format, in parallel where the members tell their sizes.

use std::io::Write;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Outcome,
    Output, Result,
};
use apyfal_deflate::Decompressor;

use crate::cpu::Cpu;
use crate::ordered;
use members::{Block, Members};
use window::Window;

mod members;
mod window;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("gunzip", "Decompress the gzip format");
    info.aliases = vec!["cast_gunzip".into()];
    info.description =
        "Takes the output of any gzip, of several members and with zeros behind it. Checksums \
         and lengths are checked; data that is corrupt, cut off or followed by something else \
         is an error that tells where.\n\n\
         What gzip here, bgzip, pgzip or MiGz wrote is decompressed on all cores; elsewhere the format \
         does not tell where one could begin, and one core does most of the work."
            .into();
    Cpu::new(info, |_| Ok(Box::new(GunzipSession)))
}

#[derive(Debug)]
struct GunzipSession;

impl EngineSession for GunzipSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (src, dst) = parts(job)?;
        let what = src
            .name()
            .map_or("decompress the source".to_owned(), |name| format!("decompress '{name}'"));
        decompress(src, dst, ctx).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => error.operation(what),
            _ => error,
        })?;
        Ok(Outcome::default())
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(parts(job).and_then(|(src, dst)| {
            let mut decoder = flate2::read::MultiGzDecoder::new(ctx.reader(src)?);
            let mut writer = ctx.writer(dst);
            std::io::copy(&mut decoder, &mut writer)?;
            Ok(writer.flush()?)
        }))
    }
}

fn parts(job: EngineJob) -> Result<(Input, Output)> {
    match (job.src, job.dst) {
        (Some(src), Some(dst)) => Ok((src, dst)),
        _ => Err(Error::new(ErrorKind::Internal, "gunzip was run without source or destination")),
    }
}

fn decompress(src: Input, dst: Output, ctx: &JobContext) -> Result<()> {
    let mut members = Members::new(Window::new(ctx.reader(src)?));
    let mut writer = ctx.writer(dst);
    let threads = if members.is_small()? { 1 } else { ctx.threads() };
    ordered::run(
        threads,
        Decompressor::new,
        |block: &mut Block| members.next(block),
        |decompressor, block| block.decompress(decompressor),
        |block| Ok(writer.write_all(block.output())?),
    )?;
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use apyfal_core::Cancel;
    use apyfal_testkit::Kept;

    use super::*;

    #[test]
    fn what_no_compressor_writes_is_refused_of_any_member() {
        let refused = |source: Vec<u8>| {
            let written = Kept::default();
            let threads = NonZeroUsize::MIN;
            let ctx =
                JobContext::new(Cancel::default(), Arc::default(), std::env::temp_dir(), threads);
            let error = decompress(Input::bytes(source), written.output(), &ctx).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        };
        // Length 258 by the symbol behind the last one, with the right checksum.
        let flags = |flags| [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 0xff];
        let rest = b"\x4b\x1c\x07\0\x56\xfa\xc2\x34\x03\x01\0\0";
        refused([&flags(0)[..], rest].concat());
        // The same where members say how long they are, as bgzip has them say.
        let size = (flags(4).len() + 8 + rest.len() - 1) as u8;
        let sized = [&flags(4)[..], &[6, 0, b'B', b'C', 2, 0, size, 0], rest].concat();
        refused(sized.repeat(2));
    }

    #[test]
    fn any_bytes_are_decompressed_as_others_do_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
            let written = Kept::default();
            let ctx = JobContext::new(
                Cancel::default(),
                Arc::default(),
                std::env::temp_dir(),
                NonZeroUsize::MIN,
            );
            let ours = decompress(Input::bytes(bytes.to_vec()), written.output(), &ctx);
            if ours.is_ok() {
                // Zeros may stand behind each member.
                let (mut theirs, mut rest) = (Vec::new(), bytes);
                while !rest.is_empty() {
                    let mut member = flate2::bufread::GzDecoder::new(rest);
                    member.read_to_end(&mut theirs).unwrap();
                    rest = member.into_inner();
                    rest = &rest[rest.iter().take_while(|byte| **byte == 0).count()..];
                }
                assert_eq!(written.bytes(), theirs);
            }
        });
    }
}
