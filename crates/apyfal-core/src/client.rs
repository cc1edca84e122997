//! Something that runs jobs: the agent in this process, or a host far away.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Cancel, Input, Job, JobLog, Output, Owner, Progress, Report, Result, Session, Start};

/// The moving parts of one call: its data, its switch and its progress.
#[derive(Debug, Default)]
pub struct JobIo {
    /// Data that the caller sends.
    pub src: Option<Input>,
    /// Where the caller wants the result. The caller commits it once the call ended well.
    pub dst: Option<Output>,
    /// Ends the call early.
    pub cancel: Cancel,
    /// How far the call is.
    pub progress: Arc<Progress>,
    /// Where goes what the call says while it runs.
    pub log: JobLog,
    /// Whose the call is: owners take turns.
    pub owner: Owner,
    /// How long `src` and `dst`, where they are streams, may keep the job waiting: over any such
    /// time of waiting they must move 1 KiB. A job whose streams do not fails with
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    pub stall: Option<Duration>,
    /// How long the call may take in all, the wait for a slot included. It then ends with
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), and `cancel` was thrown.
    pub deadline: Option<Duration>,
}

/// Runs jobs in sessions. Local and remote clients keep the same contract.
#[async_trait]
pub trait Client: Debug + Send + Sync {
    /// Opens a session.
    async fn start(&self, request: Start, io: JobIo) -> Result<Session>;

    /// Runs one job to its end.
    async fn process(&self, job: Job, io: JobIo) -> Result<Report>;

    /// Ends a session, after its running jobs. Ending one that is gone is no error.
    async fn stop(&self, session: &str) -> Result<Report>;
}
