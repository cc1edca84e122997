//! `trng`: random bytes, from a deterministic generator with a fresh seed or from hardware noise.
//!
//! `drbg` is a chain of generators as SP 800-90C describes: the root is seeded by the operating
//! system and the processor, and each block of the output comes from a child of its own, seeded by
//! the root. So blocks are made on all cores, none is made twice, and every root lives for one job
//! only: nothing is shared between jobs, threads or forked processes.

mod ctr_drbg;
mod entropy;
mod health;
#[cfg(test)]
mod tests;

use std::io::Write;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, JobContext, Need, Outcome, Output,
    ParamKind, ParamSpec, Params, Result,
};
use zeroize::Zeroizing;

use crate::cpu::Cpu;
use crate::ordered;
use ctr_drbg::CtrDrbg;
use entropy::Entropy;
use health::TestedNoise;

/// Bytes of one child generator: they stay in a core's cache until they are written.
const BLOCK: usize = 256 << 10;

/// The root is seeded anew after so many children, which is 64 MiB of output.
const RESEED_INTERVAL: u32 = 256;

/// Bytes of noise between two looks at cancellation: some milliseconds.
const NOISE_BLOCK: usize = 16 << 10;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("trng", "Generate random bytes");
    info.aliases = vec!["secureic_trng".into()];
    info.description = format!(
        "The source 'drbg' is a deterministic random bit generator, not a true one: CTR_DRBG \
         with AES-256 of NIST SP 800-90A, seeded for each job and again every 64 MiB by the \
         operating system and, where it can, by the processor (RDSEED, else RDRAND). It is \
         fit for keys and uses all cores.\n\n\
         The source 'raw' is the processor's noise source as RDSEED gives it, at some \
         megabytes per second, however many cores ask. It is under the health tests of SP \
         800-90B, set for 7 bits of min-entropy per byte: repetition count (cutoff {}) and \
         adaptive proportion (cutoff {} of {}), with a start-up test. The job fails when they \
         do, and where the processor has no RDSEED.\n\n\
         The result says which 'source' it was, the 'generator', and what else there is to \
         know of it.",
        health::REPETITION_CUTOFF,
        health::PROPORTION_CUTOFF,
        health::WINDOW
    )
    .into();
    info.params = vec![
        ParamSpec::new("nbBytes", ParamKind::Bytes(0..=i64::MAX), "How many bytes to make."),
        ParamSpec::new(
            "source",
            ParamKind::Choice(vec!["drbg".into(), "raw".into()]),
            "A seeded deterministic generator, or hardware noise.",
        )
        .default("drbg"),
    ];
    info.src = Need::None;
    Cpu::new(info, |_| Ok(Box::new(TrngSession)))
}

#[derive(Debug)]
struct TrngSession;

impl EngineSession for TrngSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let count = byte_count(&job.params)?;
        let dst = job.dst.ok_or_else(no_destination)?;
        match job.params.text("source") {
            Some("raw") => write_noise(count, dst, ctx),
            _ => write_pseudo_random(count, dst, ctx),
        }
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(write_system_random(job, ctx))
    }
}

fn byte_count(params: &Params) -> Result<u64> {
    match params.integer("nbBytes").and_then(|count| u64::try_from(count).ok()) {
        Some(count) => Ok(count),
        None => Err(Error::new(ErrorKind::Usage, "trng needs the parameter 'nbBytes'")
            .hint("say how many bytes to make: --nbBytes 1024")),
    }
}

fn no_destination() -> Error {
    Error::new(ErrorKind::Internal, "trng was run without a destination")
}

/// The generator that seeds those of the blocks.
struct Root {
    drbg: CtrDrbg,
    entropy: Entropy,
    children: u32,
    reseeds: u64,
}

impl Root {
    fn new(entropy: Entropy) -> Result<Self> {
        Ok(Self { drbg: CtrDrbg::new(&entropy.seed()?), entropy, children: 0, reseeds: 0 })
    }

    fn child(&mut self) -> Result<CtrDrbg> {
        if self.children == RESEED_INTERVAL {
            self.drbg.reseed(&self.entropy.seed()?);
            self.children = 0;
            self.reseeds += 1;
        }
        self.children += 1;
        let mut seed = Zeroizing::new([0; ctr_drbg::SEED]);
        self.drbg.fill(seed.as_mut_slice());
        Ok(CtrDrbg::new(&seed))
    }
}

/// A part of the output with the generator that makes it.
#[derive(Default)]
struct Block {
    len: usize,
    drbg: Option<CtrDrbg>,
    bytes: Zeroizing<Vec<u8>>,
}

fn write_pseudo_random(count: u64, dst: Output, ctx: &JobContext) -> Result<Outcome> {
    let mut writer = ctx.writer(dst);
    let mut root = Root::new(Entropy::new())?;
    let mut left = count;
    let threads = count.div_ceil(BLOCK as u64).clamp(1, ctx.threads() as u64) as usize;
    ordered::run(
        threads,
        || (),
        |block: &mut Block| {
            ctx.check()?;
            block.len = left.min(BLOCK as u64) as usize;
            left -= block.len as u64;
            block.drbg = Some(root.child()?);
            Ok(block.len > 0)
        },
        |(), block| {
            block.bytes.resize(block.len, 0);
            if let Some(mut drbg) = block.drbg.take() {
                drbg.fill(&mut block.bytes);
            }
            Ok(())
        },
        |block| Ok(writer.write_all(&block.bytes)?),
    )?;
    writer.flush()?;
    Ok(Outcome::default()
        .with("source", "drbg")
        .with("generator", "CTR_DRBG AES-256, SP 800-90A")
        .with("entropy", root.entropy.sources())
        .with("reseeds", root.reseeds))
}

fn write_noise(count: u64, dst: Output, ctx: &JobContext) -> Result<Outcome> {
    let mut writer = ctx.writer(dst);
    let mut noise = TestedNoise::new(entropy::noise()?)?;
    let mut block = Zeroizing::new(vec![0; NOISE_BLOCK]);
    let mut left = count;
    while left > 0 {
        let part = &mut block[..left.min(NOISE_BLOCK as u64) as usize];
        noise.fill(part)?;
        writer.write_all(part)?;
        left -= part.len() as u64;
    }
    writer.flush()?;
    Ok(Outcome::default()
        .with("source", "raw")
        .with("generator", "RDSEED")
        .with("health-tests", "SP 800-90B repetition count and adaptive proportion, passed"))
}

/// The same amount from the operating system.
fn write_system_random(job: EngineJob, ctx: &JobContext) -> Result<()> {
    let mut left = byte_count(&job.params)?;
    let mut writer = ctx.writer(job.dst.ok_or_else(no_destination)?);
    let mut block = vec![0; BLOCK];
    while left > 0 {
        let part = &mut block[..left.min(BLOCK as u64) as usize];
        getrandom::fill(part).map_err(|error| {
            Error::new(ErrorKind::Engine, "the operating system gave no random bytes").source(error)
        })?;
        writer.write_all(part)?;
        left -= part.len() as u64;
    }
    Ok(writer.flush()?)
}
