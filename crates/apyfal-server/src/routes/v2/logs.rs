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
    /// When the agent began that numbered them; another one counts anew.
    began: Option<f64>,
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
    let is_known = wanted.began.is_none_or(|began| began == host.logs.began());
    let after = if is_known { wanted.after } else { 0 };
    let look = || host.logs.after(after, wanted.job.as_deref(), limit);
    let found = look();
    match wanted.wait {
        Some(wait) if found.lines.is_empty() => {
            let _ = tokio::time::timeout(patience(wait), host.logs.wait_after(found.last)).await;
            Json(look())
        }
        _ => Json(found),
    }
}
