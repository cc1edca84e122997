//! What is at hand without asking the journal: the latest processes, and the configurations in use.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_api::v1;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::Job;

/// How many processes that ended stay at hand, and with parameters of how many bytes together.
const PROCESSES: usize = 1024;
const BYTES: usize = 4 << 20;
/// How many starts that failed can be asked about, and how long their parameters may be.
const FAILED: usize = 256;
const FAILED_BYTES: usize = 64 << 10;
/// How many requests of those who may not ask are logged in a minute.
const STRANGERS: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// What REST v1.0 has at hand.
#[derive(Debug)]
pub(crate) struct V1State {
    processes: Mutex<Processes>,
    known: Mutex<HashMap<u64, Known>>,
    failed: Mutex<VecDeque<v1::Configuration>>,
    /// Since when it is counted how many strangers were refused, and how many.
    strangers: Mutex<(Instant, u32)>,
    began: Instant,
}

/// What a process was sent with. It is recorded with the job.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Sent {
    /// The number of its configuration.
    pub(super) configuration: u64,
    /// Its parameters, the secrets masked.
    pub(super) parameters: Value,
    /// The name of its data.
    pub(super) datafile: Option<String>,
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) job: Arc<Job>,
    pub(super) sent: Sent,
    /// The length of its parameters, in bytes.
    pub(super) size: usize,
}

#[derive(Debug, Default)]
struct Processes {
    by_number: BTreeMap<u64, Arc<Process>>,
    bytes: usize,
}

/// A configuration that was used.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) session: String,
    pub(super) accelerator: String,
    last: Instant,
}

impl Default for V1State {
    fn default() -> Self {
        let began = Instant::now();
        Self {
            processes: Mutex::default(),
            known: Mutex::default(),
            failed: Mutex::default(),
            strangers: Mutex::new((began, 0)),
            began,
        }
    }
}

impl V1State {
    /// Keeps a process at hand.
    pub(super) fn add(&self, process: Arc<Process>) {
        let mut processes = lock(&self.processes);
        processes.bytes += process.size;
        processes.by_number.insert(process.job.number, process);
        while processes.by_number.len() > PROCESSES || processes.bytes > BYTES {
            let mut oldest = processes.by_number.iter();
            let ended = oldest.find(|(_, process)| process.job.has_ended());
            let Some(number) = ended.map(|(number, _)| *number) else { break };
            processes.remove(number);
        }
    }

    /// A process that is at hand.
    pub(super) fn find(&self, number: u64) -> Option<Arc<Process>> {
        lock(&self.processes).by_number.get(&number).cloned()
    }

    /// The process is deleted.
    pub(super) fn remove(&self, number: u64) -> Option<Arc<Process>> {
        lock(&self.processes).remove(number)
    }

    /// A configuration that is at hand, which counts as a use of it.
    pub(super) fn known(&self, number: u64) -> Option<Known> {
        let mut known = lock(&self.known);
        let found = known.get_mut(&number)?;
        found.last = Instant::now();
        Some(found.clone())
    }

    /// Keeps a configuration at hand.
    pub(super) fn learn(&self, number: u64, session: &str, accelerator: &str) -> Known {
        let known = Known {
            session: session.to_owned(),
            accelerator: accelerator.to_owned(),
            last: Instant::now(),
        };
        lock(&self.known).insert(number, known.clone());
        known
    }

    /// When a configuration was used last, as far as this process knows.
    pub(super) fn last_use(&self, number: u64) -> Instant {
        lock(&self.known).get(&number).map_or(self.began, |known| known.last)
    }

    /// The configuration is gone.
    pub(super) fn unlearn(&self, number: u64) {
        lock(&self.known).remove(&number);
    }

    /// Keeps a start that failed, so that its client can ask about it.
    pub(super) fn add_failed(&self, configuration: &v1::Configuration, size: usize) {
        if size > FAILED_BYTES {
            return;
        }
        let mut failed = lock(&self.failed);
        if failed.len() == FAILED {
            failed.pop_front();
        }
        failed.push_back(configuration.clone());
    }

    /// Whether it is logged that one more who may not ask was refused: whoever that is must not fill the log.
    pub(super) fn tells_of_stranger(&self) -> bool {
        let (since, count) = &mut *lock(&self.strangers);
        if since.elapsed() > MINUTE {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= STRANGERS
    }

    /// A start that failed.
    pub(super) fn failed(&self, number: u64) -> Option<v1::Configuration> {
        lock(&self.failed).iter().find(|failed| failed.id == number).cloned()
    }
}

impl Processes {
    fn remove(&mut self, number: u64) -> Option<Arc<Process>> {
        let process = self.by_number.remove(&number)?;
        self.bytes -= process.size;
        Some(process)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use apyfal_core::Report;

    use super::*;

    fn process(number: u64, size: usize, ended: bool) -> Arc<Process> {
        let job = Arc::new(Job::new(format!("job-{number}"), number, "s", "null"));
        if ended {
            job.end(Ok(Report::default()), None);
        }
        Arc::new(Process { job, sent: Sent::default(), size })
    }

    #[test]
    fn what_ended_makes_room_and_what_runs_stays() {
        let memory = V1State::default();
        memory.add(process(1, BYTES / 2, false));
        memory.add(process(2, BYTES / 2, true));
        memory.add(process(3, BYTES / 2, true));
        assert!(memory.find(1).is_some() && memory.find(2).is_none() && memory.find(3).is_some());
        (4..5000).for_each(|number| memory.add(process(number, 1, true)));
        assert_eq!(lock(&memory.processes).by_number.len(), PROCESSES);
        assert!(memory.find(1).is_some() && memory.find(4999).is_some());
        assert_eq!(memory.remove(1).unwrap().job.number, 1);
        assert!(memory.remove(1).is_none());
    }

    #[test]
    fn strangers_do_not_fill_the_log() {
        let memory = V1State::default();
        assert_eq!((0..1000).filter(|_| memory.tells_of_stranger()).count(), STRANGERS as usize);
        lock(&memory.strangers).0 -= MINUTE * 2;
        assert!(memory.tells_of_stranger());
    }
}
