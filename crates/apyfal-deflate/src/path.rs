//! The ways through the hot loops: one for each set of instructions that gains.
//!
//! All of them are the same code, so that they give the same bytes. With AVX2 and BMI English text takes 7 %
//! less time at [`Level::Fast`](crate::Level::Fast), and 13 % at [`Level::Default`](crate::Level::Default).

#![allow(unsafe_code)]

use crate::bits::Bits;
use crate::block::{self, Codes};
use crate::compare::Positions;
use crate::inflate::input::Input;
use crate::inflate::quick::{self, Stop};
use crate::inflate::table::Tables;
use crate::lane::{self, Lane};
use crate::tokens::{Counted, Token};

/// Which instructions may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Those that each processor of the architecture has.
    Plain,
    /// AVX2, BMI and LZCNT as well.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// That the processor has the instructions; only [`Path::best`] makes it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Path {
    /// The best one that this processor can take.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
        {
            return Self::Avx2(Avx2(()));
        }
        Self::Plain
    }

    /// Goes on with up to three lanes; see [`lane::run`].
    pub(crate) fn run<const SLOTS: usize, const WAYS: usize>(
        self,
        lanes: &mut [Lane<SLOTS, WAYS>],
        source: &[u8],
    ) {
        match self {
            Self::Plain => run(lanes, source),
            // SAFETY: the processor has the instructions, or there would be no `Avx2`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => unsafe { run_avx2(lanes, source) },
        }
    }

    /// Goes on in a compressed block; see [`quick::run`].
    pub(crate) fn inflate(
        self,
        tables: &Tables,
        input: &mut Input<'_>,
        target: &mut [u8],
        end: &mut usize,
    ) -> Stop {
        match self {
            Self::Plain => quick::run(tables, input, target, end),
            // SAFETY: the processor has the instructions, or there would be no `Avx2`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => unsafe { inflate_avx2(tables, input, target, end) },
        }
    }

    /// Counts tokens; see [`Counted::count`].
    pub(crate) fn count(self, counted: &mut Counted, found: &[u32]) {
        match self {
            Self::Plain => counted.count(found),
            // SAFETY: the processor has the instructions, or there would be no `Avx2`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => unsafe { count_avx2(counted, found) },
        }
    }

    /// Writes tokens; see [`block::encode`].
    pub(crate) fn encode(self, bits: &mut Bits, tokens: &[Token], codes: &Codes) {
        match self {
            Self::Plain => block::encode(bits, tokens, codes),
            // SAFETY: the processor has the instructions, or there would be no `Avx2`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => unsafe { encode_avx2(bits, tokens, codes) },
        }
    }
}

#[inline(always)]
fn run<const SLOTS: usize, const WAYS: usize>(lanes: &mut [Lane<SLOTS, WAYS>], source: &[u8]) {
    let Some(places) = Positions::new(source) else { return };
    let mut quick = lanes.iter_mut().filter(|lane| lane.is_quick());
    match (quick.next(), quick.next(), quick.next()) {
        (Some(one), Some(two), Some(three)) => lane::run([one, two, three], source, places),
        (Some(one), Some(two), _) => lane::run([one, two], source, places),
        (Some(one), ..) => lane::run([one], source, places),
        _ => {}
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn run_avx2<const SLOTS: usize, const WAYS: usize>(lanes: &mut [Lane<SLOTS, WAYS>], source: &[u8]) {
    run(lanes, source);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn encode_avx2(bits: &mut Bits, tokens: &[Token], codes: &Codes) {
    block::encode(bits, tokens, codes);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn count_avx2(counted: &mut Counted, found: &[u32]) {
    counted.count(found);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn inflate_avx2(
    tables: &Tables,
    input: &mut Input<'_>,
    target: &mut [u8],
    end: &mut usize,
) -> Stop {
    quick::run(tables, input, target, end)
}
