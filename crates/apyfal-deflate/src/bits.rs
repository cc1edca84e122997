//! The writer of bits.

/// Bits on their way into bytes, the first one lowest.
#[derive(Debug)]
pub(crate) struct Bits<Bytes = Vec<u8>> {
    bytes: Bytes,
    len: usize,
    /// What is not yet a byte: less than 8 bits between two calls.
    waiting: u64,
    count: u32,
}

impl Bits {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), len: 0, waiting: 0, count: 0 }
    }

    /// Forgets what was written, and makes room for so many bytes and the next eight.
    pub(crate) fn restart(&mut self, room: usize) {
        if self.bytes.len() < room + 8 {
            self.bytes.resize(room + 8, 0);
        }
        (self.len, self.waiting, self.count) = (0, 0, 0);
    }

    /// Writes up to 56 bits.
    #[inline(always)]
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        self.push(bits, count);
        self.flush();
    }

    /// Writes pairs of up to 56 bits, the bytes of both at once where they fit.
    #[inline(always)]
    pub(crate) fn put_pairs(&mut self, pairs: impl Iterator<Item = [(u64, u32); 2]>) {
        let Self { bytes, len, waiting, count } = self;
        let mut writer =
            Bits { bytes: bytes.as_mut_slice(), len: *len, waiting: *waiting, count: *count };
        for [first, second] in pairs {
            writer.push(first.0, first.1);
            if writer.count + second.1 > 63 {
                writer.flush();
            }
            writer.push(second.0, second.1);
            writer.flush();
        }
        (*len, *waiting, *count) = (writer.len, writer.waiting, writer.count);
    }
}

impl<Bytes: AsMut<[u8]>> Bits<Bytes> {
    #[inline(always)]
    fn push(&mut self, bits: u64, count: u32) {
        self.waiting |= bits << (self.count & 63);
        self.count += count;
    }

    #[inline(always)]
    fn flush(&mut self) {
        self.bytes.as_mut()[self.len..self.len + 8].copy_from_slice(&self.waiting.to_le_bytes());
        self.len += (self.count >> 3) as usize;
        self.waiting >>= self.count & 56;
        self.count &= 7;
    }
}

impl Bits {
    /// Goes on with the next whole byte.
    pub(crate) fn align(&mut self) {
        self.put(0, self.count.wrapping_neg() & 7);
    }

    /// Writes whole bytes, where the last ones were whole too.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// What was written; the last byte is filled up.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.align();
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_in_the_order_in_which_they_were_written() {
        let mut bits = Bits::new();
        bits.restart(100);
        bits.put(0b101, 3);
        bits.put_pairs([[(0xff_ffff_ffff_ffff, 56), (0, 56)], [(1, 1), (0b10, 2)]].into_iter());
        bits.align();
        bits.put_bytes(b"ab");
        bits.put(1, 1);
        let mut all = 0b101 | 0xff_ffff_ffff_ffff << 3_u128;
        all |= 1 << (3 + 112) | 0b10 << (3 + 113);
        let expected = [&u128::to_le_bytes(all)[..15], b"ab\x01"].concat();
        assert_eq!(bits.finish(), expected);
        bits.restart(10);
        assert_eq!(bits.finish(), b"");
    }
}
