//! The checks of secrets: on threads of their own, a few at a time, and in turn.
//!
//! A check takes a core for a moment, on purpose, so those who are wrong could keep out those who are
//! right. Who was right before goes first, then all who ask take turns, each with a few places.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use apyfal_core::{Error, Result};
use apyfal_net::Source;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// So many checks of one source wait or are made at a time.
const OF_ONE: usize = 4;
/// So many wait in all: of those who were right before, and of strangers.
const OF_ALL: usize = 64;

type Check = Box<dyn FnOnce() + Send>;

/// The threads, and who waits for them. They end with this.
#[derive(Debug)]
pub(super) struct Checks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    known: Turns,
    strangers: Turns,
    /// How many of each source wait or are made.
    places: HashMap<Source, usize>,
    is_over: bool,
}

/// Checks of several sources, which take turns.
#[derive(Default)]
struct Turns {
    order: VecDeque<Source>,
    of: HashMap<Source, VecDeque<Check>>,
    count: usize,
}

impl Checks {
    /// With so many threads.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn start(threads: usize) -> Result<Self> {
        let checks = Self(Arc::default());
        for _ in 0..threads {
            let shared = checks.0.clone();
            std::thread::Builder::new()
                .name("check".to_owned())
                .spawn(move || shared.work())
                .map_err(|error| {
                    Error::from(error).operation("start a thread that checks secrets")
                })?;
        }
        Ok(checks)
    }

    /// What a check finds; nothing where too many wait.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        from: Source,
        is_known: bool,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let check = Box::new(move || {
            // Who went away meanwhile need not be told.
            if !tell.is_closed() {
                let _ = tell.send(check());
            }
        });
        self.0.waiting().join(from, is_known, check)?;
        self.0.changed.notify_one();
        // Not told is who gave the place to another source.
        told.await.ok()
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.waiting().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Makes one check after the other.
    fn work(&self) {
        let mut waiting = self.waiting();
        while !waiting.is_over {
            let Some((from, check)) = waiting.next() else {
                self.changed.wait(&mut waiting);
                continue;
            };
            drop(waiting);
            // A check that panics has told nobody, and others wait.
            let _ = catch_unwind(AssertUnwindSafe(check));
            waiting = self.waiting();
            waiting.leave(from);
        }
    }
}

impl Waiting {
    /// Lets a check wait; none where there is no place for it.
    fn join(&mut self, from: Source, is_known: bool, check: Check) -> Option<()> {
        let own = self.places.get(&from).copied().unwrap_or(0);
        if own >= OF_ONE {
            return None;
        }
        let turns = if is_known { &mut self.known } else { &mut self.strangers };
        if turns.count >= OF_ALL {
            // The second place of one source keeps out the first of no other.
            let loser = turns.longest().filter(|(_, count)| *count > own + 1)?.0;
            turns.drop_last(loser);
            self.leave(loser);
        }
        *self.places.entry(from).or_insert(0) += 1;
        let turns = if is_known { &mut self.known } else { &mut self.strangers };
        turns.push(from, check);
        Some(())
    }

    fn next(&mut self) -> Option<(Source, Check)> {
        self.known.next().or_else(|| self.strangers.next())
    }

    /// Gives back the place of a check.
    fn leave(&mut self, from: Source) {
        if let Some(own) = self.places.get_mut(&from) {
            *own -= 1;
            if *own == 0 {
                self.places.remove(&from);
            }
        }
    }
}

impl Turns {
    fn push(&mut self, from: Source, check: Check) {
        let own = self.of.entry(from).or_default();
        if own.is_empty() {
            self.order.push_back(from);
        }
        own.push_back(check);
        self.count += 1;
    }

    /// The check whose turn it is; its source is the last one then.
    fn next(&mut self) -> Option<(Source, Check)> {
        let from = self.order.pop_front()?;
        let own = self.of.get_mut(&from)?;
        let check = own.pop_front()?;
        match own.is_empty() {
            true => drop(self.of.remove(&from)),
            false => self.order.push_back(from),
        }
        self.count -= 1;
        Some((from, check))
    }

    /// The source of which most wait, and how many.
    fn longest(&self) -> Option<(Source, usize)> {
        let counts = self.of.iter().map(|(from, own)| (*from, own.len()));
        counts.max_by_key(|(_, count)| *count)
    }

    /// Drops the newest check of a source that has others.
    fn drop_last(&mut self, from: Source) {
        if self.of.get_mut(&from).and_then(VecDeque::pop_back).is_some() {
            self.count -= 1;
        }
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn source(number: u32) -> Source {
        Source::of(Ipv4Addr::from_bits(number).into())
    }

    /// The numbers of the sources in the order in which their checks would be made.
    fn order(waiting: &mut Waiting, sources: u32) -> Vec<u32> {
        let number = |from| (0..sources).find(|number| source(*number) == from).unwrap();
        std::iter::from_fn(|| waiting.next().map(|(from, _)| number(from))).collect()
    }

    fn join(waiting: &mut Waiting, number: u32, is_known: bool) -> bool {
        waiting.join(source(number), is_known, Box::new(|| {})).is_some()
    }

    #[test]
    fn sources_take_turns_and_who_was_right_before_goes_first() {
        let mut waiting = Waiting::default();
        for (number, is_known) in [(0, false), (0, false), (0, false), (1, false), (2, true)] {
            assert!(join(&mut waiting, number, is_known));
        }
        assert_eq!(order(&mut waiting, 3), [2, 0, 1, 0, 0]);
    }

    #[test]
    fn no_source_fills_it() {
        let mut waiting = Waiting::default();
        assert!((0..OF_ONE).all(|_| join(&mut waiting, 0, false)));
        assert!(!join(&mut waiting, 0, false) && !join(&mut waiting, 0, true));
        let (from, _) = waiting.next().unwrap();
        assert!(!join(&mut waiting, 0, false), "one that is made has its place still");
        waiting.leave(from);
        assert!(join(&mut waiting, 0, false));
    }

    #[test]
    fn few_with_many_places_make_room_for_others() {
        let mut waiting = Waiting::default();
        let attackers = (OF_ALL / OF_ONE) as u32;
        for number in 0..attackers {
            assert!((0..OF_ONE).all(|_| join(&mut waiting, number, false)));
        }
        for number in attackers..2 * attackers {
            assert!(join(&mut waiting, number, false), "{number}");
        }
        assert_eq!(waiting.strangers.count, OF_ALL);
        let order = order(&mut waiting, 2 * attackers);
        assert_eq!(order.len(), OF_ALL);
        assert!((0..2 * attackers).all(|number| order.contains(&number)));
        // Where all have one place, there is none left.
        let mut waiting = Waiting::default();
        assert!((0..OF_ALL as u32).all(|number| join(&mut waiting, number, false)));
        assert!(!join(&mut waiting, OF_ALL as u32, false));
        assert!(join(&mut waiting, OF_ALL as u32, true), "who was right before has places");
    }

    #[tokio::test]
    async fn checks_are_made_and_told() {
        let checks = Checks::start(2).unwrap();
        assert_eq!(checks.make(source(0), false, || 5).await, Some(5));
        let panicked = checks.make(source(0), false, || -> () { panic!("as it is meant to") });
        assert_eq!(panicked.await, None);
        assert_eq!(checks.make(source(0), true, || 6).await, Some(6));
        // Its threads end with it.
        let (sent, received) = mpsc::channel::<()>();
        let held = checks.make(source(0), false, move || drop(sent));
        held.await.unwrap();
        drop(checks);
        assert!(received.recv_timeout(Duration::from_secs(120)).is_err());
    }
}
