//! `/v2/host` and `/v2/accelerators`.

use std::sync::Arc;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind};
use axum::Json;
use axum::extract::State;

use crate::answer::Routed;
use crate::host::Host;
use crate::routes::query::{Name, Query};

pub(crate) async fn about(State(host): State<Arc<Host>>) -> Json<v2::Host> {
    let names = host.agent.registry().iter().map(|engine| engine.info().name.to_string());
    Json(v2::Host {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocols: vec![v2::VERSION],
        accelerators: names.collect(),
        default_accelerator: host.sessions.default_accelerator.clone(),
        cores: host.cores,
        uptime: host.began.elapsed().as_secs_f64(),
        lease: host.lease.left(),
    })
}

/// What is left of the lease: nothing has a limit where the host lives for ever.
pub(crate) async fn lease(State(host): State<Arc<Host>>) -> Json<v2::Lease> {
    Json(host.lease.left().unwrap_or_default())
}

/// Lets the host live longer.
pub(crate) async fn extend(
    State(host): State<Arc<Host>>,
    Query(extension): Query<v2::LeaseExtension>,
) -> Routed<Json<v2::Lease>> {
    let seconds = extension.seconds;
    let time = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| {
        Error::new(ErrorKind::Usage, format!("{seconds} is no time"))
            .operation("extend the lease")
            .hint("give the seconds from now, such as 3600")
    })?;
    host.draining.check()?;
    host.lease.extend(time)?;
    host.logs.host(&format!("a client lets this host live for {seconds} s more"));
    Ok(lease(State(host)).await)
}

pub(crate) async fn accelerators(State(host): State<Arc<Host>>) -> Json<Vec<v2::Accelerator>> {
    Json(host.agent.registry().iter().map(|engine| engine.info().into()).collect())
}

pub(crate) async fn accelerator(
    State(host): State<Arc<Host>>,
    Name(name): Name,
) -> Routed<Json<v2::Accelerator>> {
    Ok(Json(host.agent.registry().find(&name)?.info().into()))
}
