//! Jobs of this protocol in the journal. A crash of the host loses none that was answered.

use std::sync::Arc;

use apyfal_core::{Report, Result, unix_time};
use serde_json::Value;

use super::state::Sent;
use crate::journal::Journal;
use crate::live::Job;
use crate::scratch::Scratch;

/// Records a job that goes on after its request was answered.
pub(super) async fn running(journal: &Journal, job: &Job, sent: &Sent) -> Result<()> {
    journal.record_job(job.record(request(sent)), job.durability).await
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
    let record = job.record_of_end(request(sent), ended, &result, kept);
    journal.record_job(record, job.durability).await?;
    job.end_at(ended, result, kept);
    Ok(())
}

fn request(sent: &Sent) -> Value {
    serde_json::to_value(sent).unwrap_or_default()
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
