//! Which host takes the next job: the one with the most room, as soon as there is any.

mod loads;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::Error;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(super) use loads::Able;
use loads::{Choice, Load, Loads, Standing, Taken};

/// The hosts as the jobs see them.
///
/// Jobs wait here and not at a host, but for one on each, which is there when a slot becomes free.
/// That one is called back where another host has nothing to do, so that a slow host does not hold
/// what others could do.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<Loads>,
    changed: Notify,
}

/// A place at a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    queue: &'a Queue,
    pub(super) host: usize,
    /// Whether the host did not answer before, so that it is to be asked first.
    pub(super) is_doubtful: bool,
    number: u64,
    wanted: Arc<Notify>,
}

impl Permit<'_> {
    /// Waits until another host could do the job at once, which waits here.
    pub(super) async fn wanted_elsewhere(&self) {
        self.wanted.notified().await;
    }
}

impl Queue {
    /// A queue for so many hosts, of which each can do one job at once until it is known better.
    pub(super) fn new(hosts: usize) -> Self {
        let load =
            || Load { slots: 1, places: Vec::new(), standing: Standing::Works, paused_until: None };
        let hosts = std::iter::repeat_with(load).take(hosts).collect();
        Self { state: Mutex::new(Loads { hosts, waiting: 0, next: 0 }), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, Loads> {
        self.state.lock()
    }

    fn change(&self, host: usize, change: impl FnOnce(&mut Load)) {
        change(&mut self.state().hosts[host]);
        self.changed.notify_waiters();
    }

    /// A host can be used, and do so many jobs at once.
    pub(super) fn joins(&self, host: usize, slots: usize) {
        self.change(host, |load| {
            (load.slots, load.standing) = (slots.max(1), Standing::Works);
        });
    }

    /// A host has not answered since then: it is left alone for a while.
    pub(super) fn rest(&self, host: usize, since: Instant, why: Error) {
        self.change(host, |load| {
            let earlier = match &load.standing {
                Standing::Works => since,
                Standing::Rests { since: earlier, .. } => *earlier,
                Standing::Out(_) => return,
            };
            let (since, tried, why) = (since.min(earlier), Instant::now(), Arc::new(why));
            load.standing = Standing::Rests { since, tried, why };
        });
    }

    /// A host is not used any more.
    pub(super) fn leave_out(&self, host: usize, why: Error) {
        self.change(host, |load| load.standing = Standing::Out(Arc::new(why)));
    }

    /// Gives a host that answers no job for a while.
    pub(super) fn pause(&self, host: usize, time: Duration) {
        self.change(host, |load| load.paused_until = Some(Instant::now() + time));
    }

    /// A host works.
    pub(super) fn works(&self, host: usize) {
        let mut state = self.state();
        let load = &mut state.hosts[host];
        load.paused_until = None;
        if matches!(load.standing, Standing::Rests { .. }) {
            load.standing = Standing::Works;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Why a host is done without, where it is.
    pub(super) fn trouble(&self, host: usize) -> Option<Arc<Error>> {
        match &self.state().hosts[host].standing {
            Standing::Works => None,
            Standing::Rests { why, .. } | Standing::Out(why) => Some(why.clone()),
        }
    }

    /// Waits for a place at one of the hosts that are able to do a job. None where no host is, or
    /// none of those has answered for too long.
    pub(super) async fn place(&self, able: Able) -> Option<Permit<'_>> {
        let _waiting = Waiting::at(self);
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let again = {
                let state = &mut *self.state();
                match state.choose(&able, Instant::now()) {
                    Choice::Nobody => return None,
                    Choice::Wait(again) => again,
                    Choice::Take { host, is_doubtful } => {
                        let (number, wanted) = (state.next, Arc::new(Notify::new()));
                        state.next += 1;
                        let taken = Taken { number, wanted: wanted.clone(), able };
                        state.hosts[host].places.push(taken);
                        return Some(Permit { queue: self, host, is_doubtful, number, wanted });
                    }
                }
            };
            match again {
                None => changed.await,
                // Which of the two it was does not matter.
                Some(again) => drop(tokio::time::timeout_at(again.into(), changed).await),
            }
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.hosts[self.host].places.retain(|place| place.number != self.number);
        state.call_back();
        drop(state);
        // All of them, since not each of those who wait may use this host.
        self.queue.changed.notify_waiters();
    }
}

/// Counts a job that waits.
struct Waiting<'a>(&'a Queue);

impl<'a> Waiting<'a> {
    fn at(queue: &'a Queue) -> Self {
        queue.state().waiting += 1;
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        // The last one that waited may have gone to a full host, or wait no more.
        state.call_back();
    }
}
