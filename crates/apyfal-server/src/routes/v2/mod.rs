//! REST v2.

mod deliver;
mod host;
mod jobs;
mod logs;
mod process;
mod sessions;

use std::sync::Arc;

use apyfal_api::v2::{DESCRIPTION, PROTOCOL, VERSION};
use apyfal_core::{Error, ErrorKind};
use axum::Router;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::answer::Refusal;
use crate::host::Host;
use crate::routes::only_with_access;

pub(crate) fn router(state: &Arc<Host>) -> Router<Arc<Host>> {
    Router::new()
        .route("/v2/host", get(host::about))
        .route("/v2/accelerators", get(host::accelerators))
        .route("/v2/accelerators/{name}", get(host::accelerator))
        .route("/v2/sessions", post(sessions::start).get(sessions::list))
        .route("/v2/sessions/{id}", get(sessions::about).delete(sessions::stop))
        .route("/v2/sessions/{id}/jobs", post(process::in_session).put(process::in_session))
        .route("/v2/run/{accelerator}", post(process::alone).put(process::alone))
        .route("/v2/jobs", get(jobs::list))
        .route("/v2/jobs/{id}", get(jobs::about).delete(jobs::end))
        .route("/v2/jobs/{id}/result", get(jobs::result))
        .route("/v2/jobs/{id}/events", get(jobs::events))
        .route("/v2/logs", get(logs::read))
        .layer(middleware::from_fn(only_our_version))
        .layer(middleware::from_fn_with_state(state.clone(), only_with_access))
        // What is described is no secret.
        .route("/v2/openapi.json", get(description))
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

/// Refuses clients of a protocol that is not spoken here.
async fn only_our_version(request: Request, next: Next) -> Response {
    let wanted = request.headers().get(PROTOCOL);
    let wanted = wanted.map(|wanted| wanted.to_str().unwrap_or("?").to_owned());
    match wanted {
        Some(wanted) if wanted.trim() != VERSION.to_string() => Refusal(
            Error::new(ErrorKind::Usage, format!("it is not version '{}'", wanted.trim()))
                .operation("speak the client's protocol")
                .hint(format!("this host speaks version {VERSION}; use a client of its version")),
        )
        .into_response(),
        _ => next.run(request).await,
    }
}
