//! `/v2/host` and `/v2/accelerators`.

use std::sync::Arc;

use apyfal_api::v2;
use axum::Json;
use axum::extract::State;

use crate::answer::Answer;
use crate::host::Host;
use crate::routes::query::Name;

pub(crate) async fn about(State(host): State<Arc<Host>>) -> Json<v2::Host> {
    let names = host.agent.registry().iter().map(|engine| engine.info().name.to_string());
    Json(v2::Host {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocols: vec![v2::VERSION],
        accelerators: names.collect(),
        default_accelerator: host.default_accelerator.clone(),
        cores: host.cores,
        uptime: host.began.elapsed().as_secs_f64(),
    })
}

pub(crate) async fn accelerators(State(host): State<Arc<Host>>) -> Json<Vec<v2::Accelerator>> {
    Json(host.agent.registry().iter().map(|engine| engine.info().into()).collect())
}

pub(crate) async fn accelerator(
    State(host): State<Arc<Host>>,
    Name(name): Name,
) -> Answer<Json<v2::Accelerator>> {
    Ok(Json(host.agent.registry().find(&name)?.info().into()))
}
