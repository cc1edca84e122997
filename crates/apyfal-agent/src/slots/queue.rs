//! A queue in which owners take turns, and the sessions of an owner.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use apyfal_core::Owner;

/// What waits, each for a session of an owner. The owners take turns, the sessions of an owner do when
/// it is the owner's, and what waits for a session comes in the order in which it came.
#[derive(Debug)]
pub(super) struct Queue<T> {
    owners: Turns<Owner, Turns<Arc<str>, BTreeMap<u64, T>>>,
    /// Counts turns and tickets, so that each number is used once.
    counter: u64,
    len: usize,
}

/// The right to leave the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    owner: Owner,
    session: Arc<str>,
    number: u64,
}

/// Parties that take turns, each with what it waits with.
#[derive(Debug)]
struct Turns<K, W> {
    parties: HashMap<K, Party<W>>,
    /// The parties in the order of their turns.
    order: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Party<W> {
    turn: u64,
    waiting: W,
}

/// What a party waits with.
trait Waiting: Default {
    fn is_empty(&self) -> bool;
}

impl<T> Waiting for BTreeMap<u64, T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, W> Waiting for Turns<K, W> {
    fn is_empty(&self) -> bool {
        self.parties.is_empty()
    }
}

impl<K, W> Default for Turns<K, W> {
    fn default() -> Self {
        Self { parties: HashMap::new(), order: BTreeMap::new() }
    }
}

impl<K: Clone + Eq + Hash, W: Waiting> Turns<K, W> {
    /// What a party waits with. One that is new comes at this turn.
    fn party(&mut self, key: &K, turn: u64) -> &mut W {
        let party = self.parties.entry(key.clone()).or_insert_with(|| {
            self.order.insert(turn, key.clone());
            Party { turn, waiting: W::default() }
        });
        &mut party.waiting
    }

    /// Takes something of the party whose turn it is, which then comes at the turn `next`.
    fn take<T>(&mut self, next: u64, take: impl FnOnce(&mut W) -> Option<T>) -> Option<T> {
        let (_, key) = self.order.pop_first()?;
        let party = self.parties.get_mut(&key)?;
        let taken = take(&mut party.waiting);
        if party.waiting.is_empty() {
            self.parties.remove(&key);
        } else {
            party.turn = next;
            self.order.insert(next, key);
        }
        taken
    }

    /// Takes something of a party, whose turn stays the same.
    fn take_from<Q: Eq + Hash + ?Sized, T>(
        &mut self,
        key: &Q,
        take: impl FnOnce(&mut W) -> Option<T>,
    ) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let party = self.parties.get_mut(key)?;
        let taken = take(&mut party.waiting);
        if party.waiting.is_empty() {
            self.order.remove(&party.turn);
            self.parties.remove(key);
        }
        taken
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { owners: Turns::default(), counter: 0, len: 0 }
    }
}

impl<T> Queue<T> {
    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds at the end.
    pub(super) fn join(&mut self, owner: &Owner, session: &str, item: T) -> Ticket {
        self.counter += 1;
        let number = self.counter;
        self.len += 1;
        let (owner, session) = (owner.clone(), Arc::from(session));
        self.owners.party(&owner, number).party(&session, number).insert(number, item);
        Ticket { owner, session, number }
    }

    /// Takes the first of the session and owner whose turn it is, who then come after all others.
    pub(super) fn next(&mut self) -> Option<T> {
        self.counter += 1;
        let next = self.counter;
        let first = self.owners.take(next, |sessions| {
            sessions.take(next, |waiting| waiting.pop_first().map(|(_, item)| item))
        });
        self.len -= usize::from(first.is_some());
        first
    }

    /// Takes out what this ticket was given for, if it still waits.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let left = self.owners.take_from(&ticket.owner, |sessions| {
            sessions.take_from(&*ticket.session, |waiting| waiting.remove(&ticket.number))
        });
        self.len -= usize::from(left.is_some());
        left
    }

    /// Whether nothing is kept of those who left.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.len == 0 && self.owners.parties.is_empty() && self.owners.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    fn token(name: &str) -> Owner {
        Owner::Token(name.into())
    }

    #[test]
    fn sessions_take_turns() {
        let mut queue = Queue::default();
        for item in 0..4 {
            queue.join(&Owner::Anyone, "a", item);
        }
        queue.join(&Owner::Anyone, "b", 10);
        queue.join(&Owner::Anyone, "c", 20);
        queue.join(&Owner::Anyone, "b", 11);
        assert_eq!(queue.next(), Some(0));
        // Who comes now comes after those who wait.
        queue.join(&Owner::Anyone, "d", 30);
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue), [10, 20, 1, 30, 11, 2, 3]);
        assert!(queue.is_clean());
    }

    #[test]
    fn ten_sessions_of_an_owner_are_one_share() {
        let mut queue = Queue::default();
        let (many, few) = (token("many"), token("few"));
        for session in 0..10 {
            for job in 0..2 {
                queue.join(&many, &session.to_string(), 10 * job + session);
            }
        }
        for job in 0..3 {
            queue.join(&few, "x", 100 + job);
        }
        assert_eq!(drain(&mut queue)[..8], [0, 100, 1, 101, 2, 102, 3, 4]);
        assert!(queue.is_clean());
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let mut queue = Queue::default();
        let (one, other) = (token("one"), Owner::User(7));
        let tickets: Vec<_> = (0..5).map(|item| queue.join(&one, "a", item)).collect();
        let alone = queue.join(&other, "b", 10);
        assert_eq!(queue.next(), Some(0));
        assert_eq!(queue.leave(alone), Some(10));
        let left: Vec<_> = tickets.into_iter().map(|ticket| queue.leave(ticket)).collect();
        assert_eq!(left, [None, Some(1), Some(2), Some(3), Some(4)]);
        assert!(queue.is_clean());
        queue.join(&one, "a", 7);
        assert_eq!(drain(&mut queue), [7]);
        assert!(queue.is_clean());
    }
}
