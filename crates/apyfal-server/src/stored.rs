//! Data that waits on disk until it is known what it is for.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Input, Result};
use bytes::Bytes;

use crate::scratch::{Holder, Scratch, ScratchFile};

/// How much is written at once.
const BLOCK: usize = 1 << 20;

/// A file without a name, and what of it was read.
#[derive(Debug)]
pub(crate) struct Stored {
    file: ScratchFile,
    waiting: Vec<Bytes>,
    waiting_len: usize,
    len: u64,
    read: u64,
}

impl Stored {
    /// What comes in on a connection.
    pub(crate) fn new(scratch: &Arc<Scratch>, holder: Option<Holder>) -> Result<Self> {
        let file = scratch.file(holder)?;
        Ok(Self { file, waiting: Vec::new(), waiting_len: 0, len: 0, read: 0 })
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// The space for it is used up.
    pub(crate) async fn add(mut self, piece: Bytes) -> Result<Self> {
        self.waiting_len += piece.len();
        self.waiting.push(piece);
        if self.waiting_len >= BLOCK { self.written().await } else { Ok(self) }
    }

    /// Writes what waits.
    pub(crate) async fn written(mut self) -> Result<Self> {
        let written = tokio::task::spawn_blocking(move || {
            for piece in self.waiting.drain(..) {
                self.file.write_all(&piece)?;
            }
            self.len += std::mem::take(&mut self.waiting_len) as u64;
            Ok(self)
        });
        written.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the writing thread ended").source(error)
        })?
    }

    pub(crate) fn into_input(self) -> Input {
        let len = self.len;
        Input::stream(self).with_len(len)
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.file().read_at(buffer, self.read)?;
        self.file.check()?;
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_stored_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 5 << 20).unwrap();
        let piece = |n: u8| Bytes::from(vec![n; 700_000]);
        let mut stored = Stored::new(&scratch, None).unwrap();
        for n in 0..5 {
            stored = stored.add(piece(n)).await.unwrap();
        }
        let mut stored = stored.written().await.unwrap();
        let mut back = Vec::new();
        stored.read_to_end(&mut back).unwrap();
        assert!(back == (0..5).flat_map(piece).collect::<Vec<u8>>());
        drop(stored);
        assert_eq!(scratch.used(), 0);
    }

    #[tokio::test]
    async fn the_space_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 10).unwrap();
        let stored = Stored::new(&scratch, None).unwrap().add(vec![0; 2 << 20].into()).await;
        assert_eq!(stored.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(scratch.used(), 0);
    }
}
