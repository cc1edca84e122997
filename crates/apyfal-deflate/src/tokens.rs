//! Literals and matches, each in one number, and how often which occur.

use std::hint::select_unpredictable;

/// The shortest match that is looked for; deflate has matches of three bytes too.
pub(crate) const MIN_MATCH: u32 = 4;

/// The longest match of deflate.
pub(crate) const MAX_MATCH: usize = 258;

/// How far back deflate can refer.
pub(crate) const WINDOW: u32 = 32 << 10;

/// How many tokens a block has at most.
pub(crate) const TOKENS: usize = 32 << 10;

/// The distance code of a literal, which is none.
const NO_DISTANCE: u32 = 31;

/// A literal or a match as it is found: the length is in the upper half, and in the lower one the
/// distance; or the byte, where the length is one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found(u32);

impl Found {
    /// A literal if the length is one. Without a branch: which of both comes next nobody can guess.
    #[inline(always)]
    pub(crate) fn new(byte: u8, len: u32, distance: u32) -> Self {
        Self(len << 16 | select_unpredictable(len == 1, byte.into(), distance))
    }

    /// The same as it is written. In this form the compiler has the vector unit do it.
    #[inline(always)]
    fn to_token(self) -> Token {
        let (len, low) = (self.0 >> 16, self.0 & 0xffff);
        let back = low.wrapping_sub(1) & (WINDOW - 1);
        // The exponent of a number as a float is its binary logarithm.
        let extra = (((back | 2) as i32 as f32).to_bits() >> 23) - 128;
        let code = 2 * extra + (back >> extra);
        let rest = back & ((1 << extra) - 1);
        let (far, symbol) =
            if len == 1 { (NO_DISTANCE << 27, low) } else { (code << 27 | rest, 254 + len) };
        Token(far | symbol << 13)
    }
}

/// A literal or a match as it is written.
///
/// The lowest 13 bits are the extra bits of the distance; above them stands the literal, or 254 and
/// the length of the match; the upper five are the code of the distance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Token(u32);

impl Token {
    /// The literal, or 254 and the length.
    #[inline(always)]
    pub(crate) fn symbol(self) -> usize {
        (self.0 >> 13) as usize & (SYMBOLS - 1)
    }

    #[inline(always)]
    pub(crate) fn distance_code(self) -> usize {
        (self.0 >> 27) as usize
    }

    #[inline(always)]
    pub(crate) fn distance_rest(self) -> u32 {
        self.0 & 0x1fff
    }
}

/// More than what stands for a literal or a length.
pub(crate) const SYMBOLS: usize = 1024;

/// The tokens of a block.
#[derive(Debug)]
pub(crate) struct Tokens {
    all: Box<[u32; TOKENS]>,
    len: usize,
}

/// They again, and how often each symbol and each distance code occurs.
#[derive(Debug)]
pub(crate) struct Counted {
    pub tokens: Vec<Token>,
    pub symbols: [u32; SYMBOLS],
    pub distances: [u32; 32],
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let all = vec![0; TOKENS].into_boxed_slice();
        // It is as long as that.
        Self { all: all.try_into().unwrap_or_else(|_| unreachable!()), len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many more there is room for. The block has to end when there is none.
    pub(crate) fn room(&self) -> usize {
        TOKENS - self.len
    }

    /// Puts one so many places behind the last one, in the room; [`Tokens::take`] then takes them all.
    #[inline(always)]
    pub(crate) fn put(&mut self, behind: usize, found: Found) {
        self.all[(self.len + behind) % TOKENS] = found.0;
    }

    pub(crate) fn take(&mut self, count: usize) {
        self.len += count;
    }

    pub(crate) fn found(&self) -> &[u32] {
        &self.all[..self.len]
    }
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self { tokens: Vec::new(), symbols: [0; SYMBOLS], distances: [0; 32] }
    }

    /// Counts what [`Tokens::found`] tells.
    #[inline(always)]
    pub(crate) fn count(&mut self, found: &[u32]) {
        self.tokens.clear();
        self.tokens.extend(found.iter().map(|found| Found(*found).to_token()));
        // An addition to what was just added to waits for that, so neighbours are counted apart.
        let mut symbols = [[0_u32; SYMBOLS]; 2];
        let mut distances = [[0_u32; 32]; 4];
        let (fours, rest) = self.tokens.as_chunks::<4>();
        for four in fours {
            for (at, token) in four.iter().enumerate() {
                symbols[at % 2][token.symbol()] += 1;
                distances[at][token.distance_code()] += 1;
            }
        }
        for token in rest {
            symbols[0][token.symbol()] += 1;
            distances[0][token.distance_code()] += 1;
        }
        self.symbols = std::array::from_fn(|at| symbols[0][at] + symbols[1][at]);
        self.distances = std::array::from_fn(|at| distances.iter().map(|counts| counts[at]).sum());
    }
}
