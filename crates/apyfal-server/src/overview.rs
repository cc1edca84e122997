//! How the host is doing, for anyone who looks.

use std::time::{Duration, Instant};

use apyfal_agent::Agent;
use apyfal_api::v2::{
    AcceleratorLoad, History, HistoryPoint, JobState, LiveJob, Overview, Progress,
};
use apyfal_core::{Result, unix_time};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::draining::Draining;
use crate::journal::{Journal, Resolution};
use crate::lease::Lease;
use crate::live::{self, Live};
use crate::metrics::{Metrics, count};
use crate::scratch::Scratch;
use crate::throughput::Throughput;

/// For how long an overview is shown again, so that however many look cost no more than one.
const FRESH: Duration = Duration::from_millis(500);
/// How many live jobs are told of.
const JOBS: usize = 100;
const HOUR: f64 = 3600.0;
const WEEK: f64 = 7.0 * 24.0 * HOUR;

/// The overview that was shown last, as JSON.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Option<(Instant, Bytes)>>);

/// What an overview tells of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) live: &'a Live,
    pub(crate) metrics: &'a Metrics,
    pub(crate) scratch: &'a Scratch,
    pub(crate) throughput: &'a Throughput,
    pub(crate) journal: &'a Journal,
    pub(crate) lease: &'a Lease,
    pub(crate) draining: &'a Draining,
    pub(crate) began: Instant,
    pub(crate) cores: usize,
}

impl Shown {
    /// How a host is doing, as JSON.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) async fn overview(&self, parts: Parts<'_>) -> Result<Bytes> {
        let mut shown = self.0.lock().await;
        if let Some((since, json)) = &*shown
            && since.elapsed() < FRESH
        {
            return Ok(json.clone());
        }
        let json = serde_json::to_vec(&parts.look().await?).unwrap_or_default();
        let json = Bytes::from(json);
        *shown = Some((Instant::now(), json.clone()));
        Ok(json)
    }
}

impl Parts<'_> {
    async fn look(&self) -> Result<Overview> {
        let time = unix_time().as_secs_f64();
        let load = self.agent.load();
        let live = self.live.all();
        let waits = live.iter().filter(|job| job.progress.began().is_none());
        let longest_wait = waits.map(|job| time - job.created).reduce(f64::max);
        let accelerators = load.accelerators.iter().map(|engine| {
            let counters = self.metrics.of(&engine.name);
            AcceleratorLoad {
                name: engine.name.clone(),
                slots: engine.slots,
                running: engine.running,
                waiting: engine.waiting,
                done: count(&counters.done),
                failed: count(&counters.failed),
                cancelled: count(&counters.cancelled),
                read: count(&counters.read),
                written: count(&counters.written),
            }
        });
        let draining = self.draining.is_set();
        let failures = self.metrics.failures.all();
        Ok(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time,
            uptime: self.began.elapsed().as_secs_f64(),
            draining,
            lease: self.lease.left(),
            cores: self.cores,
            connections: count(&self.metrics.connections),
            scratch_used: self.scratch.used(),
            scratch_quota: self.scratch.quota(),
            running: load.running,
            waiting: load.waiting,
            longest_wait,
            accelerators: accelerators.collect(),
            live: live.len(),
            jobs: live.iter().take(JOBS).map(|job| live_job(job, time)).collect(),
            errors: failures.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
            minutes: self.throughput.history(),
            hour: self.history(time - HOUR, Resolution::Fine).await?,
            week: self.history(time - WEEK, Resolution::Hour).await?,
        })
    }

    /// What all accelerators together did.
    async fn history(&self, since: f64, resolution: Resolution) -> Result<History> {
        let mut points: Vec<HistoryPoint> = Vec::new();
        for point in self.journal.history(since, resolution).await? {
            if points.last().is_none_or(|last| last.start != point.start) {
                points.push(HistoryPoint { start: point.start, ..HistoryPoint::default() });
            }
            if let Some(sum) = points.last_mut() {
                sum.jobs += point.usage.jobs;
                sum.failed += point.usage.failed;
                sum.read = sum.read.saturating_add(point.usage.bytes_read);
                sum.written = sum.written.saturating_add(point.usage.bytes_written);
            }
        }
        Ok(History { step: resolution.seconds(), points })
    }
}

fn live_job(job: &live::Job, time: f64) -> LiveJob {
    let Progress { total, read, written } = live::progress(&job.progress);
    let began = job.progress.began();
    LiveJob {
        number: job.number,
        accelerator: job.accelerator.clone(),
        state: if began.is_some() { JobState::Running } else { JobState::Waiting },
        progress: Progress { total, read, written },
        age: (time - job.created).max(0.0),
        rate: began.map(|began| time - began).filter(|ran| *ran > 0.0).map(|ran| read as f64 / ran),
    }
}
