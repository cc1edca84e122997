//! Which host takes the next job: the one with the most room, as soon as there is any.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a host that failed is left alone.
const REST: Duration = Duration::from_secs(10);

/// The hosts as the jobs see them.
///
/// Jobs wait here and not at a host, but for one on each, which is there when a slot becomes free.
/// That one is called back where another host has nothing to do, so that a slow host does not hold
/// what others could do.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    hosts: Vec<Load>,
    /// How many jobs wait for a place.
    waiting: usize,
    /// The number of the next place.
    next: u64,
}

/// What a host has to do.
#[derive(Debug)]
struct Load {
    /// How many jobs it can do at once.
    slots: usize,
    /// The jobs that are there, the first ones first.
    places: Vec<(u64, Arc<Notify>)>,
    /// Until when it is left alone.
    rests_until: Option<Instant>,
}

impl Load {
    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| until > Instant::now())
    }

    fn has_room(&self) -> bool {
        self.places.len() <= self.slots
    }

    fn is_idle(&self) -> bool {
        self.places.len() < self.slots && !self.rests()
    }

    /// How full it is; with a free slot always less than without.
    fn fullness(&self) -> f64 {
        self.places.len() as f64 / self.slots as f64
    }
}

/// A place at a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    queue: &'a Queue,
    pub(super) host: usize,
    number: u64,
    wanted: Arc<Notify>,
}

impl Place<'_> {
    /// Waits until another host could do the job at once, which waits here.
    pub(super) async fn wanted_elsewhere(&self) {
        self.wanted.notified().await;
    }
}

impl Queue {
    /// A queue for so many hosts, of which each can do one job at once until it is known better.
    pub(super) fn new(hosts: usize) -> Self {
        let load = || Load { slots: 1, places: Vec::new(), rests_until: None };
        let hosts = std::iter::repeat_with(load).take(hosts).collect();
        Self { state: Mutex::new(State { hosts, waiting: 0, next: 0 }), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many jobs a host can do at once.
    pub(super) fn set_slots(&self, host: usize, slots: usize) {
        self.state().hosts[host].slots = slots.max(1);
        self.changed.notify_waiters();
    }

    /// Leaves a host that failed alone for a while.
    pub(super) fn rest(&self, host: usize) {
        self.state().hosts[host].rests_until = Some(Instant::now() + REST);
        self.changed.notify_waiters();
    }

    /// A host works.
    pub(super) fn works(&self, host: usize) {
        self.state().hosts[host].rests_until = None;
    }

    /// Waits for a place at one of the hosts that `may` take the job; those that failed only where
    /// there is no other. None where no host may.
    pub(super) async fn place(&self, may: impl Fn(usize) -> bool) -> Option<Place<'_>> {
        let _waiting = Waiting::at(self);
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let State { hosts, next, .. } = &mut *self.state();
                let all: Vec<usize> = (0..hosts.len()).filter(|host| may(*host)).collect();
                let mut able: Vec<usize> =
                    all.iter().copied().filter(|host| !hosts[*host].rests()).collect();
                if able.is_empty() {
                    able = all;
                }
                if able.is_empty() {
                    return None;
                }
                let free = able.into_iter().filter(|host| hosts[*host].has_room());
                let fullness = |host: &usize| hosts[*host].fullness();
                if let Some(host) = free.min_by(|one, two| fullness(one).total_cmp(&fullness(two)))
                {
                    let (number, wanted) = (*next, Arc::new(Notify::new()));
                    *next += 1;
                    hosts[host].places.push((number, wanted.clone()));
                    return Some(Place { queue: self, host, number, wanted });
                }
            }
            changed.await;
        }
    }
}

impl State {
    /// Calls back a job that waits at a host, where another one has nothing to do.
    fn call_back(&self) {
        if self.waiting > 0 || !self.hosts.iter().any(Load::is_idle) {
            return;
        }
        let full = self.hosts.iter().filter(|host| host.places.len() > host.slots);
        if let Some((_, wanted)) = full.filter_map(|host| host.places.last()).next() {
            wanted.notify_one();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.hosts[self.host].places.retain(|(number, _)| *number != self.number);
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn queue(slots: &[usize]) -> Queue {
        let queue = Queue::new(slots.len());
        slots.iter().enumerate().for_each(|(host, slots)| queue.set_slots(host, *slots));
        queue
    }

    async fn take(queue: &Queue) -> Place<'_> {
        queue.place(|_| true).await.unwrap()
    }

    #[tokio::test]
    async fn the_emptiest_host_is_next() {
        let queue = queue(&[1, 3]);
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(take(&queue).await);
        }
        // Free slots first, then one more on each.
        assert_eq!(taken.iter().map(|place| place.host).collect::<Vec<_>>(), [0, 1, 1, 1, 0, 1]);
        let waiting = take(&queue);
        let freed = async {
            tokio::task::yield_now().await;
            taken.remove(2);
        };
        let (place, ()) = tokio::join!(waiting, freed);
        assert_eq!(place.host, 1);
    }

    #[tokio::test]
    async fn a_host_that_failed_rests() {
        let queue = queue(&[5, 5]);
        queue.rest(0);
        for _ in 0..3 {
            assert_eq!(take(&queue).await.host, 1);
        }
        assert_eq!(queue.place(|host| host == 0).await.unwrap().host, 0);
        assert!(queue.place(|_| false).await.is_none());
        queue.works(0);
        assert_eq!(take(&queue).await.host, 0);
    }

    #[tokio::test]
    async fn what_waits_at_a_full_host_is_called_back_by_an_idle_one() {
        let queue = queue(&[1, 1]);
        let (slow, fast) = (take(&queue).await, take(&queue).await);
        let (waits, other) = (take(&queue).await, take(&queue).await);
        assert_eq!([slow.host, fast.host, waits.host, other.host], [0, 1, 0, 1]);
        let is_wanted = |place: &Place<'_>| place.wanted_elsewhere().now_or_never().is_some();
        drop(fast);
        assert!(!is_wanted(&waits), "the other host has a job still");
        drop(other);
        assert!(is_wanted(&waits) && !is_wanted(&slow));
        drop(waits);
        assert_eq!(take(&queue).await.host, 1);
    }

    #[tokio::test]
    async fn a_job_that_waits_here_goes_before_one_that_waits_there() {
        let queue = queue(&[1, 1]);
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(take(&queue).await);
        }
        let mut next = Box::pin(take(&queue));
        assert!((&mut next).now_or_never().is_none());
        places.remove(1);
        let next = next.await;
        assert_eq!(next.host, 1);
        assert!(places[1].wanted_elsewhere().now_or_never().is_none());
    }
}
