//! `/v2/jobs`: what became of jobs, and the results that are kept.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v2::{self, JobState};
use apyfal_core::{Error, ErrorKind, Result, shorten};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Deserialize;

use super::deliver;
use crate::answer::Routed;
use crate::history::wire_job;
use crate::host::Host;
use crate::journal::JobFilter;
use crate::routes::query::{Name, Paging, Patience, Query};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Deserialize)]
pub(crate) struct Filter {
    state: Option<JobState>,
    session: Option<String>,
}

/// The jobs that the host remembers, the newest first.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Routed<Json<v2::Jobs>> {
    let filter = JobFilter { state: filter.state, session: filter.session, ..JobFilter::default() };
    let listed = host.journal.jobs(filter, paging.page()?).await?;
    let jobs = listed.items.into_iter().map(wire_job).collect();
    Ok(Json(v2::Jobs { count: listed.count, jobs }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wait {
    wait: Option<Patience>,
}

/// What became of a job, at once or once it ended.
pub(crate) async fn about(
    State(host): State<Arc<Host>>,
    Name(id): Name,
    Query(Wait { wait }): Query<Wait>,
) -> Routed<Json<v2::Job>> {
    if let (Some(job), Some(wait)) = (host.live.find(&id), wait) {
        // Whether it ended or time ran out, the answer says how far it is.
        let _ = tokio::time::timeout(wait.time(), job.ended()).await;
        return Ok(Json(job.as_wire()));
    }
    Ok(Json(find(&host, &id).await?.0))
}

/// Cancels a job that waits or runs; forgets one that ended, with its result.
pub(crate) async fn end(State(host): State<Arc<Host>>, Name(id): Name) -> Routed<Response> {
    if let Some(job) = host.live.find(&id) {
        job.cancel.cancel();
        return Ok((StatusCode::ACCEPTED, Json(job.as_wire())).into_response());
    }
    let (job, number) = find(&host, &id).await?;
    // Not each plain job is recorded.
    let was_recent = host.recent.remove(&id);
    match host.history.forget(&job.id, number).await {
        Err(error) if !(was_recent && error.kind() == ErrorKind::NotFound) => {
            return Err(error.into());
        }
        _ => {}
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The result of a job that was kept.
pub(crate) async fn result(
    State(host): State<Arc<Host>>,
    Name(id): Name,
    headers: HeaderMap,
) -> Routed {
    let (job, number) = find(&host, &id).await?;
    Ok(deliver::kept(&host, job, number, true, Some(&headers))?)
}

/// Tells how far a job is, until it ended.
pub(crate) async fn events(
    State(host): State<Arc<Host>>,
    Name(id): Name,
) -> Routed<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let (first, _) = find(&host, &id).await?;
    let live = host.live.find(&id);
    let told = futures::stream::unfold(Some((first, live, true)), |state| async {
        let (job, live, is_first) = state?;
        let job = match &live {
            Some(live) if !is_first => {
                let _ = tokio::time::timeout(TICK, live.ended()).await;
                live.as_wire()
            }
            _ => job,
        };
        let name = if job.state.is_final() { "end" } else { "progress" };
        let event = Event::default().event(name).json_data(&job).unwrap_or_default();
        let next = (!job.state.is_final() && live.is_some()).then_some((job, live, false));
        Some((Ok(event), next))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

/// A job that lives, ended a moment ago, or is remembered by the journal, and its number.
async fn find(host: &Host, id: &str) -> Result<(v2::Job, u64)> {
    if let Some(job) = host.live.find(id) {
        return Ok((job.as_wire(), job.number));
    }
    if let Some(job) = host.recent.find(id).await {
        return Ok(job);
    }
    let mut recorded = host.journal.job(id).await?;
    if recorded.is_none() {
        // A plain job is handed over when it ends, and written a moment later. Where it cannot
        // be, nothing is known of it.
        let _ = host.journal.flush().await;
        recorded = host.journal.job(id).await?;
    }
    let recorded = recorded.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no job '{}'", shorten(id)))
            .hint("its result was deleted, or it is too long ago")
    })?;
    let number = recorded.number;
    Ok((wire_job(recorded), number))
}
