//! The host: what all routes share. Each part knows those that it uses itself, and not the host.

use std::sync::Arc;
use std::time::Instant;

use apyfal_agent::Agent;

use crate::access::Access;
use crate::draining::Draining;
use crate::history::History;
use crate::jobs::Jobs;
use crate::journal::Journal;
use crate::lease::Lease;
use crate::live::Live;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::overview::Shown;
use crate::recent::Recent;
use crate::routes::v1::V1State;
use crate::scratch::Scratch;
use crate::sessions::Sessions;
use crate::settings::Limits;
use crate::throughput::Throughput;
use crate::uses::Uses;

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) agent: Arc<Agent>,
    pub(crate) sessions: Sessions,
    pub(crate) jobs: Jobs,
    pub(crate) history: History,
    pub(crate) v1: V1State,
    pub(crate) journal: Journal,
    pub(crate) live: Arc<Live>,
    pub(crate) uses: Uses,
    pub(crate) recent: Arc<Recent>,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) access: Arc<Access>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shown: Shown,
    pub(crate) throughput: Throughput,
    pub(crate) limits: Limits,
    pub(crate) lease: Arc<Lease>,
    pub(crate) cores: usize,
    pub(crate) began: Instant,
    pub(crate) draining: Draining,
}
