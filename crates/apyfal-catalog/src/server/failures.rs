//! How often an address may be wrong about an account.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many wrong secrets in this time, then who sends them has to wait until it is over.
const ALLOWED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// From so many on, those whose time is over are forgotten. There cannot be many more: each is a
/// check of a secret, of which the queue lets through some in a second.
const MANY: usize = 1000;

/// Wrong secrets by the account that was tried and the address that tried it.
#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: Mutex<HashMap<(IpAddr, String), (u32, Instant)>>,
}

impl Failures {
    /// How long this address has to wait before it tries that account again.
    pub(super) fn wait(&self, from: IpAddr, client_id: &str) -> Option<Duration> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = counts.get(&key(from, client_id))?;
        let left = WINDOW.checked_sub(since.elapsed())?;
        (*count >= ALLOWED).then_some(left)
    }

    /// Takes back what a right secret was counted as.
    pub(super) fn forgive(&self, from: IpAddr, client_id: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&key(from, client_id));
    }

    /// Counts a try.
    pub(super) fn count(&self, from: IpAddr, client_id: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MANY {
            counts.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        let entry = counts.entry(key(from, client_id)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= WINDOW {
            *entry = (0, Instant::now());
        }
        entry.0 += 1;
    }
}

fn key(from: IpAddr, client_id: &str) -> (IpAddr, String) {
    // What is no name of an account counts as one, however long it is.
    (from, client_id.chars().take(128).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_wrong_too_often_has_to_wait() {
        let failures = Failures::default();
        let (here, there): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for _ in 0..ALLOWED {
            assert_eq!(failures.wait(here, "a"), None);
            failures.count(here, "a");
        }
        assert!(failures.wait(here, "a").is_some());
        assert_eq!(failures.wait(there, "a"), None, "others are not locked out");
        assert_eq!(failures.wait(here, "b"), None);
    }
}
