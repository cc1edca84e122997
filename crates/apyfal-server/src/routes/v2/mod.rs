//! REST v2.

mod deliver;
mod host;
mod jobs;
mod keep;
mod logs;
mod process;
mod reading;
mod sessions;
mod tokens;

use std::sync::Arc;

use apyfal_api::v2::DESCRIPTION;
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::host::Host;

pub(super) use process::in_session;

const SESSIONS: &str = "/v2/sessions/";
const OPENAPI: &str = "/v2/openapi.json";

pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/v2/host", get(host::about))
        .route("/v2/lease", get(host::lease).post(host::extend))
        .route("/v2/accelerators", get(host::accelerators))
        .route("/v2/accelerators/{name}", get(host::accelerator))
        .route("/v2/sessions", post(sessions::start).get(sessions::list))
        .route("/v2/sessions/{id}", get(sessions::about).delete(sessions::stop))
        .route("/v2/run/{accelerator}", post(process::alone).put(process::alone))
        .route("/v2/jobs", get(jobs::list))
        .route("/v2/jobs/{id}", get(jobs::about).delete(jobs::end))
        .route("/v2/jobs/{id}/result", get(jobs::result))
        .route("/v2/jobs/{id}/events", get(jobs::events))
        .route("/v2/logs", get(logs::read))
        .route("/v2/tokens", get(tokens::list).post(tokens::add))
        .route("/v2/tokens/{name}", delete(tokens::remove))
        .route(OPENAPI, get(description))
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

/// Whether a path is for those alone who may use the host. What is described is no secret.
pub(super) fn is_private(path: &str) -> bool {
    path.starts_with("/v2/") && path != OPENAPI
}

/// The session that `/v2/sessions/{id}/jobs` names.
pub(super) fn jobs_of(path: &str) -> Option<&str> {
    let id = path.strip_prefix(SESSIONS)?.strip_suffix("/jobs")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
