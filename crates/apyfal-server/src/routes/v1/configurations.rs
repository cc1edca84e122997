//! `/v1.0/configuration/`: starts, and what was started.

use std::sync::Arc;

use apyfal_api::v1;
use apyfal_core::{Error, ErrorKind, JobIo, JobParameters, Start, shorten, unix_time};
use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::refusal::{Refusal, Routed};
use super::route::Route;
use super::{form, owner, page_of, responses};
use crate::host::Host;
use crate::journal::{Protocol, SessionFilter};

/// Opens a session. One that does not start is told as such.
pub(super) async fn start(
    host: &Arc<Host>,
    route: &Route,
    accelerator: Routed<String>,
    parts: &Parts,
    body: Body,
) -> Routed {
    let created = unix_time().as_secs_f64();
    host.draining.check()?;
    let request = form::read(parts, body, &host.scratch, host.limits.client_timeout, false).await?;
    let accelerator = accelerator?;
    let form::Request { parameters, size, datafile, data, mut end, .. } = request;
    let checked = parameters.as_ref().map_err(Error::duplicate);
    let started = match checked.and_then(JobParameters::from_json) {
        Err(error) => Err(error),
        Ok(mut checked) => {
            let url = v1::take_source(&mut checked.specific);
            let src = data.map(|data| data.into_input(datafile.as_deref()));
            let io =
                JobIo { src, ..host.sessions.io(crate::data::Data::none(), None, &owner(parts)) };
            let start = Start { accelerator, parameters: checked, src: url };
            host.sessions.start(start, io, Protocol::V1).await
        }
    };
    // What is wrong with the form goes before what that led to.
    end.check()?;
    let configuration = match started {
        Ok((session, record)) => {
            end.wait().await;
            host.v1.learn(record.number, &session.id, &record.accelerator);
            responses::configuration(route, record)
        }
        Err(error) if is_refusal(error.kind()) => return Err(error.into()),
        Err(error) => {
            let number = host.journal.next_number()?;
            host.logs.host(&format!("configuration {number} failed: {error}"));
            let failed =
                responses::failed_start(route, number, parameters.ok(), datafile, created, &error);
            host.v1.add_failed(&failed, size);
            failed
        }
    };
    Ok(Json(configuration).into_response())
}

/// Whether it is the host that cannot, rather than the start that is wrong.
pub(super) fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Cancelled)
}

/// The open sessions of an accelerator, the newest first.
pub(super) async fn list(
    host: &Host,
    route: &Route,
    accelerator: String,
    query: Option<&str>,
) -> Routed {
    let page = v1::page(query)?;
    let filter = SessionFilter {
        open: Some(true),
        protocol: Some(Protocol::V1),
        accelerator: Some(accelerator),
    };
    let listed = host.journal.sessions(filter, page_of(page)).await?;
    if page > v1::pages(listed.count) {
        return Err(v1::no_page(page).into());
    }
    let items =
        listed.items.into_iter().map(|record| responses::configuration(route, record)).collect();
    Ok(Json(v1::List::new(&route.configurations(), page, listed.count, items)).into_response())
}

/// A session.
pub(super) async fn about(host: &Host, route: &Route, number: u64) -> Routed<Response> {
    if let Some(failed) = host.v1.failed(number) {
        return Ok(Json(failed).into_response());
    }
    match host.journal.session_by_number(number).await? {
        Some(record) if record.protocol == Protocol::V1 => {
            Ok(Json(responses::configuration(route, record)).into_response())
        }
        _ => Err(unknown(number)),
    }
}

/// The error for a configuration that there is none of.
pub(super) fn unknown(number: impl std::fmt::Display) -> Refusal {
    Error::new(ErrorKind::NotFound, format!("there is no configuration '{}'", shorten(number)))
        .hint("start the accelerator again")
        .into()
}
