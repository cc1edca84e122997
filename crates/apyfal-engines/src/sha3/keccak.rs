//! Keccak-f\[1600\], the permutation under SHA-3, for one message or for several in vector lanes.
//!
//! Steps and constants are those of FIPS 202, section 3. The rounds are written once, over lanes
//! of any type: 64-bit integers, the low word of a vector register (AVX-512 has a rotation, a
//! three-way logic instruction and room for the whole state in registers), or whole vector
//! registers with a message in each word.
#![allow(unsafe_code)]

/// The sponge's state: the lane of column x and row y is at `5 * y + x`.
pub(super) type State = [u64; 25];

/// FIPS 202, section 3.2.5.
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The body of a permutation over whatever `xor3`, `chi`, `rotate` and `constant` work on.
///
/// Each lane is a variable of its own, because arrays keep the compiler from using registers.
macro_rules! permute {
    ($state:ident) => {
        let [
            mut a0,
            mut a1,
            mut a2,
            mut a3,
            mut a4,
            mut a5,
            mut a6,
            mut a7,
            mut a8,
            mut a9,
            mut a10,
            mut a11,
            mut a12,
            mut a13,
            mut a14,
            mut a15,
            mut a16,
            mut a17,
            mut a18,
            mut a19,
            mut a20,
            mut a21,
            mut a22,
            mut a23,
            mut a24,
        ] = *$state;
        for round in ROUND_CONSTANTS {
            // Theta: the parities of the columns, one beside and the other rotated.
            let c0 = xor3(xor3(a0, a5, a10), a15, a20);
            let c1 = xor3(xor3(a1, a6, a11), a16, a21);
            let c2 = xor3(xor3(a2, a7, a12), a17, a22);
            let c3 = xor3(xor3(a3, a8, a13), a18, a23);
            let c4 = xor3(xor3(a4, a9, a14), a19, a24);
            let (r0, r1, r2) = (rotate::<1>(c0), rotate::<1>(c1), rotate::<1>(c2));
            let (r3, r4) = (rotate::<1>(c3), rotate::<1>(c4));
            // Theta's last step, rho and pi.
            let b0 = xor3(a0, c4, r1);
            let b1 = rotate::<44>(xor3(a6, c0, r2));
            let b2 = rotate::<43>(xor3(a12, c1, r3));
            let b3 = rotate::<21>(xor3(a18, c2, r4));
            let b4 = rotate::<14>(xor3(a24, c3, r0));
            let b5 = rotate::<28>(xor3(a3, c2, r4));
            let b6 = rotate::<20>(xor3(a9, c3, r0));
            let b7 = rotate::<3>(xor3(a10, c4, r1));
            let b8 = rotate::<45>(xor3(a16, c0, r2));
            let b9 = rotate::<61>(xor3(a22, c1, r3));
            let b10 = rotate::<1>(xor3(a1, c0, r2));
            let b11 = rotate::<6>(xor3(a7, c1, r3));
            let b12 = rotate::<25>(xor3(a13, c2, r4));
            let b13 = rotate::<8>(xor3(a19, c3, r0));
            let b14 = rotate::<18>(xor3(a20, c4, r1));
            let b15 = rotate::<27>(xor3(a4, c3, r0));
            let b16 = rotate::<36>(xor3(a5, c4, r1));
            let b17 = rotate::<10>(xor3(a11, c0, r2));
            let b18 = rotate::<15>(xor3(a17, c1, r3));
            let b19 = rotate::<56>(xor3(a23, c2, r4));
            let b20 = rotate::<62>(xor3(a2, c1, r3));
            let b21 = rotate::<55>(xor3(a8, c2, r4));
            let b22 = rotate::<39>(xor3(a14, c3, r0));
            let b23 = rotate::<41>(xor3(a15, c4, r1));
            let b24 = rotate::<2>(xor3(a21, c0, r2));
            // Chi, and iota on the first lane.
            a0 = constant(chi(b0, b1, b2), round);
            (a1, a2) = (chi(b1, b2, b3), chi(b2, b3, b4));
            (a3, a4) = (chi(b3, b4, b0), chi(b4, b0, b1));
            (a5, a6, a7) = (chi(b5, b6, b7), chi(b6, b7, b8), chi(b7, b8, b9));
            (a8, a9) = (chi(b8, b9, b5), chi(b9, b5, b6));
            (a10, a11, a12) = (chi(b10, b11, b12), chi(b11, b12, b13), chi(b12, b13, b14));
            (a13, a14) = (chi(b13, b14, b10), chi(b14, b10, b11));
            (a15, a16, a17) = (chi(b15, b16, b17), chi(b16, b17, b18), chi(b17, b18, b19));
            (a18, a19) = (chi(b18, b19, b15), chi(b19, b15, b16));
            (a20, a21, a22) = (chi(b20, b21, b22), chi(b21, b22, b23), chi(b22, b23, b24));
            (a23, a24) = (chi(b23, b24, b20), chi(b24, b20, b21));
        }
        *$state = [
            a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18,
            a19, a20, a21, a22, a23, a24,
        ];
    };
}

/// Absorbs whole blocks of `rate` bytes into the state.
pub(super) fn absorb(state: &mut State, rate: usize, blocks: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has the features that the function is compiled for.
            return unsafe { x86::one::absorb(state, rate, blocks) };
        }
        if is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") {
            // SAFETY: as above.
            return unsafe { x86::absorb_with_bmi(state, rate, blocks) };
        }
    }
    portable::absorb(state, rate, blocks);
}

/// Applies the permutation.
pub(super) fn permute(state: &mut State) {
    portable::permute(state);
}

/// How many messages [`absorb_lanes`] works on at once; 1 where this machine has no vector unit
/// that gains from it.
pub(super) fn lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return 8;
        }
        if is_x86_feature_detected!("avx2") {
            return 4;
        }
    }
    1
}

/// Absorbs whole blocks of `rate` bytes of [`lanes()`] messages, as much of each, into their states.
///
/// # Panics
/// There are not as many states and messages as lanes, or the messages differ in length.
pub(super) fn absorb_lanes(states: &mut [State], rate: usize, blocks: &[&[u8]]) {
    let lanes = lanes();
    assert!(states.len() == lanes && blocks.len() == lanes);
    assert!(blocks.iter().all(|block| block.len() == blocks[0].len()));
    match (states, blocks) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there are eight lanes only where the processor has the features for them.
        ([s0, s1, s2, s3, s4, s5, s6, s7], &[b0, b1, b2, b3, b4, b5, b6, b7]) => unsafe {
            x86::eight::absorb(
                [s0, s1, s2, s3, s4, s5, s6, s7],
                rate,
                [b0, b1, b2, b3, b4, b5, b6, b7],
            );
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, for four.
        ([s0, s1, s2, s3], &[b0, b1, b2, b3]) => unsafe {
            x86::four::absorb([s0, s1, s2, s3], rate, [b0, b1, b2, b3]);
        },
        (states, blocks) => {
            for (state, blocks) in states.iter_mut().zip(blocks) {
                absorb(state, rate, blocks);
            }
        }
    }
}

/// The little-endian words of a block.
#[inline(always)]
fn words(block: &[u8]) -> impl Iterator<Item = u64> {
    block.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}

mod portable {
    use super::{ROUND_CONSTANTS, State, words};

    #[inline(always)]
    fn xor3(a: u64, b: u64, c: u64) -> u64 {
        a ^ b ^ c
    }

    #[inline(always)]
    fn chi(a: u64, b: u64, c: u64) -> u64 {
        a ^ (!b & c)
    }

    #[inline(always)]
    fn rotate<const BITS: u32>(a: u64) -> u64 {
        a.rotate_left(BITS)
    }

    #[inline(always)]
    fn constant(a: u64, constant: u64) -> u64 {
        a ^ constant
    }

    #[inline(always)]
    pub(super) fn permute(state: &mut State) {
        permute!(state);
    }

    #[inline(always)]
    pub(super) fn absorb(state: &mut State, rate: usize, blocks: &[u8]) {
        for block in blocks.chunks_exact(rate) {
            for (lane, word) in state.iter_mut().zip(words(block)) {
                *lane ^= word;
            }
            permute(state);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{ROUND_CONSTANTS, State, portable, words};

    /// The portable code, where `andn` and `rorx` spare it a third of its moves.
    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn absorb_with_bmi(state: &mut State, rate: usize, blocks: &[u8]) {
        portable::absorb(state, rate, blocks);
    }

    /// One message, a lane in the low word of each register.
    pub(super) mod one {
        use super::{ROUND_CONSTANTS, State, words};
        use std::arch::x86_64::{
            __m128i, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_ternarylogic_epi64,
            _mm_xor_si128,
        };

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn xor3(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
            _mm_ternarylogic_epi64::<0x96>(a, b, c)
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn chi(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
            _mm_ternarylogic_epi64::<0xd2>(a, b, c)
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn rotate<const BITS: i32>(a: __m128i) -> __m128i {
            _mm_rol_epi64::<BITS>(a)
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn constant(a: __m128i, constant: u64) -> __m128i {
            _mm_xor_si128(a, _mm_cvtsi64_si128(constant.cast_signed()))
        }

        #[target_feature(enable = "avx512f,avx512vl")]
        pub(in super::super) fn absorb(state: &mut State, rate: usize, blocks: &[u8]) {
            let mut lanes = state.map(|word| _mm_cvtsi64_si128(word.cast_signed()));
            for block in blocks.chunks_exact(rate) {
                for (lane, word) in lanes.iter_mut().zip(words(block)) {
                    *lane = constant(*lane, word);
                }
                let lanes = &mut lanes;
                permute!(lanes);
            }
            *state = lanes.map(|lane| _mm_cvtsi128_si64(lane).cast_unsigned());
        }
    }

    /// A module for several messages, one in each word of a register.
    macro_rules! lanes {
        (
            $(#[$meta:meta])*
            $name:ident: $count:literal of $lane:ident, $feature:literal,
            { $($use:ident),* },
            xor3($a:ident, $b:ident, $c:ident) = $xor3:expr,
            chi = $chi:expr,
            rotate = $rotate:expr,
            xor = $xor:ident,
            splat = $splat:ident,
            gather($word:ident) = $gather:expr,
        ) => {
            $(#[$meta])*
            pub(super) mod $name {
                use super::{ROUND_CONSTANTS, State};
                use std::arch::x86_64::{$lane, $xor, $splat, $($use),*};

                #[inline]
                #[target_feature(enable = $feature)]
                fn xor3($a: $lane, $b: $lane, $c: $lane) -> $lane {
                    $xor3
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn chi($a: $lane, $b: $lane, $c: $lane) -> $lane {
                    $chi
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn rotate<const BITS: i32>($a: $lane) -> $lane {
                    $rotate
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn constant(a: $lane, constant: u64) -> $lane {
                    $xor(a, $splat(constant.cast_signed()))
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn gather($word: impl Fn(usize) -> i64) -> $lane {
                    $gather
                }

                #[target_feature(enable = $feature)]
                pub(in super::super) fn absorb(
                    states: [&mut State; $count],
                    rate: usize,
                    blocks: [&[u8]; $count],
                ) {
                    let mut lanes: [$lane; 25] =
                        std::array::from_fn(|i| gather(|n| states[n][i].cast_signed()));
                    for start in (0..blocks[0].len()).step_by(rate) {
                        let blocks = blocks.map(|blocks| blocks[start..][..rate].as_chunks::<8>().0);
                        for (i, lane) in lanes[..rate / 8].iter_mut().enumerate() {
                            *lane = $xor(*lane, gather(|n| i64::from_le_bytes(blocks[n][i])));
                        }
                        let lanes = &mut lanes;
                        permute!(lanes);
                    }
                    for (i, lane) in lanes.into_iter().enumerate() {
                        // SAFETY: a register is that many 64-bit words, the first one lowest.
                        let words: [u64; $count] = unsafe { std::mem::transmute(lane) };
                        for (n, word) in words.into_iter().enumerate() {
                            states[n][i] = word;
                        }
                    }
                }
            }
        };
    }

    lanes! {
        /// Eight messages in AVX-512 registers.
        eight: 8 of __m512i, "avx512f",
        { _mm512_ternarylogic_epi64, _mm512_rol_epi64, _mm512_set_epi64 },
        xor3(a, b, c) = _mm512_ternarylogic_epi64::<0x96>(a, b, c),
        chi = _mm512_ternarylogic_epi64::<0xd2>(a, b, c),
        rotate = _mm512_rol_epi64::<BITS>(a),
        xor = _mm512_xor_si512,
        splat = _mm512_set1_epi64,
        gather(word) = _mm512_set_epi64(
            word(7), word(6), word(5), word(4), word(3), word(2), word(1), word(0),
        ),
    }

    lanes! {
        /// Four messages in AVX2 registers.
        four: 4 of __m256i, "avx2",
        {
            _mm_cvtsi32_si128, _mm256_andnot_si256, _mm256_or_si256, _mm256_set_epi64x,
            _mm256_sll_epi64, _mm256_srl_epi64
        },
        xor3(a, b, c) = _mm256_xor_si256(a, _mm256_xor_si256(b, c)),
        chi = _mm256_xor_si256(a, _mm256_andnot_si256(b, c)),
        rotate = _mm256_or_si256(
            _mm256_sll_epi64(a, _mm_cvtsi32_si128(BITS)),
            _mm256_srl_epi64(a, _mm_cvtsi32_si128(64 - BITS)),
        ),
        xor = _mm256_xor_si256,
        splat = _mm256_set1_epi64x,
        gather(word) = _mm256_set_epi64x(word(3), word(2), word(1), word(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Absorb = fn(&mut State, usize, &[u8]);

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i * i) >> 3) as u8).collect()
    }

    #[test]
    fn permutes_zeros_as_published() {
        // The Keccak team's KeccakF-1600-IntermediateValues.txt: first and last lane.
        let mut state = [0; 25];
        permute(&mut state);
        assert_eq!((state[0], state[24]), (0xf125_8f79_40e1_dde7, 0xeaf1_ff7b_5cec_a249));
    }

    #[test]
    fn every_way_to_absorb_agrees() {
        for rate in [72, 104, 136, 144, 168] {
            let data = data(rate * 5);
            let mut expected = [1; 25];
            portable::absorb(&mut expected, rate, &data);
            #[allow(unused_mut)]
            let mut ways: Vec<Absorb> = vec![absorb];
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") {
                ways.push(|state, rate, data| unsafe { x86::absorb_with_bmi(state, rate, data) });
            }
            for way in ways {
                let mut state = [1; 25];
                way(&mut state, rate, &data);
                assert_eq!(state, expected);
            }
        }
    }

    #[test]
    fn lanes_are_independent_messages() {
        for rate in [72, 104, 136, 144, 168] {
            let data = data(rate * 3 + 8);
            let messages: Vec<_> = (0..8).map(|n| &data[n..][..rate * 3]).collect();
            let mut expected: Vec<State> = (0..8).map(|n| [n; 25]).collect();
            for (state, message) in expected.iter_mut().zip(&messages) {
                portable::absorb(state, rate, message);
            }
            let mut states: Vec<State> = (0..8).map(|n| [n; 25]).collect();
            let lanes = lanes();
            for n in (0..8).step_by(lanes) {
                absorb_lanes(&mut states[n..n + lanes], rate, &messages[n..n + lanes]);
            }
            assert_eq!(states, expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                let mut states: Vec<State> = (0..4).map(|n| [n; 25]).collect();
                let [s0, s1, s2, s3] = states.as_mut_slice() else { unreachable!() };
                let messages = std::array::from_fn(|n| messages[n]);
                unsafe { x86::four::absorb([s0, s1, s2, s3], rate, messages) };
                assert_eq!(states, expected[..4]);
            }
        }
    }
}
