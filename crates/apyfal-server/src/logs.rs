//! What the host and its jobs said, the latest of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use apyfal_api::v2::{LogLine, Logs as Page};
use tokio::sync::watch;

use crate::live::now;

/// How much is kept, in bytes.
const LIMIT: usize = 4 << 20;
/// What a line takes beside its text.
const OVERHEAD: usize = 96;

/// Keeps the latest lines, and hands each on to the one who shows them.
pub(crate) struct Logs {
    lines: Mutex<Lines>,
    began: f64,
    /// The number of the latest line, for those who wait for more.
    latest: watch::Sender<u64>,
    show: Box<dyn Fn(&LogLine) + Send + Sync>,
}

#[derive(Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Logs {
    pub(crate) fn new(show: impl Fn(&LogLine) + Send + Sync + 'static) -> Self {
        Self {
            lines: Mutex::default(),
            began: now(),
            latest: watch::Sender::new(0),
            show: Box::new(show),
        }
    }

    /// Says something of the host itself.
    pub(crate) fn host(&self, text: &str) {
        self.add(None, text);
    }

    /// Says something of a job.
    pub(crate) fn job(&self, id: &str, text: &str) {
        self.add(Some(id.to_owned()), text);
    }

    fn add(&self, job: Option<String>, text: &str) {
        let mut lines = self.lines();
        let number = *self.latest.borrow() + 1;
        let line = LogLine { number, time: now(), job, text: text.to_owned() };
        (self.show)(&line);
        lines.bytes += line.text.len() + OVERHEAD;
        lines.lines.push_back(line);
        while lines.bytes > LIMIT {
            let Some(oldest) = lines.lines.pop_front() else { break };
            lines.bytes -= oldest.text.len() + OVERHEAD;
        }
        self.latest.send_replace(number);
    }

    /// When it began, in seconds since 1970.
    pub(crate) fn began(&self) -> f64 {
        self.began
    }

    /// The lines after a number, of one job or of all; the last `limit` of them.
    pub(crate) fn after(&self, number: u64, job: Option<&str>, limit: usize) -> Page {
        let lines = self.lines();
        let wanted =
            |line: &&LogLine| line.number > number && (job.is_none() || line.job.as_deref() == job);
        let mut found: Vec<_> =
            lines.lines.iter().rev().filter(wanted).take(limit).cloned().collect();
        found.reverse();
        Page { lines: found, last: *self.latest.borrow(), began: self.began }
    }

    /// Waits until there is a line after a number.
    pub(crate) async fn wait_after(&self, number: u64) {
        // The sender lives in self, so this cannot fail.
        let _ = self.latest.subscribe().wait_for(|latest| *latest > number).await;
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("latest", &*self.latest.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_kept_and_told_apart() {
        let logs = Logs::new(|_| {});
        logs.host("begin");
        logs.job("a", "one");
        logs.job("b", "two");
        let page = logs.after(0, Some("a"), 10);
        assert_eq!((page.lines.len(), page.last), (1, 3));
        assert_eq!(logs.after(1, None, 1).lines[0].text, "two");
        let long = "x".repeat(LIMIT / 4);
        (0..9).for_each(|_| logs.host(&long));
        assert!(logs.lines().bytes <= LIMIT && logs.after(0, None, 100).lines.len() == 3);
    }
}
