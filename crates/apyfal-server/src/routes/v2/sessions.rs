//! `/v2/sessions`.

use std::sync::Arc;

use apyfal_api::v2::{self, StartRequest};
use apyfal_core::{Client, JobIo, JobParameters, Start};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use crate::answer::Answer;
use crate::body::{self, Data};
use crate::host::Host;

/// Opens a session.
pub(crate) async fn start(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Answer<(StatusCode, Json<v2::Session>)> {
    let (parts, body) = request.into_parts();
    let (request, data) = body::split::<StartRequest>(&parts, body).await?;
    let session = open(&host, request, data).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// Opens a session from its request and data.
pub(crate) async fn open(
    host: &Host,
    request: StartRequest,
    data: Data,
) -> apyfal_core::Result<v2::Session> {
    host.check_open()?;
    let accelerator = host.accelerator(request.accelerator)?;
    let parameters = JobParameters::from_json(&request.parameters)?;
    let start = Start { accelerator, parameters, src: request.src };
    let io = JobIo {
        src: data.is_there().then(|| data.into_input()),
        stall: Some(host.limits.client_timeout),
        time_limit: host.limits.job_timeout,
        ..JobIo::default()
    };
    let session = host.agent.start(start, io).await?;
    Ok(v2::Session {
        id: session.id,
        accelerator: session.report.accelerator.clone(),
        created: crate::live::now(),
        report: Some(session.report.into()),
    })
}

/// Ends a session, after its running jobs.
pub(crate) async fn stop(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
) -> Answer<Json<v2::Report>> {
    Ok(Json(host.agent.stop(&id).await?.into()))
}
