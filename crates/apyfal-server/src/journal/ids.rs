//! Numbers that are never given twice.
//!
//! The database holds the first number that was not reserved. Numbers are given out of a block
//! below it, and the next block is reserved, and on disk, before the present one runs out. What a
//! crash leaves of a block is skipped.

use std::time::{Duration, Instant};

use apyfal_core::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// How many numbers are reserved at once where they are not needed quickly.
pub(super) const BLOCK: u64 = 1000;
/// How many at most.
const LARGEST_BLOCK: u64 = 1 << 20;
/// A block that lasted less than this is followed by one of twice the size.
const SHORT: Duration = Duration::from_secs(1);

/// Gives numbers.
#[derive(Debug)]
pub(super) struct Ids {
    state: Mutex<Reserved>,
    changed: Condvar,
}

#[derive(Debug)]
struct Reserved {
    next: u64,
    /// The first number that is not reserved on disk.
    limit: u64,
    block: u64,
    /// When the last block was asked for, and whether that is to be answered yet.
    last: Instant,
    asked: bool,
    /// How often reserving failed, and the last reason.
    failures: u64,
    error: Option<Error>,
    closed: bool,
}

impl Ids {
    /// Numbers from `next` on, of which those below `limit` are reserved.
    pub(super) fn new(next: u64, limit: u64) -> Self {
        let state = Reserved {
            next,
            limit,
            block: BLOCK,
            last: Instant::now(),
            asked: false,
            failures: 0,
            error: None,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next number. `reserve` is called with a new limit when it is time to put one on disk;
    /// [`reserved`](Self::reserved) answers it.
    ///
    /// # Errors
    /// There is none left and reserving failed, or this is closed.
    pub(super) fn next(&self, reserve: impl Fn(u64) -> Result<()>) -> Result<u64> {
        let mut state = self.lock();
        let failures = state.failures;
        loop {
            if state.closed {
                return Err(super::closed());
            }
            let number = (state.next < state.limit).then_some(state.next);
            state.next += u64::from(number.is_some());
            if number.is_none() && state.failures > failures {
                let error = state.error.as_ref().map(Error::duplicate);
                return Err(error.unwrap_or_else(super::closed));
            }
            if state.limit - state.next < state.block / 2 && !state.asked {
                let limit = state.ask();
                drop(state);
                if let Err(error) = reserve(limit) {
                    self.reserved(limit, Err(error));
                }
                state = self.lock();
            }
            if let Some(number) = number {
                return Ok(number);
            }
            if state.asked {
                self.changed.wait(&mut state);
            }
        }
    }

    /// Tells that the numbers below `limit` are reserved on disk now, or why not.
    pub(super) fn reserved(&self, limit: u64, outcome: Result<()>) {
        let mut state = self.lock();
        state.asked = false;
        match outcome {
            Ok(()) => state.limit = limit,
            Err(error) => {
                state.failures += 1;
                state.error = Some(error);
            }
        }
        self.changed.notify_all();
    }

    /// Gives no more; returns the number that would have been next.
    pub(super) fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        state.next
    }

    fn lock(&self) -> MutexGuard<'_, Reserved> {
        self.state.lock()
    }
}

impl Reserved {
    /// The limit to reserve next.
    fn ask(&mut self) -> u64 {
        let soon = self.last.elapsed() < SHORT;
        self.block = if soon { (self.block * 2).min(LARGEST_BLOCK) } else { BLOCK };
        self.last = Instant::now();
        self.asked = true;
        self.limit + self.block
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use apyfal_core::ErrorKind;

    use super::*;

    #[test]
    fn the_next_block_is_asked_for_once_and_in_time() {
        let ids = Ids::new(1, 1001);
        let asked = RefCell::new(Vec::new());
        let reserve = |limit| {
            asked.borrow_mut().push(limit);
            Ok(())
        };
        for number in 1..=1000 {
            assert_eq!(ids.next(reserve).unwrap(), number);
        }
        // It was needed within a second, so it is twice as long.
        assert_eq!(*asked.borrow(), [3001]);
        ids.reserved(3001, Ok(()));
        assert_eq!(ids.next(reserve).unwrap(), 1001);
        assert_eq!(ids.close(), 1002);
        assert_eq!(ids.next(reserve).unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn without_a_reservation_no_number_is_given() {
        let ids = Ids::new(1, 3);
        let full = |_| Err(Error::new(ErrorKind::StorageFull, "no space"));
        assert_eq!([ids.next(full).unwrap(), ids.next(full).unwrap()], [1, 2]);
        for _ in 0..2 {
            assert_eq!(ids.next(full).unwrap_err().kind(), ErrorKind::StorageFull);
        }
        let number = ids.next(|limit| {
            ids.reserved(limit, Ok(()));
            Ok(())
        });
        assert_eq!(number.unwrap(), 3);
    }
}
