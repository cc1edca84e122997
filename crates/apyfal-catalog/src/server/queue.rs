//! Who waits for the check of a secret: no address may fill the queue for all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// So many tries of one address wait at a time.
const OF_ONE: usize = 4;
/// So many wait in all.
const OF_ALL: usize = 64;

/// How many tries of each address wait or are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Queue {
    /// A place in it, until that is dropped. None where there are none left.
    pub(super) fn enter(&self, from: IpAddr) -> Option<Place> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = waiting.values().sum();
        if all >= OF_ALL || waiting.get(&from).is_some_and(|own| *own >= OF_ONE) {
            return None;
        }
        *waiting.entry(from).or_insert(0) += 1;
        Some(Place { queue: self.clone(), from })
    }
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Place {
    queue: Queue,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.from) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_fills_it() {
        let queue = Queue::default();
        let here = IpAddr::from([10, 0, 0, 1]);
        let places: Vec<_> = (0..OF_ONE).map(|_| queue.enter(here).unwrap()).collect();
        assert!(queue.enter(here).is_none());
        assert!(queue.enter([10, 0, 0, 2].into()).is_some());
        drop(places);
        assert!(queue.enter(here).is_some());
    }
}
