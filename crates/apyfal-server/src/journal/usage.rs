//! How much was done, summed up over time.

use apyfal_api::v2::JobState;
use apyfal_core::Owner;

use super::JobRecord;

/// What was done in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Jobs that ended.
    pub jobs: u64,
    /// Those of them that failed or were interrupted.
    pub failed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Seconds that the jobs ran, added up.
    pub busy: f64,
}

impl Usage {
    /// What a job that has ended adds.
    pub fn of(job: &JobRecord) -> Self {
        // When an interrupted one stopped is not known, only when that was found out.
        let busy = match job.started {
            Some(started) if job.state != JobState::Interrupted => end_of(job) - started,
            _ => 0.0,
        };
        Self {
            jobs: 1,
            failed: matches!(job.state, JobState::Failed | JobState::Interrupted).into(),
            bytes_read: job.progress.read,
            bytes_written: job.progress.written,
            busy: busy.max(0.0),
        }
    }
}

/// When a job ended, as far as that is known.
pub(super) fn end_of(job: &JobRecord) -> f64 {
    job.ended.or(job.started).unwrap_or(job.created)
}

/// How finely [`Journal::history`](super::Journal::history) divides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// In steps of 10 seconds, which are remembered for an hour.
    Fine,
    /// In steps of an hour, which are remembered for good.
    Hour,
}

impl Resolution {
    /// The length of a step, in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Fine => 10,
            Self::Hour => 3600,
        }
    }
}

/// What one accelerator did for one owner in one step of time. Steps without jobs are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct UsagePoint {
    /// When the step began, in seconds since 1970.
    pub start: u64,
    /// The accelerator.
    pub accelerator: String,
    /// Who asked for it.
    pub owner: Owner,
    /// What it did.
    pub usage: Usage,
}

/// Usage that is not written yet, in fine steps.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<UsagePoint>);

impl Tally {
    /// Adds what was done at `time`.
    pub(super) fn add(&mut self, time: f64, accelerator: &str, owner: &Owner, usage: &Usage) {
        let step = Resolution::Fine.seconds();
        self.add_to_step(time as u64 / step * step, accelerator, owner, usage);
    }

    /// Adds a job that has ended.
    pub(super) fn add_job(&mut self, job: &JobRecord) {
        self.add(end_of(job), &job.accelerator, &job.owner, &Usage::of(job));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for point in &other.0 {
            self.add_to_step(point.start, &point.accelerator, &point.owner, &point.usage);
        }
    }

    pub(super) fn points(&self) -> &[UsagePoint] {
        &self.0
    }

    fn add_to_step(&mut self, start: u64, accelerator: &str, owner: &Owner, usage: &Usage) {
        // There are few points and the newest are the last ones, so a search from the end is the
        // quickest: this is on the way of every plain job.
        let found = self.0.iter_mut().rev().find(|point| {
            point.start == start && point.accelerator == accelerator && point.owner == *owner
        });
        match found {
            Some(point) => {
                let sum = &mut point.usage;
                sum.jobs += usage.jobs;
                sum.failed += usage.failed;
                sum.bytes_read = sum.bytes_read.saturating_add(usage.bytes_read);
                sum.bytes_written = sum.bytes_written.saturating_add(usage.bytes_written);
                sum.busy += usage.busy;
            }
            None => {
                let (accelerator, owner) = (accelerator.to_owned(), owner.clone());
                self.0.push(UsagePoint { start, accelerator, owner, usage: *usage });
            }
        }
    }
}
