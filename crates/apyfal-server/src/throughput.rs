//! What all jobs together do at the moment, and did in the last minutes.
//!
//! The journal knows a job's bytes once it ended. This knows them while they move.

use std::collections::VecDeque;
use std::time::Duration;

use apyfal_api::v2::{History, HistoryPoint};
use apyfal_core::unix_time;
use parking_lot::Mutex;

use crate::live::Live;
use crate::metrics::{Metrics, count};

/// The length of a step, in seconds.
const STEP: u64 = 2;
/// How many steps are kept: five minutes.
const STEPS: usize = 150;

/// The last minutes, in short steps.
#[derive(Debug, Default)]
pub(crate) struct Throughput(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// What had been done since the agent started when it was last looked.
    before: Done,
    points: VecDeque<HistoryPoint>,
}

/// What was done since the agent started.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    jobs: u64,
    failed: u64,
    read: u64,
    written: u64,
}

impl Throughput {
    /// Looks again and again how much was done.
    pub(crate) async fn keep(&self, live: &Live, metrics: &Metrics) {
        let mut ticks = tokio::time::interval(Duration::from_secs(STEP));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look(unix_time().as_secs_f64(), done(live, metrics));
        }
    }

    fn look(&self, time: f64, done: Done) {
        let mut recent = self.0.lock();
        let before = recent.before;
        // Most of the time that was looked at lies in this step.
        let start = (time - STEP as f64 / 2.0).max(0.0) as u64 / STEP * STEP;
        recent.points.push_back(HistoryPoint {
            start,
            jobs: done.jobs.saturating_sub(before.jobs),
            failed: done.failed.saturating_sub(before.failed),
            read: done.read.saturating_sub(before.read),
            written: done.written.saturating_sub(before.written),
        });
        // A job that leaves may be missing for a moment, which must not look like work when it is
        // counted.
        recent.before = Done {
            jobs: done.jobs.max(before.jobs),
            failed: done.failed.max(before.failed),
            read: done.read.max(before.read),
            written: done.written.max(before.written),
        };
        while recent.points.len() > STEPS {
            recent.points.pop_front();
        }
    }

    pub(crate) fn history(&self) -> History {
        let recent = self.0.lock();
        History { step: STEP, points: recent.points.iter().cloned().collect() }
    }
}

/// How much was done by now.
fn done(live: &Live, metrics: &Metrics) -> Done {
    let mut done = Done::default();
    for job in live.all().iter().filter(|job| !job.is_counted()) {
        done.read += job.progress.read();
        done.written += job.progress.written();
    }
    for counters in metrics.all() {
        let failed = count(&counters.failed);
        done.jobs += count(&counters.done) + count(&counters.cancelled) + failed;
        done.failed += failed;
        done.read += count(&counters.read);
        done.written += count(&counters.written);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_what_was_done_within_them() {
        let throughput = Throughput::default();
        for (time, read) in [(101.0, 10), (103.0, 30), (105.0, 20), (107.0, 31)] {
            throughput.look(time, Done { read, ..Done::default() });
        }
        let points: Vec<_> =
            throughput.history().points.iter().map(|point| (point.start, point.read)).collect();
        assert_eq!(points, [(100, 10), (102, 20), (104, 0), (106, 1)]);
        (0..400).for_each(|step| throughput.look(200.0 + f64::from(step * 2), Done::default()));
        assert_eq!(throughput.history().points.len(), STEPS);
    }
}
