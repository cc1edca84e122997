//! Figures for Prometheus and for the page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apyfal_api::v2::JobState;
use apyfal_core::{ErrorKind, unix_time};
use parking_lot::{Mutex, RwLock};
use prometheus_client::metrics::histogram::Histogram;

use crate::live::Job;

/// The upper ends of what times are counted in, in seconds: small jobs take less than a millisecond,
/// large ones hours.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    300.0, 1800.0, 7200.0,
];

/// Counters of this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    accelerators: RwLock<BTreeMap<String, Arc<Counters>>>,
    /// Jobs that failed.
    pub(crate) failures: Kinds,
    /// Requests that were answered with an error.
    pub(crate) refusals: Kinds,
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
}

/// What was done by one accelerator.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) done: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
    /// Seconds from a job's arrival until it began, and until it ended.
    pub(crate) wait: Histogram,
    pub(crate) duration: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        let [done, failed, cancelled, read, written] = Default::default();
        let [wait, duration] = std::array::from_fn(|_| Histogram::new(SECONDS));
        Self { done, failed, cancelled, read, written, wait, duration }
    }
}

impl Metrics {
    /// Counts a job that ended.
    pub(crate) fn count(&self, job: &Job, state: JobState) {
        let (counters, progress) = (self.of(&job.accelerator), &job.progress);
        // The clock of the day may have gone back since.
        let since = |time: f64| (time - job.created).max(0.0);
        if let Some(began) = progress.began() {
            counters.wait.observe(since(began));
        }
        counters.duration.observe(since(unix_time().as_secs_f64()));
        let counter = match state {
            JobState::Done => &counters.done,
            JobState::Cancelled => &counters.cancelled,
            _ => &counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        counters.read.fetch_add(progress.read(), Ordering::Relaxed);
        counters.written.fetch_add(progress.written(), Ordering::Relaxed);
    }

    /// The counters of an accelerator.
    pub(crate) fn of(&self, accelerator: &str) -> Arc<Counters> {
        let known = self.accelerators.read();
        if let Some(counters) = known.get(accelerator) {
            return counters.clone();
        }
        drop(known);
        let mut known = self.accelerators.write();
        known.entry(accelerator.to_owned()).or_default().clone()
    }

    /// The counters of all accelerators.
    pub(crate) fn all(&self) -> Vec<Arc<Counters>> {
        let known = self.accelerators.read();
        known.values().cloned().collect()
    }
}

/// What a counter says now.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// How often something went wrong, by kind. Errors are rare enough for a lock.
#[derive(Debug, Default)]
pub(crate) struct Kinds(Mutex<BTreeMap<&'static str, u64>>);

impl Kinds {
    pub(crate) fn count(&self, kind: ErrorKind) {
        *self.0.lock().entry(kind.as_str()).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().clone()
    }
}

/// The memory of this process that is not swapped out, in bytes; none where the system does not
/// tell.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
