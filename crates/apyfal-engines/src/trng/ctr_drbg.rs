//! CTR_DRBG over AES-256 without derivation function: NIST SP 800-90A Rev. 1, section 10.2.1.
//!
//! Every request ends with a new key from the same key stream, and the old one is wiped: what was
//! given out cannot be computed again from what is in memory later ("fast key erasure").

use aes::Aes256;
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, Zeroizing};

const KEY: usize = 32;
const BLOCK: usize = 16;

/// Bytes of a seed: a key and a counter block ("seedlen").
pub(super) const SEED: usize = KEY + BLOCK;

/// Bytes of a request at most: 2^19 bits, table 3.
pub(super) const MAX_REQUEST: usize = 1 << 16;

/// A seed, wiped from memory after use.
pub(super) type Seed = Zeroizing<[u8; SEED]>;

/// The generator.
pub(super) struct CtrDrbg {
    /// The key, then the counter block V. The counter is the last 64 bits of it ("ctr_len").
    state: Seed,
}

impl CtrDrbg {
    /// Starts from full entropy, as no derivation function stands before it. A personalization
    /// string, if any, is exclusive-ored to the entropy by the caller.
    pub(super) fn new(seed: &Seed) -> Self {
        let mut drbg = Self { state: Zeroizing::new([0; SEED]) };
        drbg.reseed(seed);
        drbg
    }

    /// Mixes full entropy into the state.
    pub(super) fn reseed(&mut self, seed: &Seed) {
        self.generate(&mut []);
        self.state.iter_mut().zip(seed.iter()).for_each(|(state, seed)| *state ^= seed);
    }

    /// Fills `output` with pseudo-random bytes.
    pub(super) fn fill(&mut self, output: &mut [u8]) {
        output.chunks_mut(MAX_REQUEST).for_each(|request| self.generate(request));
    }

    /// One request: its output and then the next state, from one key stream.
    fn generate(&mut self, output: &mut [u8]) {
        let (key, counter) = self.state.split_at(KEY);
        let (Ok(key), Ok(counter)) = (key.try_into(), counter.try_into()) else {
            unreachable!("the state is a key and a counter block");
        };
        let mut stream = Ctr64BE::<Aes256>::new(key, counter);
        // The counter counts up before it is used, and a request ends with a whole block.
        let mut skipped = [0; BLOCK];
        stream.write_keystream(&mut skipped);
        stream.write_keystream(output);
        stream.write_keystream(&mut skipped[..output.len().next_multiple_of(BLOCK) - output.len()]);
        skipped.zeroize();
        stream.write_keystream(self.state.as_mut_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).unwrap())
    }

    #[test]
    fn nist_vector() {
        // CAVS 14.3, CTR_DRBG.rsp: AES-256 no df, neither personalization nor additional input,
        // COUNT = 0. The states between are as other implementations give them.
        let entropy = unhex(
            "df5d73faa468649edda33b5cca79b0b05600419ccb7a879ddfec9db32ee494e5\
             531b51de16a30f769262474c73bec010",
        );
        let mut drbg = CtrDrbg::new(&Zeroizing::new(entropy));
        let mut returned = [0; 64];
        drbg.fill(&mut returned);
        drbg.fill(&mut returned);
        let expected = unhex(
            "d1c07cd95af8a7f11012c84ce48bb8cb87189e99d40fccb1771c619bdf82ab22\
             80b1dc2f2581f39164f7ac0c510494b3a43c41b7db17514c87b107ae793e01c5",
        );
        assert_eq!(returned, expected);
    }

    #[test]
    fn a_long_request_is_the_cipher_of_counters() {
        use aes::cipher::{BlockCipherEncrypt, KeyInit};
        // The counter wraps within its field: the first half of V stays as it is.
        let mut state = Zeroizing::new([0xa5; SEED]);
        state[KEY + BLOCK / 2..].copy_from_slice(&(u64::MAX - 5).to_be_bytes());
        let cipher = Aes256::new_from_slice(&state[..KEY]).unwrap();
        let mut expected = Vec::new();
        for i in 0..(MAX_REQUEST + SEED) / BLOCK {
            let mut block = [0xa5; BLOCK];
            let counter = (u64::MAX - 5).wrapping_add(1 + i as u64);
            block[BLOCK / 2..].copy_from_slice(&counter.to_be_bytes());
            let mut block = block.into();
            cipher.encrypt_block(&mut block);
            expected.extend_from_slice(&block);
        }
        let mut drbg = CtrDrbg { state };
        let mut output = vec![0; MAX_REQUEST];
        drbg.fill(&mut output);
        assert!(output == expected[..MAX_REQUEST]);
        assert_eq!(drbg.state[..], expected[MAX_REQUEST..]);
    }

    #[test]
    fn reseeding_is_an_update_with_the_entropy() {
        // By the definitions, a generator made from a seed is one made from zeros in its first
        // state with that seed mixed in.
        let zero = Zeroizing::new([0; SEED]);
        let seed = Zeroizing::new(std::array::from_fn(|i| i as u8));
        let mut first = CtrDrbg { state: zero.clone() };
        first.reseed(&seed);
        assert_eq!(first.state, CtrDrbg::new(&seed).state);
        let mut second = CtrDrbg::new(&zero);
        let before = second.state.clone();
        second.reseed(&seed);
        assert_ne!(second.state, before);
        assert_ne!(second.state, first.state);
    }

    #[test]
    fn odd_lengths_discard_the_rest_of_their_block() {
        let seed = Zeroizing::new([7; SEED]);
        let mut whole = CtrDrbg::new(&seed);
        let mut odd = CtrDrbg::new(&seed);
        let (mut whole_bytes, mut odd_bytes) = ([0; 48], [0; 33]);
        whole.fill(&mut whole_bytes);
        odd.fill(&mut odd_bytes);
        assert_eq!(odd_bytes, whole_bytes[..33]);
        assert_eq!(odd.state, whole.state);
    }

    #[test]
    fn requests_are_split_at_their_limit() {
        let seed = Zeroizing::new([9; SEED]);
        let mut bytes = vec![0; MAX_REQUEST + 5];
        CtrDrbg::new(&seed).fill(&mut bytes);
        let mut drbg = CtrDrbg::new(&seed);
        let mut expected = vec![0; MAX_REQUEST];
        drbg.fill(&mut expected);
        let mut rest = vec![0; 5];
        drbg.fill(&mut rest);
        assert_eq!(bytes, [expected, rest].concat());
    }
}
