//! Where unpredictability comes from: the operating system and the processor.

use apyfal_core::{Error, ErrorKind, Result};
use rand_core::TryRng;
use rdrand::{RdRand, RdSeed};
use zeroize::Zeroizing;

use super::ctr_drbg::{SEED, Seed};

/// How often a processor that has nothing to give is asked again. One try is 128 tries of the
/// instruction, so this is tens of milliseconds.
const TRIES: usize = 1000;

/// The processor's own generators, best first.
#[derive(Clone, Copy)]
enum Processor {
    Seed(RdSeed),
    Rand(RdRand),
    Absent,
}

/// Full entropy for seeds: the operating system's, exclusive-or the processor's where there is one,
/// so that it is no weaker than the stronger of the two.
#[derive(Clone, Copy)]
pub(super) struct Entropy(Processor);

impl Entropy {
    /// What this machine has.
    pub(super) fn new() -> Self {
        Self(match (RdSeed::new(), RdRand::new()) {
            (Ok(generator), _) => Processor::Seed(generator),
            (_, Ok(generator)) => Processor::Rand(generator),
            _ => Processor::Absent,
        })
    }

    /// What it draws on, for the report.
    pub(super) fn sources(self) -> Vec<&'static str> {
        match self.0 {
            Processor::Seed(_) => vec!["getrandom", "rdseed"],
            Processor::Rand(_) => vec!["getrandom", "rdrand"],
            Processor::Absent => vec!["getrandom"],
        }
    }

    /// A new seed.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Engine`]: one of the sources failed.
    pub(super) fn seed(self) -> Result<Seed> {
        let mut seed = Zeroizing::new([0; SEED]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| {
            Error::new(ErrorKind::Engine, "the operating system gave no random bytes")
                .operation("seed the generator")
                .source(error)
        })?;
        for chunk in seed.chunks_mut(8) {
            let word = match self.0 {
                Processor::Seed(mut generator) => insist(|| generator.try_next_u64())?,
                Processor::Rand(mut generator) => insist(|| generator.try_next_u64())?,
                Processor::Absent => break,
            };
            chunk.iter_mut().zip(word.to_le_bytes()).for_each(|(seed, byte)| *seed ^= byte);
        }
        Ok(seed)
    }
}

/// The processor's noise source in 64-bit words. Intel and AMD condition it in hardware first; the
/// noise before that cannot be read by software.
///
/// # Errors
/// Of kind [`ErrorKind::Engine`]: this processor has none.
pub(super) fn noise() -> Result<impl FnMut() -> Result<u64>> {
    // What Arm calls by a like name is the output of a generator with a fresh seed, not noise.
    match RdSeed::new() {
        Ok(mut generator) if cfg!(target_arch = "x86_64") => {
            Ok(move || insist(|| generator.try_next_u64()))
        }
        _ => Err(Error::new(ErrorKind::Engine, "this processor has no RDSEED instruction")
            .operation("draw hardware noise")
            .hint("use source 'drbg', which is seeded by the operating system")),
    }
}

/// Asks until the processor gives a word. It may have none for a while when other cores ask too.
fn insist<E>(mut draw: impl FnMut() -> Result<u64, E>) -> Result<u64> {
    for _ in 0..TRIES {
        if let Ok(word) = draw() {
            return Ok(word);
        }
        std::thread::yield_now();
    }
    Err(Error::new(ErrorKind::Engine, "the processor gives no random words")
        .operation("draw hardware noise")
        .hint("the processor's noise source is blocked or faulty"))
}
