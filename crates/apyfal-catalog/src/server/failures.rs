//! How often a source may be wrong about an account, and which was right.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use apyfal_net::Source;
use parking_lot::Mutex;

/// So many wrong secrets in this time, then who sends them has to wait until it is over.
const ALLOWED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// From so many on, those whose time is over are forgotten. There cannot be many more: each is a
/// check of a secret, of which some are made in a second and some wait.
const MANY: usize = 1000;
/// So many who were right are remembered; beyond, those who were so longest ago are forgotten.
const KNOWN: usize = 1000;

type Key = (Source, String);

/// Wrong secrets by the account that was tried and the source that tried it.
#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: Mutex<HashMap<Key, (u32, Instant)>>,
    right: Mutex<HashMap<Key, Instant>>,
}

impl Failures {
    /// Counts a try, before it is looked at: of many at once none goes by unseen.
    ///
    /// # Errors
    /// How long this source has to wait before it tries that account again.
    pub(super) fn begin(&self, from: Source, client_id: &str) -> Result<(), Duration> {
        let mut counts = self.counts.lock();
        if counts.len() >= MANY {
            counts.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        let (count, since) = counts.entry(key(from, client_id)).or_insert((0, Instant::now()));
        match WINDOW.checked_sub(since.elapsed()) {
            Some(left) if *count >= ALLOWED => return Err(left),
            Some(_) => {}
            None => (*count, *since) = (0, Instant::now()),
        }
        *count += 1;
        Ok(())
    }

    /// Takes back a try that was not looked at.
    pub(super) fn take_back(&self, from: Source, client_id: &str) {
        let mut counts = self.counts.lock();
        let key = key(from, client_id);
        if let Some((count, _)) = counts.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }

    /// Whether this source was right about that account before.
    pub(super) fn was_right(&self, from: Source, client_id: &str) -> bool {
        let right = self.right.lock();
        right.contains_key(&key(from, client_id))
    }

    /// Takes back what a right secret was counted as, and remembers who has it.
    pub(super) fn forgive(&self, from: Source, client_id: &str) {
        let key = key(from, client_id);
        self.counts.lock().remove(&key);
        let mut right = self.right.lock();
        right.insert(key, Instant::now());
        if right.len() > KNOWN {
            let oldest = right.iter().min_by_key(|(_, when)| **when).map(|(key, _)| key.clone());
            oldest.map(|key| right.remove(&key));
        }
    }
}

fn key(from: Source, client_id: &str) -> Key {
    // What is no name of an account counts as one, however long it is.
    (from, client_id.chars().take(128).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn who_is_wrong_too_often_has_to_wait() {
        let failures = Failures::default();
        let (here, there) = (source("10.0.0.1"), source("10.0.0.2"));
        for _ in 0..ALLOWED {
            assert_eq!(failures.begin(here, "a"), Ok(()));
        }
        assert!(failures.begin(here, "a").is_err());
        assert_eq!(failures.begin(there, "a"), Ok(()), "others are not locked out");
        assert_eq!(failures.begin(here, "b"), Ok(()));
        failures.take_back(here, "a");
        assert_eq!(failures.begin(here, "a"), Ok(()), "what was not looked at tells nothing");
        assert!(failures.begin(here, "a").is_err());
        failures.take_back(here, "b");
        assert_eq!(failures.counts.lock().len(), 2);
    }

    #[test]
    fn another_address_of_the_same_network_is_no_way_out() {
        let failures = Failures::default();
        for number in 0..ALLOWED {
            failures.begin(source(&format!("2001:db8::{number}")), "a").unwrap();
        }
        assert!(failures.begin(source("2001:db8::ffff"), "a").is_err());
        assert_eq!(failures.begin(source("2001:db8:0:1::1"), "a"), Ok(()));
    }

    #[test]
    fn who_was_right_is_remembered() {
        let failures = Failures::default();
        let here = source("10.0.0.1");
        failures.begin(here, "a").unwrap();
        assert!(!failures.was_right(here, "a"));
        failures.forgive(here, "a");
        assert!(failures.was_right(here, "a") && !failures.was_right(here, "b"));
        for number in 0..KNOWN {
            failures.forgive(source("10.0.0.2"), &number.to_string());
        }
        assert!(!failures.was_right(here, "a"));
    }
}
