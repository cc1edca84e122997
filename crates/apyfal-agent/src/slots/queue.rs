//! A queue in which owners take turns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What waits, each for an owner. The owners take turns, and what an owner waits with comes in the
/// order in which it came.
#[derive(Debug)]
pub(super) struct Queue<T> {
    owners: HashMap<Arc<str>, Owner<T>>,
    /// The owners in the order of their turns.
    turns: BTreeMap<u64, Arc<str>>,
    /// Counts turns and tickets, so that each number is used once.
    counter: u64,
    len: usize,
}

#[derive(Debug)]
struct Owner<T> {
    turn: u64,
    waiting: BTreeMap<u64, T>,
}

/// The right to leave the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    owner: Arc<str>,
    number: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { owners: HashMap::new(), turns: BTreeMap::new(), counter: 0, len: 0 }
    }
}

impl<T> Queue<T> {
    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds at the end.
    pub(super) fn join(&mut self, owner: &str, item: T) -> Ticket {
        self.counter += 1;
        let number = self.counter;
        self.len += 1;
        let known = self.owners.get_key_value(owner).map(|(owner, _)| owner.clone());
        let owner = known.unwrap_or_else(|| owner.into());
        let entry = self.owners.entry(owner.clone()).or_insert_with(|| {
            self.turns.insert(number, owner.clone());
            Owner { turn: number, waiting: BTreeMap::new() }
        });
        entry.waiting.insert(number, item);
        Ticket { owner, number }
    }

    /// Takes the first of the owner whose turn it is, who then comes after all others.
    pub(super) fn next(&mut self) -> Option<T> {
        let (_, owner) = self.turns.pop_first()?;
        let entry = self.owners.get_mut(&owner)?;
        let (_, item) = entry.waiting.pop_first()?;
        self.len -= 1;
        if entry.waiting.is_empty() {
            self.owners.remove(&owner);
        } else {
            self.counter += 1;
            entry.turn = self.counter;
            self.turns.insert(self.counter, owner);
        }
        Some(item)
    }

    /// Takes out what this ticket was given for, if it still waits.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let entry = self.owners.get_mut(&ticket.owner)?;
        let item = entry.waiting.remove(&ticket.number)?;
        self.len -= 1;
        if entry.waiting.is_empty() {
            self.turns.remove(&entry.turn);
            self.owners.remove(&ticket.owner);
        }
        Some(item)
    }

    /// Whether nothing is kept of those who left.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.len == 0 && self.owners.is_empty() && self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn owners_take_turns() {
        let mut queue = Queue::default();
        for item in 0..4 {
            queue.join("a", item);
        }
        queue.join("b", 10);
        queue.join("c", 20);
        queue.join("b", 11);
        assert_eq!(queue.next(), Some(0));
        // Who comes now comes after those who wait.
        queue.join("d", 30);
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue), [10, 20, 1, 30, 11, 2, 3]);
        assert!(queue.is_clean());
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..5).map(|item| queue.join("a", item)).collect();
        let alone = queue.join("b", 10);
        assert_eq!(queue.next(), Some(0));
        assert_eq!(queue.leave(alone), Some(10));
        let left: Vec<_> = tickets.into_iter().map(|ticket| queue.leave(ticket)).collect();
        assert_eq!(left, [None, Some(1), Some(2), Some(3), Some(4)]);
        assert!(queue.is_clean());
        queue.join("a", 7);
        assert_eq!(drain(&mut queue), [7]);
        assert!(queue.is_clean());
    }
}
