//! What waits to be written: between everybody and the one thread that writes.

use std::fmt;
use std::time::{Duration, Instant};

use apyfal_core::{Error, Owner, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::OwnedSemaphorePermit;

use super::usage::{Tally, Usage};
use super::{Durability, JobChange, JobRecord, Retention, SessionRecord, TokenRecord};

/// How long anything waits for its group at most.
const DELAY: Duration = Duration::from_millis(100);
/// With so many entries that nobody waits for, a group does not wait either.
const MANY: usize = 512;
/// How many plain jobs of a group get a row; of those that failed, twice as many.
pub(super) const PLAIN_ROWS_PER_GROUP: usize = 256;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Work {
    Session(Box<SessionRecord>),
    UseSession {
        id: String,
        used: bool,
    },
    EndSession {
        id: String,
        ended: f64,
    },
    Job(Box<JobRecord>),
    ChangeJob {
        number: u64,
        change: Box<JobChange>,
    },
    ForgetJob {
        number: u64,
    },
    AddToken(TokenRecord),
    RemoveToken(String),
    /// Reserves the numbers below this one.
    Reserve(u64),
    Prune(Retention),
    /// Nothing; what was handed over before is written with it.
    Flush,
    /// Lets the database grow no further than so many pages.
    #[cfg(test)]
    Limit(u32),
}

impl Work {
    /// Whether it is refused on a full disk: what is new, and what says that all is written.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Session(_) | Self::Job(_) | Self::AddToken(_) | Self::Flush)
    }
}

/// Takes the outcome of an entry.
pub(super) type Completion = Box<dyn FnOnce(Result<()>) + Send>;

/// One thing to be written.
pub(super) struct Entry {
    pub(super) work: Work,
    pub(super) durability: Durability,
    pub(super) answer: Option<Completion>,
    /// Its place in the queue, which bounds how many there are.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("work", &self.work)
            .field("durability", &self.durability)
            .field("is_awaited", &self.answer.is_some())
            .field("has_place", &self.place.is_some())
            .finish()
    }
}

/// Plain jobs: the sum of all, and rows of some.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) tally: Tally,
    pub(super) rows: Vec<JobRecord>,
}

impl Plain {
    fn wants_row(&self, failed: bool) -> bool {
        let room = if failed { 2 * PLAIN_ROWS_PER_GROUP } else { PLAIN_ROWS_PER_GROUP };
        self.rows.len() < room
    }
}

/// What is written in one transaction.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    pub(super) plain: Plain,
    /// Whether it is the last one.
    pub(super) last: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    entries: Vec<Entry>,
    /// How many of the entries somebody waits for.
    awaited: usize,
    /// How many others came since the last group.
    others: usize,
    flushes: bool,
    /// When the entries that nobody waits for must be written.
    entries_due: Option<Instant>,
    plain: Plain,
    plain_due: Option<Instant>,
    closed: bool,
    /// Why the last group could not be written.
    failure: Option<Error>,
}

impl Queue {
    /// Puts an entry at the end.
    ///
    /// # Errors
    /// The journal is closed.
    pub(super) fn push(&self, entry: Entry) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(super::closed());
        }
        state.flushes |= matches!(entry.work, Work::Flush);
        let wake = if entry.answer.is_some() {
            state.awaited += 1;
            true
        } else {
            state.others += 1;
            state.defer() || state.others >= MANY
        };
        state.entries.push(entry);
        // Who wakes up takes the lock first, and would wait for it at once.
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Puts a plain job to the others: the way that must cost a caller next to nothing. There is
    /// never more to hold than sums and some rows, so this needs no bound and no wait.
    ///
    /// # Errors
    /// The journal is closed.
    pub(super) fn push_plain(
        &self,
        accelerator: &str,
        owner: &Owner,
        ended: f64,
        usage: &Usage,
        make: impl FnOnce() -> JobRecord,
    ) -> Result<()> {
        let wants_row = self.add_plain(|plain| {
            plain.tally.add(ended, accelerator, owner, usage);
            plain.wants_row(usage.failed > 0)
        })?;
        if wants_row {
            let job = make();
            self.add_plain(|plain| plain.rows.push(job))?;
        }
        Ok(())
    }

    fn add_plain<T>(&self, add: impl FnOnce(&mut Plain) -> T) -> Result<T> {
        let mut state = self.lock();
        if state.closed {
            return Err(super::closed());
        }
        let wake = state.plain_due.is_none();
        if wake {
            state.plain_due = Some(Instant::now() + DELAY);
        }
        let added = add(&mut state.plain);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(added)
    }

    /// Waits for the next group.
    pub(super) fn next_group(&self) -> Group {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
            // Plain jobs keep to their own pace however many groups there are, since rows of them
            // are the one thing here that would keep a core busy.
            let plain = state.closed || state.flushes || is_due(state.plain_due);
            let entries = state.awaited > 0 || state.others >= MANY || is_due(state.entries_due);
            if plain || entries {
                if plain {
                    state.plain_due = None;
                }
                state.awaited = 0;
                state.others = 0;
                state.flushes = false;
                state.entries_due = None;
                return Group {
                    entries: std::mem::take(&mut state.entries),
                    plain: if plain { std::mem::take(&mut state.plain) } else { Plain::default() },
                    last: state.closed,
                };
            }
            let due = state.plain_due.into_iter().chain(state.entries_due).min();
            match due {
                None => self.wake.wait(&mut state),
                Some(due) => drop(self.wake.wait_for(&mut state, due - now)),
            }
        }
    }

    /// Takes back what could not be written and nobody waits for. It is tried again, before
    /// everything that came meanwhile.
    pub(super) fn give_back(&self, mut entries: Vec<Entry>, mut plain: Plain) {
        let mut state = self.lock();
        if !entries.is_empty() {
            entries.append(&mut state.entries);
            state.entries = entries;
            state.defer();
        }
        plain.tally.merge(&state.plain.tally);
        plain.rows.append(&mut state.plain.rows);
        let surplus = plain.rows.len().saturating_sub(2 * PLAIN_ROWS_PER_GROUP);
        plain.rows.drain(..surplus);
        if !plain.tally.points().is_empty() {
            state.plain_due = Some(Instant::now() + DELAY);
        }
        state.plain = plain;
    }

    /// Takes nothing more; the group that comes next is the last one.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Drops everything, so that nobody waits for a thread that is gone.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        drop(entries);
    }

    /// Why the last group could not be written, where it could not.
    pub(super) fn failure(&self) -> Option<Error> {
        self.lock().failure.as_ref().map(Error::duplicate)
    }

    pub(super) fn set_failure(&self, failure: Option<Error>) {
        self.lock().failure = failure;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.state.lock()
    }
}

impl Pending {
    /// Whether the thread must learn that something is due now.
    fn defer(&mut self) -> bool {
        let is_new = self.entries_due.is_none();
        self.entries_due.get_or_insert_with(|| Instant::now() + DELAY);
        is_new
    }
}
