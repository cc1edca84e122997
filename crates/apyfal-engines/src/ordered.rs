//! Blocks of a stream worked on by several threads, read and written in order.
//!
//! There is no thread for reading and none for writing: each worker reads its block under a lock,
//! works on it, and whoever finishes the next block in order writes it and those behind it. So a
//! block stays in the cache of one core, and memory is bounded by the fixed number of blocks,
//! which are used again and again.

use std::collections::BTreeMap;

use apyfal_core::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Runs `read`, `work` and `write` over a stream of blocks until `read` answers false.
///
/// `read` and `write` see the blocks in order, one at a time; `work` runs on `threads` threads (the
/// calling one included) at once, each with its own worker made by `worker`. A block is made by
/// `Default` and comes back to `read` as `write` left it, so that its buffers need no new memory.
///
/// # Errors
/// The first error of any of the three, after all threads have ended.
pub fn run<Block, Worker>(
    threads: usize,
    worker: impl Fn() -> Worker + Sync,
    read: impl FnMut(&mut Block) -> Result<bool> + Send,
    work: impl Fn(&mut Worker, &mut Block) -> Result<()> + Sync,
    write: impl FnMut(&mut Block) -> Result<()> + Send,
) -> Result<()>
where
    Block: Default + Send,
{
    if threads <= 1 {
        return run_alone(worker(), read, work, write);
    }
    let line = Line {
        source: Mutex::new(Source { read, next: 0, ended: false }),
        write: Mutex::new(write),
        shelf: Mutex::new(Shelf {
            // One in work per thread, one being written, and as many waiting for their turn.
            free: std::iter::repeat_with(Block::default).take(2 * threads + 1).collect(),
            done: BTreeMap::new(),
            next: 0,
            writing: false,
            error: None,
        }),
        freed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| line.serve(worker(), &work));
        }
        line.serve(worker(), &work);
    });
    match lock(&line.shelf).error.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn run_alone<Block: Default, Worker>(
    mut worker: Worker,
    mut read: impl FnMut(&mut Block) -> Result<bool>,
    work: impl Fn(&mut Worker, &mut Block) -> Result<()>,
    mut write: impl FnMut(&mut Block) -> Result<()>,
) -> Result<()> {
    let mut block = Block::default();
    while read(&mut block)? {
        work(&mut worker, &mut block)?;
        write(&mut block)?;
    }
    Ok(())
}

struct Source<Read> {
    read: Read,
    next: u64,
    ended: bool,
}

struct Shelf<Block> {
    free: Vec<Block>,
    done: BTreeMap<u64, Block>,
    /// The number of the block to be written next.
    next: u64,
    writing: bool,
    error: Option<Error>,
}

struct Line<Read, Write, Block> {
    source: Mutex<Source<Read>>,
    write: Mutex<Write>,
    shelf: Mutex<Shelf<Block>>,
    freed: Condvar,
}

impl<Read, Write, Block> Line<Read, Write, Block>
where
    Read: FnMut(&mut Block) -> Result<bool>,
    Write: FnMut(&mut Block) -> Result<()>,
{
    fn serve<Worker>(
        &self,
        mut worker: Worker,
        work: &impl Fn(&mut Worker, &mut Block) -> Result<()>,
    ) {
        // A panic in a thread must not leave the others waiting for its block.
        let alarm = Alarm(self);
        if let Err(error) = self.serve_until_end(&mut worker, work) {
            self.fail(error);
        }
        std::mem::forget(alarm);
    }

    fn serve_until_end<Worker>(
        &self,
        worker: &mut Worker,
        work: &impl Fn(&mut Worker, &mut Block) -> Result<()>,
    ) -> Result<()> {
        while let Some(mut block) = self.take_free() {
            let number = {
                let mut source = lock(&self.source);
                if source.ended {
                    break;
                }
                // Ended until proven otherwise: after an error nothing more is read.
                source.ended = true;
                if !(source.read)(&mut block)? {
                    break;
                }
                source.ended = false;
                source.next += 1;
                source.next - 1
            };
            work(worker, &mut block)?;
            self.put_done(number, block)?;
        }
        Ok(())
    }

    /// A block to read into, or none after an error.
    fn take_free(&self) -> Option<Block> {
        let mut shelf = lock(&self.shelf);
        loop {
            if shelf.error.is_some() {
                return None;
            }
            if let Some(block) = shelf.free.pop() {
                return Some(block);
            }
            self.freed.wait(&mut shelf);
        }
    }

    /// Writes every block whose turn it is, unless another thread is already writing.
    fn put_done(&self, number: u64, block: Block) -> Result<()> {
        let mut shelf = lock(&self.shelf);
        shelf.done.insert(number, block);
        if shelf.writing {
            return Ok(());
        }
        shelf.writing = true;
        while shelf.error.is_none() {
            let next = shelf.next;
            let Some(mut block) = shelf.done.remove(&next) else { break };
            drop(shelf);
            (lock(&self.write))(&mut block)?;
            shelf = lock(&self.shelf);
            shelf.next += 1;
            shelf.free.push(block);
            self.freed.notify_one();
        }
        shelf.writing = false;
        Ok(())
    }
}

impl<Read, Write, Block> Line<Read, Write, Block> {
    fn fail(&self, error: Error) {
        lock(&self.shelf).error.get_or_insert(error);
        self.freed.notify_all();
    }
}

struct Alarm<'a, Read, Write, Block>(&'a Line<Read, Write, Block>);

impl<Read, Write, Block> Drop for Alarm<'_, Read, Write, Block> {
    fn drop(&mut self) {
        self.0.fail(Error::new(ErrorKind::Internal, "a worker thread panicked"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Squares 0..count, with work of uneven length, and returns what was written.
    fn squares(threads: usize, count: u64) -> Vec<u64> {
        let mut next = 0;
        let mut written = Vec::new();
        run(
            threads,
            || (),
            |block: &mut u64| {
                *block = next;
                next += 1;
                Ok(next <= count)
            },
            |(), block| {
                for _ in 0..(*block * 7919) % 1000 {
                    std::hint::black_box(&block);
                }
                *block *= *block;
                Ok(())
            },
            |block| {
                written.push(*block);
                Ok(())
            },
        )
        .unwrap();
        written
    }

    #[test]
    fn order_is_kept_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            for count in [0, 1, 2, 1000] {
                let expected: Vec<_> = (0..count).map(|n| n * n).collect();
                assert_eq!(squares(threads, count), expected, "{threads} threads");
            }
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        for stage in ["read", "work", "write"] {
            let reads = AtomicUsize::new(0);
            let fail = |now: &str, block: u64| {
                if now == stage && block == 5 {
                    return Err(Error::new(ErrorKind::InvalidData, stage));
                }
                Ok(())
            };
            let error = run(
                4,
                || (),
                |block: &mut u64| {
                    *block = reads.fetch_add(1, Ordering::Relaxed) as u64;
                    fail("read", *block)?;
                    Ok(true)
                },
                |(), block| fail("work", *block),
                |block| fail("write", *block),
            )
            .unwrap_err();
            assert_eq!(error.message(), stage);
            assert!(reads.load(Ordering::Relaxed) < 100);
        }
    }
}
