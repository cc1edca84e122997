//! The turn of a job, which others have while it waits for its data.

use std::fmt::Debug;
use std::sync::Weak;
use std::time::Duration;

use crate::{Cancel, Result};

/// How long a job may wait for its data before others may have its turn.
const GRACE: Duration = Duration::from_secs(1);
/// A job that gets so many bytes meanwhile keeps it.
const FED: u64 = 1 << 20;

/// The right of a job to run, of which there is only so much: a slot.
pub trait Turn: Debug + Send + Sync {
    /// Lets another job run instead, where one waits for that. False where none does.
    fn lend(&self) -> bool;

    /// Waits until the job may run again, which it may at once if it does already.
    ///
    /// # Errors
    /// The job was cancelled meanwhile.
    fn take_back(&self, cancel: &Cancel) -> Result<()>;
}

/// What a stream that may keep a job waiting does with its turn.
#[derive(Debug)]
pub(crate) struct Lending {
    /// What keeps this longer than the job lasts keeps no turn.
    turn: Weak<dyn Turn>,
    waited: Duration,
    moved: u64,
    is_lent: bool,
}

impl Lending {
    pub(crate) fn new(turn: Weak<dyn Turn>) -> Self {
        Self { turn, waited: Duration::ZERO, moved: 0, is_lent: false }
    }

    /// The job may have to wait now.
    pub(crate) fn waits(&mut self) {
        if self.waited > GRACE
            && !self.is_lent
            && let Some(turn) = self.turn.upgrade()
        {
            self.is_lent = turn.lend();
        }
    }

    /// Counts a wait that moved this many bytes.
    pub(crate) fn waited(&mut self, time: Duration, bytes: u64) {
        self.waited += time;
        self.moved += bytes;
        if self.moved >= FED {
            (self.waited, self.moved) = (Duration::ZERO, 0);
        }
    }

    /// The job goes on, once it may.
    pub(crate) fn goes_on(&mut self, cancel: &Cancel) -> Result<()> {
        if !self.is_lent {
            return Ok(());
        }
        if let Some(turn) = self.turn.upgrade() {
            turn.take_back(cancel)?;
        }
        *self = Self::new(self.turn.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::{Input, JobContext};

    /// Says what becomes of it.
    #[derive(Debug, Default)]
    struct Told {
        told: Mutex<Vec<&'static str>>,
        has_others: bool,
    }

    impl Turn for Told {
        fn lend(&self) -> bool {
            self.told.lock().push("lend");
            self.has_others
        }

        fn take_back(&self, cancel: &Cancel) -> Result<()> {
            self.told.lock().push("take back");
            cancel.check()
        }
    }

    fn lending(has_others: bool) -> (Arc<Told>, Lending) {
        let turn = Arc::new(Told { has_others, ..Told::default() });
        let weak: Weak<Told> = Arc::downgrade(&turn);
        (turn, Lending::new(weak))
    }

    const TICK: Duration = Duration::from_millis(1);

    #[test]
    fn a_job_that_is_fed_well_keeps_its_turn() {
        let (turn, mut lending) = lending(true);
        for _ in 0..10 {
            lending.waited(GRACE, FED - 1);
            lending.waits();
            lending.waited(TICK, 1);
            lending.waits();
            lending.goes_on(&Cancel::default()).unwrap();
        }
        assert!(turn.told.lock().is_empty());
    }

    #[test]
    fn who_waits_too_long_lends_it_and_takes_it_back_once() {
        let (turn, mut lending) = lending(true);
        let cancel = Cancel::default();
        for _ in 0..2 {
            lending.waited(GRACE, 0);
            lending.waited(TICK, FED - 1);
            lending.waits();
            // Nobody has it to lend.
            lending.waits();
            lending.waited(TICK, 0);
            lending.goes_on(&cancel).unwrap();
            lending.goes_on(&cancel).unwrap();
            // It has as long again.
            lending.waited(GRACE, 0);
            lending.waits();
            lending.waited(Duration::ZERO, FED);
        }
        assert_eq!(*turn.told.lock(), ["lend", "take back", "lend", "take back"]);
        lending.waited(GRACE + TICK, 0);
        lending.waits();
        cancel.cancel();
        assert!(lending.goes_on(&cancel).unwrap_err().is_cancelled());
    }

    #[test]
    fn what_nobody_wants_is_not_taken_back() {
        let (turn, mut lending) = lending(false);
        lending.waited(GRACE + TICK, 0);
        lending.waits();
        lending.goes_on(&Cancel::default()).unwrap();
        // Somebody may have come.
        lending.waits();
        assert_eq!(*turn.told.lock(), ["lend", "lend"]);
        drop(turn);
        lending.waits();
        lending.goes_on(&Cancel::default()).unwrap();
    }

    /// A stream of one byte after the other, each of which takes a while.
    struct Drip(u8);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(left) = self.0.checked_sub(1) else { return Ok(0) };
            self.0 = left;
            std::thread::sleep(TICK);
            buffer[0] = left;
            Ok(1)
        }
    }

    #[test]
    fn a_block_is_filled_before_the_turn_is_taken_back() {
        let turn = Arc::new(Told { has_others: true, ..Told::default() });
        let weak: Weak<Told> = Arc::downgrade(&turn);
        let minute = Some(Duration::from_secs(60));
        let ctx = JobContext::new(Cancel::default(), Arc::default(), "/tmp", NonZeroUsize::MIN)
            .with_stall(minute, minute)
            .with_turn(weak);
        let read = |ctx: &JobContext, source: Input| {
            let mut reader = ctx.reader(source).unwrap();
            if let Some(lending) = reader.lending() {
                lending.waited(GRACE, 0);
            }
            assert_eq!(reader.fill(&mut [0; 4]).unwrap(), 4);
            std::mem::take(&mut *turn.told.lock())
        };
        assert_eq!(read(&ctx, Input::stream(Drip(9))), ["lend", "take back"]);
        // What is in memory keeps nobody waiting, and some keep their turn whatever they wait for.
        assert!(read(&ctx, Input::bytes(*b"12345678")).is_empty());
        assert!(read(&ctx.keeping_turn(), Input::stream(Drip(9))).is_empty());
    }
}
