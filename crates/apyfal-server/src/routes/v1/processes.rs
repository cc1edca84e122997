//! `/v1.0/process/`: jobs that wait, run, or have ended.

use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v1;
use apyfal_core::{Error, ErrorKind};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::refusal::{Refusal, Routed};
use super::route::Route;
use super::{page_of, responses};
use crate::host::Host;
use crate::journal::{JobFilter, JobRecord, Protocol};

/// How long an answer about a job that runs is held back, since clients ask again at once.
const HOLD: Duration = Duration::from_secs(5);

/// The recorded jobs of an accelerator, the newest first.
pub(super) async fn list(
    host: &Host,
    route: &Route,
    accelerator: String,
    query: Option<&str>,
) -> Routed {
    let page = v1::page(query)?;
    let filter = JobFilter {
        protocol: Some(Protocol::V1),
        accelerator: Some(accelerator),
        ..JobFilter::default()
    };
    // Where it cannot be written, what is written already is told.
    let _ = host.journal.flush().await;
    let listed = host.journal.jobs(filter, page_of(page)).await?;
    if page > v1::pages(listed.count) {
        return Err(v1::no_page(page).into());
    }
    let items = listed.items.into_iter().map(|record| responses::recorded(route, record)).collect();
    Ok(Json(v1::List::new(&route.processes(), page, listed.count, items)).into_response())
}

/// A job, once it ended or has run for a while.
pub(super) async fn about(host: &Host, route: &Route, number: u64) -> Routed<Response> {
    let told = match host.v1.find(number) {
        Some(process) => {
            // Whether it ended or time ran out, the answer says how far it is.
            let _ = tokio::time::timeout(HOLD, process.job.ended()).await;
            responses::process(route, number, process.sent.clone(), process.job.as_wire())
        }
        None => responses::recorded(route, recorded(host, number).await?),
    };
    Ok(Json(told).into_response())
}

/// Forgets a job and its result; one that waits or runs ends first.
pub(super) async fn delete(host: &Arc<Host>, number: u64) -> Routed<Response> {
    let process = host.v1.remove(number);
    if let Some(process) = process.as_ref().filter(|process| process.job.has_ended()) {
        host.history.forget_soon(&process.job.id, number).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let id = match &process {
        Some(process) => process.job.id.clone(),
        None => recorded(host, number).await?.id,
    };
    let forgetting = {
        let host = host.clone();
        async move {
            if let Some(process) = process {
                process.job.cancel.cancel();
                process.job.ended().await;
            }
            host.history.forget(&id, number).await
        }
    };
    // It is done even where the client does not wait for it.
    let forgotten = tokio::spawn(forgetting).await;
    match forgotten {
        Ok(Err(error)) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        Err(error) => {
            Err(Error::new(ErrorKind::Internal, "it was not forgotten").source(error).into())
        }
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// A job that is not at hand.
pub(super) async fn recorded(host: &Host, number: u64) -> Routed<JobRecord> {
    // What was deleted a moment ago is gone as well, where it can be.
    let _ = host.journal.flush().await;
    match host.journal.job_by_number(number).await? {
        Some(record) if record.protocol == Protocol::V1 => Ok(record),
        _ => Err(unknown(number)),
    }
}

fn unknown(number: u64) -> Refusal {
    Error::new(ErrorKind::NotFound, format!("there is no process '{number}'"))
        .hint("it was deleted, or it is too long ago")
        .into()
}
