//! What anyone may see of a host, without a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::{JobState, Lease, Progress};

/// How a host is doing, as its page shows it. It has nothing private: no parameters, names of
/// files, ids, addresses or texts of errors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Overview {
    /// The version of apyfal on it.
    pub version: String,
    /// When this was written, in seconds since 1970.
    pub time: f64,
    /// Seconds since the agent started.
    pub uptime: f64,
    /// Whether it is ending, and takes no more jobs.
    pub draining: bool,
    /// What is left of its lease, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// How many cores its jobs may keep busy.
    pub cores: usize,
    /// How many connections are open.
    pub connections: u64,
    /// Bytes on disk that results take.
    pub scratch_used: u64,
    /// Bytes that they may take.
    pub scratch_quota: u64,
    /// How many jobs hold a slot.
    pub running: usize,
    /// How many jobs wait for one, or for their data without one.
    pub waiting: usize,
    /// Seconds that the job waits which waits longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_wait: Option<f64>,
    /// The accelerators.
    pub accelerators: Vec<AcceleratorLoad>,
    /// How many jobs wait or run.
    pub live: usize,
    /// Those of them that came first, at most 100.
    pub jobs: Vec<LiveJob>,
    /// How many jobs failed since the agent started, by the kind of their error.
    pub errors: BTreeMap<String, u64>,
    /// The last five minutes, in short steps: what jobs did in them, also those that still run.
    pub minutes: History,
    /// The last hour, in steps of seconds. A job is in the step that it ended in.
    pub hour: History,
    /// The last seven days, in steps of an hour.
    pub week: History,
}

/// How busy an accelerator is, and what it did since the agent started.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AcceleratorLoad {
    /// Its name.
    pub name: String,
    /// How many of its jobs may run at once.
    pub slots: usize,
    /// How many do.
    pub running: usize,
    /// How many wait for a slot, or for their data without one.
    pub waiting: usize,
    /// Jobs that ended well.
    pub done: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that their clients cancelled.
    pub cancelled: u64,
    /// Bytes that its jobs read.
    pub read: u64,
    /// Bytes that its jobs wrote.
    pub written: u64,
}

/// A job that waits or runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct LiveJob {
    /// A number of its own.
    pub number: u64,
    /// The accelerator.
    pub accelerator: String,
    /// Whether it waits or runs.
    pub state: JobState,
    /// Bytes read and written so far.
    pub progress: Progress,
    /// Seconds since it came.
    pub age: f64,
    /// Bytes per second that it read since it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// What was done over time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct History {
    /// The length of a step, in seconds.
    pub step: u64,
    /// The steps, the oldest first. Those in which nothing was done may be missing.
    pub points: Vec<HistoryPoint>,
}

/// What was done in one step of time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HistoryPoint {
    /// When the step began, in seconds since 1970.
    pub start: u64,
    /// Jobs that ended.
    pub jobs: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}
