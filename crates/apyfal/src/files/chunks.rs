//! What is handed to a thread at once: a file, or several where handing over takes longer than the work.

use apyfal_core::Result;
use apyfal_storage::Location;

use super::outputs::{Item, Items};

/// So many files at once are worth a thread, however short they are. What is done of them is written down with the
/// last one, or before one that has to wait, and done again by who was killed before.
const MOST: usize = 16;

/// The items of a map, in chunks of one or several.
#[derive(Debug)]
pub(super) struct Chunks {
    items: Items,
    /// The next item, which did not belong to the chunk before.
    next: Option<Result<Item>>,
    /// Sources of no more bytes are quick; without any, no job is.
    quick: u64,
    /// Whether results are written as well as read.
    writes: bool,
    /// Among how many chunks the rest is shared out at least, so that none is long at the end.
    shares: usize,
}

impl Chunks {
    /// The items of a map whose sources are quick up to so many bytes, which writes results or not. Chunks are shared
    /// out among so many threads.
    pub(super) fn new(items: Items, quick: u64, writes: bool, threads: usize) -> Self {
        Self { items, next: None, quick, writes, shares: 4 * threads.max(1) }
    }

    fn is_quick(&self, item: &Result<Item>) -> bool {
        let is_file = |location: &Location| matches!(location, Location::File(_));
        let (1.., Ok(item)) = (self.quick, item) else { return false };
        is_file(&item.source.location)
            && (is_file(&item.location) || !self.writes)
            && item.bytes().is_some_and(|bytes| bytes <= self.quick)
    }
}

impl Iterator for Chunks {
    type Item = Vec<Result<Item>>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next.take().or_else(|| self.items.next())?;
        let mut is_quick = self.is_quick(&first);
        let mut chunk = vec![first];
        let most = (self.items.len() / self.shares).min(MOST);
        while is_quick && chunk.len() < most {
            let Some(item) = self.items.next() else { break };
            is_quick = self.is_quick(&item);
            match is_quick {
                true => chunk.push(item),
                false => self.next = Some(item),
            }
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::found::Sources;
    use super::super::outputs::{End, Root};
    use super::*;

    /// How many files are in each chunk of 100 short ones, of which one is long.
    fn lengths(quick: u64) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..100).map(|number| folder.path().join(number.to_string())).collect();
        for (number, path) in paths.iter().enumerate() {
            std::fs::write(path, vec![0; if number == 40 { 11 } else { 10 }]).unwrap();
        }
        let urls: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let sources = Sources::named(&urls).unwrap();
        let root = Root::parse("/nowhere").unwrap();
        let items = Items::new(sources, root, End::Add(String::new())).unwrap();
        let mut number = 0;
        let chunks = Chunks::new(items, quick, true, 1).map(|chunk| {
            for item in &chunk {
                let name = &item.as_ref().unwrap().name;
                assert_eq!(*name, number.to_string(), "each in its turn");
                assert!(number != 40 || chunk.len() == 1, "a long one is alone");
                number += 1;
            }
            chunk.len()
        });
        chunks.collect()
    }

    #[test]
    fn quick_files_share_a_thread_and_fewer_towards_the_end() {
        let here = lengths(10);
        assert_eq!(here.iter().sum::<usize>(), 100);
        assert_eq!((here.iter().max(), here.last()), (Some(&MOST), Some(&1)), "{here:?}");
        assert_eq!(lengths(0), [1; 100]);
    }
}
