//! What is handed to a thread at once: a file, or several where handing over takes longer than the work.

use apyfal_core::{AcceleratorInfo, Need, Result};
use apyfal_storage::Location;

use super::outputs::{Item, Items};

/// So many files at once are worth a thread, however short they are. What is done of them is written down with the
/// last one, and done again by who was killed before.
const MOST: usize = 16;

/// The items of a map, in chunks of one or several.
#[derive(Debug)]
pub(super) struct Chunks {
    items: Items,
    /// The next item, which did not belong to the chunk before.
    next: Option<Result<Item>>,
    /// Sources of no more bytes are quick; none where no job is.
    quick: Option<u64>,
    /// Whether results are written as well as read.
    writes: bool,
    /// Among how many chunks the rest is shared out at least, so that none is long at the end.
    shares: usize,
}

impl Chunks {
    /// The items of a map on this machine, or elsewhere, whose chunks are shared out among so many threads.
    pub(super) fn new(items: Items, info: &AcceleratorInfo, is_here: bool, threads: usize) -> Self {
        // Where another engine might have to help, a job is not done within the call that begins it.
        let quick = match &info.engines[..] {
            [only] if is_here && only.quick > 0 => Some(only.quick as u64),
            _ => None,
        };
        let (writes, shares) = (info.dst != Need::None, 4 * threads.max(1));
        Self { items, next: None, quick, writes, shares }
    }

    fn is_quick(&self, item: &Result<Item>) -> bool {
        let is_file = |location: &Location| matches!(location, Location::File(_));
        let (Some(quick), Ok(item)) = (self.quick, item) else { return false };
        is_file(&item.source.location)
            && (is_file(&item.location) || !self.writes)
            && item.bytes().is_some_and(|bytes| bytes <= quick)
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
    use apyfal_core::EngineInfo;

    use super::super::found::Sources;
    use super::super::outputs::{End, Root};
    use super::*;

    /// How many files are in each chunk of 100 short ones, of which one is long.
    fn lengths(is_here: bool) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..100).map(|number| folder.path().join(number.to_string())).collect();
        for (number, path) in paths.iter().enumerate() {
            std::fs::write(path, vec![0; if number == 40 { 11 } else { 10 }]).unwrap();
        }
        let urls: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let sources = Sources::named(&urls).unwrap();
        let root = Root::parse("/nowhere").unwrap();
        let items = Items::new(sources, root, End::Add(String::new())).unwrap();
        let engine = EngineInfo { quick: 10, ..EngineInfo::cpu() };
        let info = AcceleratorInfo { engines: vec![engine], ..AcceleratorInfo::new("quick", "") };
        let mut number = 0;
        let chunks = Chunks::new(items, &info, is_here, 1).map(|chunk| {
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
        let here = lengths(true);
        assert_eq!(here.iter().sum::<usize>(), 100);
        assert_eq!((here.iter().max(), here.last()), (Some(&MOST), Some(&1)), "{here:?}");
        assert_eq!(lengths(false), [1; 100]);
    }
}
