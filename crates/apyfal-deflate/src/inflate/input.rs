//! The reader of bits.

use super::Flaw;

/// A source, the first bit of a byte being its lowest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub source: &'a [u8],
    /// The next byte of it.
    pub from: usize,
    /// Bits before that byte which are yet to be used, the first one lowest, and zeros behind them.
    pub bits: u64,
    /// How many these are.
    pub count: u32,
}

impl<'a> Input<'a> {
    /// A source behind bits of a byte before it.
    pub(crate) fn new(source: &'a [u8], (bits, count): (u64, u32)) -> Self {
        Self { source, from: 0, bits, count }
    }

    /// How many whole bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.source.len() - self.from + (self.count / 8) as usize
    }

    /// Reads on until there are 48 bits, as long as there is more.
    pub(crate) fn fill(&mut self) {
        while self.count < 48 && self.from < self.source.len() {
            self.bits |= u64::from(self.source[self.from]) << self.count;
            self.from += 1;
            self.count += 8;
        }
    }

    /// Skips bits that [`fill`](Self::fill) has read.
    pub(crate) fn skip(&mut self, count: u32) -> Result<(), Flaw> {
        self.count = self.count.checked_sub(count).ok_or(Flaw::CutOff)?;
        self.bits >>= count;
        Ok(())
    }

    /// Takes up to 16 bits.
    pub(crate) fn take(&mut self, count: u32) -> Result<usize, Flaw> {
        self.fill();
        let bits = self.bits & ((1 << count) - 1);
        self.skip(count)?;
        Ok(bits as usize)
    }

    /// Goes on with the next whole byte.
    pub(crate) fn align(&mut self) {
        let used = self.count % 8;
        self.bits >>= used;
        self.count -= used;
    }

    /// Copies up to `len` whole bytes into a target, as far as there are some and it has room, and answers how
    /// many.
    pub(crate) fn copy(&mut self, len: usize, target: &mut [u8]) -> usize {
        debug_assert!(self.count.is_multiple_of(8), "these are no whole bytes");
        self.give_back();
        let len = len.min(self.source.len() - self.from).min(target.len());
        target[..len].copy_from_slice(&self.source[self.from..][..len]);
        self.from += len;
        len
    }

    /// How many bytes of the source are done with, and what is yet to be used of the last one.
    pub(crate) fn finish(mut self) -> (usize, (u64, u32)) {
        self.give_back();
        (self.from, (self.bits, self.count))
    }

    /// Whole bytes go back to where they were read.
    fn give_back(&mut self) {
        self.from -= (self.count / 8) as usize;
        self.count %= 8;
        self.bits &= (1 << self.count) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_the_order_of_the_source() {
        let mut input = Input::new(&[0b0110_1001, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5], (0b10, 2));
        assert_eq!(input.take(3), Ok(0b110));
        assert_eq!(input.take(1), Ok(0));
        assert_eq!(input.left(), 8);
        let rest = input.finish();
        assert_eq!(rest, (1, (0b0_1101 << 1, 6)));
        input.align();
        let mut target = [0; 3];
        assert_eq!(input.copy(2, &mut target), 2);
        assert_eq!(target, [0xab, 0xcd, 0]);
        assert_eq!(input.copy(9, &mut target), 3);
        assert_eq!(input.take(16), Ok(0x403));
        assert_eq!(input.take(8), Ok(5));
        assert_eq!(input.take(1), Err(Flaw::CutOff));
        assert_eq!(input.copy(9, &mut target), 0);
    }
}
