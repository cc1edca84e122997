//! How jobs ended whose results are long.
//!
//! Their reports mostly come behind the result, as trailers, and what is between host and client may
//! drop those. So the client can ask for them for at least a minute, at any rate of jobs: what is
//! remembered goes to memory first, and then to a scratch file. A job with a short result, whose
//! report stands in a header, costs nothing here.

use std::collections::HashMap;
use std::io::{self, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use apyfal_api::v2;

use crate::live;
use crate::scratch::{Scratch, ScratchFile};

/// For how long each is remembered, at least.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How much of that is in memory, in bytes, twice at most.
const MEMORY: u64 = 4 << 20;

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
    /// Where each is, by its number.
    places: HashMap<u64, Range<u64>>,
    memory: Vec<u8>,
    /// What comes behind what is in memory.
    file: Option<ScratchFile>,
    len: u64,
}

impl Recent {
    pub(crate) fn new(scratch: &Arc<Scratch>) -> Self {
        let (this, last) = Default::default();
        let both = Mutex::new(Both { began: Instant::now(), this, last });
        Self { scratch: scratch.clone(), both }
    }

    /// Remembers a job that ended.
    pub(crate) fn remember(&self, job: &live::Job) {
        let Ok(text) = serde_json::to_vec(&job.as_wire()) else { return };
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        both.turn();
        // Where scratch has no room, its client is told that nothing is known of it.
        let _ = both.this.add(job.number, &text, &self.scratch);
    }

    /// Forgets what is old.
    pub(crate) fn forget(&self) {
        self.both.lock().unwrap_or_else(PoisonError::into_inner).turn();
    }

    /// Forgets a job; false where it was not remembered.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let Some(number) = number(id) else { return false };
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        let Both { this, last, .. } = &mut *both;
        [this, last].into_iter().any(|minute| minute.places.remove(&number).is_some())
    }

    /// The job with this id, and its number.
    pub(crate) fn find(&self, id: &str) -> Option<(v2::Job, u64)> {
        let number = number(id)?;
        let both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        let text = both.this.text(number).or_else(|| both.last.text(number))?;
        drop(both);
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
    fn add(&mut self, number: u64, text: &[u8], scratch: &Arc<Scratch>) -> io::Result<()> {
        if self.file.is_none() && self.len + text.len() as u64 <= MEMORY {
            self.memory.extend_from_slice(text);
        } else {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(scratch.file()?),
            };
            if let Err(error) = file.write_all(text) {
                // A part of it may be there.
                self.len = self.memory.len() as u64 + file.file().stream_position()?;
                return Err(error);
            }
        }
        let begin = self.len;
        self.len += text.len() as u64;
        self.places.insert(number, begin..self.len);
        Ok(())
    }

    fn text(&self, number: u64) -> Option<Vec<u8>> {
        let Range { start, end } = self.places.get(&number)?.clone();
        let in_memory = self.memory.len() as u64;
        if end <= in_memory {
            return Some(self.memory[start as usize..end as usize].to_vec());
        }
        let mut text = vec![0; (end - start) as usize];
        let file = self.file.as_ref()?.file();
        file.read_exact_at(&mut text, start - in_memory).ok()?;
        Some(text)
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

    #[test]
    fn each_job_of_a_minute_is_remembered_however_many_there_are() {
        let (_root, recent) = recent();
        // As many as 500 a second.
        let jobs = 30_000;
        (0..jobs).for_each(|number| recent.remember(&ended(number)));
        assert!(recent.scratch.used() > 0, "memory was enough, so the file is not tried");
        for number in [0, 1, jobs / 2, jobs - 2, jobs - 1] {
            let (job, found) = recent.find(&format!("job-{number}")).unwrap();
            assert_eq!(found, number);
            let is_done = number % 2 == 0;
            assert_eq!(job.state == JobState::Done, is_done, "{number}");
            assert_eq!((job.report.is_some(), job.error.is_some()), (is_done, !is_done));
        }
        assert!(recent.find(&format!("job-{jobs}")).is_none());
        assert!(recent.find("job-007").is_none() && recent.find("7").is_none());
        assert!(recent.remove("job-7") && !recent.remove("job-7"));
        assert!(recent.find("job-7").is_none() && recent.find("job-8").is_some());
        let both = recent.both.lock().unwrap();
        assert!(both.this.memory.len() as u64 + both.last.memory.len() as u64 <= 2 * MEMORY);
    }

    #[test]
    fn a_job_is_forgotten_after_a_minute_and_not_before() {
        let (_root, recent) = recent();
        let pass = |time: Duration| {
            recent.both.lock().unwrap().began -= time;
            recent.forget();
        };
        recent.remember(&ended(0));
        pass(REMEMBERED - Duration::from_millis(500));
        recent.remember(&ended(2));
        pass(Duration::from_secs(1));
        assert!(recent.find("job-2").is_some(), "it is a second old");
        pass(REMEMBERED - Duration::from_secs(1));
        assert!(recent.find("job-2").is_some(), "it is less than a minute old");
        pass(Duration::from_secs(1));
        assert!(recent.find("job-0").is_none() && recent.find("job-2").is_none());
        recent.remember(&ended(4));
        pass(2 * REMEMBERED);
        assert!(recent.find("job-4").is_none());
    }
}
