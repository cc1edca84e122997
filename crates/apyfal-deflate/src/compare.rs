//! How much of two places of the source is equal: the part that needs the vector unit.
//!
//! With words of eight bytes, which is how other processors do it, English text takes 35 % longer at
//! [`Level::Fast`](crate::Level::Fast) and 20 % at [`Level::Default`](crate::Level::Default).

#![allow(unsafe_code)]

/// How many bytes are compared at once.
pub(crate) const WIDTH: usize = 32;

/// A source of which all places but the last few can be compared.
#[derive(Clone, Copy)]
pub(crate) struct Positions<'a> {
    source: &'a [u8],
    /// The last place that has as many bytes as are compared. Never more than that: `common` counts on it.
    last: usize,
}

impl<'a> Positions<'a> {
    /// None if the source is shorter than what is compared.
    pub(crate) fn new(source: &'a [u8]) -> Option<Self> {
        Some(Self { source, last: source.len().checked_sub(WIDTH)? })
    }

    /// A place, which has to be one of those.
    #[inline(always)]
    pub(crate) fn at(self, at: usize) -> Position<'a> {
        assert!(at <= self.last, "no place to compare");
        // SAFETY: behind `last` there are `WIDTH` bytes more.
        let bytes = unsafe { &*self.source.as_ptr().add(at).cast::<[u8; WIDTH]>() };
        Position { bytes, at }
    }
}

/// A place in the source.
#[derive(Clone, Copy)]
pub(crate) struct Position<'a> {
    bytes: &'a [u8; WIDTH],
    /// How many bytes of the same source stand before.
    at: usize,
}

impl Position<'_> {
    /// The byte that stands here.
    #[inline(always)]
    pub(crate) fn byte(self) -> u8 {
        self.bytes[0]
    }

    /// How many of the next [`WIDTH`] bytes are those that stand so many bytes before, which has to be
    /// within the source.
    #[inline(always)]
    pub(crate) fn common(self, back: usize) -> u32 {
        assert!(back <= self.at, "nothing stands there");
        // SAFETY: so many bytes of the source stand before.
        let before = unsafe { &*self.bytes.as_ptr().sub(back).cast::<[u8; WIDTH]>() };
        common(self.bytes, before)
    }
}

/// How many of the first bytes are equal.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn common(a: &[u8; WIDTH], b: &[u8; WIDTH]) -> u32 {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    // SAFETY: both are as long as is read, any alignment will do, and each x86-64 has SSE2.
    let half = |at: usize| unsafe {
        let a = _mm_loadu_si128(a.as_ptr().cast::<__m128i>().add(at));
        let b = _mm_loadu_si128(b.as_ptr().cast::<__m128i>().add(at));
        _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u32
    };
    (!(half(0) | half(1) << 16)).trailing_zeros()
}

/// How many of the first bytes are equal.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn common(a: &[u8; WIDTH], b: &[u8; WIDTH]) -> u32 {
    plain(a, b)
}

/// The same in plain words.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain(a: &[u8; WIDTH], b: &[u8; WIDTH]) -> u32 {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut equal = 0;
    for (a, b) in words {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return equal + different.trailing_zeros() / 8;
        }
        equal += 8;
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_wherever_it_is() {
        let a: [u8; WIDTH] = std::array::from_fn(|at| at as u8);
        assert_eq!((common(&a, &a), plain(&a, &a)), (32, 32));
        for first in 0..WIDTH {
            for second in first..WIDTH {
                let mut b = a;
                b[first] ^= 0x80;
                b[second] ^= 1;
                assert_eq!((common(&a, &b), plain(&a, &b)), (first as u32, first as u32));
                let source = [a, b].concat();
                let place = Positions::new(&source).unwrap().at(WIDTH);
                assert_eq!((place.byte(), place.common(WIDTH)), (b[0], first as u32));
                assert_eq!(place.common(0), 32);
            }
        }
    }

    #[test]
    fn nothing_outside_of_the_source_is_compared() {
        assert!(Positions::new(&[0; WIDTH - 1]).is_none());
        let source = [0; WIDTH + 3];
        let places = Positions::new(&source).unwrap();
        assert_eq!(places.at(3).common(3), 32);
        assert!(std::panic::catch_unwind(|| places.at(4)).is_err());
        assert!(std::panic::catch_unwind(|| places.at(3).common(4)).is_err());
    }
}
