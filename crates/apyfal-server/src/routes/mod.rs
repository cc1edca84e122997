//! What is served: one file per resource.

mod health;
mod metrics;
mod page;
mod query;
pub(crate) mod v1;
mod v2;

use std::sync::Arc;

use apyfal_core::{Error, ErrorKind};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::answer::{Refusal, Refused};
use crate::host::Host;

/// All routes.
pub(crate) fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/", get(page::page))
        .route("/status", get(page::status))
        .merge(metrics::router(&host))
        .merge(v2::router(&host))
        .merge(v1::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::map_response_with_state(host.clone(), every_answer))
        .with_state(host)
}

async fn nothing_here(uri: Uri) -> Refusal {
    Refusal(
        Error::new(ErrorKind::NotFound, format!("there is nothing at '{}'", uri.path()))
            .hint("/v2/openapi.json lists what there is"),
    )
}

async fn other_method(method: Method, uri: Uri) -> Response {
    let refusal =
        Refusal(Error::new(ErrorKind::Usage, format!("'{}' does not take {method}", uri.path())));
    let mut response = refusal.into_response();
    *response.status_mut() = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// Counts errors, and adds what every answer says.
async fn every_answer(State(host): State<Arc<Host>>, mut response: Response) -> Response {
    if let Some(Refused(kind)) = response.extensions().get() {
        host.metrics.refusals.count(*kind);
    }
    response
        .headers_mut()
        .insert(apyfal_api::v2::PROTOCOL, HeaderValue::from(apyfal_api::v2::VERSION));
    response
}

/// Serves a request only to those who may use the host.
pub(crate) async fn only_with_access(
    State(host): State<Arc<Host>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.get::<crate::access::Peer>().copied() else {
        return Refusal(Error::new(ErrorKind::Internal, "the connection is not known"))
            .into_response();
    };
    match host.access.check(peer, &parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => {
            crate::body::Data::of_body(&parts.headers, body).drain();
            Refusal(error).into_response()
        }
    }
}
