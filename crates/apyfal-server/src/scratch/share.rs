//! Who makes room in the scratch space, where it is short: who holds most, of owners first and then of
//! the connections of one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use apyfal_core::Owner;

use super::Scratch;

/// Who holds files: a connection, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) owner: Owner,
    /// The number of the connection.
    pub(crate) connection: u64,
}

impl Scratch {
    /// Has the connection that holds most lose it: of the owner who holds more than an owner's share,
    /// else of one's own, where it is more than a connection's share of that. False where nobody has
    /// more. `asking` wants so many bytes more; the host itself wants it of anybody.
    pub(super) fn lose(&self, asking: Option<&Holder>, bytes: u64) -> bool {
        let all = self.held.lock();
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        let held: Vec<_> = all
            .iter()
            .filter_map(|held| Some((held.holder.as_ref()?, held.bytes.load(Ordering::Relaxed))))
            .collect();
        let Some(loser) = loser(&held, asking, bytes).cloned() else { return false };
        all.iter().filter(|held| held.holder.as_ref() == Some(&loser)).for_each(|held| held.lose());
        true
    }
}

/// The connection that is to make room for so many bytes more of the one who asks.
fn loser<'a>(
    held: &[(&'a Holder, u64)],
    asking: Option<&'a Holder>,
    bytes: u64,
) -> Option<&'a Holder> {
    let own = asking.map(|asking| &asking.owner);
    let of = |owner: &Owner| {
        let owner = owner.clone();
        held.iter().copied().filter(move |(holder, _)| holder.owner == owner)
    };
    let of_owners = held.iter().map(|(holder, bytes)| (&holder.owner, *bytes));
    if let Some(greedy) = greediest(of_owners, own, bytes) {
        // It holds too much, so one of its connections makes room however its others are.
        return most(of(greedy));
    }
    match own {
        Some(own) => greediest(of(own), asking, bytes),
        None => greediest(held.iter().copied(), asking, bytes),
    }
}

/// Who holds most and more than an equal share, beside the one who asks for more.
fn greediest<'a, K: Eq + Hash>(
    held: impl Iterator<Item = (&'a K, u64)>,
    asking: Option<&'a K>,
    bytes: u64,
) -> Option<&'a K> {
    let mut of_each = HashMap::from([(asking, bytes)]);
    for (holder, bytes) in held {
        *of_each.entry(Some(holder)).or_default() += bytes;
    }
    let share = of_each.values().sum::<u64>() / of_each.len() as u64;
    let others = of_each.into_iter().filter(|(holder, _)| *holder != asking);
    let (most, bytes) = others.max_by_key(|(_, bytes)| *bytes)?;
    most.filter(|_| bytes > share)
}

/// Who holds most.
fn most<'a, K: Eq + Hash>(held: impl Iterator<Item = (&'a K, u64)>) -> Option<&'a K> {
    let mut of_each = HashMap::new();
    for (holder, bytes) in held {
        *of_each.entry(holder).or_insert(0) += bytes;
    }
    of_each.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(holder, _)| holder)
}

#[cfg(test)]
impl Holder {
    /// A connection of nobody in particular.
    pub(crate) fn anyone(connection: u64) -> Self {
        Self { owner: Owner::Anyone, connection }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_owner_with_many_connections_has_one_share() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 1000).unwrap();
        let file = |name: &str, connection| {
            let owner = Owner::Token(name.into());
            scratch.file(Some(Holder { owner, connection })).unwrap()
        };
        let mut of_many: Vec<_> = (0..9).map(|connection| file("many", connection)).collect();
        for file in &mut of_many {
            file.write_all(&[1; 100]).unwrap();
        }
        let mut few = file("few", 100);
        few.write_all(&[2; 100]).unwrap();
        // Each of its connections has no more than the one of the other, but together they have.
        few.write_all(&[2; 300]).unwrap();
        assert_eq!(of_many.iter().filter(|file| file.check().is_err()).count(), 3);
        few.write_all(&[2; 100]).unwrap();
        assert!(few.write_all(&[2; 1]).is_err(), "that is its share");
        assert_eq!(of_many.iter().filter(|file| file.check().is_ok()).count(), 5);
        of_many.iter_mut().for_each(|file| drop(file.write_all(&[1; 1])));
        assert!(few.check().is_ok());
    }
}
