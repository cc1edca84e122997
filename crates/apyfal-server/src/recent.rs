//! How jobs ended whose results are long.
//!
//! Their reports mostly come behind the result, as trailers, and what is between host and client may
//! drop those. So the client can ask for them for at least a minute, at any rate of jobs: what is
//! remembered goes to memory first, and then to a scratch file. A job with a short result, whose
//! report stands in a header, costs nothing here.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_api::v2;
use parking_lot::Mutex;

use crate::live;
use crate::scratch::{Scratch, ScratchFile};

/// For how long each is remembered, at least.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How much of that is in memory, in bytes, before it goes to a file.
const BLOCK: usize = 4 << 20;
/// How many full blocks of a minute may be in memory, on their way to files. Where the disk is full, or
/// slower than that, the next one is forgotten.
const WAITING: usize = 4;

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Recent {
    scratch: Arc<Scratch>,
    both: Mutex<Both>,
}

/// The jobs of this minute, and those of the one before, which are forgotten together.
#[derive(Debug)]
struct Both {
    began: Instant,
    this: Minute,
    last: Minute,
}

/// Jobs as JSON, one behind the other.
#[derive(Debug, Default)]
struct Minute {
    /// Where each is, by its number: in which block, and where there.
    places: HashMap<u64, (usize, Range<usize>)>,
    full: Vec<Arc<Block>>,
    /// The block behind those.
    last: Vec<u8>,
}

/// A block that is full. It goes to a file on a thread of its own.
#[derive(Debug)]
struct Block(Mutex<Kept>);

/// Where a block is.
#[derive(Clone, Debug)]
enum Kept {
    Memory(Arc<Vec<u8>>),
    File(Arc<ScratchFile>),
    /// There was no room for it: clients are told that nothing is known of its jobs.
    Lost,
}

impl Recent {
    pub(crate) fn new(scratch: &Arc<Scratch>) -> Self {
        let (this, last) = Default::default();
        let both = Mutex::new(Both { began: Instant::now(), this, last });
        Self { scratch: scratch.clone(), both }
    }

    /// Remembers a job that ended. To be called within a tokio runtime.
    pub(crate) fn remember(&self, job: &live::Job) {
        let Ok(text) = serde_json::to_vec(&job.as_wire()) else { return };
        let mut both = self.both.lock();
        both.turn();
        let Some(full) = both.this.add(job.number, &text) else { return };
        drop(both);
        let scratch = self.scratch.clone();
        tokio::task::spawn_blocking(move || full.save(&scratch));
    }

    /// Forgets what is old.
    pub(crate) fn forget(&self) {
        self.both.lock().turn();
    }

    /// Forgets a job; false where it was not remembered.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let Some(number) = number(id) else { return false };
        let mut both = self.both.lock();
        let Both { this, last, .. } = &mut *both;
        [this, last].into_iter().any(|minute| minute.places.remove(&number).is_some())
    }

    /// The job with this id, and its number.
    pub(crate) async fn find(&self, id: &str) -> Option<(v2::Job, u64)> {
        let number = number(id)?;
        let (kept, range) = {
            let both = self.both.lock();
            both.this.find(number).or_else(|| both.last.find(number))?
        };
        let text = match kept {
            Kept::Memory(block) => block[range].to_vec(),
            Kept::File(file) => {
                let reading = move || {
                    let mut text = vec![0; range.len()];
                    file.file().read_exact_at(&mut text, range.start as u64).map(|()| text)
                };
                tokio::task::spawn_blocking(reading).await.ok()?.ok()?
            }
            Kept::Lost => return None,
        };
        let job = serde_json::from_slice(&text).ok().filter(|job: &v2::Job| job.id == id)?;
        Some((job, number))
    }
}

/// The number of a job whose id is ours.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix("job-")?.parse().ok()
}

impl Both {
    fn turn(&mut self) {
        let age = self.began.elapsed();
        if age < REMEMBERED {
            return;
        }
        self.began = Instant::now();
        self.last = std::mem::take(&mut self.this);
        if age >= 2 * REMEMBERED {
            self.last = Minute::default();
        }
    }
}

impl Minute {
    /// Adds a job. Returns the block that it filled, which is to be saved.
    fn add(&mut self, number: u64, text: &[u8]) -> Option<Arc<Block>> {
        let begin = self.last.len();
        self.last.extend_from_slice(text);
        self.places.insert(number, (self.full.len(), begin..self.last.len()));
        if self.last.len() < BLOCK {
            return None;
        }
        let bytes = std::mem::take(&mut self.last);
        let waiting = self.full.iter().filter(|block| matches!(block.kept(), Kept::Memory(_)));
        let kept = match waiting.count() < WAITING {
            true => Kept::Memory(Arc::new(bytes)),
            false => Kept::Lost,
        };
        let block = Arc::new(Block(Mutex::new(kept)));
        self.full.push(block.clone());
        Some(block)
    }

    fn find(&self, number: u64) -> Option<(Kept, Range<usize>)> {
        let (block, range) = self.places.get(&number)?.clone();
        let Some(full) = self.full.get(block) else {
            let text = self.last.get(range)?.to_vec();
            let len = text.len();
            return Some((Kept::Memory(Arc::new(text)), 0..len));
        };
        Some((full.kept(), range))
    }
}

impl Block {
    fn kept(&self) -> Kept {
        self.0.lock().clone()
    }

    /// Moves it to a file. Where scratch has no room it stays in memory.
    fn save(&self, scratch: &Arc<Scratch>) {
        let Kept::Memory(bytes) = self.kept() else { return };
        let saved = scratch.file(None).and_then(|mut file| file.write_all(&bytes).map(|()| file));
        if let Ok(file) = saved {
            *self.0.lock() = Kept::File(Arc::new(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use apyfal_api::v2::JobState;
    use apyfal_core::{Error, ErrorKind, Report};

    use super::*;

    fn recent() -> (tempfile::TempDir, Recent) {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), u64::MAX).unwrap();
        (root, Recent::new(&scratch))
    }

    fn ended(number: u64) -> live::Job {
        let job = live::Job::new(format!("job-{number}"), number, "session-x", "gunzip");
        match number % 2 {
            0 => job.end(Ok(Report { id: job.id.clone(), ..Report::default() }), None),
            _ => job.end(Err(Error::new(ErrorKind::InvalidData, "it is damaged")), None),
        };
        job
    }

    #[tokio::test]
    async fn each_job_of_a_minute_is_remembered_however_many_there_are() {
        let (_root, recent) = recent();
        // As many as 500 a second.
        let jobs = 30_000;
        (0..jobs).for_each(|number| recent.remember(&ended(number)));
        let full = recent.both.lock().this.full.clone();
        assert!(!full.is_empty(), "memory was enough, so the file is not tried");
        while full.iter().any(|block| matches!(block.kept(), Kept::Memory(_))) {
            tokio::task::yield_now().await;
        }
        assert!(recent.scratch.used() > 0);
        for number in [0, 1, jobs / 2, jobs - 2, jobs - 1] {
            let (job, found) = recent.find(&format!("job-{number}")).await.unwrap();
            assert_eq!(found, number);
            let is_done = number % 2 == 0;
            assert_eq!(job.state == JobState::Done, is_done, "{number}");
            assert_eq!((job.report.is_some(), job.error.is_some()), (is_done, !is_done));
        }
        assert!(recent.find(&format!("job-{jobs}")).await.is_none());
        assert!(recent.find("job-007").await.is_none() && recent.find("7").await.is_none());
        assert!(recent.remove("job-7") && !recent.remove("job-7"));
        assert!(recent.find("job-7").await.is_none() && recent.find("job-8").await.is_some());
        assert!(recent.both.lock().this.last.len() < BLOCK);
    }

    #[tokio::test]
    async fn a_job_is_forgotten_after_a_minute_and_not_before() {
        let (_root, recent) = recent();
        let pass = |time: Duration| {
            recent.both.lock().began -= time;
            recent.forget();
        };
        recent.remember(&ended(0));
        pass(REMEMBERED - Duration::from_millis(500));
        recent.remember(&ended(2));
        pass(Duration::from_secs(1));
        assert!(recent.find("job-2").await.is_some(), "it is a second old");
        pass(REMEMBERED - Duration::from_secs(1));
        assert!(recent.find("job-2").await.is_some(), "it is less than a minute old");
        pass(Duration::from_secs(1));
        assert!(recent.find("job-0").await.is_none() && recent.find("job-2").await.is_none());
        recent.remember(&ended(4));
        pass(2 * REMEMBERED);
        assert!(recent.find("job-4").await.is_none());
    }
}
