//! The continuous health tests of NIST SP 800-90B, section 4.4, over bytes of noise.
//!
//! The tests are set for 7 bits of min-entropy in each byte. A source that gives the full 8 fails
//! the repetition count test once in 2^48 bytes, while a single 64-bit word of zeros or ones fails
//! it every time.

use apyfal_core::{Error, ErrorKind, Result};

/// Repetition count test: so many equal bytes in a row fail. Section 4.4.1: 1 + ⌈40 / 7⌉ for a
/// chance of 2^-40 at 7 bits per byte.
pub(super) const REPETITION_CUTOFF: u32 = 7;

/// Adaptive proportion test: the window in bytes. Section 4.4.2, for samples that are not binary.
pub(super) const WINDOW: u32 = 512;

/// Adaptive proportion test: a window that holds its first byte so often fails. Section 4.4.2:
/// one more than the number that 512 throws of chance 2^-7 exceed with a chance of 2^-40 or less.
pub(super) const PROPORTION_CUTOFF: u32 = 26;

/// Bytes that are tested before the first is given out, and thrown away. Section 4.3.
const START_UP: usize = 1024;

/// Both tests, over one source.
#[derive(Debug, Default)]
pub(super) struct HealthTests {
    last: u8,
    repetitions: u32,
    first: u8,
    occurrences: u32,
    position: u32,
}

impl HealthTests {
    /// Takes the next byte of the source.
    fn check(&mut self, byte: u8) -> Result<()> {
        self.repetitions = if byte == self.last { self.repetitions + 1 } else { 1 };
        self.last = byte;
        if self.repetitions >= REPETITION_CUTOFF {
            return Err(failed(format!(
                "repetition count test: the byte {byte:#04x} came {REPETITION_CUTOFF} times in a row"
            )));
        }
        if self.position == 0 {
            (self.first, self.occurrences) = (byte, 0);
        }
        self.occurrences += u32::from(byte == self.first);
        self.position = (self.position + 1) % WINDOW;
        if self.occurrences >= PROPORTION_CUTOFF {
            return Err(failed(format!(
                "adaptive proportion test: the byte {byte:#04x} came {PROPORTION_CUTOFF} times \
                 within {WINDOW}"
            )));
        }
        Ok(())
    }
}

fn failed(why: String) -> Error {
    Error::new(ErrorKind::Engine, format!("the noise failed the {why}"))
        .operation("draw hardware noise")
        .hint("the processor's noise source is blocked or faulty; the output must not be used")
        .hint("source 'drbg' also draws on the operating system's entropy")
}

/// A source of 64-bit words of noise under test.
pub(super) struct TestedNoise<Source> {
    source: Source,
    tests: HealthTests,
}

impl<Source: FnMut() -> Result<u64>> TestedNoise<Source> {
    /// Runs the start-up test.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Engine`]: it failed, or the source gave nothing.
    pub(super) fn new(source: Source) -> Result<Self> {
        let mut noise = Self { source, tests: HealthTests::default() };
        noise.fill(&mut [0; START_UP])?;
        Ok(noise)
    }

    /// Fills `buffer` with noise.
    ///
    /// # Errors
    /// As above; then nothing of `buffer` may be used.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        for chunk in buffer.chunks_mut(8) {
            // All of a word is tested, also where only a part of it is given out.
            let word = (self.source)()?.to_le_bytes();
            word.iter().try_for_each(|byte| self.tests.check(*byte))?;
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeded pseudo-random words (splitmix64).
    fn good(mut seed: u64) -> impl FnMut() -> Result<u64> {
        move || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = seed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Ok(word ^ (word >> 31))
        }
    }

    fn start_up_failure(source: impl FnMut() -> Result<u64>) -> String {
        let error = TestedNoise::new(source).err().expect("the source is bad");
        assert_eq!(error.kind(), ErrorKind::Engine);
        error.message().to_owned()
    }

    #[test]
    fn a_good_source_passes() {
        let mut noise = TestedNoise::new(good(1)).unwrap();
        let mut buffer = vec![0; 16 << 20];
        noise.fill(&mut buffer).unwrap();
        // Start-up bytes are not given out, and the rest is as the source gave it.
        let mut expected = good(1);
        (0..START_UP / 8).for_each(|_| drop(expected()));
        assert_eq!(buffer[..8], expected().unwrap().to_le_bytes());
    }

    #[test]
    fn a_stuck_source_fails_at_once() {
        for word in [0, u64::MAX] {
            assert!(start_up_failure(|| Ok(word)).contains("repetition count"));
        }
        // The repetition count test does not see a word with different bytes that comes again.
        assert!(start_up_failure(|| Ok(0x0123_4567_89ab_cdef)).contains("adaptive proportion"));
    }

    #[test]
    fn a_single_blocked_word_fails() {
        let mut noise = TestedNoise::new({
            let mut good = good(2);
            let mut count = 0;
            move || {
                count += 1;
                if count == 5_000 { Ok(0) } else { good() }
            }
        })
        .unwrap();
        let mut buffer = [0; 8 * 1_000];
        let first_failure = (0..10).find(|_| noise.fill(&mut buffer).is_err());
        assert_eq!(first_failure, Some(4));
    }

    #[test]
    fn a_biased_source_fails() {
        // One byte in eight is the same, which leaves 3 bits of min-entropy.
        let mut good = good(3);
        assert!(
            start_up_failure(move || Ok((good()? & !0xff) | 0x55)).contains("adaptive proportion")
        );
    }

    #[test]
    fn a_source_without_noise_is_an_error() {
        let error = TestedNoise::new(|| Err(Error::new(ErrorKind::Engine, "none"))).err().unwrap();
        assert_eq!(error.message(), "none");
    }

    #[test]
    fn cutoffs_follow_from_the_standard() {
        let (entropy, chance) = (7.0_f64, 2f64.powi(-40));
        assert_eq!(REPETITION_CUTOFF, 1 + (40.0 / entropy).ceil() as u32);
        // The chance of `count` and more in a window, from the smallest term to the largest.
        let probability = 2f64.powf(-entropy);
        let tail = |count: u32| -> f64 {
            (count..=WINDOW)
                .rev()
                .map(|k| {
                    let choose: f64 =
                        (0..k).map(|i| (f64::from(WINDOW - i) / f64::from(k - i)).ln()).sum();
                    let rest = f64::from(WINDOW - k) * (1.0 - probability).ln();
                    (choose + f64::from(k) * probability.ln() + rest).exp()
                })
                .sum()
        };
        let critical = (0..WINDOW).find(|k| tail(k + 1) <= chance).unwrap();
        assert_eq!(PROPORTION_CUTOFF, 1 + critical);
    }
}
