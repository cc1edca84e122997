//! `/v2/sessions`.

use std::sync::Arc;

use apyfal_api::v2::{self, StartRequest};
use apyfal_core::{Error, ErrorKind, JobParameters, Owner, Result, Start, shorten};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::answer::Routed;
use crate::body;
use crate::host::Host;
use crate::journal::{Protocol, SessionFilter, SessionRecord};
use crate::routes::query::{Name, Paging, Query};

/// Opens a session.
pub(crate) async fn start(
    State(host): State<Arc<Host>>,
    Extension(owner): Extension<Owner>,
    request: Request,
) -> Routed<(StatusCode, Json<v2::Session>)> {
    let (parts, body) = request.into_parts();
    let patience = host.limits.client_timeout;
    let (request, data) = body::split::<StartRequest>(&parts, body, patience).await?;
    let name = request.input_name.clone();
    let start = match host.draining.check().and_then(|()| meant(&host, request)) {
        Ok(start) => start,
        Err(error) => {
            data.drain();
            return Err(error.into());
        }
    };
    let io = host.sessions.io(data, name.as_deref(), &owner);
    let (_, record) = host.sessions.start(start, io, Protocol::V2).await?;
    Ok((StatusCode::CREATED, Json(as_wire(record))))
}

fn meant(host: &Host, request: StartRequest) -> Result<Start> {
    let accelerator = host.sessions.accelerator(request.accelerator)?;
    let parameters = JobParameters::from_json(&request.parameters)?;
    Ok(Start { accelerator, parameters, src: request.src })
}

fn as_wire(record: SessionRecord) -> v2::Session {
    let SessionRecord { id, accelerator, owner, created, report, .. } = record;
    v2::Session { id, accelerator, owner: owner.name(), created, report }
}

/// The open sessions, the newest first.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    Query(paging): Query<Paging>,
) -> Routed<Json<v2::Sessions>> {
    let open = SessionFilter { open: Some(true), ..SessionFilter::default() };
    let listed = host.journal.sessions(open, paging.page()?).await?;
    let sessions = listed.items.into_iter().map(as_wire).collect();
    Ok(Json(v2::Sessions { count: listed.count, sessions }))
}

/// An open session.
pub(crate) async fn about(
    State(host): State<Arc<Host>>,
    Name(id): Name,
) -> Routed<Json<v2::Session>> {
    match host.journal.session(&id).await? {
        Some(record) if record.ended.is_none() => Ok(Json(as_wire(record))),
        _ => Err(Error::new(ErrorKind::NotFound, format!("there is no session '{}'", shorten(id)))
            .hint("start the accelerator again")
            .into()),
    }
}

/// Ends a session, after its running jobs.
pub(crate) async fn stop(
    State(host): State<Arc<Host>>,
    Name(id): Name,
) -> Routed<Json<v2::Report>> {
    Ok(Json(host.sessions.stop(&id).await?.into()))
}
