//! Who has a connection, and who makes room where there is none left.
//!
//! A connection costs nothing to open, so being the first to have one is no right to it. Where all
//! places are taken, the one that has been idle for longest goes; where none is idle, one of those that
//! have most. Clients that the service knows keep a share for themselves, and what they asked for is
//! never broken off.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::Source;

/// One of so many places is kept for clients that are known.
const RESERVE: usize = 4;
/// Added to the requests under way where there will be none any more.
const LEAVING: usize = 1 << (usize::BITS - 1);

/// The places that there are for connections.
#[derive(Debug)]
pub(crate) struct Places {
    limit: usize,
    taken: Mutex<HashMap<u64, Arc<Occupant>>>,
    next: AtomicU64,
    /// Wakes who waits for a place.
    free: Notify,
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Occupant {
    pub(crate) number: u64,
    source: Source,
    began: Instant,
    /// When its last request began or ended, in milliseconds since it began.
    moved: AtomicU64,
    /// How many requests are under way.
    busy: AtomicUsize,
    is_known: AtomicBool,
    task: OnceLock<AbortHandle>,
}

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Seat {
    places: Arc<Places>,
    pub(crate) place: Arc<Occupant>,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Occupant>);

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            free: Notify::new(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Occupant>>> {
        self.taken.lock()
    }

    /// A place for a client. Where there is none, another one makes room; where nobody can, it waits.
    pub(crate) async fn take(self: &Arc<Self>, client: IpAddr) -> Seat {
        loop {
            let free = self.free.notified();
            if let Some(seat) = self.try_take(client) {
                return seat;
            }
            free.await;
        }
    }

    fn try_take(self: &Arc<Self>, client: IpAddr) -> Option<Seat> {
        let mut taken = self.taken();
        while taken.len() >= self.limit {
            self.leave(&mut taken)?;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place = Arc::new(Occupant::new(number, Source::of(client)));
        taken.insert(number, place.clone());
        Some(Seat { places: self.clone(), place })
    }

    /// Ends the connection that can be spared most; false where there is none.
    pub(crate) fn make_room(&self) -> bool {
        self.leave(&mut self.taken()).is_some()
    }

    /// Says which task serves a connection.
    pub(crate) fn served_by(&self, place: &Occupant, task: AbortHandle) {
        let _taken = self.taken();
        let task = place.task.get_or_init(|| task);
        // It may have been ended meanwhile.
        if place.is_leaving() {
            task.abort();
        }
    }

    fn leave(&self, taken: &mut HashMap<u64, Arc<Occupant>>) -> Option<()> {
        loop {
            let number = first_to_go(taken, self.limit / RESERVE)?;
            // One that is asked for something just now stays.
            if taken.get(&number).is_some_and(|place| place.leave()) {
                taken.remove(&number);
                return Some(());
            }
        }
    }
}

/// Who makes room.
fn first_to_go(taken: &HashMap<u64, Arc<Occupant>>, reserve: usize) -> Option<u64> {
    let of = |known| taken.iter().filter(move |(_, place)| place.is_known() == known);
    let longest_idle = |known| {
        let idle = of(known).filter(|(_, place)| place.is_idle());
        idle.min_by_key(|(number, place)| (place.moved(), **number)).map(|(number, _)| *number)
    };
    if let Some(number) = longest_idle(false) {
        return Some(number);
    }
    if of(true).count() > reserve
        && let Some(number) = longest_idle(true)
    {
        return Some(number);
    }
    let mut of_each = HashMap::<_, usize>::new();
    of(false).for_each(|(_, place)| *of_each.entry(place.source).or_default() += 1);
    let most = of_each.values().max()?;
    let greedy = of(false).filter(|(_, place)| of_each.get(&place.source) == Some(most));
    greedy.min_by_key(|(number, place)| (place.moved(), **number)).map(|(number, _)| *number)
}

impl Occupant {
    fn new(number: u64, source: Source) -> Self {
        Self {
            number,
            source,
            began: Instant::now(),
            moved: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            is_known: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    /// The service knows the client.
    pub(crate) fn know(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    fn is_leaving(&self) -> bool {
        self.busy.load(Ordering::Acquire) >= LEAVING
    }

    fn moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// A request begins. None where the connection is being ended.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Busy> {
        let busy = Busy(self.clone());
        (self.busy.fetch_add(1, Ordering::AcqRel) < LEAVING).then_some(busy)
    }

    /// Ends the connection, unless a client that is known asks for something.
    fn leave(&self) -> bool {
        let busy = if self.is_known() { 0 } else { self.busy.load(Ordering::Acquire) };
        let leaving = busy + LEAVING;
        let left = self.busy.compare_exchange(busy, leaving, Ordering::AcqRel, Ordering::Acquire);
        if left.is_ok() {
            self.end();
        }
        left.is_ok()
    }

    /// Ends the connection.
    pub(crate) fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.taken().remove(&self.place.number);
        self.places.free.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(place) = self;
        place.moved.store(place.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        place.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places taken from these addresses, one after the other.
    fn taken(limit: usize, sources: &[&str]) -> (Arc<Places>, Vec<Seat>) {
        let places = Arc::new(Places::new(limit));
        let take = |source: &&str| places.try_take(source.parse().unwrap()).unwrap();
        let seats: Vec<_> = sources.iter().map(take).collect();
        (places, seats)
    }

    fn is_gone(seat: &Seat) -> bool {
        seat.place.is_leaving()
    }

    fn gone(seats: &[Seat]) -> Vec<usize> {
        (0..seats.len()).filter(|number| is_gone(&seats[*number])).collect()
    }

    const MANY: [&str; 8] = ["10.0.0.1"; 8];

    #[test]
    fn the_longest_idle_makes_room() {
        let (places, seats) = taken(8, &MANY);
        seats[0].place.moved.store(100_000, Ordering::Relaxed);
        let busy = seats[1].place.begin();
        let late = places.try_take("10.0.0.2".parse().unwrap()).unwrap();
        assert_eq!(gone(&seats), [2]);
        drop(busy);
        assert!(seats[2].place.begin().is_none(), "it must not begin what is broken off");
        drop(late);
        assert_eq!(places.taken().len(), 7);
    }

    #[test]
    fn who_is_known_keeps_a_share_and_is_never_broken_off() {
        let (places, seats) = taken(8, &MANY);
        let here = "10.0.0.1".parse().unwrap();
        seats[0].place.know();
        seats[1].place.know();
        let late: Vec<_> = (0..100).map(|_| places.try_take(here).unwrap()).collect();
        assert_eq!(gone(&seats), [2, 3, 4, 5, 6, 7]);
        assert!(gone(&late).len() == 94);
        // Beyond that share those that are known make room as well.
        late[99].place.know();
        let _working: Vec<_> = late[94..99].iter().map(|seat| seat.place.begin()).collect();
        let _last = places.try_take(here).unwrap();
        assert!(is_gone(&seats[0]) && !is_gone(&seats[1]) && !is_gone(&late[98]));
        let (places, seats) = taken(2, &MANY[..2]);
        seats.iter().for_each(|seat| seat.place.know());
        let working: Vec<_> = seats.iter().map(|seat| seat.place.begin().unwrap()).collect();
        assert!(places.try_take(here).is_none() && !places.make_room());
        drop(working);
        assert!(places.try_take(here).is_some());
    }

    #[test]
    fn where_nobody_is_idle_those_who_have_most_make_room() {
        let many = ["2001:db8::1", "10.0.0.2", "2001:db8::2", "2001:db8::3", "10.0.0.2"];
        let (places, seats) = taken(5, &many);
        let _working: Vec<_> = seats.iter().map(|seat| seat.place.begin().unwrap()).collect();
        let take = || places.try_take("10.0.0.9".parse().unwrap()).unwrap();
        let late = take();
        let _working = late.place.begin();
        assert_eq!(gone(&seats), [0]);
        let later = take();
        let _working = later.place.begin();
        assert_eq!(gone(&seats), [0, 1]);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place() {
        let (places, mut seats) = taken(1, &MANY[..1]);
        seats[0].place.know();
        let working = seats[0].place.begin();
        let waiting = tokio::spawn(async move { places.take("::1".parse().unwrap()).await });
        tokio::task::yield_now().await;
        drop((working, seats.pop()));
        waiting.await.unwrap();
    }
}
