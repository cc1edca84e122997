//! REST v1.0, for the original's clients. `apyfal_api::v1` has its types.

mod configurations;
mod expiry;
mod form;
#[cfg(test)]
mod fuzz;
mod memory;
mod processes;
mod record;
mod refusal;
mod result;
mod run;
mod told;
mod upload;
mod way;

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
use refusal::{Answer, Refusal};
use way::{Place, Way};

pub(crate) use expiry::expire_sessions;
pub(crate) use memory::Memory;

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
    way::split(path).is_some()
}

/// Refuses a request as this protocol does.
pub(super) fn refuse(error: Error) -> Response {
    Refusal::from(error).into_response()
}

async fn serve(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    match answer(&host, &mut parts, body).await {
        Ok(response) => response,
        Err(refusal) => {
            if refusal.status.is_client_error() && refusal.status != StatusCode::NOT_FOUND {
                let (method, path) = (shorten(&parts.method), shorten(parts.uri.path()));
                let Refusal { status, error } = &refusal;
                host.logs.host(&format!("{method} {path} was refused with {status}: {error}"));
            }
            refusal.into_response()
        }
    }
}

async fn answer(host: &Arc<Host>, parts: &mut Parts, body: Body) -> Answer {
    let peer = parts.extensions.get::<Peer>();
    let peer =
        peer.ok_or_else(|| Error::new(ErrorKind::Internal, "the connection is not known"))?;
    let way = Way::of(parts, peer);
    match host.access.check_v1(peer, &parts.headers) {
        Ok(owner) => parts.extensions.insert(owner),
        Err(error) => {
            Data::of_body(&parts.headers, body).drain();
            return Err(error.into());
        }
    };
    if let Some(connection) = parts.extensions.get::<Connection>() {
        connection.welcome();
    }
    if let Err((status, error)) = coding::check(&parts.headers) {
        Data::of_body(&parts.headers, body).drain();
        return Err(Refusal::new(status, error));
    }
    let using = host.uses.begin();
    let answered = answer_to(host, way, parts, body).await;
    using.answered(answered.as_ref().map_or_else(|refusal| refusal.status, Response::status));
    answered
}

/// Who asks.
fn owner(parts: &Parts) -> Owner {
    parts.extensions.get().cloned().unwrap_or_default()
}

/// Answers who may use the host.
async fn answer_to(host: &Arc<Host>, way: Way, parts: &Parts, body: Body) -> Answer {
    let Some(place) = Place::of(parts.uri.path()) else {
        Data::of_body(&parts.headers, body).drain();
        return Err(nothing_at(parts.uri.path()));
    };
    let query = parts.uri.query();
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    match place {
        Place::Configurations if is_read => {
            configurations::list(host, &way, accelerator(host, &way)?, query).await
        }
        Place::Configurations if parts.method == Method::POST => {
            let accelerator = accelerator(host, &way);
            configurations::start(host, &way, accelerator, parts, body).await
        }
        Place::Configuration(number) if is_read => configurations::about(host, &way, number).await,
        Place::Processes if is_read => {
            processes::list(host, &way, accelerator(host, &way)?, query).await
        }
        Place::Processes if parts.method == Method::POST => run::run(host, &way, parts, body).await,
        Place::Process(number) if is_read => processes::about(host, &way, number).await,
        Place::Process(number) if parts.method == Method::DELETE => {
            processes::delete(host, number).await
        }
        Place::Result(number) if is_read => result::send(host, number, &parts.headers).await,
        Place::Stop if is_read => Ok(Json(v1::Answer::stopped()).into_response()),
        Place::Schema if is_read => {
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
fn accelerator(host: &Host, way: &Way) -> Answer<String> {
    match &way.accelerator {
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

fn other_method(parts: &Parts, place: Place) -> Response {
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
