//! Which host takes the next job: the one with the most room, as soon as there is any.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a host that failed is left alone.
const REST: Duration = Duration::from_secs(10);

/// The hosts as the jobs see them.
///
/// Jobs wait here and not at a host, so that a slow host does not hold those that others could do.
#[derive(Debug)]
pub(super) struct Queue {
    hosts: Mutex<Vec<Load>>,
    changed: Notify,
}

/// What a host has to do.
#[derive(Clone, Debug)]
pub(super) struct Load {
    running: usize,
    /// How many jobs it may have at once.
    room: usize,
    /// Until when it is left alone.
    rests_until: Option<Instant>,
}

impl Load {
    pub(super) fn new(room: usize) -> Self {
        Self { running: 0, room: room.max(1), rests_until: None }
    }

    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| until > Instant::now())
    }
}

/// A place at a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    queue: &'a Queue,
    pub(super) host: usize,
}

impl Queue {
    pub(super) fn new(hosts: Vec<Load>) -> Self {
        Self { hosts: Mutex::new(hosts), changed: Notify::new() }
    }

    fn hosts(&self) -> MutexGuard<'_, Vec<Load>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many jobs a host may have at once.
    pub(super) fn set_room(&self, host: usize, room: usize) {
        self.hosts()[host].room = room.max(1);
        self.changed.notify_waiters();
    }

    /// Leaves a host that failed alone for a while.
    pub(super) fn rest(&self, host: usize) {
        self.hosts()[host].rests_until = Some(Instant::now() + REST);
        self.changed.notify_waiters();
    }

    /// A host works.
    pub(super) fn works(&self, host: usize) {
        self.hosts()[host].rests_until = None;
    }

    /// Waits for a place at one of the hosts that `may` take the job; those that failed only where
    /// there is no other. None where no host may.
    pub(super) async fn place(&self, may: impl Fn(usize) -> bool) -> Option<Place<'_>> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let mut hosts = self.hosts();
                let all: Vec<usize> = (0..hosts.len()).filter(|host| may(*host)).collect();
                let mut able: Vec<usize> =
                    all.iter().copied().filter(|host| !hosts[*host].rests()).collect();
                if able.is_empty() {
                    able = all;
                }
                if able.is_empty() {
                    return None;
                }
                let free = able.into_iter().filter(|host| hosts[*host].running < hosts[*host].room);
                let load = |host: &usize| hosts[*host].running as f64 / hosts[*host].room as f64;
                if let Some(host) = free.min_by(|one, two| load(one).total_cmp(&load(two))) {
                    hosts[host].running += 1;
                    return Some(Place { queue: self, host });
                }
            }
            changed.await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.hosts()[self.host].running -= 1;
        // All of them, since not each of those who wait may use this host.
        self.queue.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(rooms: &[usize]) -> Queue {
        Queue::new(rooms.iter().map(|room| Load::new(*room)).collect())
    }

    #[tokio::test]
    async fn the_emptiest_host_is_next() {
        let queue = queue(&[1, 3]);
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(queue.place(|_| true).await.unwrap());
        }
        assert_eq!(taken.iter().map(|place| place.host).collect::<Vec<_>>(), [0, 1, 1, 1]);
        let waiting = queue.place(|_| true);
        let freed = async {
            tokio::task::yield_now().await;
            taken.remove(2);
        };
        let (place, ()) = tokio::join!(waiting, freed);
        assert_eq!(place.unwrap().host, 1);
    }

    #[tokio::test]
    async fn a_host_that_failed_rests() {
        let queue = queue(&[5, 5]);
        queue.rest(0);
        for _ in 0..3 {
            assert_eq!(queue.place(|_| true).await.unwrap().host, 1);
        }
        assert_eq!(queue.place(|host| host == 0).await.unwrap().host, 0);
        assert!(queue.place(|_| false).await.is_none());
        queue.works(0);
        assert_eq!(queue.place(|_| true).await.unwrap().host, 0);
    }
}
