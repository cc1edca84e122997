//! Jobs of this protocol in the journal. A crash of the host loses none that was answered.

use std::sync::Arc;

use apyfal_api::WireError;
use apyfal_api::v2::{JobState, Progress};
use apyfal_core::{Report, Result, unix_time};

use super::state::Sent;
use crate::journal::{JobRecord, Journal};
use crate::live::{self, Job};
use crate::scratch::Scratch;

/// Records a job that goes on after its request was answered.
pub(super) async fn running(journal: &Journal, job: &Job, sent: &Sent) -> Result<()> {
    journal.record_job(record(job, sent), job.durability).await
}

/// Records a job that has ended within its request, and says so.
pub(super) async fn short(
    journal: &Journal,
    job: &Job,
    sent: &Sent,
    result: Result<Report>,
    kept: Option<u64>,
) -> Result<()> {
    let ended = unix_time().as_secs_f64();
    let record = JobRecord {
        state: live::state_of(&result),
        started: job.progress.began(),
        ended: Some(ended),
        progress: live::progress(&job.progress),
        result: kept,
        report: result.as_ref().ok().cloned().map(Into::into),
        error: result.as_ref().err().map(WireError::from),
        kept: kept.is_some(),
        ..record(job, sent)
    };
    journal.record_job(record, job.durability).await?;
    job.end_at(ended, result, kept);
    Ok(())
}

/// A job as it begins.
fn record(job: &Job, sent: &Sent) -> JobRecord {
    JobRecord {
        id: job.id.clone(),
        number: job.number,
        session: job.session.clone(),
        accelerator: job.accelerator.clone(),
        owner: job.owner.clone(),
        state: JobState::Waiting,
        protocol: job.protocol,
        request: serde_json::to_value(sent).unwrap_or_default(),
        fingerprint: None,
        digest: None,
        created: job.created,
        started: None,
        ended: None,
        progress: Progress::default(),
        result: None,
        report: None,
        error: None,
        kept: true,
    }
}

/// Removes the result of a job that was never recorded.
pub(super) struct Unrecorded {
    scratch: Arc<Scratch>,
    job: Option<(String, u64)>,
}

impl Unrecorded {
    pub(super) fn new(scratch: &Arc<Scratch>, job: &Job) -> Self {
        Self { scratch: scratch.clone(), job: Some((job.id.clone(), job.number)) }
    }

    pub(super) fn recorded(mut self) {
        self.job = None;
    }
}

impl Drop for Unrecorded {
    fn drop(&mut self) {
        if let Some((id, number)) = &self.job {
            self.scratch.remove(id, *number);
        }
    }
}
