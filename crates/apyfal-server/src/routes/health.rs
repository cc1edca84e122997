//! `/healthz` and `/readyz`, for those who watch the host. They need no token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::answer::{Refusal, Routed};
use crate::host::Host;

/// Whether the process answers at all.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether it takes jobs of all kinds: it is not ending, and can write what it must.
pub(crate) async fn ready(State(host): State<Arc<Host>>) -> Routed<&'static str> {
    host.draining.check()?;
    // It may be over, and nobody have written since.
    let written = match host.journal.failure() {
        Some(_) => host.journal.flush().await,
        None => Ok(()),
    };
    let checked = written.and_then(|()| host.scratch.check_room());
    checked.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error))?;
    Ok("ok\n")
}
