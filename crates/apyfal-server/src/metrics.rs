//! Figures for Prometheus and for the page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apyfal_api::v2::JobState;
use apyfal_core::{ErrorKind, Progress};
use parking_lot::{Mutex, RwLock};

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
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) done: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
}

impl Metrics {
    /// Counts a job that ended.
    pub(crate) fn count(&self, accelerator: &str, progress: &Progress, state: JobState) {
        let counters = self.of(accelerator);
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

/// Text in Prometheus' exposition format, version 0.0.4.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// Begins a metric: its name, type (`counter` or `gauge`) and meaning.
    pub(crate) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of the metric, told apart by labels.
    pub(crate) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.metric("a_total", "counter", "All of it.");
        text.value("a_total", &[("x", "1\"2"), ("y", "z")], 3.0);
        text.value("b", &[], 0.5);
        assert_eq!(
            text.into_text(),
            "# HELP a_total All of it.\n# TYPE a_total counter\n\
             a_total{x=\"1\\\"2\",y=\"z\"} 3\nb 0.5\n"
        );
    }
}
