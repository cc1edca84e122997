//! Where in the source the same four bytes stood before.

/// The last places of each hash of four bytes, `WAYS` of them, the latest first.
///
/// A place is told by its 16 lower bits. What is found is at most 65535 bytes back, and never before
/// the start of the source: the place that was meant, or one of nothing, which comparing shows.
#[derive(Debug)]
pub(crate) struct Heads<const SLOTS: usize, const WAYS: usize>(Box<[[u16; WAYS]; SLOTS]>);

impl<const SLOTS: usize, const WAYS: usize> Heads<SLOTS, WAYS> {
    pub(crate) fn new() -> Self {
        let slots = vec![[0; WAYS]; SLOTS].into_boxed_slice();
        // It is as long as that.
        Self(slots.try_into().unwrap_or_else(|_| unreachable!()))
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.fill([0; WAYS]);
    }

    pub(crate) fn slots(&mut self) -> Slots<'_, SLOTS, WAYS> {
        Slots(&mut self.0)
    }
}

/// The slots themselves, for many positions in a row.
#[derive(Debug)]
pub(crate) struct Slots<'a, const SLOTS: usize, const WAYS: usize>(&'a mut [[u16; WAYS]; SLOTS]);

impl<const SLOTS: usize, const WAYS: usize> Slots<'_, SLOTS, WAYS> {
    /// The slot of four bytes.
    #[inline(always)]
    pub(crate) fn hash(four: [u8; 4]) -> u32 {
        u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> (32 - SLOTS.ilog2())
    }

    /// Puts a place into its slot, and answers which were there, 16 bits each.
    #[inline(always)]
    pub(crate) fn swap(&mut self, hash: u32, at: u16) -> u32 {
        let slot = &mut self.0[hash as usize % SLOTS];
        let before = slot.iter().rev().fold(0, |all, place| all << 16 | u32::from(*place));
        for way in (1..WAYS).rev() {
            slot[way] = slot[way - 1];
        }
        slot[0] = at;
        before
    }
}
