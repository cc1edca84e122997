//! `/v2/logs`: what the host and its jobs said.

use std::sync::Arc;

use apyfal_api::v2::Logs;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::host::Host;
use crate::routes::query::{Count, Patience, Query};

const MOST_LINES: u64 = 10_000;
/// Beginnings that are no more than so many seconds apart are the same: readers of JSON round, and
/// no agent ends and begins within this time.
const ROUNDED: f64 = 1e-3;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// Only lines with a higher number.
    #[serde(default)]
    after: Count,
    /// When the agent began that numbered them; another one counts anew.
    began: Option<f64>,
    /// Only lines of this job.
    job: Option<String>,
    /// The last so many of them.
    limit: Option<Count>,
    /// Seconds to wait for a line where there is none yet.
    wait: Option<Patience>,
}

pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    Query(wanted): Query<Wanted>,
) -> Json<Logs> {
    let limit = wanted.limit.map_or(MOST_LINES, |limit| limit.get().min(MOST_LINES));
    let is_known = wanted.began.is_none_or(|began| (began - host.logs.began()).abs() < ROUNDED);
    let after = if is_known { wanted.after.get() } else { 0 };
    let look = || host.logs.after(after, wanted.job.as_deref(), limit as usize);
    let found = look();
    match wanted.wait {
        Some(wait) if found.lines.is_empty() => {
            let _ = tokio::time::timeout(wait.time(), host.logs.wait_after(found.last)).await;
            Json(look())
        }
        _ => Json(found),
    }
}
