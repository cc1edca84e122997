//! `/v2/logs`: what the host and its jobs said.

use std::sync::Arc;

use apyfal_api::v2::Logs;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::host::Host;
use crate::routes::query::{Query, patience};

const MOST_LINES: usize = 10_000;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// Only lines with a higher number.
    #[serde(default)]
    after: u64,
    /// Only lines of this job.
    job: Option<String>,
    /// The last so many of them.
    limit: Option<usize>,
    /// Seconds to wait for a line where there is none yet.
    wait: Option<f64>,
}

pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    Query(wanted): Query<Wanted>,
) -> Json<Logs> {
    let limit = wanted.limit.unwrap_or(MOST_LINES).min(MOST_LINES);
    let look = || host.logs.after(wanted.after, wanted.job.as_deref(), limit);
    let found = look();
    match wanted.wait {
        // A client that is ahead knows an earlier life of the agent, and is to learn of this one.
        Some(wait) if found.lines.is_empty() && wanted.after <= found.last => {
            let _ = tokio::time::timeout(patience(wait), host.logs.wait_after(found.last)).await;
            Json(look())
        }
        _ => Json(found),
    }
}
