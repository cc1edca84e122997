//! A buffer made for very many very short pieces.

/// Short pieces are copied as this many bytes, whatever their length; the next piece overwrites
/// what was too much. Memory of a fixed size is copied without a call and without a branch. Text between
/// two words that are replaced is seldom longer.
pub(super) const STRIDE: usize = 64;

/// The replaced text of one block. Its memory is kept and used again.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Longer than what was written.
    bytes: Vec<u8>,
    len: usize,
}

impl Output {
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// What was written.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends `len` bytes of `source` from `start` on. Fast if [`STRIDE`] bytes can be read there.
    #[inline(always)]
    pub(super) fn push(&mut self, source: &[u8], start: usize, len: usize) {
        if len <= STRIDE
            && let Some(from) = source.get(start..).and_then(<[u8]>::first_chunk::<STRIDE>)
            && let Some(to) = self.bytes.get_mut(self.len..)
            && let Some(to) = to.first_chunk_mut::<STRIDE>()
        {
            *to = *from;
            self.len += len;
        } else {
            self.push_long(&source[start..start + len]);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_long(&mut self, piece: &[u8]) {
        let end = self.len + piece.len();
        if self.bytes.len() < end + STRIDE {
            self.bytes.resize((end + STRIDE).max(2 * self.bytes.len()), 0);
        }
        self.bytes[self.len..end].copy_from_slice(piece);
        self.len = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_follow_one_another() {
        let source: Vec<u8> = (0..=255).collect();
        let mut output = Output::default();
        for _ in 0..2 {
            output.clear();
            let mut expected = Vec::new();
            for len in (0..=200).chain([31, 32, 33, 0, 1]) {
                // The last of them end where the source ends.
                let start = if len % 2 == 0 { source.len() - len } else { len / 5 };
                output.push(&source, start, len);
                expected.extend_from_slice(&source[start..start + len]);
            }
            assert_eq!(output.as_slice(), expected);
        }
    }
}
