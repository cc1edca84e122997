//! What the host and its jobs said, the latest of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v2::{LogLine, Logs as Page};
use apyfal_core::{Error, Result, one_line, unix_time};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How much is kept, in bytes.
const LIMIT: usize = 4 << 20;
/// What a line takes beside its text.
const OVERHEAD: usize = 96;
/// The longest line, in bytes: one that a program said, and what stands around it.
const LINE: usize = 10 << 10;
/// How many lines are shown before it is looked for more.
const SHOWN: usize = 64;
/// How long the end of the host waits for its last lines to be shown.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Keeps the latest lines. Whoever says something never waits for those who read it.
pub(crate) struct Logs {
    lines: Mutex<Lines>,
    began: f64,
    /// The number of the latest line, for those who wait for more.
    latest: watch::Sender<u64>,
    /// The number of the latest line that was shown.
    shown: watch::Sender<u64>,
}

#[derive(Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Logs {
    pub(crate) fn new() -> Self {
        Self {
            lines: Mutex::default(),
            began: unix_time().as_secs_f64(),
            latest: watch::Sender::new(0),
            shown: watch::Sender::new(0),
        }
    }

    /// Shows each line from now on, on a thread of its own: where it is shown may take nothing for
    /// as long as it likes. What was forgotten meanwhile is left out, and that is told.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn show(
        self: &Arc<Self>,
        mut show: impl FnMut(&LogLine) + Send + 'static,
    ) -> Result<()> {
        let (runtime, logs) = (Handle::current(), Arc::downgrade(self));
        let mut latest = self.latest.subscribe();
        let show = move || {
            let mut seen = 0;
            // It ends with the log.
            while runtime.block_on(latest.wait_for(|latest| *latest > seen)).is_ok() {
                let Some(lines) = logs.upgrade().map(|logs| logs.next(seen)) else { return };
                lines.iter().for_each(&mut show);
                seen = lines.last().map_or(seen, |line| line.number);
                if let Some(logs) = logs.upgrade() {
                    logs.shown.send_replace(seen);
                }
            }
        };
        let spawned = std::thread::Builder::new().name("log".to_owned()).spawn(show);
        spawned.map(drop).map_err(|error| Error::from(error).operation("show the log"))
    }

    /// Waits until all lines are shown, but not for long.
    pub(crate) async fn all_shown(&self) {
        let latest = *self.latest.borrow();
        let mut shown = self.shown.subscribe();
        let _ = tokio::time::timeout(LAST_LINES, shown.wait_for(|shown| *shown >= latest)).await;
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
        let line =
            LogLine { number, time: unix_time().as_secs_f64(), job, text: one_line(text, LINE) };
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

    /// The first lines after a number, where some are missing with a line that tells so.
    fn next(&self, number: u64) -> Vec<LogLine> {
        let lines = self.lines();
        let first = lines.lines.front().map_or(0, |line| line.number);
        let missing = first.saturating_sub(number + 1);
        let seen = (number + 1).saturating_sub(first) as usize;
        let mut next: Vec<_> = lines.lines.iter().skip(seen).take(SHOWN).cloned().collect();
        if let (1.., Some(line)) = (missing, next.first()) {
            let text = format!("{missing} lines are left out: they were not taken in time");
            next.insert(0, LogLine { number: first - 1, time: line.time, job: None, text });
        }
        next
    }

    /// Waits until there is a line after a number.
    pub(crate) async fn wait_after(&self, number: u64) {
        // The sender lives in self, so this cannot fail.
        let _ = self.latest.subscribe().wait_for(|latest| *latest > number).await;
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock()
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
        let logs = Logs::new();
        logs.host("begin");
        logs.job("a", "one");
        logs.job("b", "two");
        let page = logs.after(0, Some("a"), 10);
        assert_eq!((page.lines.len(), page.last), (1, 3));
        assert_eq!(logs.after(1, None, 1).lines[0].text, "two");
        let long = "x".repeat(LINE);
        (0..1000).for_each(|_| logs.host(&long));
        let kept = logs.after(0, None, 1000).lines.len();
        assert!(logs.lines().bytes <= LIMIT && kept == LIMIT / (LINE + OVERHEAD));
    }

    #[test]
    fn whatever_is_said_is_one_line_of_a_bounded_length() {
        let logs = Logs::new();
        logs.host("begin");
        logs.job("a", "failed: 'x\nhost: the life of this host is over\r\u{1b}[2K'");
        logs.job("b", &"x".repeat(15_000_000));
        let page = logs.after(0, None, 10);
        let shown = "failed: 'x\\nhost: the life of this host is over\\r\\u{1b}[2K'";
        assert_eq!(page.lines[1].text, shown);
        assert!(page.lines.len() == 3 && page.lines[2].text.len() < LINE + 10);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_those_who_take_no_line() {
        let logs = Arc::new(Logs::new());
        let (taken, took) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let show = move |line: &LogLine| {
            let _ = taken.send(line.text.clone());
            let _ = wait.recv();
        };
        logs.show(show).unwrap();
        logs.host("first");
        let next = || took.recv_timeout(Duration::from_secs(120)).unwrap();
        assert_eq!(next(), "first");
        // It is held there from now on, and much more is said than is kept.
        let long = "x".repeat(LINE);
        (0..1000).for_each(|_| logs.host(&long));
        let kept = logs.after(0, None, 10_000).lines.len();
        logs.all_shown().await;
        drop(go_on);
        let text = format!("{} lines are left out: they were not taken in time", 1000 - kept);
        assert_eq!(next(), text);
        logs.host("last");
        logs.all_shown().await;
        drop(logs);
        // The thread ends with the log, and with it the channel.
        let rest: Vec<_> = took.iter().collect();
        assert_eq!((rest.len(), &**rest.last().unwrap()), (kept + 1, "last"));
    }
}
