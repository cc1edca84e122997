//! What only a seed decides.

/// Numbers: SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence for each list of numbers.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        let mut random = Self(0);
        for number in numbers {
            random.0 ^= number;
            random.0 = random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// Data of one of these lengths, which for each name is another.
pub(crate) fn data(random: &mut Random, name: &str, lengths: &[usize]) -> Vec<u8> {
    let length = *random.pick(lengths);
    let bytes = name.bytes().map(u64::from).collect::<Vec<_>>();
    let mut random = Random::of(&bytes);
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        data.extend(random.next().to_ne_bytes());
    }
    data.truncate(length);
    data
}
