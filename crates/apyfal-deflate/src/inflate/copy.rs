//! Copies of what a stream wrote before.
//!
//! Where and how long they are is checked once for each match, by who calls: with a check of each piece, as of
//! slices, English text takes 6 % longer and a program 4 %.

#![allow(unsafe_code)]

use std::ptr;

use crate::tokens::MAX_MATCH;

/// How far behind its end a copy may write.
pub(super) const EXCESS: usize = 32;

/// Copies what stands so far before a place of the target, again and again if that is less than the length.
///
/// # Safety
/// `distance` is at most `to`, `length` at most [`MAX_MATCH`], and the target has room for that and [`EXCESS`] more
/// behind `to`.
#[inline(always)]
pub(super) unsafe fn copy(target: &mut [u8], to: usize, distance: usize, length: usize) {
    debug_assert!(distance <= to && length <= MAX_MATCH && to + MAX_MATCH + EXCESS <= target.len());
    // SAFETY: what is read begins `distance` bytes before, which is in the target, and ends where it is written
    // or before that. What is written ends less than `EXCESS` bytes behind `to + length`: no piece is longer.
    unsafe {
        let to = target.as_mut_ptr().add(to);
        // In pieces that are no longer than what is there already.
        match distance {
            32.. => pieces::<32>(to, distance, length),
            16.. => pieces::<16>(to, distance, length),
            8.. => pieces::<8>(to, distance, length),
            1 => ptr::write_bytes(to, *to.sub(1), length),
            _ => pieces::<1>(to, distance, length),
        }
    }
}

/// # Safety
/// `distance` bytes stand before `to`, and behind it is room for `length` bytes and one piece.
#[inline(always)]
unsafe fn pieces<const LEN: usize>(mut to: *mut u8, distance: usize, length: usize) {
    // SAFETY: as above; another piece begins only where the copy has not ended.
    unsafe {
        let end = to.add(length);
        loop {
            ptr::copy(to.sub(distance), to, LEN);
            to = to.add(LEN);
            if to >= end {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_is_repeated() {
        let before: Vec<u8> = (1..=100).collect();
        for distance in 1..=100 {
            for length in 1..=258 {
                let mut target = [&before[..], &[0; MAX_MATCH + EXCESS]].concat();
                // SAFETY: it has that room.
                unsafe { copy(&mut target, 100, distance, length) };
                let expected = before[100 - distance..].iter().cycle().take(length);
                assert!(
                    target[100..].iter().zip(expected).all(|(a, b)| a == b),
                    "{distance} {length}"
                );
                assert_eq!(target[..100], before);
            }
        }
    }
}
