//! `/healthz` and `/readyz`, for those who watch the host. They need no token.

use std::sync::Arc;

use axum::extract::State;

use crate::answer::Answer;
use crate::host::Host;

/// Whether the process answers at all.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether it takes jobs.
pub(crate) async fn ready(State(host): State<Arc<Host>>) -> Answer<&'static str> {
    host.check_open()?;
    Ok("ok\n")
}
