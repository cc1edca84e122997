//! The end of a text of any length.

use std::collections::VecDeque;

/// Keeps the last bytes of what it is given.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    cut: bool,
}

impl Tail {
    /// Keeps `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit, cut: false }
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.limit)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.cut |= over > 0 || kept.len() < bytes.len();
        self.bytes.drain(..over);
        self.bytes.extend(kept);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cut = false;
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The end as text, without white space around it. Starts with `…` where something is missing.
    pub(super) fn text(&self) -> String {
        let (first, second) = self.bytes.as_slices();
        let bytes = [first, second].concat();
        let text = String::from_utf8_lossy(&bytes);
        if self.cut { format!("…{}", text.trim_end()) } else { text.trim().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::new(5);
        tail.push(b"abc\n");
        assert_eq!(tail.text(), "abc");
        tail.push(b"defg");
        assert_eq!(tail.text(), "…\ndefg");
        tail.push(b"0123456789");
        assert_eq!(tail.text(), "…56789");
    }
}
