//! REST v1.0, for the original's clients. `apyfal_api::v1` has its types.

mod configurations;
mod expiry;
mod form;
#[cfg(test)]
mod fuzz;
mod processes;
mod record;
mod refusal;
mod responses;
mod result;
mod route;
mod run;
mod state;
mod upload;

use std::sync::Arc;

use apyfal_api::v1;
use apyfal_core::{Error, ErrorKind, Owner, shorten};
use apyfal_net::Connection;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};

use crate::access::Peer;
use crate::coding;
use crate::data::Data;
use crate::host::Host;
use crate::journal::Page;
use refusal::{Refusal, Routed};
use route::{Resource, Route};

pub(crate) use expiry::expire_sessions;
pub(crate) use state::V1State;

pub(crate) fn router() -> Router<Arc<Host>> {
    let mut router =
        Router::new().route("/{accelerator}", get(there)).route("/{accelerator}/", get(there));
    for begin in ["", "/{accelerator}"] {
        for end in ["", "/", "/{*rest}"] {
            router = router.route(&format!("{begin}{}{end}", v1::ROOT), any(serve));
        }
    }
    router
}

/// Where a client that names an accelerator looks whether the host is there. One that names none
/// looks at `/`, which is the page.
async fn there(State(host): State<Arc<Host>>, request: Request) -> Response {
    let name = request.uri().path().trim_matches('/');
    match host.agent.registry().find(name) {
        Ok(engine) => format!("{}\n", engine.info().name).into_response(),
        Err(error) => Refusal::from(error).into_response(),
    }
}

/// Whether a path is one of this protocol.
pub(super) fn is_at(path: &str) -> bool {
    route::split(path).is_some()
}

/// Refuses a request as this protocol does.
pub(super) fn refuse(error: Error) -> Response {
    Refusal::from(error).into_response()
}

async fn serve(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    match answer(&host, &mut parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

/// Tells of a request that was refused.
fn log_refusal(host: &Host, parts: &Parts, refusal: &Refusal) {
    let Refusal { status, error } = refusal;
    if status.is_client_error() && *status != StatusCode::NOT_FOUND {
        let (method, path) = (shorten(&parts.method), shorten(parts.uri.path()));
        host.logs.host(&format!("{method} {path} was refused with {status}: {error}"));
    }
}

async fn answer(host: &Arc<Host>, parts: &mut Parts, body: Body) -> Routed {
    let peer = parts.extensions.get::<Peer>();
    let peer =
        peer.ok_or_else(|| Error::new(ErrorKind::Internal, "the connection is not known"))?;
    let route = Route::of(parts, peer);
    match host.access.check_v1(peer, &parts.headers) {
        Ok(owner) => parts.extensions.insert(owner),
        Err(error) => {
            Data::of_body(&parts.headers, body).drain();
            let refusal = error.into();
            if host.v1.tells_of_stranger() {
                log_refusal(host, parts, &refusal);
            }
            return Err(refusal);
        }
    };
    if let Some(connection) = parts.extensions.get::<Connection>() {
        connection.welcome();
    }
    if let Err((status, error)) = coding::check(&parts.headers) {
        Data::of_body(&parts.headers, body).drain();
        return Err(Refusal::new(status, error));
    }
    // Who only looks does not use it.
    let is_result = matches!(Resource::of(parts.uri.path()), Some(Resource::Result(_)));
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let using = (!is_read || is_result).then(|| host.uses.begin());
    let answered = answer_to(host, route, parts, body).await;
    if let Some(using) = using {
        using.answered(answered.as_ref().map_or_else(|refusal| refusal.status, Response::status));
    }
    if let Err(refusal) = &answered {
        log_refusal(host, parts, refusal);
    }
    answered
}

/// Who asks.
fn owner(parts: &Parts) -> Owner {
    parts.extensions.get().cloned().unwrap_or_default()
}

/// Answers who may use the host.
async fn answer_to(host: &Arc<Host>, route: Route, parts: &Parts, body: Body) -> Routed {
    let Some(place) = Resource::of(parts.uri.path()) else {
        Data::of_body(&parts.headers, body).drain();
        return Err(nothing_at(parts.uri.path()));
    };
    let query = parts.uri.query();
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    match place {
        Resource::Configurations if is_read => {
            configurations::list(host, &route, accelerator(host, &route)?, query).await
        }
        Resource::Configurations if parts.method == Method::POST => {
            let accelerator = accelerator(host, &route);
            configurations::start(host, &route, accelerator, parts, body).await
        }
        Resource::Configuration(number) if is_read => {
            configurations::about(host, &route, number).await
        }
        Resource::Processes if is_read => {
            processes::list(host, &route, accelerator(host, &route)?, query).await
        }
        Resource::Processes if parts.method == Method::POST => {
            run::run(host, &route, parts, body).await
        }
        Resource::Process(number) if is_read => processes::about(host, &route, number).await,
        Resource::Process(number) if parts.method == Method::DELETE => {
            processes::delete(host, number).await
        }
        Resource::Result(number) if is_read => result::send(host, number, &parts.headers).await,
        Resource::Stop if is_read => Ok(Json(v1::Answer::stopped()).into_response()),
        Resource::Schema if is_read => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            Ok((kind, v1::DESCRIPTION).into_response())
        }
        _ => {
            Data::of_body(&parts.headers, body).drain();
            Ok(other_method(parts, place))
        }
    }
}

/// The accelerator that a way leads to.
fn accelerator(host: &Host, route: &Route) -> Routed<String> {
    match &route.accelerator {
        Some(name) => Ok(host.agent.registry().find(name)?.info().name.to_string()),
        None => host.sessions.accelerator(None).map_err(|error| {
            let hint = "or use the host as http://ADDRESS/NAME";
            Refusal::new(StatusCode::NOT_FOUND, error.hint(hint))
        }),
    }
}

fn nothing_at(path: &str) -> Refusal {
    Error::new(ErrorKind::NotFound, format!("there is nothing at '{}'", shorten(path)))
        .hint("/v1.0/schema/ lists what there is")
        .into()
}

fn other_method(parts: &Parts, place: Resource) -> Response {
    let (method, path) = (shorten(&parts.method), shorten(parts.uri.path()));
    let error = Error::new(ErrorKind::Usage, format!("'{path}' does not take {method}"));
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(place.methods()));
    response
}

/// The items of a page.
fn page_of(page: u64) -> Page {
    let offset = (page - 1).saturating_mul(v1::PAGE).min(i64::MAX as u64);
    Page { offset, limit: v1::PAGE }
}
