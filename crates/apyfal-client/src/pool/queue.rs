//! Which host takes the next job: the one with the most room, as soon as there is any.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::Error;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::session::PoolSession;

/// How long a host that does not answer is left alone while others work.
const REST: Duration = Duration::from_secs(10);
/// The same while none works.
const RETRY: Duration = Duration::from_secs(1);
/// How long none may work before jobs are given up.
const LOST: Duration = Duration::from_secs(20);

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

#[derive(Debug)]
struct Loads {
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
    places: Vec<Taken>,
    standing: Standing,
    /// Until when it gets no job, though it answers.
    paused_until: Option<Instant>,
}

/// A place that a job has.
#[derive(Debug)]
struct Taken {
    number: u64,
    wanted: Arc<Notify>,
    able: Able,
}

/// The hosts that are able to do a job.
#[derive(Clone, Debug)]
pub(super) struct Able {
    /// It must have been started there.
    pub(super) session: Arc<PoolSession>,
    /// The one host that may, where it is a certain one.
    pub(super) only: Option<usize>,
    /// Those that may not.
    pub(super) without: Vec<usize>,
}

impl Able {
    fn has(&self, host: usize) -> bool {
        self.session.on(host).is_some()
            && self.only.is_none_or(|only| only == host)
            && !self.without.contains(&host)
    }
}

/// Whether a host can be used.
#[derive(Debug)]
enum Standing {
    Works,
    /// It has not answered since then. One job at a time looks whether it does again.
    Rests {
        since: Instant,
        tried: Instant,
        why: Arc<Error>,
    },
    /// It is not used any more.
    Out(Arc<Error>),
}

impl Load {
    fn works(&self) -> bool {
        matches!(self.standing, Standing::Works)
    }

    /// When it may be given a job again, where that is not now.
    fn paused(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    fn has_room(&self) -> bool {
        self.places.len() <= self.slots
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.places.len() < self.slots && self.works() && self.paused(now).is_none()
    }

    /// How full it is; with a free slot always less than without.
    fn fullness(&self) -> f64 {
        self.places.len() as f64 / self.slots as f64
    }
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

/// What a job is to do next.
enum Choice {
    Take {
        host: usize,
        is_doubtful: bool,
    },
    /// To look again when something changes, or then.
    Wait(Option<Instant>),
    /// No host will take it.
    Nobody,
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

impl Loads {
    /// What a job is to do that some hosts are able to do.
    fn choose(&mut self, able: &Able, now: Instant) -> Choice {
        let able = (0..self.hosts.len()).filter(|host| able.has(*host));
        let (working, others): (Vec<usize>, Vec<usize>) =
            able.partition(|host| self.hosts[*host].works());
        let pause = if working.is_empty() { RETRY } else { REST };
        let mut again: Option<Instant> = None;
        let mut gone_since: Option<Instant> = None;
        for host in others {
            let Standing::Rests { since, tried, .. } = &mut self.hosts[host].standing else {
                continue;
            };
            if *tried + pause <= now {
                // Nobody else looks meanwhile.
                *tried = now;
                return Choice::Take { host, is_doubtful: true };
            }
            again = Some(again.map_or(*tried + pause, |other| other.min(*tried + pause)));
            gone_since = Some(gone_since.map_or(*since, |other| other.max(*since)));
        }
        if working.is_empty() {
            return match gone_since {
                Some(since) if now < since + LOST => Choice::Wait(again),
                _ => Choice::Nobody,
            };
        }
        let mut best: Option<usize> = None;
        for host in working {
            let load = &self.hosts[host];
            if let Some(until) = load.paused(now) {
                again = Some(again.map_or(until, |other| other.min(until)));
            } else if load.has_room()
                && best.is_none_or(|best| load.fullness() < self.hosts[best].fullness())
            {
                best = Some(host);
            }
        }
        match best {
            Some(host) => Choice::Take { host, is_doubtful: false },
            None => Choice::Wait(again),
        }
    }

    /// Calls back a job that waits at a host, where another one has nothing to do and could do it.
    fn call_back(&self) {
        if self.waiting > 0 {
            return;
        }
        let now = Instant::now();
        let hosts = self.hosts.iter().enumerate();
        let idle = hosts.filter(|(_, host)| host.is_idle(now)).map(|(index, _)| index);
        let idle: Vec<usize> = idle.collect();
        let could_move = |place: &&Taken| idle.iter().any(|host| place.able.has(*host));
        let full = self.hosts.iter().filter(|host| host.places.len() > host.slots);
        if let Some(place) = full.filter_map(|host| host.places.last()).find(could_move) {
            place.wanted.notify_one();
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

#[cfg(test)]
mod tests {
    use apyfal_core::ErrorKind;
    use futures::FutureExt;

    use super::*;

    fn queue(slots: &[usize]) -> Queue {
        let queue = Queue::new(slots.len());
        slots.iter().enumerate().for_each(|(host, slots)| queue.joins(host, *slots));
        queue
    }

    /// A job that one host is able to do, or all are where none is named.
    fn on(queue: &Queue, only: Option<usize>) -> Able {
        let ids = vec![Some("session".to_owned()); queue.state().hosts.len()];
        Able { session: Arc::new(PoolSession::started(ids)), only, without: Vec::new() }
    }

    fn any(queue: &Queue) -> Able {
        on(queue, None)
    }

    async fn take(queue: &Queue) -> Permit<'_> {
        queue.place(any(queue)).await.unwrap()
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

    fn gone() -> Error {
        Error::new(ErrorKind::Unavailable, "gone")
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_rests() {
        let queue = queue(&[5, 5]);
        queue.rest(0, Instant::now(), gone());
        for _ in 0..3 {
            assert_eq!(take(&queue).await.host, 1);
        }
        assert!(queue.place(Able { without: vec![0, 1], ..any(&queue) }).await.is_none());
        // It is tried where there is no other, by one job at a time.
        let place = queue.place(on(&queue, Some(0))).await.unwrap();
        assert!(place.host == 0 && place.is_doubtful);
        assert!(Box::pin(queue.place(on(&queue, Some(0)))).now_or_never().is_none());
        queue.works(0);
        let other = queue.place(on(&queue, Some(0))).await.unwrap();
        assert!(other.host == 0 && !other.is_doubtful && queue.trouble(0).is_none());
    }

    #[tokio::test]
    async fn jobs_are_given_up_once_no_host_has_answered_for_long() {
        let queue = queue(&[5, 5]);
        let long_ago = Instant::now().checked_sub(LOST).unwrap();
        queue.rest(0, long_ago, gone());
        // The other one may come back yet.
        queue.rest(1, Instant::now(), gone());
        assert!(Box::pin(queue.place(any(&queue))).now_or_never().is_none());
        assert!(queue.place(on(&queue, Some(0))).await.is_none());
        queue.leave_out(1, gone());
        assert!(queue.place(any(&queue)).await.is_none());
        // What is left out stays so, until the hosts are asked anew.
        queue.works(1);
        queue.rest(1, Instant::now(), gone());
        assert!(queue.place(any(&queue)).await.is_none() && queue.trouble(1).is_some());
        queue.joins(1, 1);
        assert_eq!(take(&queue).await.host, 1);
    }

    #[tokio::test]
    async fn a_paused_host_is_waited_for() {
        let queue = queue(&[1, 1]);
        queue.pause(0, Duration::from_secs(1000));
        assert_eq!(take(&queue).await.host, 1);
        assert!(Box::pin(queue.place(on(&queue, Some(0)))).now_or_never().is_none());
        queue.pause(0, Duration::from_millis(10));
        assert_eq!(queue.place(on(&queue, Some(0))).await.unwrap().host, 0);
    }

    #[tokio::test]
    async fn a_job_is_called_back_only_for_a_host_that_can_do_it() {
        let queue = queue(&[1, 1]);
        let first = async || queue.place(on(&queue, Some(0))).await.unwrap();
        let (runs, waits) = (first().await, first().await);
        assert!(waits.wanted_elsewhere().now_or_never().is_none(), "it cannot go to the idle host");
        drop(queue.place(on(&queue, Some(1))).await);
        assert!(waits.wanted_elsewhere().now_or_never().is_none(), "not then either");
        drop(runs);
    }

    #[tokio::test]
    async fn what_waits_at_a_full_host_is_called_back_by_an_idle_one() {
        let queue = queue(&[1, 1]);
        let (slow, fast) = (take(&queue).await, take(&queue).await);
        let (waits, other) = (take(&queue).await, take(&queue).await);
        assert_eq!([slow.host, fast.host, waits.host, other.host], [0, 1, 0, 1]);
        let is_wanted = |place: &Permit<'_>| place.wanted_elsewhere().now_or_never().is_some();
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

    #[tokio::test]
    async fn a_thousand_hosts_fill_up_together() {
        let queue = queue(&[2; 1000]);
        let able = any(&queue);
        let mut places = Vec::new();
        for _ in 0..3000 {
            places.push(queue.place(able.clone()).await.unwrap());
        }
        let at = |host: usize| places.iter().filter(|place| place.host == host).count();
        assert!((0..1000).all(|host| at(host) == 3), "two run on each, and one waits");
        assert!(Box::pin(queue.place(able.clone())).now_or_never().is_none());
        // They share what they know of it.
        assert_eq!(Arc::strong_count(&able.session), 3001);
        // Where one host has done all that it had, it gets what waits at another.
        places.retain(|place| place.host != 999);
        let wanted =
            places.iter().filter(|place| place.wanted_elsewhere().now_or_never().is_some());
        assert!(wanted.count() > 0);
    }
}
